"""What a count leaves out: operations of a user's module that have no rule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

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


SEE_CLASSES = ("torchinfo", "authors")
"""Conventions of tools that take a subclass of a layer, or any module with weights and no children, for a layer."""


def own_layers(module: Any) -> list[str]:
    """Classes of a user's module that such tools take for layers, and that are read as the functions they call."""
    found = set()
    for part in module.modules() if module is not None else ():
        kind = type(part)
        layer = any(_is_torchs(base) and base.__name__ != "Module" for base in kind.__mro__[1:])
        weights = any(True for _ in part.parameters(recurse=False))
        if not _is_torchs(kind) and (layer or weights) and not any(True for _ in part.children()):
            found.add(kind.__name__)
    return sorted(found)


def _is_torchs(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.modules.")


def own_layer_notes(networks: Iterable[tuple[str, Any]]) -> list[str]:
    """Where the counts of ``SEE_CLASSES`` may fall short of the tools', by the names of networks with their modules."""
    classes = ((label, own_layers(module)) for label, module in networks)
    tools = " and ".join(SEE_CLASSES)
    return [
        f"{label}: {tools} may be short of what the tools add for layer classes of your own: {', '.join(names)}"
        for label, names in classes
        if names
    ]
