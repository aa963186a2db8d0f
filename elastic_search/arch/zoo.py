"""Names of networks, and specs as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from elastic_search.arch.edit import elastic
from elastic_search.arch.resnext import ResNeXt, Stage, resnext
from elastic_search.arch.split import PLAIN, Branch, Split, parse_split
from elastic_search.errors import SpecError, UnknownNameError

SCHEMA = 1
HALVES = Split((Branch(Fraction(1, 2)), Branch(Fraction(1, 2), Fraction(1, 2))))


@dataclass(frozen=True)
class Published:
    """A network of the paper.

    Attributes:
        build: makes the spec.
        table: where the paper reports it.
        elastic: name of its published Elastic variant, if there is one.
        note: what a reader should know of where the description comes from.
    """

    build: Callable[[], ResNeXt]
    table: str
    elastic: str | None = None
    note: str = ""


def _wide_elastic() -> ResNeXt:
    # Twice the paths at the same output channels: the reading that gives the paper's 45.6 M parameters.
    wide = resnext((6, 8, 5, 3), cardinality=64, expansion=1)
    return elastic(replace(wide, expansion=1), HALVES)


PUBLISHED: dict[str, Published] = {
    "resnext50": Published(lambda: resnext((3, 4, 6, 3)), "2, 3, 4, 5", "resnext50_elastic"),
    "resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3)), HALVES), "2, 3, 4, 5"),
    "se_resnext50": Published(lambda: resnext((3, 4, 6, 3), se_reduction=16), "2", "se_resnext50_elastic"),
    "se_resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3), se_reduction=16), HALVES), "2"),
    "resnext101": Published(lambda: resnext((3, 4, 23, 3)), "2, 3, 5", "resnext101_elastic"),
    "resnext101_elastic": Published(lambda: elastic(resnext((12, 14, 20, 3)), HALVES), "2, 3, 5"),
    "resnext50x2_elastic": Published(_wide_elastic, "2", note="never released: our reading of the paper"),
}


def published(name: str) -> ResNeXt:
    """The spec of a network of the paper.

    Raises:
        UnknownNameError: if the name is not known; suggests the nearest.
    """
    if name not in PUBLISHED:
        raise UnknownNameError("network", name, list(PUBLISHED), "('elastic-search models' lists them)")
    return PUBLISHED[name].build()


def to_dict(spec: ResNeXt) -> dict[str, Any]:
    """A spec as plain data: what files and JSON hold. ``from_dict`` is its inverse."""
    stages: list[dict[str, Any]] = []
    for i, stage in enumerate(spec.stages):
        entry: dict[str, Any] = {"width": stage.width, "depth": stage.depth}
        scalable = [split for j, split in enumerate(stage.splits) if spec.may_scale(i, j)]
        if scalable and len(set(scalable)) == 1:
            entry["split"] = str(scalable[0])
        elif scalable:
            entry["splits"] = [str(split) for split in stage.splits]
        pairs = {(split.down, split.up) for split in scalable if split.scales_down}
        if len(pairs) == 1:
            entry["down"], entry["up"] = pairs.pop()
        elif pairs:
            entry["down"] = [split.down for split in stage.splits]
            entry["up"] = [split.up for split in stage.splits]
        stages.append(entry)
    return {
        "schema": SCHEMA,
        "family": "resnext",
        "cardinality": spec.cardinality,
        "expansion": spec.expansion,
        "stem": spec.stem,
        "stem_width": spec.stem_width,
        "se_reduction": spec.se_reduction,
        "classes": spec.classes,
        "stages": stages,
    }


def _per_block(value: str | list[str], depth: int, where: str) -> list[str]:
    values = [value] * depth if isinstance(value, str) else value
    if len(values) != depth:
        raise SpecError(f"{where}: {len(values)} values for {depth} blocks")
    return values


def from_dict(data: dict[str, Any]) -> ResNeXt:
    """A spec from plain data whose types are known to be right (``files.py`` checks files).

    ``split`` stands for every block of the stage that may scale; ``splits`` gives one for each block.

    Raises:
        SpecError: if the values do not make a network.
    """
    count = len(data["stages"])
    stages = []
    for i, entry in enumerate(data["stages"]):
        depth, where = entry["depth"], f"stages[{i}]"
        downs = _per_block(entry.get("down") or "avgpool", depth, f"{where}.down")
        ups = _per_block(entry.get("up") or "bilinear", depth, f"{where}.up")
        if entry.get("splits"):
            texts = _per_block(entry["splits"], depth, f"{where}.splits")
        else:
            texts = [entry.get("split") or "1"] * depth
            texts = [text if (i == 0 or j > 0) and i < count - 1 else "1" for j, text in enumerate(texts)]
        splits = (parse_split(*args) for args in zip(texts, downs, ups, strict=True))
        stages.append(Stage(entry["width"], tuple(PLAIN if s.is_plain else s for s in splits)))
    fields = ("cardinality", "expansion", "stem", "stem_width", "se_reduction", "classes")
    return ResNeXt(tuple(stages), **{name: data[name] for name in fields if name in data})


def spec_id(spec: ResNeXt) -> str:
    """Twelve hex digits that depend on the network alone: equal specs, and only those, share them."""
    import hashlib
    import json

    canonical = json.dumps(to_dict(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
