"""Where the conventions differ: the totals of every tool, by kind of operator. No torch."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph, Node, output_shapes
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Call, Convention

Use = tuple[Call, bool]
"""An op on its inputs, and whether its result is read."""


@lru_cache(maxsize=1 << 14)
def _uses(graph: Graph, inputs: tuple[Shape, ...], live: bool) -> tuple[tuple[Use, int], ...]:
    """How often each primitive is used in a graph; equal nested graphs are walked once."""
    found: dict[Use, int] = {}

    def visit(node: Node, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
        outputs = output_shapes(node.op, shapes)
        read = live and node.name in graph.live
        if isinstance(node.op, Graph):
            for use, times in _uses(node.op, shapes, read):
                found[use] = found.get(use, 0) + times
        else:
            use = Call(node.op, shapes, outputs[0], node.spelling, node.recorded), read
            found[use] = found.get(use, 0) + 1
        return outputs

    graph.run(inputs, visit)
    return tuple(found.items())


_NAMES: dict[type[Op], str] = {
    ops.Conv: "convolution",
    ops.ConvTranspose: "transposed convolution",
    ops.Linear: "linear",
    ops.BatchNorm: "batch norm",
    ops.Relu: "ReLU",
    ops.Sigmoid: "sigmoid",
    ops.Pool: "pool",
    ops.GlobalPool: "global pool",
    ops.Upsample: "up-sampling",
    traced_ops.AdaptivePool: "adaptive pool",
}


def kind_of_type(op: type[Op]) -> str:
    """What people call a type of ops."""
    arithmetic = op in (traced_ops.Elementwise, traced_ops.FixedElementwise)
    return "arithmetic" if arithmetic else _NAMES.get(op, op.__name__.lower())


def kind(op: Op) -> str:
    """What people call an op."""
    if isinstance(op, (ops.Pool, traced_ops.AdaptivePool)):
        adaptive = "adaptive " if isinstance(op, traced_ops.AdaptivePool) else ""
        return adaptive + ("max pool" if op.kind == "max" else "average pool")
    if isinstance(op, traced_ops.Norm):
        return f"{op.kind} norm"
    if isinstance(op, ops.Upsample):
        return f"{op.mode} up-sampling"
    return _NAMES.get(type(op), str(getattr(op, "kind", type(op).__name__.lower())))


def by_kind(graph: Graph, input: Shape, conventions: Iterable[Convention]) -> dict[str, dict[str, int]]:
    """Counts by kind of operator and name of convention; a kind that is free under all of them is left out.

    Dead nodes have kinds of their own, such as ``unread convolution``: some tools count them and some do not. Summed
    over the kinds, the counts are the totals of ``tally``.

    Args:
        graph: the network.
        input: shape of one image.
        conventions: those to count by.
    """
    table: dict[str, dict[str, int]] = {}
    chosen = list(conventions)
    for (call, live), times in _uses(graph, (input,), True):
        name = kind(call.op) if live else f"unread {kind(call.op)}"
        row = table.setdefault(name, {convention.name: 0 for convention in chosen})
        for convention in chosen:
            if live or convention.counts_dead:
                row[convention.name] += times * convention.count(call)
    return {name: row for name, row in table.items() if any(row.values())}
