"""The table and JSON of ``match``."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.split import Split
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tools import MACS
from elastic_search.report.table import Column, Table
from elastic_search.space.band import Band
from elastic_search.space.match import Candidate, Matcher

SCHEMA = 1
TRAINED = "params include the trained filters of the resampling; the other types add none"


def match_rows(
    candidates: list[Candidate], matcher: Matcher, band: Band, base_params: int, base_macs: int
) -> list[dict[str, Any]]:
    """A row for each candidate: depths, exact costs, and relative differences to the base."""
    rows = []
    for candidate in candidates:
        macs = matcher.cost(candidate, MACS)
        rows.append(
            {
                "depths": list(candidate.spec.depths),
                band.convention.name: candidate.cost,
                "difference": candidate.cost / band.target - 1,
                "macs": macs,
                "macs_difference": macs / base_macs - 1,
                "params": candidate.params,
                "params_difference": candidate.params / base_params - 1,
                "id": spec_id(candidate.spec),
            }
        )
    return rows


def match_table(
    rows: list[dict[str, Any]], found: int, band: Band, title: str, params: tuple[int, int] | None = None,
    filters: bool = False,
) -> Table:  # fmt: skip
    """Rows of ``match_rows`` as a table.

    Args:
        rows: of the networks to show.
        found: how many there are in all.
        band: of costs.
        title: of the table.
        params: bounds of the parameters, if there are any.
        filters: whether the networks have trained filters.
    """
    name = band.convention.name
    columns = [
        Column("rank", "#", "number"),
        Column("depths", "depths"),
        Column(name, name, "count"),
        Column("difference", "change", "change"),
    ]
    if name != "macs":
        columns += [Column("macs", "macs", "count"), Column("macs_difference", "change", "change")]
    columns += [Column("params", "params", "count"), Column("params_difference", "change", "change")]
    shown: list[dict[str, Any] | None] = [
        {**row, "rank": i, "depths": "-".join(map(str, row["depths"]))} for i, row in enumerate(rows, 1)
    ]
    bounded = () if params is None else (f"and {params[0]:,} to {params[1]:,} parameters",)
    more = f"{found:,} match" + (f"; the nearest {len(rows)} are shown (--limit)" if len(rows) < found else "")
    trained = (TRAINED,) if filters else ()
    return Table(title, tuple(columns), shown, (more, f"inside: {band}", *bounded, *trained))


def match_json(
    rows: list[dict[str, Any]], found: int, band: Band, base: str, split: Split, params: tuple[int, int] | None = None
) -> dict[str, Any]:
    """The machine form of ``match``."""
    return {
        "schema": SCHEMA,
        "base": base,
        "split": str(split),
        "down": split.down if split.scales_down else None,
        "up": split.up if split.scales_down else None,
        "input": list(band.input),
        "convention": band.convention.name,
        "unit": band.convention.unit,
        "target": band.target,
        "low": band.low,
        "high": band.high,
        "params": None if params is None else list(params),
        "found": found,
        "networks": rows,
    }
