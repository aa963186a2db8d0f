"""Successive halving on a proxy's epochs: which trials go on past a rung.

Asynchronous, as in Li et al. 2020 ("A System for Massively Parallel Hyperparameter Tuning"): a trial is compared with
those that have finished so far and never waits for others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

ETA = 2  # one of this many trials goes on past a rung


@dataclass(frozen=True)
class Halving:
    """The rungs of a training.

    Attributes:
        epochs: of a whole training.
        on: whether trials are stopped early; if not, the only rung is the last epoch.
    """

    epochs: int
    on: bool = True

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which a trial is judged; the last ends the training."""
        early = {self.epochs // ETA**2, self.epochs // ETA} if self.on else set()
        return tuple(sorted(early - {0} | {self.epochs}))

    def next_rung(self, done: int) -> int:
        """The first rung after ``done`` epochs."""
        return next(rung for rung in self.rungs if rung > done)

    def stops(self, at: int, accuracy: float, finished: Sequence[Sequence[float]]) -> bool:
        """Whether a trial ends after epoch ``at``: it does at a rung where half of the others are better.

        Args:
            at: its epochs so far.
            accuracy: after the last of them.
            finished: curves of the finished trials; those that were stopped before this rung do not count.
        """
        if at not in self.rungs[:-1]:
            return False
        others = [other[at - 1] for other in finished if len(other) >= at]
        return sum(other > accuracy for other in others) >= ceil((len(others) + 1) / ETA)

    @property
    def expected_epochs(self) -> float:
        """Average epochs of a trial if each rung stops its share."""
        pairs = zip((0, *self.rungs), self.rungs, strict=False)
        total: float = sum((rung - before) / ETA**passed for passed, (before, rung) in enumerate(pairs))
        return total
