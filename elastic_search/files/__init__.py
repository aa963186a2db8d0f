"""TOML files that people write, to specs and spaces, and back.

A syntax error is named by its line; ``schema`` checks the rest.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import elastic_search
from elastic_search.arch.spec import Spec
from elastic_search.arch.split import parse_split
from elastic_search.arch.zoo import from_dict, published, to_dict
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.errors import ElasticError, FileError, UnknownNameError
from elastic_search.files.schema import space_from, spec_from
from elastic_search.recipes import Proxy, Training, recipe_dict, recipe_from
from elastic_search.space.band import Band, Limit, limit
from elastic_search.space.choice import Space
from elastic_search.space.parts import Quantity

MAX_BYTES = 256 * 1024

MAX_PARTS = 64
"""Of the dotted keys of a line."""

MAX_BLOCKS = 5_000_000
"""Blocks in all the options that a stage may choose from."""

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*+\'')


@dataclass(frozen=True)
class SearchSpace:
    """A space file: the space, the band that every proposal meets, and the proxy that ranks it.

    Attributes:
        name: the file's name without its ending.
        text: the file's content.
        base_name: the published network whose cost is matched.
        space: what varies.
        band: costs that are allowed, of the full network at its target input.
        proxy: the edit that makes a proxy.
        training: how it is trained.
        limits: bounds beside the band: on parameters, and on the cost at other inputs.
    """

    name: str
    text: str
    base_name: str
    space: Space
    band: Band
    proxy: Proxy
    training: Training
    limits: tuple[Limit, ...] = ()

    @property
    def recipe(self) -> dict[str, Any]:
        """Proxy and training as plain JSON: the keys of the ``[proxy]`` table."""
        return recipe_dict(self.proxy, self.training)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FileError(f"{path}: larger than {MAX_BYTES // 1024} KiB")
        return content.decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise FileError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def _toml_data(text: str, path: str) -> dict[str, Any]:
    # Python's reader takes minutes and gigabytes for keys of ten thousand parts.
    for number, line in enumerate(_STRING.sub('""', text).split("\n"), 1):
        if line.partition("#")[0].count(".") > MAX_PARTS:
            raise FileError(f"{path}: line {number}: a key of more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileError(f"{path}: {_syntax(str(error))}") from None
    except (RecursionError, ValueError) as error:
        raise FileError(f"{path}: not a TOML file that can be read ({type(error).__name__})") from None


def _syntax(message: str) -> str:
    text, _, place = message.partition(" (at ")
    return f"{place.rstrip(')')}: {text}" if place else message


def load_spec(path: str | Path) -> Spec:
    """The network that a spec file describes.

    Raises:
        FileError: naming the file and every mistake in it.
    """
    data = _toml_data(_read(Path(path)), str(path))
    parsed = spec_from(data, str(path))
    try:
        return from_dict(parsed.model_dump(by_alias=True, exclude_none=True))
    except ElasticError as error:
        raise FileError(f"{path}: {error}", error.hint) from None


def dump_spec(spec: Spec, comments: tuple[str, ...] = ()) -> str:
    """A spec as a TOML file's text; ``load_spec`` reads it back to an equal spec."""
    data = to_dict(spec)
    stages = data.pop("stages")
    lines = [f"# {comment}" for comment in comments]
    lines += [f"{key} = {_toml(value)}" for key, value in data.items()]
    for stage in stages:
        lines += ["", "[[stages]]", *(f"{key} = {_toml(value)}" for key, value in stage.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def shipped_spaces() -> dict[str, Path]:
    """The spaces that come with the package, by bare name."""
    package = Path(elastic_search.__file__).parent
    # In a wheel the folder lies inside the package; in a checkout beside it.
    folder = next((f for f in (package / "search_spaces", package.parent / "search_spaces") if f.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def load_space(name: str) -> SearchSpace:
    """A space by bare name (a shipped one) or path.

    Raises:
        UnknownNameError: if no shipped space has that name.
        FileError: naming the file and every mistake in it.
    """
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
    else:
        shipped = shipped_spaces()
        if name not in shipped:
            raise UnknownNameError("space", name, list(shipped), "(or a path that ends in .toml)")
        path = shipped[name]
    return parse_space(_read(path), path.stem, str(path))


def inherited(data: dict[str, Any], path: str) -> dict[str, Any]:
    """A space file's content over that of the shipped space it inherits from: tables are merged key by key.

    Raises:
        FileError: if there is no such shipped space, or the spaces inherit in a circle.
    """
    seen: list[str] = []
    while "inherit" in data:
        data = dict(data)
        name, shipped = data.pop("inherit"), shipped_spaces()
        if not isinstance(name, str) or name not in shipped:
            raise FileError(f"{path}: inherit: {str(name)[:60]!r} is no shipped space", f"legal: {', '.join(shipped)}")
        if name in seen:
            raise FileError(f"{path}: inherit: {' → '.join([*seen, name])} is a circle")
        seen.append(name)
        below = _toml_data(_read(shipped[name]), str(shipped[name]))
        merged = {**below, **{key: value for key, value in data.items() if key != "inherit"}}
        for key, value in data.items():
            if isinstance(value, dict) and isinstance(below.get(key), dict):
                merged[key] = {**below[key], **value}
        data = merged
    return data


def at_target(plan: SearchSpace, target: int | None) -> SearchSpace:
    """The same space with its band around another cost, and those at other inputs moved with it.

    None leaves it as it is; bounds on parameters stay.
    """
    if target is None:
        return plan
    limits = tuple(
        one if one.convention is None else one.moved(Fraction(target, plan.band.target)) for one in plan.limits
    )
    return replace(plan, band=replace(plan.band, target=target), limits=limits)


def parse_space(text: str, name: str, path: str) -> SearchSpace:
    """A space from a file's text; ``path`` is for messages."""
    data = inherited(_toml_data(text, path), path)
    model = space_from(data, path)
    base = published(model.base)
    depths = tuple(tuple(model.depths[base.stage_name(i)]) for i in range(len(base.stages)))
    splits = tuple(dict.fromkeys(parse_split(text) for text in model.splits.choices))
    kinds = tuple(dict.fromkeys(model.resampling.choices))
    convention = CONVENTIONS[model.band.convention]
    own = tally(base.graph(), model.band.input, convention).total
    target = model.band.target or own
    try:
        widths = tuple(
            tuple((model.widths or {}).get(base.stage_name(i), [stage.width])) for i, stage in enumerate(base.stages)
        )
        cardinality = tuple(dict.fromkeys(model.cardinality.choices)) if model.cardinality else ()
        each = len(kinds) * max(1, len(cardinality)) * (1 if model.splits.per == "block" else len(splits))
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            if each * len(width) * sum(map(base.blocks, depth)) > MAX_BLOCKS:
                raise FileError(
                    f"{base.stage_name(i)}: its options hold more than {MAX_BLOCKS:,} blocks",
                    'leave out depths, widths or splits, or let every block choose: per = "block"',
                )
        space = Space(base, depths, splits, kinds, model.splits.per, widths if model.widths else (), cardinality)
        _ = space.arms  # builds every option, and so checks them
    except ElasticError as error:
        raise FileError(f"{path}: {error}", error.hint) from None
    band = Band(target, model.band.tolerance, convention, model.band.input)
    limits = []
    if model.band.params is not None:
        limits.append(limit(base.graph().params, model.band.params, Quantity(None, band.input)))
    for size in dict.fromkeys(model.band.inputs):
        if size != band.input:
            cost = tally(base.graph(), size, convention).total
            bounds = limit(cost, band.tolerance, Quantity(convention, size))
            limits.append(bounds if model.band.target is None else bounds.moved(Fraction(target, own)))
    return SearchSpace(name, text, model.base, space, band, *recipe_from(dict(model.proxy)), tuple(limits))
