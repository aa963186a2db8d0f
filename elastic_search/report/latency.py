"""The table and JSON of measured times beside the counts."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.timing import Timing
from elastic_search.report.costs import Costs
from elastic_search.report.opaque import opaque_notes
from elastic_search.report.table import Column, Table

SCHEMA = 1


def latency_rows(networks: list[Costs], timings: list[Timing]) -> list[dict[str, Any]]:
    """A row for each network: its counts, its time per image in ms (median and quartiles), and ratios to the first."""
    rows: list[dict[str, Any]] = []
    for costs, timing in zip(networks, timings, strict=True):
        name = costs.count.convention.name
        rows.append(
            {
                "network": costs.network.label,
                "role": costs.role,
                "macs": costs.macs.total,
                name: costs.count.total,
                "ms_median": round(1000 * timing.median, 4),
                "ms_low": round(1000 * timing.low, 4),
                "ms_high": round(1000 * timing.high, 4),
                "macs_ratio": costs.macs.total / networks[0].macs.total,
                "time_ratio": timing.median / timings[0].median,
            }
        )
    return rows


def latency_table(networks: list[Costs], timings: list[Timing]) -> Table:
    """Counts and times side by side."""
    rows = latency_rows(networks, timings)
    name = networks[0].count.convention.name
    shown: list[dict[str, Any] | None] = []
    for row in rows:
        times = {key: f"{row[f'ms_{key}']:.2f}" for key in ("median", "low", "high")}
        ratios = {key: f"{row[key]:.3f}" for key in ("macs_ratio", "time_ratio")}
        shown.append({**row, **times, **ratios, "spread": f"{times['low']} to {times['high']}"})
    columns = [Column("role", "network"), *(Column(key, key, "count") for key in dict.fromkeys(("macs", name)))]
    columns += [Column("median", "ms/image", "number"), Column("spread", "quartiles", "number")]
    columns += [Column("macs_ratio", "macs x", "number"), Column("time_ratio", "time x", "number")]
    first = timings[0]
    input = networks[0].macs.input
    title = f"Time per image at {input.height}x{input.width}, batches of {first.batch}, on {first.device}"
    notes = [f"{costs.role}: {costs.network.label}" for costs in networks]
    notes += opaque_notes((costs.role, costs.network.graph) for costs in networks)
    notes.append(f"median and quartiles of {first.rounds} passes, networks in turns; x: relative to the first")
    return Table(title, tuple(columns), shown, tuple(notes))


def latency_json(networks: list[Costs], timings: list[Timing]) -> dict[str, Any]:
    """The machine form."""
    first, input = timings[0], networks[0].macs.input
    head = {"schema": SCHEMA, "input": list(input), "batch": first.batch, "device": first.device}
    rows = zip(latency_rows(networks, timings), networks, strict=True)
    entries = [{**row, "opaque": opaque_nodes(costs.network.graph)} for row, costs in rows]
    return {**head, "rounds": first.rounds, "networks": entries}
