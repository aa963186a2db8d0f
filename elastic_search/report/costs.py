"""What ``flops`` reports: the costs of networks, side by side, and at several input sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.zoo import spec_id, to_dict
from elastic_search.cost.parts import Costs, Part, merged, trained_params
from elastic_search.cost.tools import MACS
from elastic_search.report.emit import Field, Record, Report, Unit
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import resolutions_text, size

if TYPE_CHECKING:
    from elastic_search.arch.network import Network
    from elastic_search.cost.convention import Convention
    from elastic_search.nn.elastic.elasticize import Elasticized

MOST_NAMED = 8
"""Most unused parts that a note names."""

Aligned = list[tuple[str, list[Record | None]]]
"""For each path, the row of every network (None where it has no such part)."""


def costs_report(networks: list[Costs], by: str) -> Report:
    """The costs of a network by stage, block, op or module; two stand side by side or, in narrow form, stacked."""
    fields = [Field("blocks", "blocks", "number")] * (by == "stage") + [Field("resolution", "pixels", "long")]
    fields += [*_count_fields(networks[0].count.convention), Field("share", "share", "percent")]
    tables = [_rows(costs, by) for costs in networks]
    title = f"{' and '.join(costs.network.label for costs in networks)} at {size(networks[0].macs.input)}"
    report = Report(
        title,
        [Field("part", by, "long"), *fields],
        [*tables[0][:-1], None, tables[0][-1]],
        _notes(networks),
        head=lambda: _document([networks], by),
        form="flops",
        records=[row for rows in tables for row in rows],
    )
    if len(networks) == 1:
        return report
    of_paths = [{row["part"]: row for row in rows[:-1]} for rows in tables]
    aligned: Aligned = [(path, [rows.get(path) for rows in of_paths]) for path in merged(of_paths)]
    aligned.append(("total", [rows[-1] for rows in tables]))
    narrow = Report(
        title, [Field("part", by, "long"), Field("role", "network"), *fields], _stacked(aligned, fields), report.notes
    )
    return _side_by_side(report._replace(narrow=narrow), [costs.role for costs in networks], aligned, by, fields)


def _rows(costs: Costs, by: str) -> list[Record]:
    """The parts of a network and, last, its total, as rows of the table and of CSV."""
    parts = [_row(costs, part) | {"level": by, "path": part.path, "kind": part.kind} for part in costs.parts]
    return [*parts, _whole(costs)]


def _whole(costs: Costs) -> Record:
    """The total; what notes say of a network are values of its row, too."""
    return _row(costs, costs.whole) | {"level": "total", **_about(costs.network)}


def _about(network: Network) -> Record:
    spec, graph = network.spec, network.graph
    about: Record = {"elastic_blocks": network.elastic_blocks, "params_live": graph.params_live}
    about |= {"params_trained_filters": trained_params(spec) if spec and spec.trained_filters else 0}
    return about | {"opaque": opaque_nodes(graph), "reading": list(network.notes)}


def _row(costs: Costs, part: Part) -> Record:
    rules, input = costs.count.convention, costs.macs.input
    row: Record = {"network": costs.network.label, "role": costs.role, "input": str(input), "part": part.path}
    row |= {"convention": rules.name, "unit": rules.unit, "blocks": part.blocks, "resolutions": part.resolutions}
    row |= {"resolution": resolutions_text(part.resolutions) or None, **_counts(part)}
    return row | {"share": _share(costs, part)}


def _counts(part: Part) -> Record:
    return {"params": part.params, "macs": part.macs, "count": part.count, "activations": part.activations}


def _share(costs: Costs, part: Part) -> float:
    return part.count / costs.count.total if costs.count.total else 0.0


def _count_fields(convention: Convention) -> list[Field]:
    """Columns of a table with every count; macs as the convention are shown once."""
    count = [] if convention is MACS else [Field("count", convention.name, "count")]
    first = [Field("params", "params", "count"), Field("macs", "macs", "count")]
    return [*first, *count, Field("activations", "acts", "count")]


def _change(rows: list[Record | None], fields: list[Field], suffix: str = "") -> Record:
    """The relative change of every count, if both networks have the part."""
    before, after = rows
    if before is None or after is None:
        return {}
    keys = [field.key for field in fields if field.kind == "count"]
    return {f"{key}{suffix}": after[key] / before[key] - 1 if before[key] else None for key in keys}


def _stacked(aligned: Aligned, fields: list[Field]) -> list[Record | None]:
    rows: list[Record | None] = []
    for path, of_networks in aligned:
        rows += [None] * bool(rows) + [row for row in of_networks if row]
        if change := _change(of_networks, fields):
            rows.append({"part": path, "role": "change", **change})
    return rows


def _side_by_side(report: Report, roles: list[str], aligned: Aligned, by: str, fields: list[Field]) -> Report:
    wide, units = [Field("part", by, "long")], dict[str, Unit]()
    for field in fields:
        keys = {f"{field.key}_{i}": role for i, role in enumerate(roles)}
        wide += [Field(key, f"{field.title}\n{role}", field.kind) for key, role in keys.items()]
        if field.kind == "count":
            units |= dict.fromkeys(keys, (report.narrow or report).unit(field))
            wide.append(Field(f"{field.key}_change", "\nchange", "change"))
    rows: list[Record | None] = []
    for path, of_networks in aligned:
        cells = {f"{key}_{i}": value for i, row in enumerate(of_networks) for key, value in (row or {}).items()}
        rows.append({"part": path, **cells, **_change(of_networks, fields, "_change")})
    return report._replace(fields=wide, rows=[*rows[:-1], None, rows[-1]], units=units)


def _notes(networks: list[Costs]) -> list[str]:
    lines, convention = [], networks[0].count.convention
    for costs in networks:
        label = "" if len(networks) == 1 else f"{costs.role}: {costs.network.label}"
        blocks = costs.network.elastic_blocks
        parts = [label, "" if blocks is None else f"{blocks} Elastic blocks"]
        lines += [", ".join(filter(None, parts))] if any(parts) else []
    for costs in networks:
        spec = costs.network.spec
        if spec is not None and spec.trained_filters:
            added = f"{trained_params(spec):,} of {costs.count.params:,} params"
            lines.append(f"{costs.role}: {added} are trained resampling filters")
    lines += _dead_notes(networks)
    lines += reading_notes((costs.role, costs.network) for costs in networks)
    used = dict.fromkeys((MACS, convention))
    lines.append("; ".join(f"{rules.name}: {rules.meaning}" for rules in used))
    return [*lines, f"share: of {convention.name}; acts: output elements of convolutions and linear layers"]


def _dead_notes(networks: list[Costs]) -> list[str]:
    """Parts whose result is not used, and why; networks with the same unused parts share a note."""
    notes: dict[str, list[str]] = {}
    for costs in networks:
        spec, graph = costs.network.spec, costs.network.graph
        if graph.params_live == graph.params:
            continue
        dead = [path for path in graph.dead() if graph.at(path).params]
        named = ", ".join(dead[:MOST_NAMED]) + (f" and {len(dead) - MOST_NAMED} more" if len(dead) > MOST_NAMED else "")
        why = f": {spec.WHY_DEAD}" if spec is not None and spec.WHY_DEAD else ""
        live = f"{graph.params_live:,} of {graph.params:,} params are used; the results of {named} are not{why}"
        notes.setdefault(live, []).append(costs.role)
    return [f"{', '.join(roles)}: {note}" for note, roles in notes.items()]


def _document(counted: list[list[Costs]], by: str) -> Record:
    """Plain integers, one entry per network and input size."""
    convention, entries = counted[0][0].count.convention, [_entry(costs) for of in counted for costs in of]
    head: Record = {"by": by, "convention": convention.name, "unit": convention.unit}
    if len(counted) > 1:
        return {**head, "networks": entries}
    head = {"input": list(counted[0][0].macs.input), **head, "networks": entries}
    if len(entries) > 1:
        before, after = entries
        keys = _counts(counted[0][0].whole)
        head["difference"] = {key: after[key] - before[key] for key in keys}
        head["ratio"] = {key: after[key] / before[key] if before[key] else None for key in keys}
    return head


def _entry(costs: Costs) -> Record:
    network, spec = costs.network, costs.network.spec
    entry: Record = {"name": network.label, "role": costs.role, "input": list(costs.macs.input)}
    entry |= {"id": spec and spec_id(spec), **_about(network), **_elasticized(network.elasticized)}
    entry |= {"blocks": costs.whole.blocks, **_counts(costs.whole), "parts": []}
    for part in costs.parts:
        about: Record = {"path": part.path, "kind": part.kind, "blocks": part.blocks}
        about["resolutions"] = [list(resolution) for resolution in part.resolutions]
        entry["parts"].append({**about, **_counts(part), "share": _share(costs, part)})
    return entry | {"spec": spec and to_dict(spec)}


def _elasticized(change: Elasticized | None) -> Record:
    """The result of ``elasticize``, under a key of its own."""
    if change is None:
        return {}
    replaced = [{"path": c.path, "before": c.before, "after": c.after} for c in change.replaced]
    left = [vars(entry) for entry in change.left]
    found = {"split": str(change.split), "convention": change.convention, "unit": change.unit}
    return {"elasticized": {**found, "replaced": replaced, "left": left}}


def sizes_report(counted: list[list[Costs]], by: str) -> Report:
    """Totals of the same networks at several input sizes; JSON and CSV have their parts, too."""
    first, rows = counted[0], list[Record | None]()
    for networks in counted:
        rows += [None] * bool(rows and len(networks) > 1)
        rows += [{**_whole(costs), "size": size(costs.macs.input)} for costs in networks]
    return Report(
        f"{' and '.join(costs.network.label for costs in first)} by input size",
        [Field("size", "input"), Field("role", "network"), *_count_fields(first[0].count.convention)],
        rows,
        _notes(first)[:-1],
        head=lambda: _document(counted, by),
        form="flops",
        records=[row for networks in counted for costs in networks for row in _rows(costs, by)],
    )
