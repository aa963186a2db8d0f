"""What the search asks of a trainer, so that it needs no torch itself.

An evaluator may run in another process than the search, so that all that passes between them is plain: a job names
its evaluator as text and describes it in plain JSON (``Named``), and a checkpoint is bytes, which only the evaluator
opens.
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
    """One epoch of one proxy: numbers count from 1; accuracy is on the proxy task's test scenes."""

    number: int
    of: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class Score:
    """How a trained proxy did.

    Attributes:
        accuracy: share of the proxy task's test scenes that are classified right, after the last epoch trained.
        accuracy_by_size: the same for small, medium and large objects.
        seconds: training and testing, over all starts of the trial.
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
    """Training ended early because the monitor said so; its last checkpoint lets it go on."""


class TrialError(Exception):
    """A proxy cannot be trained (its loss is not a number, memory is exhausted); others can."""


class DamagedCheckpointError(Exception):
    """What a monitor offers as the checkpoint of an earlier start is not what an evaluator made."""


class Verdict(Enum):
    """What becomes of a training after an epoch: on to the next, off until a later start, or over with its score."""

    GO_ON = "go on"
    STOP = "stop"
    PRUNE = "prune"


class Monitor:
    """Watches one training, keeps its checkpoints and says how long it goes on. This one has it go to its end.

    Attributes:
        checkpoint: the bytes that ``epoch`` was given last in an earlier start of the training, or None.
    """

    checkpoint: bytes | None = None

    def step(self) -> None:
        """Hear that a batch is about to be trained.

        Raises:
            InterruptedTrainingError: if the training is to end here; the epoch at hand is lost.
        """

    def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
        """Keep an epoch, and judge the training.

        Args:
            result: the epoch. Its checkpoint is kept before anybody hears of it.
            checkpoint: what the training goes on from; equal to ``self.checkpoint`` if an earlier start handed it
                over, which may have been killed before it heard the verdict.
        """
        return Verdict.GO_ON


class Evaluator(Protocol):
    """Trains the proxy of a network. ``tests/proxy/test_contract.py`` holds every implementation to this contract.

    - ``monitor.step`` is called before every batch, ``monitor.epoch`` after every epoch.
    - On GO_ON the next epoch follows. On PRUNE the score is that of the epochs so far. On STOP the training ends with
      InterruptedTrainingError. After the last epoch it is over, whatever the verdict.
    - A training goes on from ``monitor.checkpoint`` and ends as it would have without the interruption, bit for bit.
      First it hands that epoch over once more, with the same bytes. A checkpoint of another training, which differs
      in network, seed or recipe, is not taken: the training starts anew.
    - What ``monitor`` raises ends the training and is passed on.

    Raises:
        InterruptedTrainingError: if ``monitor`` said so.
        TrialError: if this network's proxy cannot be trained.
        DamagedCheckpointError: if ``monitor.checkpoint`` is damaged.
    """

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score: ...

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of the network's proxy takes, measured in a few.

        Raises:
            TrialError: if this network's proxy cannot be trained.
        """


class Named(NamedTuple):
    """An evaluator as text: only a process that trains imports it.

    Attributes:
        name: "module:function".
        about: what the function takes, as plain JSON; it takes ``worker``, the number of the process, too.
    """

    name: str
    about: dict[str, Any]

    def make(self, worker: int = 0) -> Evaluator:
        made: Evaluator = named(self.name)(**self.about, worker=worker)
        return made


def named(name: str) -> Callable[..., Any]:
    """The function that a text as "module:function" names; its module is imported only here."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), function)
    return found
