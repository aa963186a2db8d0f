"""The exact number of networks in a band that have each value of each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from elastic_search.space.chain import BlockWay, StageWay
from elastic_search.space.choice import Space, Value
from elastic_search.space.distribution import CHUNK, Counts, Distribution, block_sums, extents
from elastic_search.space.join import Join
from elastic_search.space.lattice import SAFE, Lattice, effort, lattice
from elastic_search.space.work import Watch, unwatched


def marginals(
    space: Space, joins: Sequence[Join], low: int, high: int, watch: Watch = unwatched
) -> dict[str, dict[Value, int]]:
    """For each choice and value, the number of networks with a cost in [low, high] that have it.

    A block that a network does not have counts under none of its values. A network counts under the values that
    ``Candidate.values`` gives. ``joins`` are those of the space.
    """
    found: dict[str, dict[Value, int]] = {c.name: dict.fromkeys(c.values, 0) for c in space.choices}

    def add(values: Mapping[str, Value], weight: int) -> None:
        for name, value in values.items():
            if name in found:
                found[name][value] += weight

    for number, arm in enumerate(space.arms):
        halves = [half for join in joins if join.arm == number for half in (join, join.swapped)]
        tops = [(half.left, half.beside(low, high)) for half in halves]
        total = sum(
            int(block_sums(of.counts, beside, half.total).sum())
            for half, (of, beside) in zip(halves[::2], tops[::2], strict=True)
        )
        if not total:
            continue
        add(space.arm_values(arm), total)

        def tell(share: float, before: int = number) -> None:
            watch("counting each choice", (before + share) / len(space.arms))

        for atom, weights in _pull(tops, 2 * total, tell):
            for way, weight in zip(atom.payloads, weights.tolist(), strict=True):
                if isinstance(way, BlockWay):
                    add({space.split_name(way.stage, way.block): space.texts[arm.splits[way.split]]}, weight)
                elif isinstance(way, StageWay):
                    add(space.option_values(way.stage, way.option), weight)
    return found


def _pull(
    tops: Sequence[tuple[Distribution, Counts]], bound: int, tell: Callable[[float], None]
) -> Iterator[tuple[Distribution, Counts]]:
    """Every atom under ``tops`` with the total weight through each of its ways.

    Args:
        tops: distributions, and for each of their rows the weight of one way through it.
        bound: at least the weight of all ways through them; no way passes through a distribution twice.
        tell: is told the share that is done.
    """
    kind = np.int64 if bound < SAFE else object
    outer: dict[int, Counts] = {}
    for top, weights in tops:
        outer[id(top)] = outer[id(top)].astype(kind) + weights if id(top) in outer else weights
    order = _children_last([top for top, _ in tops])
    efforts = [effort(extents(of.sources)) if of.sources else 0 for of in order]
    done, whole = 0, sum(efforts)
    for of, more in zip(order, efforts, strict=True):
        weights = outer.pop(id(of))
        if not of.sources:
            yield of, of.counts.astype(kind) * weights
            continue
        for child, added in _passed_on(of, weights, kind):
            outer[id(child)] = outer.get(id(child), 0) + added
        done += more
        tell(done / whole)


def _passed_on(of: Distribution, weights: Counts, kind: type) -> Iterator[tuple[Distribution, Counts]]:
    """The weights of a product's rows, as weights of the rows of the distributions that it is made of."""
    cells = None if of.order is not None else lattice(extents(of.sources))
    most = int(weights.max())
    # Sums of products with as many bits of the weights fit into 64 bits.
    bits = 62 - max(half.total for pair in of.sources for half in pair).bit_length() if kind is object else 62
    if cells is not None and bits > 8:
        at = cells.at(of.sums[:, 0])
        spread = np.zeros(cells.cells, np.int64)
        for shift in range(0, max(most.bit_length(), 1), bits):
            spread[at] = weights >> shift & (1 << bits) - 1
            for child, added in _through_cells(of, cells, spread):
                yield child, added if kind is np.int64 else added.astype(object) << shift
        return
    weights = weights.astype(kind)
    spread = weights
    if of.order is not None:
        spread = np.empty(len(of), weights.dtype)
        spread[of.order] = weights
    before = 0
    for left, right in of.sources:
        befores, afters = np.zeros(len(left), weights.dtype), np.zeros(len(right), weights.dtype)
        step = max(1, CHUNK // max(len(right), 1))
        for start in range(0, len(left), step):
            rows = slice(start, min(start + step, len(left)))
            if of.order is not None:
                inner = spread[before + rows.start * len(right) : before + rows.stop * len(right)]
            else:
                inner = weights[of.rows((left.sums[rows, None] + right.sums[None]).reshape(-1, of.sums.shape[1]))]
            grid = inner.reshape(-1, len(right))
            befores[rows] += grid @ right.counts.astype(weights.dtype)
            afters += left.counts[rows].astype(weights.dtype) @ grid
        before += len(left) * len(right)
        yield from ((left, befores), (right, afters))


def _through_cells(of: Distribution, cells: Lattice, spread: Counts) -> Iterator[tuple[Distribution, Counts]]:
    """What is passed on by weights that are spread over the cells of a product's lattice."""
    for left, right in of.sources:
        few, many = sorted((left, right), key=len)
        found, others = np.zeros(len(few), np.int64), np.zeros(len(many), np.int64)
        at, counts = cells.at(many.sums[:, 0] + few.sums[0, 0]), many.counts
        shifts = (few.sums[:, 0] - few.sums[0, 0]) // cells.step
        for row, (shift, count) in enumerate(zip(shifts.tolist(), few.counts.tolist(), strict=True)):
            inner = spread[shift:].take(at)
            found[row] = inner @ counts
            others += count * inner
        yield from ((few, found), (many, others))


def _children_last(tops: Sequence[Distribution]) -> list[Distribution]:
    """Every distribution under ``tops``, each before those that it is made of."""
    order: list[Distribution] = []
    seen: set[int] = set()
    todo: list[tuple[Distribution, bool]] = [(top, False) for top in tops]
    while todo:
        of, done = todo.pop()
        if done:
            order.append(of)
        elif id(of) not in seen:
            seen.add(id(of))
            todo.append((of, True))
            todo += [(child, False) for pair in of.sources for child in pair if id(child) not in seen]
    return order[::-1]
