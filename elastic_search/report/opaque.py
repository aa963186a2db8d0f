"""What a count leaves out: operations of a user's module that have no rule."""

from __future__ import annotations

from collections.abc import Iterable

from elastic_search.arch.graph import Graph
from elastic_search.arch.network import opaque_nodes


def opaque_notes(networks: Iterable[tuple[str, Graph]]) -> list[str]:
    """What is worth nothing only because no rule says what it costs, by the networks' names, and how to give one."""
    lines, example = [], ""
    for label, graph in networks:
        opaque = opaque_nodes(graph)
        if opaque:
            named = ", ".join(f"{name} ({times} x)" for name, times in sorted(opaque.items()))
            lines.append(f"{label}: not counted, since no rule says what they cost: {named}")
            example = example or min(opaque)
    if lines:
        lines.append(f'a rule, beside your factory: @elastic_search.register_rule("{example}")')
        lines.append("on a function of (inputs, output), their shapes, that returns the multiply-adds for one image")
    return lines
