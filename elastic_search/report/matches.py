"""The table and JSON of ``match``."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.spec import Spec
from elastic_search.arch.split import Split
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.report.table import Column, Table
from elastic_search.space.depths import Matches

SCHEMA = 1
TRAINED = "params include the trained filters of the resampling; the other types add none"


def match_rows(found: Matches, base: Spec) -> list[dict[str, Any]]:
    """A row for each network: depths, exact costs, and relative differences to the base."""
    own = tally(base.graph(), found.band.input, MACS)
    rows = []
    for candidate in found.networks:
        macs = candidate.matcher.cost(candidate, MACS)
        rows.append(
            {
                "depths": list(candidate.spec.depths),
                found.band.convention.name: candidate.cost,
                "difference": found.band.change(candidate.cost),
                "macs": macs,
                "macs_difference": macs / own.total - 1,
                "params": candidate.params,
                "params_difference": candidate.params / own.params - 1,
                "id": spec_id(candidate.spec),
            }
        )
    return rows


def match_table(rows: list[dict[str, Any]], matches: Matches, title: str, filters: bool = False) -> Table:
    """Rows of ``match_rows`` as a table.

    Args:
        rows: of the networks to show.
        matches: what was found.
        title: of the table.
        filters: whether the networks have trained filters.
    """
    found, band, params = matches.found, matches.band, matches.params
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
    bounded = () if params is None else (f"and {params}",)
    more = f"{found:,} match" + (f"; the nearest {len(rows)} are shown (--limit)" if len(rows) < found else "")
    trained = (TRAINED,) if filters else ()
    return Table(title, tuple(columns), shown, (more, f"inside: {band}", *bounded, *trained))


def match_json(rows: list[dict[str, Any]], found: Matches, base: str, split: Split) -> dict[str, Any]:
    """The machine form of ``match``."""
    band, params = found.band, found.params
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
        "params": params and [params.low, params.high],
        "found": found.found,
        "networks": rows,
    }
