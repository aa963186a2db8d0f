"""Exact integer costs of a network under a counting convention. No torch.

One multiply-add is one MAC. See README, "Counting conventions".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Convention, activations, operator
from elastic_search.cost.tools import MACS
from elastic_search.errors import ShapeError


class Count(NamedTuple):
    """Cost of a node and what is nested in it, for one image."""

    total: int
    params: int
    activations: int


class Row(NamedTuple):
    """One node of a tally.

    ``path`` names the node, ``kind`` its op or graph; ``operator`` is the tool's name of a primitive,
    and "" for a nested graph.
    """

    path: str
    kind: str
    operator: str
    output: Shape
    cost: Count


@lru_cache(maxsize=1 << 16)
def count(op: Op | Graph, inputs: tuple[Shape, ...], convention: Convention) -> tuple[Count, tuple[Shape, ...]]:
    """Cost and output shapes of a node for one image; equal nodes at equal shapes are counted once."""
    if isinstance(op, Graph):
        total = params = acts = 0
        values = dict(zip(op.inputs, inputs, strict=True))
        for node, _, cost, outputs in _children(op, inputs, convention):
            values[node] = outputs[0]
            total, params, acts = total + cost.total, params + cost.params, acts + cost.activations
        return Count(total, params, acts), tuple(values[name] for name in op.outputs)
    output = op.shape(*inputs)
    return Count(convention.rule(op)[1].count(op, inputs, output), op.params, activations(op, output)), (output,)


def _children(
    graph: Graph, inputs: tuple[Shape, ...], convention: Convention
) -> Iterator[tuple[str, tuple[Shape, ...], Count, tuple[Shape, ...]]]:
    values = dict(zip(graph.inputs, inputs, strict=True))
    for node in graph.nodes:
        shapes = tuple([values[name] for name in node.inputs])
        cost, outputs = count(node.op, shapes, convention)
        values[node.name] = outputs[0]
        if node.weights_of is not None:
            cost = cost._replace(params=0)
        if node.name not in graph.live and not convention.counts_dead:
            cost = Count(0, cost.params, 0)
        yield node.name, shapes, cost, outputs


@dataclass(frozen=True)
class Tally:
    """The cost of a graph for one image.

    Attributes:
        graph: what was counted.
        input: shape of the image.
        convention: the rules.
        total: in ``convention.unit``.
        params: trainable parameters.
        activations: output elements of convolutions and linear layers.
    """

    graph: Graph
    input: Shape
    convention: Convention
    total: int
    params: int
    activations: int

    def parts(self, path: str = "") -> list[Row]:
        """A row for each direct child of the graph at ``path``."""
        graph: Graph = self.graph
        inputs: tuple[Shape, ...] = (self.input,)
        for part in path.split(".") if path else ():
            found = {name: shapes for name, shapes, _, _ in _children(graph, inputs, self.convention)}
            node = graph.at(part)
            if not isinstance(node, Graph):
                return []
            graph, inputs = node, found[part]
        prefix = f"{path}." if path else ""
        return list(self._rows(graph, inputs, prefix, nested=False))

    @property
    def rows(self) -> list[Row]:
        """A row for each primitive op, in execution order."""
        return list(self._rows(self.graph, (self.input,), "", nested=True))

    def by_operator(self) -> dict[str, int]:
        """Totals by the tool's own operator names; operators that cost nothing are left out."""
        totals: dict[str, int] = {}
        for row in self.rows:
            totals[row.operator] = totals.get(row.operator, 0) + row.cost.total
        return {name: total for name, total in totals.items() if total}

    def _rows(
        self, graph: Graph, inputs: tuple[Shape, ...], prefix: str, nested: bool, counted: bool = True
    ) -> Iterator[Row]:
        """Rows of a graph; ``counted`` is false below a dead node that the convention does not count."""
        children = _children(graph, inputs, self.convention)
        for node, (name, shapes, count, outputs) in zip(graph.nodes, children, strict=True):
            if not counted:
                count = Count(0, count.params, 0)
            if not isinstance(node.op, Graph):
                kind, tool_name = type(node.op).__name__, operator(self.convention, node.op)
                yield Row(f"{prefix}{name}", kind, tool_name, outputs[0], count)
            elif nested:
                below = counted and (name in graph.live or self.convention.counts_dead)
                yield from self._rows(node.op, shapes, f"{prefix}{name}.", nested, below)
            else:
                yield Row(f"{prefix}{name}", node.op.kind, "", outputs[0], count)


def tally(graph: Graph, input: Shape, convention: Convention = MACS) -> Tally:
    """Count every node of ``graph`` for one image.

    Args:
        graph: the network; dead nodes are included when the convention counts them.
        input: (channels, height, width), e.g. ``Shape(3, 224, 224)``.
        convention: the rules; ``Tally.total`` is in ``convention.unit``.

    Raises:
        ShapeError: if a node cannot take its input; names the node's path.
    """
    try:
        cost, _ = count(graph, (input,), convention)
    except ShapeError:
        graph.shapes(input)  # raises the same with the node's path
        raise
    return Tally(graph, input, convention, *cost)
