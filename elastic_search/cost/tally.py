"""Exact integer costs of a network under a counting convention. No torch.

One multiply-add is one MAC. See README, "Counting conventions".
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from elastic_search.arch.frozen import Frozen
from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost import tools
from elastic_search.cost.convention import Call, Convention, activations
from elastic_search.cost.tools import MACS


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


class Child(NamedTuple):
    """A node of a graph on its inputs, what it adds to the graph's cost, and whether the convention counts it."""

    node: Node
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]
    cost: Count
    counted: bool


@lru_cache(maxsize=1 << 16)
def count(
    op: Op | Graph,
    inputs: tuple[Shape, ...],
    convention: Convention,
    spelling: str = "module",
    recorded: tuple[tuple[str, int], ...] = (),
) -> tuple[Count, tuple[Shape, ...]]:
    """Cost and output shapes of a node for one image; equal nodes at equal shapes are counted once."""
    if isinstance(op, Graph):
        found, outputs = _alike(op, inputs, convention, True)
        columns = zip(*[child.cost for child in found], strict=True)
        return Count(*map(sum, columns)) if found else Count(0, 0, 0), outputs
    output = op.shape(*inputs)
    call = Call(op, inputs, output, spelling, recorded)
    return Count(convention.count(call), op.params, activations(call)), (output,)


def children(
    graph: Graph, inputs: tuple[Shape, ...], convention: Convention, counted: bool = True
) -> tuple[list[Child], tuple[Shape, ...]]:
    """The nodes of a graph with their costs, in execution order, and the graph's output shapes.

    ``counted`` is false for a graph inside a dead node that the convention leaves out.

    Raises:
        ShapeError: if a node cannot take its input; names the node's path.
    """
    found, outputs = _alike(graph, inputs, convention, counted)
    named = zip(graph.nodes, found, strict=True)
    return [child if child.node is node else child._replace(node=node) for node, child in named], outputs


def _alike(
    graph: Graph, inputs: tuple[Shape, ...], convention: Convention, counted: bool
) -> tuple[list[Child], tuple[Shape, ...]]:
    """As ``children``, but each node of a row of equal ones, as in a long stage, is given as the first of them."""
    found: list[Child] = []
    some_dead = not convention.counts_dead and len(graph.live) < len(graph.nodes)
    last, how, entered = None, "", inputs
    outputs: tuple[Shape, ...] = ()

    def visit(node: Node, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        nonlocal last, how, entered, outputs
        name, op, _, weights_of, spelling, recorded = node
        if op is last and shapes == entered and spelling == how and not (some_dead or weights_of or recorded):
            found.append(found[-1])
            return outputs
        counts = counted and not (some_dead and name not in graph.live)
        cost, outputs = count(op, shapes, convention, spelling, recorded)
        if weights_of is not None:
            cost = cost._replace(params=0)
        found.append(Child(node, shapes, outputs, cost if counts else Count(0, cost.params, 0), counts))
        last, how, entered = None if weights_of or recorded else op, spelling, shapes
        return outputs

    return found, graph.run(inputs, visit)


class Tally(Frozen):
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

    def at(self, path: str) -> tuple[Op | Graph, tuple[Shape, ...]]:
        """The op or graph at ``path``, and the shapes that enter it."""
        op: Op | Graph = self.graph.at(path)
        inputs: tuple[Shape, ...] = (self.input,)
        graph: Any = self.graph
        for part in path.split(".") if path else ():
            found, _ = children(graph, inputs, self.convention)
            graph, inputs = next((child.node.op, child.inputs) for child in found if child.node.name == part)
        return op, inputs

    def parts(self, path: str = "") -> list[Row]:
        """A row for each direct child of the graph at ``path``."""
        op, inputs = self.at(path)
        if not isinstance(op, Graph):
            return []
        return list(self._rows(op, inputs, f"{path}." if path else "", nested=False))

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
        for node, shapes, outputs, cost, counts in children(graph, inputs, self.convention, counted)[0]:
            path = f"{prefix}{node.name}"
            if not isinstance(node.op, Graph):
                yield Row(path, type(node.op).__name__, self.convention.operator(node.op), outputs[0], cost)
            elif nested:
                yield from self._rows(node.op, shapes, f"{path}.", nested, counts)
            else:
                yield Row(path, node.op.kind, "", outputs[0], cost)


def tally(graph: Graph, input: tuple[int, int, int], convention: Convention | str = MACS) -> Tally:
    """Count every node of ``graph`` for one image.

    Args:
        graph: the network; dead nodes are included when the convention counts them.
        input: (channels, height, width), e.g. ``Shape(3, 224, 224)``.
        convention: the rules, or their name; ``Tally.total`` is in ``convention.unit``.

    Raises:
        TypeError: if it is not a graph, or not the shape of one image.
        UnknownNameError: if there is no convention of that name.
        ShapeError: if a node cannot take its input; names the node's path.
    """
    if not isinstance(graph, Graph):
        raise TypeError(
            f"tally takes a graph, not {graph!r}: a spec's is spec.graph(), a module's trace(module, shape)"
        )
    if len(input) != 3:
        raise TypeError(f"input {tuple(input)} is not the shape of one image: (channels, height, width)")
    shape, rules = Shape(*input), tools.convention(convention)
    cost, _ = count(graph, (shape,), rules)
    return Tally(graph, shape, rules, *cost)
