"""What ``models`` reports: the networks known by name."""

from __future__ import annotations

from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import PUBLISHED, spec_id
from elastic_search.cost.tally import Tally, tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.errors import ShapeError
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.text import size


def models_report(input: Shape) -> Report:
    """Each network of the paper with its costs, counted from its graph, and where the paper reports them."""
    networks = [_network(name, input) for name in PUBLISHED]
    fields = [
        Field("name", "network"),
        Field("depths", "depths", "depths"),
        Field("elastic_blocks", "Elastic", "number"),
    ]
    fields += [Field(key, key, "count") for key in ("params", "macs", "fvcore")]
    rows, notes = [], []
    for network in networks:
        mark = "*" if network["note"] else ""
        rows.append({**network, "paper_tables": ",".join(map(str, network["paper_tables"])) + mark})
        notes += [f"* {network['name']}: {network['note']}"] if mark else []
    notes.append(f"macs: {MACS.meaning}; fvcore: {FVCORE.meaning}")
    head = {"input": list(input), "networks": networks}
    title = f"Networks of the paper, counted at {size(input)}"
    return Report(title, [*fields, Field("paper_tables", "in tables")], rows, notes, head)


def _network(name: str, input: Shape) -> Record:
    entry = PUBLISHED[name]
    spec = entry.spec
    graph = spec.graph()
    try:
        macs: Tally | None = tally(graph, input, MACS)
        fvcore: Tally | None = tally(graph, input, FVCORE)
    except ShapeError:
        macs = fvcore = None  # this network has no room on so small an image
    return {
        "name": name,
        "depths": list(spec.depths),
        "elastic_blocks": spec.elastic_blocks,
        "params": graph.params,
        "params_live": graph.params_live,
        "macs": macs and macs.total,
        "fvcore": fvcore and fvcore.total,
        "activations": macs and macs.activations,
        "paper_tables": list(entry.tables),
        "elastic": entry.elastic,
        "note": entry.note,
        "id": spec_id(spec),
    }
