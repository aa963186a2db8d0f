"""What every tool would say of a network, why they differ, and the rules behind it."""

from __future__ import annotations

from typing import Any

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.convention import FREE, Convention
from elastic_search.cost.explain import by_kind, kind_of_type
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.report.costs import Costs, rows_by
from elastic_search.report.opaque import opaque_notes, own_layer_notes, own_layers
from elastic_search.report.table import Column, Table

SCHEMA = 1
GIGA, MEGA = (10**9, ""), (10**6, "")


def _columns(first: str, title: str) -> tuple[Column, ...]:
    return (Column(first, title), *(Column(name, name.replace("-", "\n"), "count") for name in CONVENTIONS))


def _unit(value: int) -> tuple[tuple[int, str], str]:
    return (GIGA, "G") if value >= 10**9 else (MEGA, "M")


def tools_table(networks: list[Costs], input: Shape, by: str) -> Table:
    """One column a tool: a network's parts and its total under every convention."""
    counted = {
        costs.role: {name: _parts(costs, input, convention, by) for name, convention in CONVENTIONS.items()}
        for costs in networks
    }
    rows: list[dict[str, Any] | None] = []
    for costs in networks:
        if len(networks) > 1:
            rows += [None] * bool(rows) + [{"part": costs.role, **dict.fromkeys(CONVENTIONS, "")}]
        of = counted[costs.role]
        paths = [part.path for part in costs.parts]
        rows += [{"part": path, **{name: of[name][path] for name in CONVENTIONS}} for path in paths]
        rows.append({"part": "total", **{name: of[name]["total"] for name in CONVENTIONS}})
        if len(networks) > 1 and costs is not networks[0]:
            first = counted[networks[0].role]
            change = {name: of[name]["total"] / first[name]["total"] - 1 for name in CONVENTIONS}
            rows.append({"part": "change", **change})
    size, letter = _unit(max(of["total"] for role in counted.values() for of in role.values()))
    names = " and ".join(costs.network.label for costs in networks)
    title = f"{names} at {input.height}x{input.width}, in {letter}: what each tool says"
    units = dict.fromkeys(CONVENTIONS, size)
    opaque = opaque_notes((costs.role, costs.network.graph) for costs in networks)
    opaque += own_layer_notes((costs.role, costs.network.module) for costs in networks)
    return Table(title, _columns("part", by), rows, _notes() + tuple(opaque), units)


def _parts(costs: Costs, input: Shape, convention: Convention, by: str) -> dict[str, int]:
    count = tally(costs.network.graph, input, convention)
    return {row.path: row.cost.total for row in rows_by(count, by)} | {"total": count.total}


def why_table(costs: Costs, input: Shape) -> Table:
    """Which operators each tool counts, and how much each adds: columns sum to the totals."""
    found = by_kind(costs.network.graph, input, CONVENTIONS.values())
    rows: list[dict[str, Any] | None] = [{"kind": kind, **row} for kind, row in found.items()]
    totals = {name: sum(row[name] for row in found.values()) for name in CONVENTIONS}
    units = dict.fromkeys(CONVENTIONS, MEGA)
    title = f"Why they differ: {costs.network.label}, in M by kind of operator"
    notes = ("unread: of nodes whose result nobody reads",) if any(kind.startswith("unread") for kind in found) else ()
    rules = ("'elastic-search conventions' shows every rule",)
    return Table(title, _columns("kind", "operator"), [*rows, None, {"kind": "total", **totals}], notes + rules, units)


def _notes() -> tuple[str, ...]:
    return tuple(f"{c.name}: {c.meaning}" + ("" if c.unit == "MACs" else f" ({c.unit})") for c in CONVENTIONS.values())


def tools_list(networks: list[Costs], input: Shape, by: str) -> Table:
    """One row a network, part and convention, for CSV: the parts of the network, then the kinds of operators."""
    rows: list[dict[str, Any] | None] = []
    for costs in networks:
        head = {"network": costs.network.label, "role": costs.role}
        for name, convention in CONVENTIONS.items():
            for path, count in _parts(costs, input, convention, by).items():
                rows.append(
                    {**head, "convention": name, "unit": convention.unit, "by": by, "part": path, "count": count}
                )
        for kind, row in by_kind(costs.network.graph, input, CONVENTIONS.values()).items():
            for name, count in row.items():
                unit = CONVENTIONS[name].unit
                rows.append({**head, "convention": name, "unit": unit, "by": "operator", "part": kind, "count": count})
    return Table("", tuple(Column(key, "") for key in rows[0] or ()), rows)


def tools_json(networks: list[Costs], input: Shape, by: str) -> dict[str, Any]:
    """The machine form: every tool's total, by part and by kind of operator."""
    entries = []
    for costs in networks:
        kinds = by_kind(costs.network.graph, input, CONVENTIONS.values())
        tools = {}
        for name, convention in CONVENTIONS.items():
            parts = _parts(costs, input, convention, by)
            total = parts.pop("total")
            operators = {kind: row[name] for kind, row in kinds.items() if row[name]}
            tools[name] = {"unit": convention.unit, "total": total, "operators": operators, "parts": parts}
        spec = costs.network.spec
        identity = None if spec is None else spec_id(spec)
        entry: dict[str, Any] = {"name": costs.network.label, "role": costs.role, "id": identity}
        entry |= {"opaque": opaque_nodes(costs.network.graph), "own_layers": own_layers(costs.network.module)}
        entries.append({**entry, "conventions": tools})
    return {"schema": SCHEMA, "input": list(input), "by": by, "networks": entries}


def rules_data() -> list[dict[str, Any]]:
    """Every convention with the formulas of what it counts."""
    found = []
    for convention in CONVENTIONS.values():
        rules = {kind_of_type(op): rule.formula for op, (_, rule) in convention.rules.items() if rule is not FREE}
        entry = {"name": convention.name, "unit": convention.unit, "meaning": convention.meaning}
        found.append({**entry, "counts_unread": convention.counts_dead, "rules": rules})
    return found


def rules_table() -> Table:
    """A row for each rule of each convention; what is not listed counts nothing."""
    rows: list[dict[str, Any] | None] = []
    for entry in rules_data():
        rows += [None] * bool(rows)
        first = {"name": entry["name"], "unit": entry["unit"]}
        for op, formula in entry["rules"].items():
            rows.append({**first, "op": op, "formula": formula})
            first = {"name": "", "unit": ""}
        if not entry["counts_unread"]:
            rows.append({**first, "op": "what nobody reads", "formula": "0"})
    columns = (
        Column("name", "convention"),
        Column("unit", "unit"),
        Column("op", "operator"),
        Column("formula", "counts", "long"),
    )
    return Table("What each convention counts for one image in eval mode", columns, rows, RULE_NOTES)


RULE_NOTES = (
    "H, W: of the output; k: kernel; g: groups; E_in, E_out: elements of input and output; bias: 1 or 0",
    "module, function: how the operation is written; what is not listed counts 0",
)
