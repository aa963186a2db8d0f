"""What the search asks of a trainer, so that it needs no torch itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from elastic_search.arch.spec import Spec


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
        curve: accuracy after each epoch; shorter than the recipe's epochs if ``prune`` ended the training.
        proxy_macs: multiply-adds of the proxy on its own input.
        proxy_params: its parameters.
    """

    accuracy: float
    accuracy_by_size: dict[str, float]
    seconds: float
    proxy_macs: int
    proxy_params: int
    curve: list[float] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class InterruptedTrainingError(Exception):
    """Training ended early because ``stop`` said so; its checkpoint lets it go on."""


class TrialError(Exception):
    """A proxy cannot be trained (its loss is not a number, memory is exhausted); others can."""


class Evaluator(Protocol):
    """Trains the proxy of a network.

    ``checkpoint`` is a file that the evaluator writes after every epoch and continues from. Before every epoch but
    the first, ``prune`` is asked whether the accuracies so far end the training, then ``stop`` whether it is to be
    interrupted. ``report`` hears of every epoch, ``step`` of every batch; ``step`` may raise
    InterruptedTrainingError, after which the epoch at hand is lost.

    Raises:
        InterruptedTrainingError: if ``stop`` returned true before the last epoch, or ``step`` raised it.
        TrialError: if this network's proxy cannot be trained.
    """

    def __call__(
        self,
        spec: Spec,
        seed: int,
        *,
        checkpoint: Path,
        stop: Callable[[], bool],
        report: Callable[[Epoch], None],
        prune: Callable[[list[float]], bool] = ...,
        step: Callable[[], None] = ...,
    ) -> Score: ...
