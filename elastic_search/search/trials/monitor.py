"""The search's side of a training: keeps its checkpoints, watches the time, and prunes it at the rungs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elastic_search.atomic import write_atomically
from elastic_search.errors import EnvironmentFault
from elastic_search.search.evaluator import Epoch, InterruptedTrainingError, Monitor, Verdict
from elastic_search.search.trials.clock import SAVED_EVERY, Clock
from elastic_search.search.trials.halving import Halving
from elastic_search.search.trials.signals import StopSignal

NOTICE = 20.0  # seconds after the first signal in which an epoch may still end


@dataclass
class TrialMonitor(Monitor):
    """Watches the training of a trial, or of the base network.

    Attributes:
        file: its checkpoint.
        clock: the run's clock.
        signal: asks the search to end.
        rungs: of a training.
        rivals: curves of the finished trials that it is compared with at a rung; None if it is never pruned.
        alive: called when the training makes progress.
        told: called with every epoch once it is stored.

    Raises:
        EnvironmentFault: if the checkpoint cannot be read.
    """

    file: Path
    clock: Clock
    signal: StopSignal
    rungs: Halving
    rivals: list[Sequence[float]] | None
    alive: Callable[[], None]
    told: Callable[[Epoch], None]

    def __post_init__(self) -> None:
        try:
            self.checkpoint = self.file.read_bytes()
        except FileNotFoundError:
            self.checkpoint = None
        except OSError as error:
            raise self.damaged(type(error).__name__) from None

    def damaged(self, why: str) -> EnvironmentFault:
        """The error for a damaged checkpoint."""
        return EnvironmentFault(f"{self.file}: damaged ({why})", "delete it: its trial starts again")

    def step(self) -> None:
        """Check the deadline before a batch: it holds inside an epoch, too."""
        self.alive()
        noticed = self.signal.received is not None and time.monotonic() - self.signal.at > NOTICE
        if self.clock.is_over or noticed:
            raise InterruptedTrainingError
        self.clock.save(SAVED_EVERY)

    def epoch(self, result: Epoch, checkpoint: bytes) -> Verdict:
        """Store an epoch, unless an earlier start did, and judge the training."""
        if checkpoint != self.checkpoint:
            write_atomically(self.file, checkpoint)
            self.checkpoint = checkpoint
            self.clock.epoch_ends()
            self.alive()
            self.clock.save()
            self.told(result)
        if result.number == result.of:
            return Verdict.GO_ON
        if self.rivals is not None and self.rungs.stops(result.number, result.accuracy, self.rivals):
            return Verdict.PRUNE
        return Verdict.STOP if self._stops(result.number) else Verdict.GO_ON

    def _stops(self, done: int) -> bool:
        """Whether the training is interrupted here: a rung that cannot be finished is not started."""
        if self.signal.received is not None or self.clock.is_over:
            return True
        return not self.clock.fits(self.rungs.next_rung(done) - done if done in self.rungs.rungs else 1)
