"""What the paper prints, kept digit by digit, and its networks counted beside it. Standard library only.

Wang et al. 2019, Tables 2 to 7. A printed figure is a Decimal with the digits of the page: ``20.0`` is not ``20``.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class ImageNetRow:
    """A row of Table 2: parameters in M, FLOPs in G, errors in percent; ``source`` is "own" or "quoted"."""

    model: str
    source: str
    params: Decimal
    flops: Decimal
    top1: Decimal
    top5: Decimal | None = None


@dataclass(frozen=True)
class MultiLabelRow:
    """A row of Table 3: F1 on MS COCO in percent."""

    model: str
    f1_per_class: Decimal
    f1_overall: Decimal


@dataclass(frozen=True)
class ObjectSizeRow:
    """A row of Table 4: F1 in percent by object size, per class (``_c``) and overall (``_o``)."""

    model: str
    small_c: Decimal
    medium_c: Decimal
    large_c: Decimal
    small_o: Decimal
    medium_o: Decimal
    large_o: Decimal


@dataclass(frozen=True)
class SegmentationRow:
    """A row of Table 5: mean IoU on PASCAL VOC in percent."""

    model: str
    original: Decimal
    elastic: Decimal


@dataclass(frozen=True)
class MethodRow:
    """A row of Table 6: a way of down- and up-sampling, FLOPs in G, top-1 error in percent."""

    method: str
    flops: Decimal
    top1: Decimal


@dataclass(frozen=True)
class ShareRow:
    """A row of Table 7: percent of the paths at high and low resolution, FLOPs in G, top-1 error in percent."""

    high: int
    low: int
    flops: Decimal
    top1: Decimal


@dataclass(frozen=True)
class Tables:
    """The paper's tables, rows in the paper's order."""

    table2: tuple[ImageNetRow, ...]
    table3: tuple[MultiLabelRow, ...]
    table4: tuple[ObjectSizeRow, ...]
    table5: tuple[SegmentationRow, ...]
    table6: tuple[MethodRow, ...]
    table7: tuple[ShareRow, ...]


_ROWS: dict[str, type[Any]] = {
    "table2": ImageNetRow,
    "table3": MultiLabelRow,
    "table4": ObjectSizeRow,
    "table5": SegmentationRow,
    "table6": MethodRow,
    "table7": ShareRow,
}


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The printed figures, read from ``tables.toml`` beside this file."""
    import tomllib
    from pathlib import Path

    text = Path(__file__).with_name("tables.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text, parse_float=Decimal)
    return Tables(**{name: tuple(kind(**row) for row in data[name]) for name, kind in _ROWS.items()})
