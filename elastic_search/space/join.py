"""The two halves of a chain: what of the second fits beside a row of the first.

The sums of either half are sorted, so what fits by cost is found by bisection (meet in the middle). Where other
quantities are bounded too, the pairs that fit by cost are looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastic_search.errors import SpecError
from elastic_search.space.band import Limit
from elastic_search.space.distribution import CHUNK, Counts, Distribution, ranges, times

MAX_LISTED = 2_000_000
"""Most networks that are listed one by one."""

MAX_LOOKED = 500_000_000
"""Most pairs of sums that are looked through for bounds on other quantities."""

Rows = NDArray[np.int64]

Window = tuple[Rows, Rows, Counts]
"""For each row of the first half the range of rows of the second beside it, and the weight of those that fit."""


class Join(NamedTuple):
    """The ways of the first half of an arm, and those of the second that may follow them, within limits."""

    arm: int
    left: Distribution
    right: Distribution
    limits: tuple[Limit, ...] = ()

    @property
    def total(self) -> int:
        """Weight of all ways through both halves."""
        return self.left.total * self.right.total

    @property
    def swapped(self) -> Join:
        """The second half with the first beside it."""
        return Join(self.arm, self.right, self.left, self.limits)

    def cost(self, left: Any, right: Any) -> Any:
        """Costs of pairs of rows."""
        return self.left.sums[left, 0] + self.right.sums[right, 0]

    def kept(self, left: Any, right: Rows) -> NDArray[np.bool_]:
        """Which pairs of rows keep all limits."""
        keep = np.ones(len(right), bool)
        for column, limit in enumerate(self.limits, 1):
            sums = self.left.sums[left, column] + self.right.sums[right, column]
            keep &= (sums >= limit.low) & (sums <= limit.high)
        return keep

    def range(self, low: int, high: int) -> tuple[Rows, Rows]:
        """For each row of the first half, the range of rows of the second that bring it into [low, high]."""
        left, right = self.left.sums[:, 0], self.right.sums[:, 0]
        return np.searchsorted(right, low - left, "left"), np.searchsorted(right, high - left, "right")

    def pairs(self, low: int, high: int) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of rows in [low, high] that keep all limits, in parts.

        Raises:
            SpecError: if there are too many to look through.
        """
        first, last = self.range(low, high)
        ends = np.cumsum(last - first)
        if len(ends) and ends[-1] > (MAX_LOOKED if self.limits else 2 * MAX_LISTED):
            raise SpecError(
                f"{ends[-1]:,} pairs of costs to look through are too many", "narrow the band or the choices"
            )
        start = 0
        while start < len(first):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, "right")))
            left, right = ranges(first[start:stop], last[start:stop])
            left += start
            if self.limits:
                keep = self.kept(left, right)
                left, right = left[keep], right[keep]
            yield left, right
            start = stop

    def window(self, low: int, high: int) -> Window:
        """What fits beside each row of the first half."""
        first, last = self.range(low, high)
        if not self.limits:
            ends = self.right.cumulative
            return first, last, ends[last] - ends[first]
        weights = np.zeros(len(first), self.right.counts.dtype)
        for left, right in self.pairs(low, high):
            np.add.at(weights, left, self.right.counts[right])
        return first, last, weights

    def weights(self, beside: Counts) -> Counts:
        """For each row of the first half, the weight of the ways through it and what fits beside it."""
        return times(self.left.counts, beside, self.total)


class Place(NamedTuple):
    """One network: a row of each half of a join, and the rank of a way within either."""

    join: Join
    left: int
    right: int
    before: int = 0
    after: int = 0

    @property
    def cost(self) -> int:
        return int(self.join.cost(self.left, self.right))

    @property
    def ways(self) -> list[Any]:
        """The network's stages and splits, as the chain made them."""
        return self.join.left.way(self.left, self.before) + self.join.right.way(self.right, self.after)
