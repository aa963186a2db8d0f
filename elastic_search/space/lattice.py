"""How many different sums there can be, and where they lie, before any is formed.

Costs share divisors: those of ResNeXt-50's blocks are multiples of 12,544 apart. So sums are the points of a lattice
from the least to the largest, and where these are few, counting is adding to the cells of an array instead of sorting.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SAFE = 1 << 62
"""Totals below this fit into 64 bits."""

LISTED = 1 << 20
"""Products of at most this many pairs keep every pair, so that finding a way is a look-up."""

FEW = 1 << 12
"""Fewer pairs than this are sorted."""

MAX_CELLS = 1 << 24
"""Most cells of an array of sums."""

SORTED, SLOW = 16, 64
"""How much longer a pair takes that is sorted than one that is added to a cell; SLOW for several quantities."""

LONG = 8
"""How much longer a pair takes, and more memory a row, if counts exceed 64 bits."""


class Lattice(NamedTuple):
    """Sums from ``low`` on, ``step`` apart."""

    low: int
    step: int
    cells: int

    def at(self, sums: NDArray[np.int64]) -> NDArray[np.int64]:
        """[N]: numbers of the cells of N sums."""
        found: NDArray[np.int64] = (sums - self.low) // self.step
        return found


class Extent(NamedTuple):
    """What is known of a distribution without its sums.

    Attributes:
        rows: number of its rows, or the most that there can be.
        low: its smallest sum in each quantity.
        high: its largest sum in each quantity.
        step: a divisor of all differences in each quantity; 0 where there are none.
        total: total weight of its ways.
    """

    rows: int
    low: tuple[int, ...]
    high: tuple[int, ...]
    step: tuple[int, ...]
    total: int


Pairs = Sequence[tuple[Extent, Extent]]


def united(pairs: Pairs) -> Extent:
    """The union of products of distributions."""
    lows = [tuple(map(sum, zip(left.low, right.low, strict=True))) for left, right in pairs]
    highs = [tuple(map(sum, zip(left.high, right.high, strict=True))) for left, right in pairs]
    low, high = (tuple(map(pick, *of, of[0])) for pick, of in ((min, lows), (max, highs)))
    step = tuple(
        gcd(*(n for left, right in pairs for n in (left.step[q], right.step[q])), *(of[q] - low[q] for of in lows))
        for q in range(len(low))
    )
    rows = number(pairs)
    if rows > LISTED:
        rows = min(rows, prod((b - a) // (s or 1) + 1 for a, b, s in zip(low, high, step, strict=True)))
    return Extent(rows, low, high, step, sum(left.total * right.total for left, right in pairs))


def number(pairs: Pairs) -> int:
    """Number of pairs of rows."""
    return sum(left.rows * right.rows for left, right in pairs)


def lattice(pairs: Pairs) -> Lattice | None:
    """The lattice of the sums of products; None where an array of its cells would not pay."""
    if number(pairs) < FEW or len(pairs[0][0].low) > 1:
        return None
    whole = united(pairs)
    step = whole.step[0] or 1
    cells = (whole.high[0] - whole.low[0]) // step + 1
    return Lattice(whole.low[0], step, cells) if cells <= min(MAX_CELLS, number(pairs)) else None


def effort(pairs: Pairs) -> int:
    """How long the union of products takes, in pairs that are added to cells (some nanoseconds each)."""
    if len(pairs[0][0].low) > 1:
        return SLOW * number(pairs)
    long = sum(left.total * right.total for left, right in pairs) >= SAFE
    return number(pairs) * (1 if lattice(pairs) else SORTED) * (LONG if long else 1)
