"""Where two graphs differ, node by node. No torch."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import Count, children


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


@dataclass(frozen=True)
class _View:
    """A graph on its inputs; ``counted`` is false below a dead node that the convention leaves out."""

    graph: Graph
    inputs: tuple[Shape, ...]
    counted: bool = True

    def nodes(self, convention: Convention) -> dict[str, tuple[Side, _View | None, tuple[Shape, ...], tuple[str, ...]]]:
        """By name: the node's side, what is nested in it, its input shapes and its sources."""
        found = {}
        for node, shapes, outputs, cost in children(self.graph, self.inputs, convention)[0]:
            counted = self.counted and (node.name in self.graph.live or convention.counts_dead)
            below = _View(node.op, shapes, counted) if isinstance(node.op, Graph) else None
            side = Side(node.op, node.spelling, outputs[0], cost if counted else Count(0, cost.params, 0))
            found[node.name] = side, below, shapes, node.inputs
        return found


def differences(a: Graph, b: Graph, input: Shape, convention: Convention) -> list[Difference]:
    """The nodes that only one graph has, or whose op, inputs or shape differ, in execution order.

    A nested graph that only one of them has is one difference; one that both have is looked into.

    Args:
        a: a graph of one input.
        b: the other.
        input: shape of one image.
        convention: of the costs.
    """
    return _differences(_View(a, (input,)), _View(b, (input,)), convention, "")


def _differences(a: _View, b: _View, convention: Convention, prefix: str) -> list[Difference]:
    ours, theirs = a.nodes(convention), b.nodes(convention)
    found: list[Difference] = []
    for name in _merged(list(ours), list(theirs)):
        path = f"{prefix}{name}"
        if name not in ours or name not in theirs:
            found.append(Difference(path, *(of[name][0] if name in of else None for of in (ours, theirs))))
            continue
        (mine, inner_a, *rest_a), (other, inner_b, *rest_b) = ours[name], theirs[name]
        same = (mine.op, mine.spelling, mine.cost) == (other.op, other.spelling, other.cost) and rest_a[0] == rest_b[0]
        if same and _same_sources(ours[name][3], theirs[name][3], ours, theirs):
            continue
        below: list[Difference] = []
        if inner_a and inner_b and inner_a.graph.inputs == inner_b.graph.inputs:
            below = _differences(inner_a, inner_b, convention, f"{path}.")
        found += below or [Difference(path, mine, other)]
    return found


def _same_sources(mine: tuple[str, ...], other: tuple[str, ...], ours: Container[str], theirs: Container[str]) -> bool:
    """Whether equal nodes read the same values; a source that only one graph has is a difference of its own."""
    return mine == other or any((x in ours) != (x in theirs) for x in (*mine, *other))


def _merged(a: list[str], b: list[str]) -> list[str]:
    """Names of both in order; what only ``b`` has stands after what precedes it there."""
    order, last = list(a), -1
    for name in b:
        if name in order:
            last = order.index(name)
        else:
            last += 1
            order.insert(last, name)
    return order
