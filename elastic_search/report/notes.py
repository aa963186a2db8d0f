"""Notes that several reports share: operations without a count, and the result of ``elasticize``."""

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
"""Conventions of tools that treat a subclass of a layer, or any leaf module with weights, as a layer."""

TRAINED = "params include the trained resampling filters; the other types have none"


def opaque_notes(networks: Iterable[tuple[str, Graph]]) -> list[str]:
    """Operations that count 0 only because they have no rule, by network, and how to register one."""
    lines, example = [], ""
    for label, graph in networks:
        opaque = opaque_nodes(graph)
        if opaque:
            named = ", ".join(f"{name} ({times} x)" for name, times in sorted(opaque.items()))
            lines.append(f"{label}: not counted, for lack of a rule: {named}")
            example = example or min(opaque)
    if lines:
        lines.append(f'to add a rule, next to your factory put @elastic_search.register_rule("{example}")')
        lines.append("on a function of (inputs, output), given as shapes, that returns the multiply-adds for one image")
    return lines


def own_layer_notes(networks: Iterable[tuple[str, Network]]) -> list[str]:
    """Layer classes for which the tools of ``SEE_CLASSES`` may count more than we do, by network."""
    tools = " and ".join(SEE_CLASSES)
    return [
        f"{label}: {tools} may be lower than what these tools count for your own layer classes: {', '.join(found)}"
        for label, network in networks
        if (found := network.own_layers)
    ]


def left_notes(change: Elasticized) -> list[str]:
    """The number of convolutions that ``elasticize`` replaced, and the others by the reason to leave them."""
    lines = [f"{len(change.replaced)} convolutions made Elastic at {size(change.input)}, {len(change.left)} left"]
    reasons: dict[str, list[str]] = {}
    for left in change.left:
        reasons.setdefault(f"{left.reason} ({left.why})", []).append(left.path)
    return [*lines, *(f"left, {reason}: {', '.join(paths)}" for reason, paths in reasons.items())]
