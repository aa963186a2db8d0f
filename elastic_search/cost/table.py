"""The costs of a stage's options as integer arrays, from the same tally as a single network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import count

Costs = NDArray[np.int64]
"""[N, 2]: cost and parameters."""


def stage_costs(
    base: Spec, stage: int, input: Shape, options: Sequence[Stage], convention: Convention
) -> tuple[Costs, list[Shape]]:
    """Cost and parameters of each option of a stage on the given input, and the shapes that leave it."""
    costs, shapes = np.empty((len(options), 2), np.int64), []
    chains: dict[tuple[int, Split, Split], _Chain] = {}
    for i, option in enumerate(options):
        first, rest = option.splits[0], option.splits[1:]
        if base.IS_CHAIN and rest.count(option.splits[-1]) == len(rest):
            key = (option.width, first, option.splits[-1])
            if key not in chains:
                width = replace(base.stages[stage], width=option.width)
                spec = replace(base, stages=(*base.stages[:stage], width, *base.stages[stage + 1 :]))
                chains[key] = _Chain(spec, stage, input, key[1:], convention)
            (total, params), shape = chains[key].at(len(option.splits))
        else:
            stages = (*base.stages[:stage], option, *base.stages[stage + 1 :])
            graph = replace(base, stages=stages).stage_graph(stage, input.channels)
            (total, params, _), (shape,) = count(graph, (input,), convention)
        costs[i] = total, params
        shapes.append(shape)
    return costs, shapes


class _Chain:
    """Stages of growing depth that share their blocks: each is counted by adding one block to the one before."""

    def __init__(
        self, spec: Spec, stage: int, input: Shape, splits: tuple[Split, Split], convention: Convention
    ) -> None:
        self._spec, self._stage, self._splits, self._convention = spec, stage, splits, convention
        self._before = [((0, 0), input)]

    def at(self, depth: int) -> tuple[tuple[int, int], Shape]:
        """(cost, parameters) of a stage of ``depth`` blocks, and the shape that leaves it."""
        while len(self._before) <= depth:
            block = len(self._before) - 1
            (_, shape), split = self._before[-1], self._splits[min(block, 1)]
            graph = self._spec.block_graph(self._stage, block, shape.channels, split)
            self._before.append(self._add(self._before[-1], graph))
        tail = self._spec.tail_graph(self._stage, self._before[depth][1].channels)
        return self._add(self._before[depth], tail) if tail else self._before[depth]

    def _add(self, before: tuple[tuple[int, int], Shape], graph: Graph) -> tuple[tuple[int, int], Shape]:
        (total, params), shape = before
        cost, (output,) = count(graph, (shape,), self._convention)
        return (total + cost.total, params + cost.params), output


def ends_costs(base: Spec, input: Shape, last: Shape | None, convention: Convention) -> tuple[tuple[int, int], Shape]:
    """Cost and parameters of the stem on an image, or of the head on the last stage's output."""
    graph = base.stem_graph() if last is None else base.head_graph(last.channels)
    cost, (shape,) = count(graph, (input if last is None else last,), convention)
    return (cost.total, cost.params), shape
