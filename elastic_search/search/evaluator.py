"""What the search asks of a trainer, so that it needs no torch itself.

An evaluator may run in a different process from the search, so only plain values pass between them: a job names its
evaluator as text and describes it in plain JSON (``Named``), and a checkpoint is bytes that only the evaluator reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from elastic_search.arch.spec import Spec

PROXY_EVALUATOR = "elastic_search.proxy.evaluator:make"
"""Trains proxies; takes ``recipe``, ``device``, ``worker`` and ``data``; by default on the embedded scenes."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of one proxy: its number from 1, and the accuracy on the images that rank."""

    number: int
    of: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """How well a trained proxy did.

    Attributes:
        accuracy: share of the images that rank ("rank" of the data set's splits) that are classified correctly after
            the last epoch, or what the recipe's ``metric`` says in place of that share.
        accuracy_by_size: share of right answers by the size of their object, where it is known.
        seconds: time spent training and testing, over all starts of the trial.
        curve: accuracy after each epoch; shorter than the recipe's epochs if the training was pruned.
        test_accuracy: on the "final" images after the recipe's last epoch; None if there are none, or if they are read
            only at the end of the search.
        proxy_macs: multiply-adds of the proxy on its own input.
        proxy_params: its parameters.
        accuracy_by_class: share of right answers on the images that rank for each class, in the data set's order; None
            for a class without one.
        standard_error: of ``accuracy``, of its images, where it is another metric than the share of right answers.
    """

    accuracy: float
    accuracy_by_size: dict[str, float]
    seconds: float
    proxy_macs: int
    proxy_params: int
    curve: list[float] = field(default_factory=list)
    test_accuracy: float | None = None
    accuracy_by_class: list[float | None] = field(default_factory=list)
    standard_error: float | None = None


class InterruptedTrainingError(Exception):
    """The monitor ended the training early; it can continue from its last checkpoint."""


class TrialError(Exception):
    """This proxy cannot be trained (its loss is not a number, memory is exhausted), but others can."""


class DamagedCheckpointError(Exception):
    """The checkpoint that a monitor offers was not made by an evaluator, or was changed since."""


class Verdict(Enum):
    """What happens after an epoch: the next one, a stop until a later start, or an early end with the score so far."""

    GO_ON = "go on"
    STOP = "stop"
    PRUNE = "prune"


class Monitor:
    """Watches one training, keeps its checkpoints and decides how long it goes on; this one never ends it early.

    Attributes:
        checkpoint: the bytes that ``epoch`` was last given in an earlier start of the training, or None.
    """

    checkpoint: bytes | None = None

    def step(self) -> None:
        """Called before every batch.

        Raises:
            InterruptedTrainingError: to end the training here; the current epoch is lost.
        """

    def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
        """Keep an epoch, and decide how the training goes on.

        Args:
            result: the epoch. Its checkpoint is kept before the epoch is reported.
            checkpoint: what the training can continue from; equal to ``self.checkpoint`` if an earlier start already
                handed it over and may have been killed before it received the verdict.
        """
        return Verdict.GO_ON


class Evaluator(Protocol):
    """Trains the proxy of a network. ``tests/proxy/test_contract.py`` holds every implementation to this contract.

    - ``monitor.step`` is called before every batch, ``monitor.epoch`` after every epoch.
    - On GO_ON the next epoch follows. On PRUNE the score is that of the epochs so far. On STOP the training ends with
      InterruptedTrainingError. After the last epoch the training is over, whatever the verdict.
    - A training continues from ``monitor.checkpoint`` and ends as it would have without the interruption, bit for bit.
      First it hands that epoch over once more, with the same bytes. The checkpoint of another training, with another
      network, seed or recipe, is ignored: the training starts from the beginning.
    - An error that ``monitor`` raises ends the training and is passed on.

    Raises:
        InterruptedTrainingError: if ``monitor`` ended the training.
        TrialError: if this network's proxy cannot be trained.
        DamagedCheckpointError: if ``monitor.checkpoint`` is damaged.
    """

    @property
    def chosen(self) -> Mapping[str, Any]:
        """Arguments for ``Named.about`` that ``pace`` has chosen by measuring; all trainings of a run share them."""

    @property
    def remarks(self) -> Sequence[str]:
        """What ``pace`` has found that a plan should say."""

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score: ...

    def final(self, spec: Spec, seed: int, checkpoint: bytes) -> float:
        """Share of the "final" images that a finished training classifies correctly, or what ``metric`` says instead.

        Args:
            spec: the network.
            seed: of its training.
            checkpoint: what ``monitor.epoch`` was given after its last epoch.

        Raises:
            DamagedCheckpointError: if the checkpoint is damaged, or of another training.
        """

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of the network's proxy takes, measured within a few seconds.

        Raises:
            TrialError: if this network's proxy cannot be trained.
        """


class Named(NamedTuple):
    """An evaluator as text: only a process that trains imports it.

    Attributes:
        name: "module:function".
        about: arguments of the function, as plain JSON; it also takes ``worker``, the number of the process.
    """

    name: str
    about: dict[str, Any]

    def make(self, worker: int = 0) -> Evaluator:
        made: Evaluator = named(self.name)(**self.about, worker=worker)
        return made


def named(name: str) -> Callable[..., Any]:
    """The function that a text like "module:function" names; its module is imported only here."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
