"""Notes that several reports share: what a count leaves out, and what ``elasticize`` did."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from elastic_search.arch.network import opaque_nodes
from elastic_search.report.text import size

if TYPE_CHECKING:
    from elastic_search.arch.graph import Graph
    from elastic_search.arch.network import Network
    from elastic_search.nn.elastic.elasticize import Elasticized

SEE_CLASSES = ("torchinfo", "authors")
"""Conventions of tools that take a subclass of a layer, or any module with weights and no children, for a layer."""

TRAINED = "params include the trained filters of the resampling; the other types add none"


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


def own_layer_notes(networks: Iterable[tuple[str, Network]]) -> list[str]:
    """Where the counts of ``SEE_CLASSES`` may fall short of the tools', by the networks' names."""
    tools = " and ".join(SEE_CLASSES)
    return [
        f"{label}: {tools} may be short of what the tools add for layer classes of your own: {', '.join(found)}"
        for label, network in networks
        if (found := network.own_layers)
    ]


def left_notes(change: Elasticized) -> list[str]:
    """How many convolutions ``elasticize`` replaced, and the others by the reason to leave them."""
    lines = [f"{len(change.replaced)} convolutions made Elastic at {size(change.input)}, {len(change.left)} left"]
    reasons: dict[str, list[str]] = {}
    for left in change.left:
        reasons.setdefault(f"{left.reason} ({left.why})", []).append(left.path)
    return [*lines, *(f"left, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())]
