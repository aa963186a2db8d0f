"""Independent draws from the networks of a band, with exact probabilities."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from elastic_search.space.distribution import ends_of
from elastic_search.space.join import Join, Place

BLOCK = 64
"""Rows of a join whose weights are kept as one sum: a space may have tens of millions of rows."""


class Draws:
    """The networks of a band by rank; each has as many ranks as its weight.

    Args:
        joins: the joins of the space.
        low: smallest cost in the band.
        high: largest cost in the band.
    """

    def __init__(self, joins: Sequence[Join], low: int, high: int) -> None:
        self._joins, self._low, self._high = joins, low, high
        self._ends = [ends_of(join.blocks(low, high, BLOCK)) for join in joins]
        # Total weight of the joins before each, and of all.
        self._before = [0, *accumulate(int(ends[-1]) for ends in self._ends)]

    @property
    def total(self) -> int:
        """Total weight of the band."""
        return self._before[-1]

    def take(self, number: int, rng: np.random.Generator) -> list[Place]:
        """Independent draws, each network with a probability in proportion to its weight."""
        return [self._at(rank) for rank in uniform(self.total, number, rng)]

    def _at(self, rank: int) -> Place:
        """The network with a rank, which is at least 0 and below the total weight."""
        number = bisect_right(self._before, rank) - 1
        join, ends = self._joins[number], self._ends[number]
        rank -= self._before[number]
        block = bisect_right(ends, rank) - 1
        rows = slice(BLOCK * block, BLOCK * (block + 1))
        inside = ends_of(join.weights(self._low, self._high, rows))
        rank -= int(ends[block])
        left = bisect_right(inside, rank) - 1
        row = slice(rows.start + left, rows.start + left + 1)
        (first,), (last,) = join.range(self._low, self._high, row)
        before, rank = divmod(rank - int(inside[left]), int(join.beside(self._low, self._high, row)[0]))
        left = row.start
        if not join.limits:
            sums = join.right.cumulative
            rank += int(sums[first])
            right = bisect_right(sums, rank) - 1
            return Place(join, left, right, before, rank - int(sums[right]))
        others = np.arange(first, last)
        for right in others[join.kept(left, others)].tolist():
            if rank < (weight := int(join.right.counts[right])):
                return Place(join, left, right, before, rank)
            rank -= weight
        raise AssertionError("a rank is below its row's weight")


def uniform(total: int, number: int, rng: np.random.Generator) -> list[int]:
    """Independent integers, at least 0 and below ``total``, all equally likely."""
    if total < 1 << 62:
        drawn: list[int] = rng.integers(0, total, number).tolist()
        return drawn
    bits = (total - 1).bit_length()
    size = (bits + 7) // 8
    found: list[int] = []
    while len(found) < number:
        rank = int.from_bytes(rng.bytes(size)) >> (8 * size - bits)
        if rank < total:
            found.append(rank)
    return found
