"""What the parts of a network cost: a stage of plain blocks, and what a split adds to one of its blocks.

A block's output has the same shape with any split, so a stage costs as much as its plain form plus what the split of
each block adds. Several quantities are counted at once: parameters, and costs under several conventions and at several
input sizes. One shape for each input size flows between the stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import count
from elastic_search.cost.tools import FVCORE

Shapes = tuple[Shape, ...]
Vector = tuple[int, ...]


class Quantity(NamedTuple):
    """Something to count: the cost at an input size under a convention or, without a convention, the parameters."""

    convention: Convention | None
    input: Shape


def plus(left: Vector, right: Vector) -> Vector:
    """The sum, quantity by quantity."""
    return tuple(a + b for a, b in zip(left, right, strict=True))


class Parts:
    """Costs of the parts of networks that differ from ``base`` only in their stages. Results are cached."""

    def __init__(self, base: Spec, quantities: tuple[Quantity, ...]) -> None:
        self.base, self.quantities = base, quantities
        self.inputs = tuple(dict.fromkeys(quantity.input for quantity in quantities))
        self._specs: dict[tuple[int, int, tuple[Split, ...]], Spec] = {}
        self._plain: dict[tuple[int, int, Shapes], list[tuple[Vector, Shapes]]] = {}
        self._added: dict[tuple[int, int, Shapes, bool, Split], Vector] = {}
        self._whole: dict[tuple[int, Shapes, Stage], tuple[Vector, Shapes]] = {}

    def stem(self) -> tuple[Vector, Shapes]:
        return self._count(self.base.stem_graph(), self.inputs)

    def head(self, shapes: Shapes) -> Vector:
        return self._count(self.base.head_graph(shapes[0].channels), shapes)[0]

    def plain(self, stage: int, width: int, shapes: Shapes, depth: int) -> tuple[Vector, Shapes]:
        """Cost of a stage of plain blocks on the given shapes, and the shapes that leave it."""
        if not self.base.IS_CHAIN:
            return self._tree(stage, width, shapes, (PLAIN,) * self.base.blocks(depth))
        total, out = self._before(stage, width, shapes, depth)
        tail = self._spec(stage, width).tail_graph(stage, out[0].channels)
        if tail is None:
            return total, out
        added, out = self._count(tail, out)
        return plus(total, added), out

    def added(self, stage: int, width: int, shapes: Shapes, block: int, split: Split) -> Vector:
        """What a split adds to the cost of a plain block."""
        chain = self.base.IS_CHAIN
        # All blocks of a tree except the first have the same input.
        inner, first = (self._before(stage, width, shapes, block)[1], block == 0) if chain else (shapes, False)
        key = (stage, width, inner, first, split)
        if key not in self._added:
            if chain:
                spec, channels = self._spec(stage, width), inner[0].channels
                with_split, plain = (
                    self._count(spec.block_graph(stage, block, channels, of), inner) for of in (split, PLAIN)
                )
            else:
                with_split, plain = (self._tree(stage, width, shapes, (PLAIN, of)) for of in (split, PLAIN))
            if with_split[1] != plain[1]:
                raise AssertionError(f"split {split} changes what leaves its block")
            self._added[key] = tuple(a - b for a, b in zip(with_split[0], plain[0], strict=True))
        return self._added[key]

    def run(self, stage: int, width: int, shapes: Shapes, split: Split, blocks: int) -> list[Vector]:
        """What a split adds to the first 0, 1, … ``blocks`` blocks of a stage, in those that may scale."""
        sums = [(0,) * len(self.quantities)]
        inner: Shapes | None = None
        for block in range(blocks):
            if not self.base.may_scale(stage, block):
                sums.append(sums[-1])
                continue
            entering = self._before(stage, width, shapes, block)[1] if self.base.IS_CHAIN else shapes
            more = self.added(stage, width, shapes, block, split)
            if block > 1 and entering == inner and all(self.base.may_scale(stage, j) for j in range(block, blocks)):
                # A block that does not change the shape of its input is followed by equal blocks.
                rest = range(1, blocks - block + 1)
                return [*sums, *(tuple(a + n * b for a, b in zip(sums[-1], more, strict=True)) for n in rest)]
            inner = entering
            sums.append(plus(sums[-1], more))
        return sums

    def stage(self, stage: int, of: Stage, depth: int, shapes: Shapes) -> tuple[Vector, Shapes]:
        """Cost of a stage on the given shapes, and the shapes that leave it."""
        cost, out = self.plain(stage, of.width, shapes, depth)
        for j, split in enumerate(of.splits):
            if split is not PLAIN:
                cost = plus(cost, self.added(stage, of.width, shapes, j, split))
        return cost, out

    def network(self, stages: Sequence[Stage], depths: Sequence[int], keep: bool = True) -> Vector:
        """Cost of a whole network from its stages and their depths.

        ``keep`` is whether to cache the costs of its stages; where blocks choose, there are too many of them.
        """
        total, shapes = self.stem()
        for i, (stage, depth) in enumerate(zip(stages, depths, strict=True)):
            key = (i, shapes, stage)
            found = self._whole.get(key) or self.stage(i, stage, depth, shapes)
            if keep:
                self._whole[key] = found
            total, shapes = plus(total, found[0]), found[1]
        return plus(total, self.head(shapes))

    def _before(self, stage: int, width: int, shapes: Shapes, block: int) -> tuple[Vector, Shapes]:
        """Cost of the blocks before one in a chain of plain blocks, and the shapes that enter it."""
        before = self._plain.setdefault((stage, width, shapes), [((0,) * len(self.quantities), shapes)])
        spec = self._spec(stage, width)
        while len(before) <= block:
            total, inner = before[-1]
            graph = spec.block_graph(stage, len(before) - 1, inner[0].channels, PLAIN)
            added, out = self._count(graph, inner)
            before.append((plus(total, added), out))
        return before[block]

    def _tree(self, stage: int, width: int, shapes: Shapes, splits: tuple[Split, ...]) -> tuple[Vector, Shapes]:
        graph = self._spec(stage, width, splits).stage_graph(stage, shapes[0].channels)
        return self._count(graph, shapes)

    def _spec(self, stage: int, width: int, splits: tuple[Split, ...] = (PLAIN,)) -> Spec:
        key = (stage, width, splits)
        if key not in self._specs:
            stages = (*self.base.stages[:stage], Stage(width, splits), *self.base.stages[stage + 1 :])
            self._specs[key] = replace(self.base, stages=stages)
        return self._specs[key]

    def _count(self, graph: Graph, shapes: Shapes) -> tuple[Vector, Shapes]:
        by_input = dict(zip(self.inputs, shapes, strict=True))
        amounts, out = [], dict.fromkeys(self.inputs, shapes[0])
        for convention, input in self.quantities:
            cost, outputs = count(graph, (by_input[input],), convention or FVCORE)
            amounts.append(cost.params if convention is None else cost.total)
            out[input] = outputs[0]
        return tuple(amounts), tuple(out.values())
