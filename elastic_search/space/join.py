"""The two halves of a chain: which rows of the second fit a row of the first, and the network nearest to a cost.

The sums of both halves are sorted, so the rows that fit by cost are found by bisection (meet in the middle). Where
other quantities are limited, too, each pair that fits by cost is checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastic_search.errors import SpecError
from elastic_search.space.band import Limit
from elastic_search.space.distribution import CHUNK, Counts, Distribution, block_sums, ends_of, ranges, times
from elastic_search.space.lattice import LISTED

MAX_LISTED = 2_000_000
"""Most networks that are listed."""

MAX_LOOKED = 500_000_000
"""Most pairs of sums that are checked against limits on other quantities."""

Rows = NDArray[np.int64]

EVERY = slice(None)


class Join(NamedTuple):
    """The ways through the first half of an arm and those through the second that may follow, within limits."""

    arm: int
    left: Distribution
    right: Distribution
    limits: tuple[Limit, ...] = ()

    @property
    def total(self) -> int:
        """Total weight of all ways through both halves."""
        return self.left.total * self.right.total

    @property
    def swapped(self) -> Join:
        """The second half, joined with the first."""
        return self._replace(left=self.right, right=self.left)

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

    def range(self, low: int, high: int, rows: slice = EVERY) -> tuple[Rows, Rows]:
        """For each of some rows of the first half, the range of rows of the second that bring it into [low, high]."""
        left, right = self.left.sums[rows, 0], self.right.sums[:, 0]
        return np.searchsorted(right, low - left, "left"), np.searchsorted(right, high - left, "right")

    def pairs(self, low: int, high: int, rows: slice = EVERY) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of rows in [low, high] that keep all limits, in parts.

        Raises:
            SpecError: if there are too many to check.
        """
        first, last = self.range(low, high, rows)
        ends = np.cumsum(last - first)
        if len(ends) and ends[-1] > (MAX_LOOKED if self.limits else 2 * MAX_LISTED):
            raise SpecError(
                f"{ends[-1]:,} pairs of costs are too many to check", "use a smaller tolerance or fewer choices"
            )
        start = 0
        while start < len(first):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, "right")))
            left, right = ranges(first[start:stop], last[start:stop])
            left += start + (rows.start or 0)
            if self.limits:
                keep = self.kept(left, right)
                left, right = left[keep], right[keep]
            yield left, right
            start = stop

    def beside(self, low: int, high: int, rows: slice = EVERY) -> Counts:
        """For each of some rows of the first half, the weight of the ways through the second that fit it."""
        first, last = self.range(low, high, rows)
        if not self.limits:
            # Kept only for draws, which look at a few rows again and again: it is as large as the distribution.
            ends = ends_of(self.right.counts) if rows == EVERY else self.right.cumulative
            found: Counts = ends[last] - ends[first]
            return found
        found = np.zeros(len(first), self.right.counts.dtype)
        for left, right in self.pairs(low, high, rows):
            np.add.at(found, left - (rows.start or 0), self.right.counts[right])
        return found

    def weights(self, low: int, high: int, rows: slice = EVERY) -> Counts:
        """For each of some rows of the first half, the weight of the ways through it and through what fits it."""
        return times(self.left.counts[rows], self.beside(low, high, rows), self.total)

    def blocks(self, low: int, high: int, size: int = LISTED) -> Counts:
        """The sums of the weights of every ``size`` rows of the first half."""
        return block_sums(self.left.counts, self.beside(low, high), self.total, size)


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


def nearest(joins: Sequence[Join], cost: int, side: int) -> Place | None:
    """The network within the limits with the cost nearest to ``cost``, on one side or equal; None if there is none.

    Args:
        joins: the joins of the space.
        cost: the cost to be near to.
        side: 1 for costs of at least ``cost``, -1 for costs of at most ``cost``.
    """
    places = (_beside(join, cost, side) for join in joins)
    return _first(places, side) if not joins[0].limits else _limited(joins, cost, side)


def _first(places: Iterable[Place | None], side: int) -> Place | None:
    """The first place in the direction of ``side``: the cheapest for 1, the most expensive for -1."""
    return min((place for place in places if place), key=lambda place: side * place.cost, default=None)


def _beside(join: Join, cost: int, side: int) -> Place | None:
    """The nearest of a join without limits, from the nearest row of the second half to each row of the first."""
    wanted, right = cost - join.left.sums[:, 0], join.right.sums[:, 0]
    after = np.searchsorted(right, wanted, "left") if side > 0 else np.searchsorted(right, wanted, "right") - 1
    (rows,) = np.nonzero((after >= 0) & (after < len(right)))
    if not len(rows):
        return None
    at = rows[np.argmin(side * join.cost(rows, after[rows]))]
    return Place(join, int(at), int(after[at]))


def _limited(joins: Sequence[Join], cost: int, side: int) -> Place | None:
    """The nearest within limits, searched in wider and wider windows."""
    least, most = min(join.cost(0, 0) for join in joins), max(join.cost(-1, -1) for join in joins)
    start, width = (max(cost, least) if side > 0 else min(cost, most)), 1 + cost // 1000
    while least <= start <= most:
        low, high = sorted((start, start + side * width))
        if found := _first((_within(join, low, high, side) for join in joins), side):
            return found
        start, width = start + side * (width + 1), 2 * width
    return None


def _within(join: Join, low: int, high: int, side: int) -> Place | None:
    def best() -> Iterable[Place]:
        for left, right in join.pairs(low, high):
            if len(left):
                at = np.argmin(side * join.cost(left, right))
                yield Place(join, int(left[at]), int(right[at]))

    return _first(best(), side)
