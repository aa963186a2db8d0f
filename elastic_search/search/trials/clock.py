"""The time of a run over all its starts, and how long its epochs take."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

from elastic_search.search.store.folder import RunFolder

SAVED_EVERY = 5.0  # seconds between two records of the time used


class Clock:
    """Time used and left by the monotonic clock, and the seconds that an epoch is expected to take.

    Args:
        folder: records the time used.
        limit: seconds for all starts together, or None.
        began: when this start's time began to count, by ``time.monotonic``.
        deadline: when to end, if another process keeps the run's time; nothing is recorded then.
        epoch_seconds: what an epoch is expected to take until one has been trained.
    """

    def __init__(
        self,
        folder: RunFolder,
        limit: float | None,
        began: float | None = None,
        deadline: float | None = None,
        epoch_seconds: float | None = None,
    ) -> None:
        self.folder, self.limit, self.deadline, self.epoch_seconds = folder, limit, deadline, epoch_seconds
        self._began, self._before = began or time.monotonic(), folder.spent_seconds
        self._saved = self._mark = time.monotonic()
        self._own: float | None = None
        self._recent: list[float] = []

    @property
    def spent(self) -> float:
        """Seconds used so far, over all starts."""
        return self._before + time.monotonic() - self._began

    @property
    def left(self) -> float | None:
        """Seconds left, or None without a limit."""
        if self.deadline is not None:
            return self.deadline - time.monotonic()
        return None if self.limit is None else self.limit - self.spent

    @property
    def is_over(self) -> bool:
        return self.left is not None and self.left <= 0

    def save(self, every: float = 0.0) -> None:
        """Record the time used, unless it was recorded within the last ``every`` seconds."""
        if self.deadline is None and time.monotonic() - self._saved >= every:
            self.folder.spend(self.spent)
            self._saved = time.monotonic()

    def training_starts(self) -> None:
        self._own, self._mark = None, time.monotonic()

    def epoch_ends(self) -> None:
        now = time.monotonic()
        self._own, self._mark = now - self._mark, now
        self._recent = [*self._recent[-19:], self._own]

    @property
    def expected_epoch(self) -> float | None:
        """Seconds of an epoch in the current training, otherwise in earlier ones, otherwise as calibrated."""
        if self._own is not None:
            return self._own
        if self._recent:
            return statistics.median(self._recent)
        known = epoch_seconds(self.folder, (None, *self.folder.trials()[-10:]))
        return statistics.median(known) if known else self.epoch_seconds

    def until_end(self, trials: int | None, epochs: float, workers: int = 1) -> float | None:
        """Seconds until the run ends, by its time limit or by what its trials take; None if nothing is known.

        Args:
            trials: of the run, or None for no limit.
            epochs: that a trial is expected to take.
            workers: processes that train.
        """
        left, each = self.left, self.expected_epoch
        if trials is not None and each is not None:
            needed = max(0, trials - len(self.folder.trials())) * epochs * each / workers
            left = needed if left is None else min(left, needed)
        return left

    def fits(self, epochs: int) -> bool:
        """Whether that many epochs are expected to end in time."""
        left, each = self.left, self.expected_epoch
        return left is None or each is None or left >= epochs * each


def epoch_seconds(folder: RunFolder, numbers: Iterable[int | None]) -> list[float]:
    """Seconds of an epoch in each of the given trainings that is recorded."""
    results = (folder.result(number) for number in numbers)
    return [each for result in results if result and (each := result.epoch_seconds) is not None]
