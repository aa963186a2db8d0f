"""How many networks of a band have each value of each choice, exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from elastic_search.space.chain import BlockWay, StageWay
from elastic_search.space.choice import Space, Value
from elastic_search.space.distribution import CHUNK, SAFE, Counts, Distribution
from elastic_search.space.join import Join


def marginals(space: Space, joins: Sequence[Join], low: int, high: int) -> dict[str, dict[Value, int]]:
    """For each choice and value, the number of networks with a cost in [low, high] that have it.

    A block that a network does not have counts for none of its values. A network counts under the values that
    ``Candidate.values`` gives.

    Args:
        space: the space.
        joins: of it.
        low: smallest cost inside.
        high: largest cost inside.
    """
    found: dict[str, dict[Value, int]] = {c.name: dict.fromkeys(c.values, 0) for c in space.choices}
    names = space.stage_names
    texts = {split: str(split) for split in space.splits}
    for number, arm in enumerate(space.arms):
        tops = []
        for join in (join for join in joins if join.arm == number):
            tops += [(half.left, half.window(low, high)[2]) for half in (join, join.swapped)]
        total = sum(int((of.counts.astype(object) * weights).sum()) for of, weights in tops[::2])
        if not total:
            continue
        found["resampling"][arm.resampling] += total
        if space.cardinality:
            found["cardinality"][getattr(arm.base, "cardinality", 1)] += total
        if space.splits_per == "network":
            found["split"][texts[next(iter(arm.splits.values()))]] += total
        for atom, weights in _pull(tops, 2 * total):
            for way, weight in zip(atom.payloads, weights.tolist(), strict=True):
                if isinstance(way, BlockWay):
                    found[space.split_name(way.stage, way.block)][texts[arm.splits[way.split]]] += weight
                elif isinstance(way, StageWay):
                    name, option = names[way.stage], way.option
                    found[f"{name}.depth"][option.depth] += weight
                    if space.widths:
                        found[f"{name}.width"][option.stage.width] += weight
                    if f"{name}.split" in found and option.split is not None:
                        found[f"{name}.split"][texts[option.split]] += weight
    return found


def _pull(tops: Sequence[tuple[Distribution, Counts]], bound: int) -> Iterator[tuple[Distribution, Counts]]:
    """From the weight of what may follow each row of some distributions to the weight of every way of their atoms.

    Args:
        tops: distributions, and for each of their rows the weight that one way through it has.
        bound: of the weight of all ways through them; no way passes through a distribution twice.

    Yields:
        Each atom with the total weight through each of its ways.
    """
    kind = np.int64 if bound < SAFE else object
    outer: dict[int, Counts] = {}

    def add(to: Distribution, weights: Counts) -> None:
        outer[id(to)] = outer[id(to)] + weights if id(to) in outer else weights

    for top, weights in tops:
        add(top, weights.astype(kind))
    for of in _children_last([top for top, _ in tops]):
        weights = outer.pop(id(of))
        if not of.sources:
            yield of, of.counts * weights
            continue
        spread = weights
        if of.order is not None:
            spread = np.empty(len(of), kind)
            spread[of.order] = weights
        before = 0
        for left, right in of.sources:
            befores, afters = np.zeros(len(left), kind), np.zeros(len(right), kind)
            step = max(1, CHUNK // max(len(right), 1))
            for start in range(0, len(left), step):
                rows = slice(start, min(start + step, len(left)))
                if of.order is not None:
                    inner = spread[before + rows.start * len(right) : before + rows.stop * len(right)]
                else:
                    inner = weights[of.rows((left.sums[rows, None] + right.sums[None]).reshape(-1, of.sums.shape[1]))]
                grid = inner.reshape(-1, len(right))
                befores[rows] += grid @ right.counts.astype(kind)
                afters += left.counts[rows].astype(kind) @ grid
            before += len(left) * len(right)
            add(left, befores)
            add(right, afters)


def _children_last(tops: Sequence[Distribution]) -> list[Distribution]:
    """Every distribution under ``tops``, each before those it is made of."""
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
