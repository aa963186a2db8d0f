"""Spec files: reads the networks that they describe, and writes them."""

from __future__ import annotations

from dataclasses import fields
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, create_model, model_validator

from elastic_search.arch.spec import MAX_COUNT, Spec
from elastic_search.arch.zoo import FAMILIES, from_dict, to_dict
from elastic_search.errors import ElasticError, FileError
from elastic_search.files import toml
from elastic_search.files.schema import Count, Depth, SplitText, Strict, told, too_deep, validated


class _StageModel(Strict):
    width: Count
    depth: Depth
    split: SplitText | None = None
    splits: list[SplitText] | None = None
    down: Literal["avgpool", "trained"] | list[Literal["avgpool", "trained"]] | None = None
    up: Literal["bilinear", "nearest", "trained"] | list[Literal["bilinear", "nearest", "trained"]] | None = None

    @model_validator(mode="after")
    def _one_spelling(self) -> _StageModel:
        if self.split is not None and self.splits is not None:
            raise ValueError("give either split (for all blocks) or splits (one for each block), not both")
        return self


class SpecModel(Strict):
    """What the spec files of all families have in common."""

    schema_: Literal[1] = Field(alias="schema")
    family: str
    name: str = ""
    stem: Literal["imagenet", "small"] = "imagenet"
    classes: Count = 1000
    stages: Annotated[list[_StageModel], Field(min_length=1, max_length=16)]


@cache
def _model(family: str) -> type[SpecModel]:
    """What the files of a family contain: a key for each field of its specs."""
    kind, made = FAMILIES[family], dict[str, Any](family=(Literal[tuple(FAMILIES)], ...))
    for field in fields(kind):
        if field.name not in (*SpecModel.model_fields, "head"):
            low, high = kind.BOUNDS.get(field.name, (1, MAX_COUNT))
            bounds = Field(strict=True, ge=low, le=high) if type(field.default) is int else Field(strict=True)
            made[field.name] = (Annotated[type(field.default), bounds], field.default)
    return create_model(family, __base__=SpecModel, **made)


def _mistakes(data: dict[str, Any], model: type[SpecModel]) -> list[str]:
    """What is wrong with each stage of a spec whose values have the right type."""
    stages = data.get("stages")
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
        if deep := too_deep(f"stages[{i}].depth", FAMILIES[rest["family"]], entry["depth"]):
            mistakes += deep
            continue
        chain = [entry if j == i else plain for j in range(len(stages))]
        mistakes += told(f"stages[{i}]", partial(from_dict, {**rest, "stages": chain}))
    return mistakes


def load_spec(path: str | Path) -> Spec:
    """Load the network that a spec file describes.

    Raises:
        FileError: if there are mistakes; names the file and all of them.
    """
    data = toml.parse(toml.read(Path(path)), str(path))
    if "base" in data and not {"family", "stages"} & set(data):
        raise FileError(f"{path}: a space, not a network", "elastic-search search and elastic-search space take spaces")
    family = str(data.get("family"))
    # The model of any family reports an unknown name.
    model = _model(family if family in FAMILIES else next(iter(FAMILIES)))
    parsed = validated(data, str(path), model, _mistakes(data, model))
    try:
        return from_dict(parsed.model_dump(by_alias=True, exclude_none=True))
    except ElasticError as error:
        raise FileError(f"{path}: {error.message}", error.hint) from None


def dump_spec(spec: Spec, comments: tuple[str, ...] = ()) -> str:
    """A spec as the text of a TOML file, which ``load_spec`` reads back as an equal spec."""
    data = to_dict(spec)
    stages = data.pop("stages")
    lines = [f"# {comment}" for comment in comments]
    lines += [f"{key} = {toml.written(value)}" for key, value in data.items()]
    for stage in stages:
        lines += ["", "[[stages]]", *(f"{key} = {toml.written(value)}" for key, value in stage.items())]
    return "\n".join(lines) + "\n"
