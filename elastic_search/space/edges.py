"""The network nearest to a cost from one side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from elastic_search.space.join import Join, Place


def nearest(joins: Sequence[Join], cost: int, side: int) -> Place | None:
    """A network within the limits whose cost is the nearest to ``cost``, on one side of it or equal, or None.

    Args:
        joins: of the space.
        cost: to be near.
        side: 1 for costs from ``cost`` up, -1 for those down from it.
    """
    places = (_beside(join, cost, side) for join in joins)
    return _first(places, side) if not joins[0].limits else _limited(joins, cost, side)


def _first(places: Iterable[Place | None], side: int) -> Place | None:
    """The cheapest where costs go up, else the dearest."""
    return min((place for place in places if place), key=lambda place: side * place.cost, default=None)


def _beside(join: Join, cost: int, side: int) -> Place | None:
    """The nearest of a join without limits: beside each row of the first half the nearest of the second."""
    wanted, right = cost - join.left.sums[:, 0], join.right.sums[:, 0]
    after = np.searchsorted(right, wanted, "left") if side > 0 else np.searchsorted(right, wanted, "right") - 1
    (rows,) = np.nonzero((after >= 0) & (after < len(right)))
    if not len(rows):
        return None
    at = rows[np.argmin(side * join.cost(rows, after[rows]))]
    return Place(join, int(at), int(after[at]))


def _limited(joins: Sequence[Join], cost: int, side: int) -> Place | None:
    """The nearest within limits, by looking through wider and wider windows."""
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
