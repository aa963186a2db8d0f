"""Exact distributions of sums: which sums a set of ways has, and how many ways have each sum.

A distribution is an atom (a list of ways, each with its sum and weight) or a union of products: a way of the left
distribution followed by a way of the right one, whose sums are added. So it is a small circuit that stands for a set
that may be far too large to list. Its ways are numbered: a sum has as many ranks as its weight, and ``way`` turns a
rank into the way. Counts are integers, Python's own where 64 bits are not enough; never floats.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elastic_search.space.lattice import LISTED, SAFE, Extent, Lattice, lattice, united

Sums = NDArray[np.int64]
"""[N, Q]: the sum of each of Q quantities; rows are sorted."""

Counts = NDArray[Any]
"""[N]: int64, or Python's integers."""

CHUNK = 1 << 21
"""Number of pairs that are formed at once."""

LIMB = 21
"""Bits of a part of a count that may exceed 64 bits in a product."""


@dataclass(frozen=True, eq=False)
class Distribution:
    """A set of ways by their sums.

    Attributes:
        sums: the sums of the ways, sorted.
        counts: total weight of the ways with each sum.
        payloads: the ways of an atom, one for each row; () in a product.
        sources: pairs of distributions whose products are united; () in an atom.
        order: for each row its number among all pairs of the sources; None if equal sums were merged.
    """

    sums: Sums
    counts: Counts
    payloads: tuple[Any, ...] = ()
    sources: tuple[tuple[Distribution, Distribution], ...] = ()
    order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.sums)

    @cached_property
    def total(self) -> int:
        """Total weight of all ways."""
        return int(self.counts.sum())

    @cached_property
    def extent(self) -> Extent:
        """Its rows, and the lattice of its sums."""
        if self.sources:
            return united(extents(self.sources))._replace(rows=len(self))
        low, high = self.sums.min(axis=0), self.sums.max(axis=0)
        step = np.gcd.reduce(np.diff(self.sums, axis=0), axis=0)
        return Extent(len(self), tuple(low.tolist()), tuple(high.tolist()), tuple(step.tolist()), self.total)

    @cached_property
    def cumulative(self) -> Counts:
        """[N + 1]: total weight of the rows before each."""
        return ends_of(self.counts)

    def find(self, wanted: Sums) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """All (number in ``wanted``, row) with equal sums."""
        first = np.searchsorted(self.sums[:, 0], wanted[:, 0], "left")
        last = np.searchsorted(self.sums[:, 0], wanted[:, 0], "right")
        if len(wanted) == 1:
            at, rows = np.zeros(last[0] - first[0], np.int64), np.arange(first[0], last[0])
        else:
            at, rows = ranges(first, last)
        if self.sums.shape[1] > 1:
            same = (self.sums[rows, 1:] == wanted[at, 1:]).all(axis=1)
            at, rows = at[same], rows[same]
        return at, rows

    def rows(self, wanted: Sums) -> NDArray[np.int64]:
        """[M]: the rows of M sums, all of which exist; equal sums must have been merged."""
        if self.sums.shape[1] == 1:
            return np.searchsorted(self.sums[:, 0], wanted[:, 0])
        found = np.empty(len(wanted), np.int64)
        at, rows = self.find(wanted)
        found[at] = rows
        return found

    def way(self, row: int, rank: int) -> list[Any]:
        """The payloads, in order, of the way with a rank, which is at least 0 and below the row's count."""
        found: list[Any] = []
        todo: list[tuple[Distribution, int, int]] = [(self, row, rank)]
        while todo:
            at, row, rank = todo.pop()
            if not at.sources:
                found.append(at.payloads[row])
                continue
            left, right, i, j, rank = at._pair(row, rank)
            before, after = divmod(rank, int(right.counts[j]))
            todo += [(right, j, after), (left, i, before)]
        return found

    def _pair(self, row: int, rank: int) -> tuple[Distribution, Distribution, int, int, int]:
        """The pair of rows that has a rank of a row, and the rank within the pair."""
        if self.order is not None:
            number = int(self.order[row])
            for left, right in self.sources:
                if number < len(left) * len(right):
                    return left, right, *divmod(number, len(right)), rank
                number -= len(left) * len(right)
        for left, right in self.sources:
            few, many = (left, right) if len(left) < len(right) else (right, left)
            at, rows = many.find(self.sums[row] - few.sums)
            for i, j in zip(at.tolist(), rows.tolist(), strict=True):
                weight = int(few.counts[i]) * int(many.counts[j])
                if rank < weight:
                    return left, right, *((i, j) if few is left else (j, i)), rank
                rank -= weight
        raise AssertionError("a rank is below its row's count")


def ranges(first: NDArray[np.int64], last: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All (i, k) with first[i] <= k < last[i]."""
    widths = last - first
    at = np.repeat(np.arange(len(widths)), widths)
    return at, np.arange(int(widths.sum())) + np.repeat(first - (np.cumsum(widths) - widths), widths)


def ends_of(weights: Counts) -> Counts:
    """[N + 1]: sum of the weights before each."""
    ends = np.zeros(len(weights) + 1, weights.dtype)
    np.cumsum(weights, out=ends[1:])
    return ends


def times(left: Counts, right: Counts, bound: int) -> Counts:
    """The product of counts, whose total is at most ``bound``."""
    if bound >= SAFE:
        left = left.astype(object)
    product: Counts = left * right
    return product


def block_sums(left: Counts, right: Counts, bound: int, size: int = LISTED) -> Counts:
    """The sums of ``left * right`` over every ``size`` (at most LISTED) rows; their total is at most ``bound``."""
    found = []
    step = LISTED // size * size
    for at in range(0, len(left), step):
        one, other = left[at : at + step], right[at : at + step]
        starts = np.arange(0, len(one), size)
        if bound < SAFE or object in (one.dtype, other.dtype):
            found.append(np.add.reduceat(times(one, other, bound), starts))
            continue
        # The sum of 2^20 products of two limbs fits into 64 bits.
        total = np.zeros(len(starts), object)
        for i, j in itertools.product(range(0, 63, LIMB), repeat=2):
            part = np.add.reduceat(limb(one, i, LIMB) * limb(other, j, LIMB), starts)
            total += part.astype(object) << i + j
        found.append(total)
    return np.concatenate(found)


def atom(ways: Sequence[tuple[tuple[int, ...], int, Any]]) -> Distribution:
    """A distribution of ways, each given as (sum, weight, payload)."""
    ways = sorted(ways, key=lambda way: way[0])
    weights = [weight for _, weight, _ in ways]
    counts = np.array(weights, np.int64 if sum(weights) < SAFE else object)
    sums = np.array([sums for sums, _, _ in ways], np.int64).reshape(len(ways), -1)
    return Distribution(sums, counts, tuple(payload for _, _, payload in ways))


def product(sources: Sequence[tuple[Distribution, Distribution]], merge: bool = False) -> Distribution:
    """The union of products of distributions, whose ways must be distinct.

    Args:
        sources: pairs of distributions; a way is one of the left followed by one of the right.
        merge: whether to merge equal sums into one row even if there are few pairs.
    """
    pairs = sum(len(left) * len(right) for left, right in sources)
    total = sum(left.total * right.total for left, right in sources)
    if pairs <= LISTED and not merge:
        parts = list(_pairs(sources, total))
        sums, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
        order = sorted_rows(sums)
        return Distribution(sums[order], counts[order], sources=tuple(sources), order=order)
    if cells := lattice(extents(sources)):
        return Distribution(*_in_cells(sources, cells, total), sources=tuple(sources))
    merged: list[tuple[Sums, Counts]] = []
    held = 0
    for part in _pairs(sources, total):
        merged.append(_merged([part]))
        held += len(merged[-1][0])
        if held > 2 * CHUNK and len(merged) > 1:
            merged = [_merged(merged)]
            held = len(merged[0][0])
    return Distribution(*(merged[0] if len(merged) == 1 else _merged(merged)), sources=tuple(sources))


def extents(sources: Sequence[tuple[Distribution, Distribution]]) -> list[tuple[Extent, Extent]]:
    """The extents of pairs of distributions."""
    return [(left.extent, right.extent) for left, right in sources]


def _in_cells(sources: Sequence[tuple[Distribution, Distribution]], cells: Lattice, total: int) -> tuple[Sums, Counts]:
    """The merged sums and counts of products whose sums lie on a lattice."""
    # Totals beyond 64 bits are formed limb by limb: as many products of two limbs as are added to a cell fit.
    bits = 62 if total < SAFE else (62 - sum(min(map(len, pair)) for pair in sources).bit_length()) // 2
    found: dict[int, Counts] = {}
    for left, right in sources:
        few, many = sorted((left, right), key=len)
        at = cells.at(many.sums[:, 0] + few.sums[0, 0])
        shifts = ((few.sums[:, 0] - few.sums[0, 0]) // cells.step).tolist()
        limbs = itertools.product(range(0, widest(few.counts), bits), range(0, widest(many.counts), bits))
        for low, other in limbs:
            counts = found.setdefault(low + other, np.zeros(cells.cells, np.int64))
            added = limb(many.counts, other, bits)
            for shift, count in zip(shifts, limb(few.counts, low, bits).tolist(), strict=True):
                if count:
                    np.add.at(counts[shift:], at, count * added)
    (rows,) = np.nonzero(functools.reduce(np.logical_or, found.values()))
    parts = [counts[rows] if not low else counts[rows].astype(object) << low for low, counts in found.items()]
    return (cells.low + cells.step * rows)[:, None], functools.reduce(np.add, parts)


def widest(counts: Counts) -> int:
    """Bits of the largest count."""
    return int(counts.max()).bit_length()


def limb(counts: Counts, low: int, bits: int) -> NDArray[np.int64]:
    """[N]: some bits of the counts, from bit ``low`` on."""
    return (counts >> low & (1 << bits) - 1).astype(np.int64)


def _pairs(sources: Sequence[tuple[Distribution, Distribution]], total: int) -> Iterator[tuple[Sums, Counts]]:
    for left, right in sources:
        step = max(1, CHUNK // max(len(right), 1))
        for start in range(0, len(left), step):
            rows = slice(start, start + step)
            sums = (left.sums[rows, None] + right.sums[None]).reshape(-1, left.sums.shape[1])
            yield sums, times(left.counts[rows, None], right.counts[None], total).ravel()


def sorted_rows(sums: Sums) -> NDArray[np.int64]:
    """The order that sorts rows by their first quantity, then the next; the sort is stable."""
    if sums.shape[1] == 1 and len(sums):
        column, bits = sums[:, 0], len(sums).bit_length()
        low = int(column.min())
        if (int(column.max()) - low).bit_length() + bits < 63:
            # Sum and number in one integer: sorting values is several times faster than sorting indices.
            packed = (column - low) << bits
            packed |= np.arange(len(sums))
            packed.sort()
            packed &= (1 << bits) - 1
            return packed
        return np.argsort(column, kind="stable")
    return np.lexsort(sums.T[::-1])


def _merged(parts: Sequence[tuple[Sums, Counts]]) -> tuple[Sums, Counts]:
    sums, counts = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = sorted_rows(sums)
    sums = sums[order]
    new = np.empty(len(sums), bool)
    new[:1], new[1:] = True, (sums[1:] != sums[:-1]).any(axis=1)
    starts = np.flatnonzero(new)
    return sums[starts], np.add.reduceat(counts[order], starts)
