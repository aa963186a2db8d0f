"""Names of networks, and specs as plain data."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from elastic_search.arch import families
from elastic_search.arch.families import Published
from elastic_search.arch.heads import Classifier
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, parse_split
from elastic_search.errors import SpecError, UnknownNameError

SCHEMA = 1
if TYPE_CHECKING:
    FAMILIES: dict[str, type[Spec]]
    """The families' specs, in the order in which people list them."""

    PUBLISHED: dict[str, Published]
    """Every network that is known by name."""

    BLOCK_KINDS: frozenset[str]
    """Kinds of the graphs that are blocks, in any family."""


_everything: dict[str, Any] = {}


def __getattr__(name: str) -> Any:
    # Most commands need one family: the others are read when somebody asks for all of them.
    if name not in ("FAMILIES", "PUBLISHED", "BLOCK_KINDS"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _everything:
        modules = {family: families.module(family) for family in families.names()}
        modules = dict(sorted(modules.items(), key=lambda item: item[1].FAMILY.RANK))
        known = [item for module in modules.values() for item in module.PUBLISHED.items()]
        _everything["FAMILIES"] = {family: module.FAMILY for family, module in modules.items()}
        _everything["PUBLISHED"] = dict(sorted(known, key=lambda item: item[1].head is not None))
        _everything["BLOCK_KINDS"] = frozenset(module.FAMILY.BLOCK_KIND for module in modules.values())
    return _everything[name]


def find(name: str) -> Published | None:
    """The network of that name, if there is one."""
    # Most networks have their family's name in their own: it is looked into first.
    tables = (families.module(family).PUBLISHED for family in sorted(families.names(), key=lambda it: it not in name))
    for table in [_everything["PUBLISHED"]] if _everything else tables:
        if name in table:
            return table[name]  # type: ignore[no-any-return]
    return None


def published(name: str) -> Spec:
    """The spec of a network that is known by name, with its head.

    Raises:
        UnknownNameError: if the name is not known; suggests the nearest.
    """
    found = find(name)
    if found is None:
        raise UnknownNameError("network", name, list(__getattr__("PUBLISHED")), "('elastic-search models' lists them)")
    return found.spec


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
    family = type(spec).__module__.rpartition(".")[2]
    if not isinstance(spec.head, Classifier):
        raise SpecError(f"{spec.head}: only a network with a classifier can be written to a file")
    values = {field.name: getattr(spec, field.name) for field in fields(spec) if field.name not in ("stages", "head")}
    if spec.in_channels == 3:
        del values["in_channels"]
    return {"schema": SCHEMA, "family": family, "classes": spec.head.classes, **values, "stages": stages}


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
    family: type[Spec] = families.module(data["family"]).FAMILY
    values = {field.name: data[field.name] for field in fields(family) if field.name in data}
    if "classes" in data:
        values["head"] = Classifier(data["classes"])
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
