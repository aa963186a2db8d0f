"""A user's own layer classes, which some counters see and a graph does not."""

from __future__ import annotations

from torch import nn


def own_layers(module: nn.Module) -> tuple[str, ...]:
    """Names of a module's classes that those counters take for layers; a graph holds the functions they call."""
    found = set()
    for part in module.modules():
        kind = type(part)
        layer = any(_is_torchs(base) and base.__name__ != "Module" for base in kind.__mro__[1:])
        weights = any(True for _ in part.parameters(recurse=False))
        if not _is_torchs(kind) and (layer or weights) and not any(True for _ in part.children()):
            found.add(kind.__name__)
    return tuple(sorted(found))


def _is_torchs(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.modules.")
