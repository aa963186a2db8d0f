"""What spec and space files may hold: pydantic models, and every mistake of a file at once.

A mistake is named by its dotted key, with the legal values.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, model_validator

from elastic_search.arch.ops import Shape, image
from elastic_search.arch.spec import MAX_COUNT, Spec
from elastic_search.arch.split import PLAIN, TYPES, parse_split, whole_groups
from elastic_search.arch.zoo import FAMILIES, PUBLISHED, from_dict, published
from elastic_search.errors import ElasticError, FileError, UnknownNameError
from elastic_search.recipes import Proxy, Training
from elastic_search.space.band import parse_percent

MAX_CHOICES = 1000
MAX_BLOCKS = 1024
"""Of a stage. In a DLA, whose depth is that of a tree, that is a depth of 10."""
MAX_PIXELS = 4_000_000_000
MAX_SHOWN, MAX_LINE = 50, 400
"""Mistakes of a file that are shown, and characters of each."""

Model = TypeVar("Model", bound="_Strict")


def _checked(read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator that turns our errors into pydantic's, so that they are all reported at once."""

    def validate(value: Any) -> Any:
        try:
            return read(value)
        except ElasticError as error:
            raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None

    return BeforeValidator(validate)


def _split_text(value: Any) -> Any:
    if isinstance(value, str):
        parse_split(value)
    return value


def _share(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('write a share as text: "1%" or "0.01"')
    return parse_percent(value)


def _fraction(value: Any) -> Any:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(/\d{1,6}|\.\d{1,6})?", text, re.ASCII):
        raise ValueError(f'{text[:40]!r} is not a fraction: write "1/4"')
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None


def _depths(value: Any) -> Any:
    """A list of depths from a list, one number, or ``"low..high"``."""
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        if not (dots and low.strip().isdecimal() and high.strip().isdecimal()):
            raise ValueError(f'{value!r}: write depths as a list, or "low..high"')
        numbers = list(range(int(low), int(high) + 1)) if int(high) <= 1024 else [0]
    else:
        numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and 1 <= number <= 1024 for number in numbers):
        raise ValueError(f"{value!r}: depths are whole numbers from 1 to 1024, low before high")
    if len(numbers) > MAX_CHOICES:
        raise ValueError(f"more than {MAX_CHOICES} choices")
    return sorted(set(numbers))


def _widths(value: Any) -> Any:
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and 1 <= number <= 65_536 for number in numbers):
        raise ValueError(f"{value!r:.100}: widths are whole numbers from 1 to 65536")
    if len(numbers) > MAX_CHOICES:
        raise ValueError(f"more than {MAX_CHOICES} choices")
    return sorted(set(numbers))


def _size(value: Any) -> Any:
    parts = [value] if type(value) is int else str(value).split("x")
    if len(parts) > 2 or not all(str(part).isdecimal() and 1 <= int(part) <= 4096 for part in parts):
        raise ValueError(f'{value!r}: write 224, or "193x257" for height x width (1 to 4096)')
    return image(int(parts[0]), int(parts[-1]))


def _resampling(value: Any) -> Any:
    if value not in TYPES:
        raise ValueError(f"{value!r}: legal are {', '.join(TYPES)}")
    return value


SplitText = Annotated[str, _checked(_split_text)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class _StageModel(_Strict):
    width: Count
    depth: Annotated[int, Field(strict=True, ge=1, le=1024)]
    split: SplitText | None = None
    splits: list[SplitText] | None = None
    down: Literal["avgpool", "trained"] | list[Literal["avgpool", "trained"]] | None = None
    up: Literal["bilinear", "nearest", "trained"] | list[Literal["bilinear", "nearest", "trained"]] | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> _StageModel:
        if self.split is not None and self.splits is not None:
            raise ValueError("give split (for all blocks) or splits (one for each block), not both")
        return self


class SpecModel(_Strict):
    """What spec files of every family share."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal[1] = Field(alias="schema")
    family: str
    name: str = ""
    stem: Literal["imagenet", "small"] = "imagenet"
    classes: Count = 1000
    stages: Annotated[list[_StageModel], Field(min_length=1, max_length=16)]


def _family_model(name: str, family: type[Spec]) -> type[SpecModel]:
    """The model of a family's files, from the fields of its spec and their bounds."""
    found: dict[str, Any] = {"family": (Literal[tuple(FAMILIES)], ...)}
    for field in fields(family):
        least, most = family.BOUNDS.get(field.name, (1, MAX_COUNT))
        if type(field.default) is bool:
            found[field.name] = (Annotated[bool, Field(strict=True)], field.default)
        elif type(field.default) is int:
            found[field.name] = (Annotated[int, Field(strict=True, ge=least, le=most)], field.default)
    return create_model(name, __base__=SpecModel, **found)


_SPEC_MODELS = {name: _family_model(name, family) for name, family in FAMILIES.items()}


def _base_name(value: Any) -> Any:
    if not isinstance(value, str) or value not in PUBLISHED:
        raise UnknownNameError("network", str(value), list(PUBLISHED))
    return value


class _SplitsModel(_Strict):
    choices: Annotated[list[SplitText], Field(min_length=1, max_length=MAX_CHOICES)]
    per: Literal["block", "stage", "network"] = "stage"


class _ResamplingModel(_Strict):
    choices: Annotated[list[Annotated[str, _checked(_resampling)]], Field(min_length=1)] = ["avgpool+bilinear"]


class _CardinalityModel(_Strict):
    choices: Annotated[list[Count], Field(min_length=1, max_length=MAX_CHOICES)]


class _BandModel(_Strict):
    tolerance: Annotated[Fraction, _checked(_share)] = Fraction(1, 100)
    convention: Literal["fvcore", "macs", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo", "authors"] = "fvcore"
    input: Annotated[Shape, _checked(_size)] = image(224, 224)
    target: Annotated[int, Field(strict=True, ge=1, le=2**53)] | None = None
    params: Annotated[Fraction, _checked(_share)] | None = None
    inputs: Annotated[list[Annotated[Shape, _checked(_size)]], Field(max_length=4)] = []


class _ProxyModel(_Strict):
    width: Annotated[Fraction, _checked(_fraction)] = Proxy.width
    stem: Literal["small", "imagenet"] = Proxy.stem
    input: Annotated[int, Field(strict=True, ge=15, le=512)] = Proxy.input
    epochs: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Training.epochs
    train_images: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = Training.train_images
    test_images: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = Training.test_images
    batch: Annotated[int, Field(strict=True, ge=2, le=65_536)] = Training.batch
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Training.learning_rate
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Training.weight_decay

    @model_validator(mode="after")
    def _in_reach(self) -> _ProxyModel:
        if not 0 < self.width <= 1:
            raise ValueError(f"width {self.width}: must be above 0 and at most 1")
        pixels = self.train_images * self.input**2
        if pixels > MAX_PIXELS:
            raise ValueError(f"{pixels:,} pixels of training images: at most {MAX_PIXELS:,}")
        return self


class SpaceModel(_Strict):
    """A space file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, arbitrary_types_allowed=True)

    schema_: Literal[1] = Field(alias="schema")
    description: str = ""
    base: Annotated[str, _checked(_base_name)]
    depths: dict[str, Annotated[list[int], _checked(_depths)]]
    splits: _SplitsModel
    resampling: _ResamplingModel = _ResamplingModel()
    widths: dict[str, Annotated[list[int], _checked(_widths)]] | None = None
    cardinality: _CardinalityModel | None = None
    band: _BandModel = _BandModel()
    proxy: _ProxyModel = _ProxyModel()


def _space_mistakes(data: dict[str, Any]) -> list[str]:
    """What is wrong with a space in view of its base, as far as its values are of the right kind."""
    if not isinstance(data.get("base"), str) or data["base"] not in PUBLISHED:
        return []
    base, mistakes = published(data["base"]), []
    stages = [base.stage_name(i) for i in range(len(base.stages))]
    if isinstance(depths := data.get("depths"), dict):
        mistakes += [
            f"depths.{key}: unknown stage; legal are {', '.join(stages)}" for key in depths if key not in stages
        ]
        mistakes += [f"depths.{stage}: missing" for stage in stages if stage not in depths]
        for stage, of in depths.items():
            with suppress(ValueError):
                fault = _too_deep(base, max(_depths(of)))
                mistakes += [f"depths.{stage}: {fault}"] if fault else []
    if isinstance(widths := data.get("widths"), dict):
        mistakes += [
            f"widths.{key}: unknown stage; legal are {', '.join(stages)}" for key in widths if key not in stages
        ]
    mistakes += _width_mistakes(base, stages, data.get("widths"), data.get("cardinality"))
    splits = data.get("splits")
    choices = splits.get("choices") if isinstance(splits, dict) else None
    paths = min(base.paths(i) for i in range(len(base.stages)))
    for i, text in enumerate(choices if isinstance(choices, list) else ()):
        try:
            branches = parse_split(text).branches if isinstance(text, str) else ()
        except ElasticError:
            continue  # named by the check of its value
        shares = [branch.share for branch in branches]
        mistakes += _told(f"splits.choices[{i}]", partial(_check_shares, shares, paths))
    return mistakes


def _width_mistakes(base: Spec, stages: list[str], widths: Any, cardinality: Any) -> list[str]:
    """Widths and numbers of paths that the base cannot have, each by itself."""
    mistakes = []
    for i, name in enumerate(stages):
        values = widths.get(name) if isinstance(widths, dict) else None
        for j, width in enumerate(values if isinstance(values, list) else ()):
            if type(width) is int and 1 <= width <= 65_536 and not cardinality:
                changed = tuple(replace(s, width=width) if n == i else s for n, s in enumerate(base.stages))
                mistakes += _told(f"widths.{name}[{j}]", partial(replace, base, stages=changed))
    choices = cardinality.get("choices") if isinstance(cardinality, dict) and hasattr(base, "cardinality") else None
    for j, paths in enumerate(choices if isinstance(choices, list) else ()):
        if type(paths) is int and 1 <= paths <= 65_536 and not widths:
            mistakes += _told(f"cardinality.choices[{j}]", partial(_with_paths, base, paths))
    return mistakes


def _with_paths(base: Spec, paths: int) -> Spec:
    plain = tuple(replace(stage, splits=(PLAIN,) * len(stage.splits)) for stage in base.stages)
    return replace(base, stages=plain, cardinality=paths)  # type: ignore[call-arg]


def _spec_mistakes(data: dict[str, Any]) -> list[str]:
    """What keeps each stage of a spec from being one, as far as its values are of the right kind."""
    model, stages = _spec_model(data), data.get("stages")
    if not isinstance(stages, list):
        return []
    try:
        rest = model.model_validate({**data, "stages": [{"width": 32, "depth": 1}]}).model_dump(by_alias=True)
    except ValidationError:
        return []
    paths = rest.get("cardinality", 32)
    plain, mistakes = {"width": 32 * paths, "depth": 1}, []
    for i, stage in enumerate(stages):
        try:
            entry = _StageModel.model_validate(stage).model_dump(exclude_none=True)
        except ValidationError:
            continue
        if fault := _too_deep(FAMILIES[rest["family"]], entry["depth"]):
            mistakes.append(f"stages[{i}].depth: {fault}")
            continue
        chain = [entry if j == i else plain for j in range(len(stages))]
        mistakes += _told(f"stages[{i}]", partial(from_dict, {**rest, "stages": chain}))
    return mistakes


def _too_deep(family: type[Spec] | Spec, depth: int) -> str | None:
    blocks = family.blocks(min(depth, MAX_BLOCKS))
    return f"{depth}: more than {MAX_BLOCKS} blocks" if blocks > MAX_BLOCKS else None


def _check_shares(shares: list[Fraction], paths: int) -> None:
    for share in shares:
        whole_groups(share, paths, "any block")


def _told(where: str, build: Callable[[], object]) -> list[str]:
    try:
        build()
    except ElasticError as error:
        return [f"{where}: {error}" + (f" ({error.hint})" if error.hint else "")]
    return []


def _spec_model(data: dict[str, Any]) -> type[SpecModel]:
    """The model of the family that a file names; the default shows what is wrong with the name."""
    family = data.get("family")
    return _SPEC_MODELS.get(str(family), next(iter(_SPEC_MODELS.values())))


def spec_from(data: dict[str, Any], path: str) -> SpecModel:
    """A spec file's content, checked.

    Raises:
        FileError: naming the file and every mistake in it.
    """
    return _validated(data, path, _spec_model(data), _spec_mistakes(data))


def space_from(data: dict[str, Any], path: str) -> SpaceModel:
    """A space file's content, checked.

    Raises:
        FileError: naming the file and every mistake in it.
    """
    return _validated(data, path, SpaceModel, _space_mistakes(data))


def _validated(data: dict[str, Any], path: str, model: type[Model], also: list[str]) -> Model:
    """The file's content as ``model``; ``also`` are mistakes that were found in other ways."""
    mistakes = []
    try:
        found = model.model_validate(data)
    except ValidationError as error:
        mistakes = [line for entry in error.errors() for line in _mistake(entry, model)]
    mistakes += also
    if not mistakes:
        return found
    head = f"{path}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
    shown = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in mistakes[:MAX_SHOWN]]
    shown += [f"… and {len(mistakes) - MAX_SHOWN} more"] if len(mistakes) > MAX_SHOWN else []
    raise FileError("\n  ".join([head, *shown]))


def _mistake(entry: Any, model: type[BaseModel]) -> list[str]:
    """One line (or more) for one of pydantic's errors: dotted key, what is wrong, what is legal."""
    where = ""
    for part in entry["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif not part.startswith(("literal[", "list[", "constrained-")):
            where += f".{part}" if where else part
    message, kind = entry["msg"], entry["type"]
    if kind == "extra_forbidden":
        legal = _keys(model, entry["loc"][:-1])
        near = get_close_matches(str(entry["loc"][-1]), legal, n=1)
        known = f"did you mean {near[0]}?" if near else f"legal are {', '.join(legal)}"
        return [f"{where}: unknown key; {known}"]
    if kind == "missing":
        return [f"{where}: missing"]
    if kind == "literal_error":
        return [f"{where}: {entry['input']!r}; legal: {entry['ctx']['expected']}"]
    if kind == "value_error":
        lines = str(entry["ctx"]["error"]).split("\n")
        return [f"{where}: {line}" if where else line for line in lines]
    return [f"{where}: {entry['input']!r}: {message[0].lower()}{message[1:]}"]


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Legal keys of the table at ``loc``."""
    at: Any = model
    for part in loc:
        if isinstance(part, str):
            annotation = at.model_fields[part].annotation
            at = next((a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")), at)
    return [field.alias or name for name, field in at.model_fields.items()]
