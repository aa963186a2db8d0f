"""What ``flops --latency`` reports: measured times next to the counts."""

from __future__ import annotations

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.parts import Costs
from elastic_search.cost.timing import Timing
from elastic_search.cost.tools import MACS
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import size


def latency_report(networks: list[Costs], timings: list[Timing]) -> Report:
    """Each network's counts, its time per image in ms (median and quartiles), and ratios to the first."""
    first, macs, rules = timings[0], networks[0].macs, networks[0].count.convention
    rows, records, entries = list[Record](), list[Record](), list[Record]()
    about = {"batch": first.batch, "device": first.device, "rounds": first.rounds}
    about |= {"convention": rules.name, "unit": rules.unit}
    for costs, timing in zip(networks, timings, strict=True):
        counts = {"macs": costs.macs.total, "count": costs.count.total}
        ms = {key: round(1000 * getattr(timing, key), 4) for key in ("median", "low", "high")}
        ratios = {"macs_ratio": costs.macs.total / macs.total, "time_ratio": timing.median / first.median}
        entry: Record = {"role": costs.role, **counts, **{f"ms_{key}": value for key, value in ms.items()}, **ratios}
        entry["opaque"] = opaque_nodes(costs.network.graph)
        entries.append({"name": costs.network.label, **entry})
        records.append({"network": costs.network.label, "input": str(macs.input), **about, **entry})
        row: Record = {"role": costs.role, **counts, **{key: f"{ratio:.3f}" for key, ratio in ratios.items()}}
        rows.append({**row, "median": f"{ms['median']:.2f}", "spread": f"{ms['low']:.2f} to {ms['high']:.2f}"})
    fields = [Field("role", "network"), Field("macs", "macs", "count")]
    fields += [Field("count", rules.name, "count")] * (rules is not MACS)
    fields += [Field("median", "ms/image", "number"), Field("spread", "quartiles", "number")]
    fields += [Field("macs_ratio", "macs x", "number"), Field("time_ratio", "time x", "number")]
    notes = [f"{costs.role}: {costs.network.label}" for costs in networks]
    notes += reading_notes((costs.role, costs.network) for costs in networks)
    notes.append(f"median and quartiles of {first.rounds} passes, networks in turn; x: relative to the first")
    head = {"input": list(macs.input), **about, "networks": entries}
    title = f"Time per image at {size(macs.input)}, batches of {first.batch}, on {first.device}"
    return Report(title, fields, rows, notes, head, "flops --latency", records)
