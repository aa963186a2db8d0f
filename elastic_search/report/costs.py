"""What ``flops`` reports: the costs of networks, side by side, and at several input sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.zoo import spec_id, to_dict
from elastic_search.cost.parts import Costs, Part, merged, trained_params
from elastic_search.cost.tools import MACS
from elastic_search.report.emit import Field, Record, Report, Unit
from elastic_search.report.notes import SEE_CLASSES, opaque_notes, own_layer_notes
from elastic_search.report.text import resolutions_text, size

if TYPE_CHECKING:
    from elastic_search.nn.elastic.elasticize import Elasticized

MOST_NAMED = 8
"""Most unused parts that a note names."""

Aligned = list[tuple[str, list[Record | None]]]
"""For each path, the row of every network (None where it has no such part)."""


def costs_report(networks: list[Costs], by: str) -> Report:
    """The costs of a network by stage, block, op or module; two stand side by side or, in narrow form, stacked."""
    fields = [Field("blocks", "blocks", "number")] * (by == "stage") + [Field("resolution", "pixels", "long")]
    fields += [Field(key, key, "count") for key in dict.fromkeys(("params", "macs", networks[0].count.convention.name))]
    fields += [Field("activations", "acts", "count"), Field("share", "share", "percent")]
    tables = [[_row(costs, part, by) for part in (*costs.parts, costs.whole)] for costs in networks]
    title = f"{' and '.join(costs.network.label for costs in networks)} at {size(networks[0].macs.input)}"
    report = Report(
        title,
        [Field(by, by), *fields],
        [*tables[0][:-1], None, tables[0][-1]],
        _notes(networks),
        head=lambda: _document(networks, by),
        keys=["network", "role", by, *(field.key for field in fields)],
        records=[row for rows in tables for row in rows],
    )
    if len(networks) == 1:
        return report
    of_paths = [{row[by]: row for row in rows[:-1]} for rows in tables]
    aligned: Aligned = [(path, [rows.get(path) for rows in of_paths]) for path in merged(of_paths)]
    aligned.append(("total", [rows[-1] for rows in tables]))
    narrow = Report(
        title, [Field(by, by), Field("role", "network"), *fields], _stacked(aligned, by, fields), report.notes
    )
    return _side_by_side(report._replace(narrow=narrow), [costs.role for costs in networks], aligned, by, fields)


def _row(costs: Costs, part: Part, by: str) -> Record:
    row: Record = {"network": costs.network.label, "role": costs.role, by: part.path, "blocks": part.blocks}
    row |= {"resolution": resolutions_text(part.resolutions) or None, **_counts(costs, part)}
    return row | {"share": part.count / costs.count.total if costs.count.total else 0.0}


def _counts(costs: Costs, part: Part) -> Record:
    counted = {"params": part.params, "macs": part.macs, costs.count.convention.name: part.count}
    return {**counted, "activations": part.activations}


def _change(rows: list[Record | None], fields: list[Field], suffix: str = "") -> Record:
    """The relative change of every count, if both networks have the part."""
    before, after = rows
    if before is None or after is None:
        return {}
    keys = [field.key for field in fields if field.kind == "count"]
    return {f"{key}{suffix}": after[key] / before[key] - 1 if before[key] else None for key in keys}


def _stacked(aligned: Aligned, by: str, fields: list[Field]) -> list[Record | None]:
    rows: list[Record | None] = []
    for path, of_networks in aligned:
        rows += [None] * bool(rows) + [row for row in of_networks if row]
        if change := _change(of_networks, fields):
            rows.append({by: path, "role": "change", **change})
    return rows


def _side_by_side(report: Report, roles: list[str], aligned: Aligned, by: str, fields: list[Field]) -> Report:
    wide, units = [Field(by, by)], dict[str, Unit]()
    for field in fields:
        keys = {f"{field.key}_{i}": role for i, role in enumerate(roles)}
        wide += [Field(key, f"{field.title}\n{role}", field.kind) for key, role in keys.items()]
        if field.kind == "count":
            units |= dict.fromkeys(keys, (report.narrow or report).unit(field))
            wide.append(Field(f"{field.key}_change", "\nchange", "change"))
    rows: list[Record | None] = []
    for path, of_networks in aligned:
        cells = {f"{key}_{i}": value for i, row in enumerate(of_networks) for key, value in (row or {}).items()}
        rows.append({by: path, **cells, **_change(of_networks, fields, "_change")})
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
    lines += opaque_notes((costs.role, costs.network.graph) for costs in networks)
    if convention.name in SEE_CLASSES:
        lines += own_layer_notes((costs.role, costs.network) for costs in networks)
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


def _document(networks: list[Costs], by: str) -> Record:
    """Plain integers, one entry per network."""
    convention, entries = networks[0].count.convention, []
    for costs in networks:
        network, spec = costs.network, costs.network.spec
        entry: Record = {"name": network.label, "role": costs.role, "id": spec and spec_id(spec)}
        entry |= {"elastic_blocks": network.elastic_blocks, "params_live": network.graph.params_live}
        entry |= {"opaque": opaque_nodes(network.graph)}
        entry["params_trained_filters"] = trained_params(spec) if spec and spec.trained_filters else 0
        entry |= _elasticized(network.elasticized)
        entry |= {"blocks": costs.whole.blocks, **_counts(costs, costs.whole), "parts": []}
        for part in costs.parts:
            about = {"path": part.path, "kind": part.kind, "blocks": part.blocks}
            resolutions = [list(resolution) for resolution in part.resolutions]
            entry["parts"].append({**about, "resolutions": resolutions, **_counts(costs, part)})
        entries.append(entry | {"spec": spec and to_dict(spec)})
    head: Record = {"input": list(networks[0].macs.input), "by": by}
    head |= {"convention": convention.name, "unit": convention.unit, "networks": entries}
    if len(networks) > 1:
        keys = _counts(networks[0], networks[0].whole)
        head["difference"] = {key: entries[1][key] - entries[0][key] for key in keys}
        head["ratio"] = {key: entries[1][key] / entries[0][key] for key in keys}
    return head


def _elasticized(change: Elasticized | None) -> Record:
    """The result of ``elasticize``, under a key of its own."""
    if change is None:
        return {}
    replaced = [{"path": c.path, "before": c.before, "after": c.after} for c in change.replaced]
    left = [vars(entry) for entry in change.left]
    found = {"split": str(change.split), "convention": change.convention, "unit": change.unit}
    return {"elasticized": {**found, "replaced": replaced, "left": left}}


def sizes_report(counted: list[list[Costs]]) -> Report:
    """Totals of the same networks at several input sizes."""
    first, convention = counted[0], counted[0][0].count.convention
    rows: list[Record | None] = []
    for networks in counted:
        rows += [None] * bool(rows and len(networks) > 1)
        for costs in networks:
            row: Record = {"input": size(costs.macs.input), "network": costs.network.label, "role": costs.role}
            row |= {**_counts(costs, costs.whole), "opaque": opaque_nodes(costs.network.graph)}
            rows.append(row)
    counts = [Field(key, key, "count") for key in dict.fromkeys(("params", "macs", convention.name))]
    return Report(
        f"{' and '.join(costs.network.label for costs in first)} by input size",
        [Field("input", "input"), Field("role", "network"), *counts, Field("activations", "acts", "count")],
        rows,
        _notes(first)[:-1],
        head={"convention": convention.name, "unit": convention.unit, "networks": [row for row in rows if row]},
    )
