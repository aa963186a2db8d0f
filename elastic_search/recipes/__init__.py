"""How something is trained, as values: the edit that makes a proxy, and its training. The only place for defaults."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from elastic_search.recipes.data import About, Data, Split
from elastic_search.recipes.proxy import Proxy
from elastic_search.recipes.training import Training

__all__ = ["About", "Data", "Proxy", "Split", "Training", "recipe_dict", "recipe_from"]


_FIRST = frozenset({"epochs", "train_images", "test_images", "batch", "learning_rate", "weight_decay"})
"""The keys of a training that recorded runs and tables name; any other is left out where it has its default."""


def recipe_dict(proxy: Proxy, training: Training) -> dict[str, Any]:
    """Both as one flat table of plain JSON, with the keys of the ``[proxy]`` table of a space file.

    Keys that came later are named only where they differ from their default, so that a recipe reads as it was recorded.
    """
    default = vars(Training())
    said = {key: value for key, value in vars(training).items() if key in _FIRST or value != default[key]}
    return {**vars(proxy), "width": str(proxy.width), **said}


def recipe_from(table: Mapping[str, Any]) -> tuple[Proxy, Training]:
    """What ``recipe_dict`` made a table of, or the same with all keys; its width may be text or a fraction."""
    rest = {**table, "width": Fraction(table["width"])}
    return Proxy(**{name: rest.pop(name) for name in vars(Proxy())}), Training(**rest)
