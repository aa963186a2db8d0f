"""Where two graphs differ, node by node. No torch."""

from __future__ import annotations

from dataclasses import dataclass

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Convention
from elastic_search.cost.parts import merged
from elastic_search.cost.tally import Child, Count, children


@dataclass(frozen=True)
class Side:
    """A node in one of the graphs: its op, how it is spelled, its output shape and cost."""

    op: Op | Graph
    spelling: str
    output: Shape
    cost: Count


@dataclass(frozen=True)
class Difference:
    """A path at which two graphs differ; a side is None where only the other has it."""

    path: str
    a: Side | None
    b: Side | None


_Place = tuple[Graph, tuple[Shape, ...], bool]
"""A graph, the shapes that enter it, and whether the convention counts it."""


def differences(a: Graph, b: Graph, input: Shape | tuple[Shape, Shape], convention: Convention) -> list[Difference]:
    """The nodes that only one graph has, or whose op, inputs or shape differ, in execution order.

    A nested graph that only one of them has is one difference; one that both have is compared node by node.

    Args:
        a: a graph of one input.
        b: the other.
        input: shape of one image, or of one for ``a`` and one for ``b``.
        convention: of the costs.
    """
    first, second = (input, input) if isinstance(input, Shape) else input
    return _differences((a, (first,), True), (b, (second,), True), convention, "")


def _differences(a: _Place, b: _Place, convention: Convention, prefix: str) -> list[Difference]:
    ours, theirs = (
        {child.node.name: child for child in children(graph, inputs, convention, counted)[0]}
        for graph, inputs, counted in (a, b)
    )
    found: list[Difference] = []
    for name in merged((ours, theirs)):
        path, x, y = f"{prefix}{name}", ours.get(name), theirs.get(name)
        difference = Difference(path, x and _side(x), y and _side(y))
        if x is None or y is None:
            found.append(difference)
            continue
        same = x.inputs == y.inputs and difference.a == difference.b
        # A source that only one graph has is a difference of its own.
        sources = (*x.node.inputs, *y.node.inputs)
        if same and (
            x.node.inputs == y.node.inputs or any((source in ours) != (source in theirs) for source in sources)
        ):
            continue
        below: list[Difference] = []
        op, other = x.node.op, y.node.op
        if isinstance(op, Graph) and isinstance(other, Graph) and op.inputs == other.inputs:
            places = (op, x.inputs, x.counted), (other, y.inputs, y.counted)
            below = _differences(*places, convention, f"{path}.")
        found += below or [difference]
    return found


def _side(child: Child) -> Side:
    return Side(child.node.op, child.node.spelling, child.outputs[0], child.cost)
