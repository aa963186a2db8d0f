"""What space files may hold, and what of it their base does not allow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from elastic_search.arch.ops import image
from elastic_search.arch.spec import MAX_COUNT, Spec
from elastic_search.arch.split import PLAIN, TYPES, parse_split, whole_groups
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tools import CONVENTIONS, FVCORE
from elastic_search.errors import ElasticError
from elastic_search.files.schema import (
    MAX_CHOICES,
    BaseName,
    Count,
    Depths,
    Part,
    Resampling,
    Share,
    Size,
    SplitText,
    Strict,
    Widths,
    depths_of,
    told,
    too_deep,
)
from elastic_search.recipes import Proxy, Training

MAX_PIXELS = 4_000_000_000
_CONVENTIONS = tuple(dict.fromkeys((FVCORE.name, *CONVENTIONS)))


class _SplitsModel(Strict):
    choices: Annotated[list[SplitText], Field(min_length=1, max_length=MAX_CHOICES)]
    per: Literal["block", "stage", "network"] = "stage"


class _ResamplingModel(Strict):
    choices: list[Resampling] = Field(default=list(TYPES[:1]), min_length=1)


class _CardinalityModel(Strict):
    choices: Annotated[list[Count], Field(min_length=1, max_length=MAX_CHOICES)]


class _BandModel(Strict):
    tolerance: Share = Fraction(1, 100)
    convention: Literal[_CONVENTIONS] = FVCORE.name  # type: ignore[valid-type]
    input: Size = image(224, 224)
    target: Annotated[int, Field(strict=True, ge=1, le=2**53)] | None = None
    params: Share | None = None
    inputs: list[Size] = Field(default=[], max_length=4)


class _ProxyModel(Strict):
    width: Part = Proxy.width
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


class SpaceModel(Strict):
    """A space file."""

    schema_: Literal[1] = Field(alias="schema")
    description: str = ""
    base: BaseName
    depths: dict[str, Depths]
    splits: _SplitsModel
    resampling: _ResamplingModel = _ResamplingModel()
    widths: dict[str, Widths] | None = None
    cardinality: _CardinalityModel | None = None
    band: _BandModel = _BandModel()
    proxy: _ProxyModel = _ProxyModel()


def space_mistakes(data: dict[str, Any]) -> list[str]:
    """What is wrong with a space in view of its base, as far as its values are of the right kind."""
    if not isinstance(data.get("base"), str) or data["base"] not in PUBLISHED:
        return []
    base, mistakes = published(data["base"]), []
    stages = [base.stage_name(i) for i in range(len(base.stages))]
    mistakes += _unknown_stages("depths", data, stages)
    if isinstance(depths := data.get("depths"), dict):
        mistakes += [f"depths.{stage}: missing" for stage in stages if stage not in depths]
        for stage, of in depths.items():
            with suppress(ValueError):
                mistakes += too_deep(f"depths.{stage}", base, max(depths_of(of)))
    mistakes += _unknown_stages("widths", data, stages)
    mistakes += _width_mistakes(base, stages, data.get("widths"), data.get("cardinality"))
    splits = data.get("splits")
    choices = splits.get("choices") if isinstance(splits, dict) else None
    paths = min(base.paths(i) for i in range(len(base.stages)))
    for i, text in enumerate(choices if isinstance(choices, list) else ()):
        try:
            branches = parse_split(text).branches if isinstance(text, str) else ()
        except ElasticError:
            continue  # named by the check of its value
        groups = (whole_groups(branch.share, paths, "any block") for branch in branches)
        mistakes += told(f"splits.choices[{i}]", partial(list, groups))
    return mistakes


def _unknown_stages(table: str, data: dict[str, Any], stages: list[str]) -> list[str]:
    keys = data[table] if isinstance(data.get(table), dict) else ()
    return [f"{table}.{key}: unknown stage; legal are {', '.join(stages)}" for key in keys if key not in stages]


def _width_mistakes(base: Spec, stages: list[str], widths: Any, cardinality: Any) -> list[str]:
    """Widths and numbers of paths that the base cannot have, each by itself."""
    mistakes = []
    for i, name in enumerate(stages):
        values = widths.get(name) if isinstance(widths, dict) else None
        for j, width in enumerate(values if isinstance(values, list) else ()):
            if type(width) is int and 1 <= width <= MAX_COUNT and not cardinality:
                changed = tuple(replace(s, width=width) if n == i else s for n, s in enumerate(base.stages))
                mistakes += told(f"widths.{name}[{j}]", partial(replace, base, stages=changed))
    choices = cardinality.get("choices") if isinstance(cardinality, dict) and hasattr(base, "cardinality") else None
    for j, paths in enumerate(choices if isinstance(choices, list) else ()):
        if type(paths) is int and 1 <= paths <= MAX_COUNT and not widths:
            mistakes += told(f"cardinality.choices[{j}]", partial(_with_paths, base, paths))
    return mistakes


def _with_paths(base: Spec, paths: int) -> Spec:
    plain = tuple(replace(stage, splits=(PLAIN,) * len(stage.splits)) for stage in base.stages)
    return replace(base, stages=plain, cardinality=paths)  # type: ignore[call-arg]
