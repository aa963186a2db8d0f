"""The table and JSON of ``models``."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import PUBLISHED, spec_id
from elastic_search.cost.tally import Tally, tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.errors import ShapeError
from elastic_search.report.table import Column, Table

SCHEMA = 1


def models_data(input: Shape) -> list[dict[str, Any]]:
    """A row for each network of the paper, counted from its graph."""
    rows = []
    for name, entry in PUBLISHED.items():
        spec = entry.spec
        try:
            macs: Tally | None = tally(spec.graph(), input, MACS)
            fvcore: Tally | None = tally(spec.graph(), input, FVCORE)
        except ShapeError:
            macs = fvcore = None  # this network has no room on so small an image
        rows.append(
            {
                "name": name,
                "depths": list(spec.depths),
                "elastic_blocks": spec.elastic_blocks,
                "params": spec.graph().params,
                "params_live": spec.graph().params_live,
                "macs": macs and macs.total,
                "fvcore": fvcore and fvcore.total,
                "activations": macs and macs.activations,
                "paper_tables": list(entry.tables),
                "elastic": entry.elastic,
                "note": entry.note,
                "id": spec_id(spec),
            }
        )
    return rows


def models_json(input: Shape) -> dict[str, Any]:
    """The machine form of ``models``."""
    return {"schema": SCHEMA, "input": list(input), "networks": models_data(input)}


def models_table(input: Shape) -> Table:
    """The networks with their costs and where the paper reports them."""
    columns = (
        Column("name", "network"),
        Column("depths", "depths"),
        Column("elastic_blocks", "Elastic", "number"),
        Column("params", "params", "count"),
        Column("macs", "macs", "count"),
        Column("fvcore", "fvcore", "count"),
        Column("paper_tables", "in tables"),
    )
    rows, notes = [], []
    for row in models_data(input):
        tables = ",".join(map(str, row["paper_tables"]))
        mark = "*" if row["note"] else ""
        rows.append({**row, "depths": "-".join(map(str, row["depths"])), "paper_tables": tables + mark})
        if row["note"]:
            notes.append(f"* {row['name']}: {row['note']}")
    notes.append(f"macs: {MACS.meaning}; fvcore: {FVCORE.meaning}")
    return Table(f"Networks of the paper, counted at {input.height}x{input.width}", columns, rows, tuple(notes))
