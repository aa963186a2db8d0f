"""What the search asks of a trainer, so that it needs no torch itself.

An evaluator may run in another process than the search, so everything that passes between them is plain: a job names
its evaluator as text and describes it in JSON (``Named``), and a checkpoint is bytes that only the evaluator opens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from elastic_search.arch.spec import Spec

PROXY_EVALUATOR = "elastic_search.proxy.evaluator:make"
"""Trains proxies on the embedded scenes; takes ``recipe``, ``device``, ``worker`` and ``data``."""


@dataclass(frozen=True)
class Epoch:
    """One epoch of a proxy: numbers start at 1; the accuracy is on the test scenes of the proxy task."""

    number: int
    of: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """How well a trained proxy did.

    Attributes:
        accuracy: share of the proxy task's test scenes that are classified correctly after the last trained epoch.
        accuracy_by_size: the same for small, medium and large objects.
        seconds: training and testing time, over all starts of the trial.
        curve: accuracy after each epoch; shorter than the recipe's epochs if the training was pruned.
        proxy_macs: multiply-adds of the proxy on its own input.
        proxy_params: its parameters.
    """

    accuracy: float
    accuracy_by_size: dict[str, float]
    seconds: float
    proxy_macs: int
    proxy_params: int
    curve: list[float] = field(default_factory=list)


class InterruptedTrainingError(Exception):
    """Training ended early because the monitor asked for it; it can continue from its last checkpoint."""


class TrialError(Exception):
    """This proxy cannot be trained (its loss is not a number, or memory is exhausted), but others can."""


class DamagedCheckpointError(Exception):
    """The checkpoint that a monitor offers is not one that an evaluator wrote."""


class Verdict(Enum):
    """What follows an epoch: the next one, an interruption until a later start, or the end with the score so far."""

    GO_ON = "go on"
    STOP = "stop"
    PRUNE = "prune"


class Monitor:
    """Watches a training, keeps its checkpoints and decides how long it goes on. This one lets it finish.

    Attributes:
        checkpoint: the last bytes that ``epoch`` was given in an earlier start of the training, or None.
    """

    checkpoint: bytes | None = None

    def step(self) -> None:
        """Called before each batch.

        Raises:
            InterruptedTrainingError: if the training must end here; the current epoch is lost.
        """

    def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
        """Keep an epoch, and judge the training.

        Args:
            result: the epoch. Its checkpoint is stored before the epoch is reported.
            checkpoint: what the training can continue from; equal to ``self.checkpoint`` if an earlier start handed
                it over already, which may have been killed before it got the verdict.
        """
        return Verdict.GO_ON


class Evaluator(Protocol):
    """Trains the proxy of a network. ``tests/proxy/test_contract.py`` holds every implementation to this contract.

    - ``monitor.step`` is called before every batch, ``monitor.epoch`` after every epoch.
    - On GO_ON the next epoch follows. On PRUNE the score is that of the epochs so far. On STOP the training ends with
      InterruptedTrainingError. After the last epoch it is over, whatever the verdict.
    - A training continues from ``monitor.checkpoint`` and ends as it would have without the interruption, bit for bit.
      First it hands that epoch over again, with the same bytes. A checkpoint of another network, seed or recipe is
      ignored: the training starts from the beginning.
    - An exception of ``monitor`` ends the training and is passed on.

    Raises:
        InterruptedTrainingError: if ``monitor`` asked for it.
        TrialError: if this network's proxy cannot be trained.
        DamagedCheckpointError: if ``monitor.checkpoint`` is damaged.
    """

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score: ...

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of the network's proxy takes, measured in a few seconds.

        Raises:
            TrialError: if this network's proxy cannot be trained.
        """


class Named(NamedTuple):
    """An evaluator as text: only a process that trains imports it.

    Attributes:
        name: "module:function".
        about: the function's arguments, as plain JSON; it also takes ``worker``, the number of the process.
    """

    name: str
    about: dict[str, Any]

    def make(self, worker: int = 0) -> Evaluator:
        made: Evaluator = named(self.name)(**self.about, worker=worker)
        return made


def named(name: str) -> Callable[..., Any]:
    """The function that is named as "module:function"; its module is only imported here."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
