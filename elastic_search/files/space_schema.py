"""What space files may contain, and what their base does not allow."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from elastic_search.arch.edit import elastic
from elastic_search.arch.ops import image
from elastic_search.arch.spec import MAX_COUNT
from elastic_search.arch.split import PLAIN, TYPES, parse_split, whole_groups
from elastic_search.arch.zoo import PUBLISHED, published
from elastic_search.cost.tools import CONVENTIONS, FVCORE
from elastic_search.errors import ElasticError
from elastic_search.files.schema import (
    MAX_CHOICES,
    Amount,
    BaseName,
    Count,
    Depths,
    Part,
    Share,
    Size,
    SplitText,
    Strict,
    Widths,
    depths_of,
    told,
    too_deep,
)
from elastic_search.recipes import Data, Proxy, Training
from elastic_search.recipes.training import Metric, Optimizer, Schedule

MAX_PIXELS = 4_000_000_000
_CONVENTIONS = tuple(dict.fromkeys((FVCORE.name, *CONVENTIONS)))


class _SplitsModel(Strict):
    choices: Annotated[list[SplitText], Field(min_length=1, max_length=MAX_CHOICES)]
    per: Literal["block", "stage", "network"] = "stage"


class _ResamplingModel(Strict):
    choices: list[Literal[TYPES]] = Field(default=[TYPES[0]], min_length=1)  # type: ignore[valid-type]


class _CardinalityModel(Strict):
    choices: Annotated[list[Count], Field(min_length=1, max_length=MAX_CHOICES)]


class _BandModel(Strict):
    tolerance: Share = Fraction(1, 100)
    convention: Literal[_CONVENTIONS] = FVCORE.name  # type: ignore[valid-type]
    input: Size = image(224, 224)
    target: Amount | None = None
    params: Share | None = None
    classes: Count | None = None
    inputs: list[Size] = Field(default=[], max_length=4)


class _ProxyModel(Strict):
    width: Part = Proxy.width
    stem: Literal["small", "imagenet"] = Proxy.stem
    input: Annotated[int, Field(strict=True, ge=15, le=512)] = Proxy.input
    epochs: Annotated[int, Field(strict=True, ge=1, le=10_000)] = Training.epochs
    train_images: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = Training.train_images
    val_images: Annotated[int, Field(strict=True, ge=0, le=1_000_000)] = Training.val_images
    test_images: Annotated[int, Field(strict=True, ge=10, le=1_000_000)] = Training.test_images
    smallest_object: Annotated[int, Field(strict=True, ge=12, le=512)] = Training.smallest_object
    batch: Annotated[int, Field(strict=True, ge=2, le=65_536)] = Training.batch
    optimizer: Optimizer = Training.optimizer
    learning_rate: Annotated[float, Field(gt=0, le=100)] = Training.learning_rate
    adamw_lr: Annotated[float, Field(gt=0, le=100)] = Training.adamw_lr
    weight_decay: Annotated[float, Field(ge=0, le=1)] = Training.weight_decay
    pct_start: Annotated[float, Field(ge=0, le=1)] = Training.pct_start
    zero_init_last: Annotated[bool, Field(strict=True)] = Training.zero_init_last
    shift: Annotated[int, Field(strict=True, ge=0, le=512)] = Training.shift
    ema: Annotated[float, Field(ge=0, lt=1)] = Training.ema
    schedule: Schedule = Training.schedule
    momentum: Annotated[float, Field(ge=0, lt=1)] = Training.momentum
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Training.label_smoothing
    metric: Metric = Training.metric

    @model_validator(mode="after")
    def _in_reach(self) -> _ProxyModel:
        if not 0 < self.width <= 1:
            raise ValueError(f"width {self.width}: must be greater than 0 and at most 1")
        if 0 < self.val_images < 10:
            raise ValueError(f"val_images {self.val_images}: must be at least 10, or 0 to rank on the test scenes")
        # Scenes hold objects of up to 0.9 of their edge.
        if self.smallest_object >= 9 * self.input // 10:
            raise ValueError(
                f"smallest_object {self.smallest_object}: must be smaller than the largest object, "
                f"{9 * self.input // 10} px at input {self.input}"
            )
        # The border is reflected, and a reflection is at most as wide as what is reflected.
        if self.shift >= self.input:
            raise ValueError(f"shift {self.shift}: must be smaller than input, {self.input} px")
        pixels = self.train_images * self.input**2
        if pixels > MAX_PIXELS:
            raise ValueError(
                f"train_images times input squared is {pixels:,} pixels; at most {MAX_PIXELS:,} are allowed"
            )
        return self


class _DataModel(Strict):
    path: Annotated[str, Field(min_length=1)]
    subset: Annotated[Share, Field(gt=0, le=1)] = Data.subset
    held_out: Annotated[Share, Field(gt=0, lt=1)] = Data.held_out
    rank_on: Literal["held-out", "val"] = Data.rank_on


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
    data: _DataModel | None = None


def space_mistakes(data: dict[str, Any]) -> list[str]:
    """What the base does not allow, among the values that have the right type."""
    if not isinstance(data.get("base"), str) or data["base"] not in PUBLISHED:
        return []
    base = published(data["base"])
    names = [base.stage_name(i) for i in range(len(base.stages))]
    depths, widths = (data[key] if isinstance(data.get(key), dict) else {} for key in ("depths", "widths"))
    mistakes = [f"depths.{name}: missing" for name in names if name not in depths and "depths" in data]
    for table, keys in (("depths", depths), ("widths", widths)):
        legal = ", ".join(names)
        mistakes += [f"{table}.{key}: unknown stage; legal: {legal}" for key in keys if key not in names]
    for name, of in depths.items():
        with suppress(ValueError):
            mistakes += too_deep(f"depths.{name}", base, max(depths_of(of)))
    # Widths and numbers of paths are tried one at a time.
    for i, name in enumerate(names if "cardinality" not in data else ()):
        for j, width in _entries(int, widths.get(name)):
            stages = (*base.stages[:i], replace(base.stages[i], width=width), *base.stages[i + 1 :])
            mistakes += told(f"widths.{name}[{j}]", partial(replace, base, stages=stages))
    if hasattr(base, "cardinality") and not widths:
        for j, paths in _entries(int, data.get("cardinality")):
            mistakes += told(f"cardinality.choices[{j}]", partial(replace, elastic(base, PLAIN), cardinality=paths))
    fewest = min(base.paths(i) for i in range(len(base.stages)))
    for j, text in _entries(str, data.get("splits")):
        with suppress(ElasticError):  # reported by the check of the value
            groups = (whole_groups(branch.share, fewest, "any block") for branch in parse_split(text).branches)
            mistakes += told(f"splits.choices[{j}]", partial(list, groups))
    return mistakes


def _entries(kind: type, of: Any) -> list[tuple[int, Any]]:
    """Numbers and values of the entries of a list, or of a table's choices, that have the right type."""
    found = of.get("choices") if isinstance(of, dict) else of
    entries = enumerate(found if isinstance(found, list) else ())
    return [(j, x) for j, x in entries if type(x) is kind and (not isinstance(x, int) or 1 <= x <= MAX_COUNT)]
