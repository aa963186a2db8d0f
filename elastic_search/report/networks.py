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
from elastic_search.report.spaces import band_columns, band_head
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
    fields += [Field("params", "params", "count"), Field("macs", "macs", "count"), Field("count", "fvcore", "count")]
    rows, notes = [], []
    for network in networks:
        mark = "*" if network["note"] else ""
        rows.append({**network, "paper_tables": ",".join(map(str, network["paper_tables"])) + mark})
        notes += [f"* {network['name']}: {network['note']}"] if mark else []
    notes.append(f"macs: {MACS.meaning}; fvcore: {FVCORE.meaning}")
    about: Record = {"input": list(input), "convention": FVCORE.name, "unit": FVCORE.unit}
    records = [{**network, **about, "network": network["name"], "input": str(input)} for network in networks]
    title = f"Networks known by name, counted at {size(input)}"
    fields.append(Field("paper_tables", "in tables"))
    report = Report(title, fields, rows, notes, {**about, "networks": networks}, "models", records)
    return report.without("elastic_blocks", "depths", "paper_tables")


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
        "count": fvcore and fvcore.total,
        "activations": macs and macs.activations,
        "paper_tables": list(entry.tables),
        "elastic": entry.elastic,
        "note": entry.note or None,
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
    band, params, found, rules = matches.band, matches.params, matches.found, matches.band.convention
    own = tally(base.graph(), band.input, MACS)
    networks: list[Record] = []
    for rank, candidate in enumerate(matches.networks, 1):
        row: Record = {"rank": rank, "depths": list(candidate.spec.depths), "count": candidate.cost}
        row |= {"difference": band.change(candidate.cost), "macs": candidate.matcher.cost(candidate, MACS)}
        row |= {"macs_difference": row["macs"] / own.total - 1, "params": candidate.params}
        row |= {"params_difference": candidate.params / own.params - 1, "id": spec_id(candidate.spec)}
        networks.append(row)
    fields = [Field("rank", "#", "number"), Field("depths", "depths", "depths")]
    if rules is not MACS:
        fields += [Field("count", rules.name, "count"), Field("difference", "change", "change")]
    for key in ("macs", "params"):
        fields += [Field(key, key, "count"), Field(f"{key}_difference", "change", "change")]
    types = f" ({split.down} down, {split.up} up)" if split.scales_down else ""
    shown = "the nearest one is" if len(networks) == 1 else f"the nearest {len(networks)} are"
    more = f"; {shown} shown (--limit)" if len(networks) < found else ""
    notes = [f"{found:,} match{'es' * (found == 1)}{more}", f"inside: {band}"]
    notes += [f"and {params}"] if params else []
    if band.target != tally(base.graph(), band.input, rules).total:
        others = "params" if rules is MACS else "macs and params"
        notes.append(f"change: of {rules.name} from the target, of {others} from {label}")
    notes += [TRAINED] * (split.up == "trained")
    head: Record = {"base": label, "split": str(split), "down": split.down if split.scales_down else None}
    head |= {"up": split.up if split.scales_down else None, **band_head(band)}
    head |= {"params": params and [params.low, params.high], "found": found, "networks": networks}
    rows = [{**row, **band_columns(band)} for row in networks]
    title = f"Depths of {label} with split {split}{types} at {size(band.input)}"
    return Report(title, fields, rows, notes, head, "match").without("macs_difference", "macs")
