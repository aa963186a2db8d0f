"""How something is trained, as values: the edit that makes a proxy, and a training. Every default stands here once."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from elastic_search.recipes.proxy import Proxy
from elastic_search.recipes.training import Training

__all__ = ["Proxy", "Training", "recipe_dict", "recipe_from"]


def recipe_dict(proxy: Proxy, training: Training) -> dict[str, Any]:
    """Both as one flat table of plain JSON, with the keys of a space file's ``[proxy]``."""
    return {**vars(proxy), "width": str(proxy.width), **vars(training)}


def recipe_from(table: Mapping[str, Any]) -> tuple[Proxy, Training]:
    """The values of such a table, whose width may be a text or a fraction."""
    rest = dict(table)
    own = {name: rest.pop(name) for name in vars(Proxy())}
    return Proxy(**{**own, "width": Fraction(own["width"])}), Training(**rest)
