"""What the paper prints, kept digit by digit.

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
class ScoreRow:
    """A row of Tables 3 to 5: a network's scores in percent by column.

    Table 3: F1 on MS COCO, per class and overall. Table 4: F1 by object size, per class (``_c``) and overall (``_o``).
    Table 5: mean IoU on PASCAL VOC.
    """

    model: str
    scores: dict[str, Decimal]


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
    table3: tuple[ScoreRow, ...]
    table4: tuple[ScoreRow, ...]
    table5: tuple[ScoreRow, ...]
    table6: tuple[MethodRow, ...]
    table7: tuple[ShareRow, ...]


@lru_cache(maxsize=1)
def tables() -> Tables:
    """The printed figures, read from ``tables.toml`` next to this file."""
    import tomllib
    from pathlib import Path

    text = Path(__file__).with_name("tables.toml").read_text(encoding="utf-8")
    data = tomllib.loads(text, parse_float=Decimal)
    kinds = {"table2": ImageNetRow, "table6": MethodRow, "table7": ShareRow}
    found: dict[str, Any] = {
        name: tuple(kinds[name](**row) if name in kinds else ScoreRow(row.pop("model"), row) for row in rows)
        for name, rows in data.items()
    }
    return Tables(**found)
