"""What every tool reports for a network, why the tools differ, and the rules behind it."""

from __future__ import annotations

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.convention import FREE, Convention
from elastic_search.cost.explain import by_kind, kind_of_type
from elastic_search.cost.parts import Costs, counts_by
from elastic_search.cost.tools import AUTHORS, CONVENTIONS
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import size

MEGA = (10**6, "")

RULE_NOTES = (
    "H, W: height and width of the output; k: kernel; g: groups; E_in, E_out: input and output elements; bias: 1 or 0",
    "module, function: how the operation is written; operators that are not listed count 0",
)

Counts = dict[str, dict[str, int]]
"""Counts by part or operator, then by convention."""

Rules = dict[str, Convention]
"""The conventions that are shown, by name."""


def tools_report(networks: list[Costs], input: Shape, by: str, depth: int = 1) -> Report:
    """One column per tool: the parts of a network and its total in every convention; below, why they differ."""
    rules = _rules(networks)
    parts = [_parts(costs, input, rules, by, depth) for costs in networks]
    kinds = [by_kind(costs.network.graph, input, rules.values()) for costs in networks]
    rows: list[Record | None] = []
    for costs, counts in zip(networks, parts, strict=True):
        if len(networks) > 1:
            rows += [None] * bool(rows) + [{"part": costs.role, **dict.fromkeys(rules, "")}]
        rows += [{"part": path, **row} for path, row in counts.items()]
        if counts is not parts[0]:
            total, first = counts["total"], parts[0]["total"]
            rows.append({"part": "change", **{name: total[name] / first[name] - 1 for name in rules}})
    giga = max(count for counts in parts for count in counts["total"].values()) >= 10**9
    unit, letter = ((10**9, ""), "G") if giga else (MEGA, "M")
    names = " and ".join(costs.network.label for costs in networks)
    notes = [f"{c.name}: {c.meaning}" + f" ({c.unit})" * (c.unit != "MACs") for c in rules.values()]
    notes += reading_notes((costs.role, costs.network) for costs in networks)
    return _halved(
        Report(
            f"{names} at {size(input)}, in {letter}: counts of each tool",
            _fields("part", by, rules),
            rows,
            notes,
            head=lambda: _document(networks, input, by, parts, kinds),
            form="flops --convention all",
            records=[
                record
                for costs, *counted in zip(networks, parts, kinds, strict=True)
                for record in _records(costs, input, by, *counted)
            ],
            below=[_why(costs, found, rules) for costs, found in zip(networks, kinds, strict=True)],
            units=dict.fromkeys(rules, unit),
        )
    )


def _halved(report: Report) -> Report:
    """A report that a narrow terminal shows as two tables, each with half of the tools."""
    first, *tools = report.fields
    middle = len(tools) // 2
    below = report._replace(title=f"{report.title} (continued)", fields=[first, *tools[middle:]], below=())
    above = report._replace(fields=[first, *tools[:middle]], notes=(), below=[below])
    return report._replace(slim=[above])


def _rules(networks: list[Costs]) -> Rules:
    """The conventions to show: the authors' counter sees few classes of layers, and says too little of a module."""
    modules = any(costs.network.module is not None for costs in networks)
    return {name: rules for name, rules in CONVENTIONS.items() if not (modules and rules is AUTHORS)}


def _fields(first: str, title: str, rules: Rules) -> list[Field]:
    return [Field(first, title, "long"), *(Field(name, name.replace("-", "\n"), "count") for name in rules)]


def _parts(costs: Costs, input: Shape, rules: Rules, by: str, depth: int) -> Counts:
    found = {name: counts_by(costs.network, input, one, by, depth) for name, one in rules.items()}
    return {path: {name: counts[path] for name, counts in found.items()} for path in found["macs"]}


def _why(costs: Costs, kinds: Counts, rules: Rules) -> Report:
    """The operators that each tool counts, and how much each adds to the total."""
    rows: list[Record | None] = [{"kind": kind, **row} for kind, row in kinds.items()]
    totals = {name: sum(row[name] for row in kinds.values()) for name in rules}
    title = f"Why they differ: {costs.network.label}, in M by operator"
    notes = ["unread: nodes whose result is not used"] * any(kind.startswith("unread") for kind in kinds)
    notes += ["'elastic-search conventions' shows every rule"]
    rows += [None, {"kind": "total", **totals}]
    return _halved(Report(title, _fields("kind", "operator", rules), rows, notes, units=dict.fromkeys(rules, MEGA)))


def _records(costs: Costs, input: Shape, by: str, parts: Counts, kinds: Counts) -> list[Record]:
    """One row per part and convention, then one per operator and convention."""
    network = costs.network
    about: Record = {"network": network.label, "role": costs.role, "input": str(input)}
    doubts: Record = {"opaque": opaque_nodes(network.graph), "reading": list(network.notes)}

    def record(name: str, level: str, path: str, count: int) -> Record:
        found = {**about, "convention": name, "unit": CONVENTIONS[name].unit, "level": level, "count": count}
        return {**found, **({} if level == "total" else {"path": path}), **(doubts if level == "total" else {})}

    found = []
    for name in parts["total"]:
        levels = [by] * (len(parts) - 1) + ["total"]
        found += [
            record(name, level, path, row[name]) for level, (path, row) in zip(levels, parts.items(), strict=True)
        ]
    return found + [record(name, "operator", kind, row[name]) for kind, row in kinds.items() for name in row]


def _document(networks: list[Costs], input: Shape, by: str, parts: list[Counts], kinds: list[Counts]) -> Record:
    """The total of every tool, by part and by operator."""
    entries = []
    for costs, of_parts, of_kinds in zip(networks, parts, kinds, strict=True):
        network, tools = costs.network, {}
        for name in of_parts["total"]:
            convention = CONVENTIONS[name]
            operators = {kind: row[name] for kind, row in of_kinds.items() if row[name]}
            counts = {path: row[name] for path, row in of_parts.items()}
            tools[name] = {"unit": convention.unit, "count": counts.pop("total"), "operators": operators}
            tools[name]["parts"] = counts
        entry: Record = {"name": network.label, "role": costs.role, "id": network.spec and spec_id(network.spec)}
        entry |= {"opaque": opaque_nodes(network.graph)}
        entries.append({**entry, "reading": list(network.notes), "conventions": tools})
    return {"input": list(input), "by": by, "networks": entries}


def rules_data() -> list[Record]:
    """Every convention with the formulas of the operators that it counts."""
    found = []
    for convention in CONVENTIONS.values():
        rules = {kind_of_type(op): rule.formula for op, (_, rule) in convention.rules.items() if rule is not FREE}
        entry = {"name": convention.name, "unit": convention.unit, "meaning": convention.meaning}
        found.append({**entry, "counts_unread": convention.counts_dead, "rules": rules})
    return found


def rules_report() -> Report:
    """What ``conventions`` reports: one row per rule of each convention; operators that are not listed count 0."""
    rows, records, entries = list[Record | None](), list[Record](), rules_data()
    for entry in entries:
        rows += [None] * bool(rows)
        about = first = {"convention": entry["name"], "unit": entry["unit"]}
        rules = entry["rules"] | ({} if entry["counts_unread"] else {"what nobody reads": "0"})
        for operator, formula in rules.items():
            records.append({**about, "operator": operator, "formula": formula})
            rows.append(records[-1] | first)
            first = dict.fromkeys(first, "")
    fields = [Field("convention", "convention"), Field("unit", "unit"), Field("operator", "operator")]
    fields.append(Field("formula", "counts", "long"))
    title = "Counting rules of each convention, for one image in eval mode"
    return Report(title, fields, rows, RULE_NOTES, {"conventions": entries}, "conventions", records)
