"""Names of networks, and specs as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

from elastic_search.arch.densenet import DenseNet, densenet
from elastic_search.arch.dla import DLA, dla
from elastic_search.arch.edit import elastic
from elastic_search.arch.resnext import ResNeXt, resnext
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Branch, Split, parse_split
from elastic_search.errors import SpecError, UnknownNameError

SCHEMA = 1
FAMILIES: dict[str, type[Spec]] = {"resnext": ResNeXt, "dla": DLA, "densenet": DenseNet}
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

    build: Callable[[], Spec]
    table: str
    elastic: str | None = None
    note: str = ""


def _wide_elastic() -> Spec:
    # Twice the paths at the same output channels: the reading that gives the paper's 45.6 M parameters.
    return elastic(resnext((6, 8, 5, 3), cardinality=64, expansion=1), HALVES)


PUBLISHED: dict[str, Published] = {
    "resnext50": Published(lambda: resnext((3, 4, 6, 3)), "2, 5", "resnext50_elastic"),
    "resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3)), HALVES), "2, 5"),
    "se_resnext50": Published(lambda: resnext((3, 4, 6, 3), se_reduction=16), "2", "se_resnext50_elastic"),
    "se_resnext50_elastic": Published(lambda: elastic(resnext((6, 8, 5, 3), se_reduction=16), HALVES), "2"),
    "resnext101": Published(lambda: resnext((3, 4, 23, 3)), "2, 5", "resnext101_elastic"),
    "resnext101_elastic": Published(lambda: elastic(resnext((12, 14, 20, 3)), HALVES), "2, 5"),
    "resnext50x2_elastic": Published(_wide_elastic, "2", note="never released: our reading of the paper"),
    "resnet101": Published(lambda: resnext((3, 4, 23, 3), path_width=64, cardinality=1, expansion=4), "3"),
    "dla_x60": Published(lambda: dla((1, 2, 3, 1)), "2, 5, 6, 7", "dla_x60_elastic"),
    "dla_x60_elastic": Published(lambda: elastic(dla((1, 2, 3, 1)), HALVES), "2, 5, 6, 7"),
    "dla_x102": Published(lambda: dla((1, 3, 4, 1), residual_root=True), "2", "dla_x102_elastic"),
    "dla_x102_elastic": Published(lambda: elastic(dla((3, 3, 3, 1), cardinality=50, residual_root=True), HALVES), "2"),
    "densenet201": Published(lambda: densenet((6, 12, 48, 32)), "2", "densenet201_elastic"),
    "densenet201_elastic": Published(lambda: elastic(densenet((10, 20, 40, 30)), HALVES), "2"),
}

COCO_CLASSES = 80


def _multi_label(name: str, tables: str = "3") -> Published:
    """A network of Table 3: another one's with a score for each of the 80 classes of MS COCO."""
    base = PUBLISHED[name]
    elastic = base.elastic and f"{base.elastic}_coco"
    return Published(lambda: replace(base.build(), classes=COCO_CLASSES), tables, elastic)


PUBLISHED |= {
    "resnext50_coco": _multi_label("resnext50", "3, 4"),
    "resnext50_elastic_coco": _multi_label("resnext50_elastic", "3, 4"),
    "resnext101_coco": _multi_label("resnext101"),
    "resnext101_elastic_coco": _multi_label("resnext101_elastic"),
    "resnet101_coco": _multi_label("resnet101"),
    "dla_x60_coco": _multi_label("dla_x60"),
    "dla_x60_elastic_coco": _multi_label("dla_x60_elastic"),
    "densenet201_coco": _multi_label("densenet201"),
    "densenet201_elastic_coco": _multi_label("densenet201_elastic"),
}


def published(name: str) -> Spec:
    """The spec of a network of the paper.

    Raises:
        UnknownNameError: if the name is not known; suggests the nearest.
    """
    if name not in PUBLISHED:
        raise UnknownNameError("network", name, list(PUBLISHED), "('elastic-search models' lists them)")
    return PUBLISHED[name].build()


def to_dict(spec: Spec) -> dict[str, Any]:
    """A spec as plain data: what files and JSON hold. ``from_dict`` is its inverse."""
    stages: list[dict[str, Any]] = []
    for i, stage in enumerate(spec.stages):
        entry: dict[str, Any] = {"width": stage.width, "depth": spec.depth(i)}
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
    (family,) = (name for name, kind in FAMILIES.items() if type(spec) is kind)
    values = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name != "stages"}
    return {"schema": SCHEMA, "family": family, **values, "stages": stages}


def _per_block(value: str | list[str], blocks: int, where: str) -> list[str]:
    values = [value] * blocks if isinstance(value, str) else value
    if len(values) != blocks:
        raise SpecError(f"{where}: {len(values)} values for {blocks} blocks")
    return values


def from_dict(data: dict[str, Any]) -> Spec:
    """A spec from plain data whose types are known to be right (``files.py`` checks files).

    ``split`` stands for every block of the stage that may scale; ``splits`` gives one for each block.

    Raises:
        SpecError: if the values do not make a network.
    """
    family = FAMILIES[data["family"]]
    values = {field.name: data[field.name] for field in fields(family) if field.name in data}
    # Plain blocks first: the family then says which blocks the stages' splits stand for.
    plain = [Stage(entry["width"], (PLAIN,) * family.blocks(entry["depth"])) for entry in data["stages"]]
    spec = family(**{**values, "stages": tuple(plain)})
    stages = []
    for i, (entry, stage) in enumerate(zip(data["stages"], plain, strict=True)):
        blocks, where = len(stage.splits), f"stages[{i}]"
        downs = _per_block(entry.get("down") or "avgpool", blocks, f"{where}.down")
        ups = _per_block(entry.get("up") or "bilinear", blocks, f"{where}.up")
        if entry.get("splits"):
            texts = _per_block(entry["splits"], blocks, f"{where}.splits")
        else:
            texts = [(entry.get("split") or "1") if spec.may_scale(i, j) else "1" for j in range(blocks)]
        splits = (parse_split(*args) for args in zip(texts, downs, ups, strict=True))
        stages.append(Stage(stage.width, tuple(PLAIN if s.is_plain else s for s in splits)))
    return replace(spec, stages=tuple(stages))


def spec_id(spec: Spec) -> str:
    """Twelve hex digits that depend on the network alone: equal specs, and only those, share them."""
    import hashlib
    import json

    canonical = json.dumps(to_dict(spec), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]
