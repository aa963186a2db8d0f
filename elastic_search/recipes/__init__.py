"""How something is trained, as values: the edit that makes a proxy, and its training. The only place for defaults."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from elastic_search.recipes.proxy import Proxy
from elastic_search.recipes.training import Training

__all__ = ["Proxy", "Training", "recipe_dict", "recipe_from"]


def recipe_dict(proxy: Proxy, training: Training) -> dict[str, Any]:
    """Both as one flat table of plain JSON, with the keys of the ``[proxy]`` table of a space file."""
    return {**vars(proxy), "width": str(proxy.width), **vars(training)}


def recipe_from(table: Mapping[str, Any]) -> tuple[Proxy, Training]:
    """What ``recipe_dict`` made a table of; its width may be text or a fraction."""
    rest = {**table, "width": Fraction(table["width"])}
    return Proxy(**{name: rest.pop(name) for name in vars(Proxy())}), Training(**rest)
