"""The costs of a stage's options as integer arrays, from the same tally as a single network's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from elastic_search.arch.ops import Shape
from elastic_search.arch.resnext import ResNeXt, Stage
from elastic_search.cost.conventions import Convention
from elastic_search.cost.tally import tally

Costs = NDArray[np.int64]
"""[N, 2]: cost and parameters."""


def stage_costs(
    base: ResNeXt, stage: int, input: Shape, options: Sequence[Stage], convention: Convention
) -> tuple[Costs, list[Shape]]:
    """Cost and parameters of each option of a stage on the given input, and the shapes that leave it."""
    costs, shapes = np.empty((len(options), 2), np.int64), []
    for i, option in enumerate(options):
        stages = (*base.stages[:stage], option, *base.stages[stage + 1 :])
        graph = replace(base, stages=stages).stage_graph(stage, input.channels)
        count = tally(graph, input, convention)
        costs[i] = count.total, count.params
        shapes.append(graph.shape(input))
    return costs, shapes


def ends_costs(
    base: ResNeXt, input: Shape, last: Shape | None, convention: Convention
) -> tuple[tuple[int, int], Shape]:
    """Cost and parameters of the stem on an image, or of the head on the last stage's output."""
    graph = base.stem_graph() if last is None else base.head_graph(last.channels)
    at = input if last is None else last
    count = tally(graph, at, convention)
    return (count.total, count.params), graph.shape(at)
