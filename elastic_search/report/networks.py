"""What ``models`` and ``match`` report: networks with their depths and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import PUBLISHED, spec_id
from elastic_search.cost.tally import Tally, tally
from elastic_search.cost.tools import FVCORE, MACS
from elastic_search.errors import ShapeError
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import TRAINED
from elastic_search.report.text import size

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec
    from elastic_search.arch.split import Split
    from elastic_search.space.depths import Matches


def models_report(input: Shape) -> Report:
    """Each network known by name with its costs, counted from its graph, and the paper's tables that report it."""
    networks = [_network(name, input) for name in PUBLISHED]
    fields = [Field("name", "network"), Field("depths", "depths", "depths")]
    fields.append(Field("elastic_blocks", "Elastic", "number"))
    fields += [Field(key, key, "count") for key in ("params", "macs", "fvcore")]
    rows, notes = [], []
    for network in networks:
        mark = "*" if network["note"] else ""
        rows.append({**network, "paper_tables": ",".join(map(str, network["paper_tables"])) + mark})
        notes += [f"* {network['name']}: {network['note']}"] if mark else []
    notes.append(f"macs: {MACS.meaning}; fvcore: {FVCORE.meaning}")
    head = {"input": list(input), "networks": networks}
    title = f"Networks known by name, counted at {size(input)}"
    return Report(title, [*fields, Field("paper_tables", "in tables")], rows, notes, head)


def _network(name: str, input: Shape) -> Record:
    entry = PUBLISHED[name]
    spec = entry.spec
    graph = spec.graph()
    try:
        macs: Tally | None = tally(graph, input, MACS)
        fvcore: Tally | None = tally(graph, input, FVCORE)
    except ShapeError:
        macs = fvcore = None  # the image is too small for this network
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


def match_report(matches: Matches, label: str, base: Spec, split: Split) -> Report:
    """Networks with their exact costs and relative differences from the base.

    Args:
        matches: the networks.
        label: name of the base.
        base: the network whose cost they match.
        split: of every block that can be split.
    """
    band, params, found, name = matches.band, matches.params, matches.found, matches.band.convention.name
    own = tally(base.graph(), band.input, MACS)
    networks: list[Record] = []
    for candidate in matches.networks:
        row: Record = {"depths": list(candidate.spec.depths), name: candidate.cost}
        row |= {"difference": band.change(candidate.cost), "macs": candidate.matcher.cost(candidate, MACS)}
        row |= {"macs_difference": row["macs"] / own.total - 1, "params": candidate.params}
        row |= {"params_difference": candidate.params / own.params - 1, "id": spec_id(candidate.spec)}
        networks.append(row)
    fields = [Field("rank", "#", "number"), Field("depths", "depths", "depths")]
    for key in dict.fromkeys((name, "macs", "params")):
        fields += [Field(key, key, "count")]
        fields.append(Field("difference" if key == name else f"{key}_difference", "change", "change"))
    types = f" ({split.down} down, {split.up} up)" if split.scales_down else ""
    more = f"; showing the nearest {len(networks)} (--limit)" if len(networks) < found else ""
    notes = [f"{found:,} match{more}", f"inside: {band}"]
    notes += [f"and {params}"] if params else []
    notes += [TRAINED] * (split.up == "trained")
    head: Record = {"base": label, "split": str(split), "down": split.down if split.scales_down else None}
    head |= {"up": split.up if split.scales_down else None, "input": list(band.input), "convention": name}
    head |= {"unit": band.convention.unit, "target": band.target, "low": band.low, "high": band.high}
    head |= {"params": params and [params.low, params.high], "found": found, "networks": networks}
    rows = [{**row, "rank": rank} for rank, row in enumerate(networks, 1)]
    return Report(f"Depths of {label} with split {split}{types} at {size(band.input)}", fields, rows, notes, head)
