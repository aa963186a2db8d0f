"""The table and JSON of ``diff``."""

from __future__ import annotations

import re
from typing import Any

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Convention
from elastic_search.cost.difference import Difference, Side
from elastic_search.report.opaque import opaque_notes
from elastic_search.report.table import UNITS, Column, Table

SCHEMA = 1


def _change(difference: Difference) -> str:
    if difference.a is None:
        return "only B"
    return "only A" if difference.b is None else "differs"


def op_text(op: Op | Graph, spelling: str = "module") -> str:
    """An op in short: ``3x3/2 conv 128 to 256, 32 groups``; a nested graph's kind."""
    if isinstance(op, Graph):
        return op.kind
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(op).__name__).lower()
    values = {name: getattr(op, name) for name, default in op.FIELDS.items() if getattr(op, name) != default}
    for key in ("kernel", "padding", "inputs", "output", "weights"):
        values.pop(key, None)
    if isinstance(op, ops.GlobalPool) and op.kind == "window":
        values["kind"] = spelling
    elif spelling in ("function", "method"):
        named = isinstance(op, (traced_ops.Activation, traced_ops.Softmax))
        values["spelling"] = spelling if named else "functional"
        # The size to which a function resizes stands last.
        values |= {key: values.pop(key) for key in ("size", "scale") if key in values}
    stride = values.pop("stride", 1)
    window = ""
    if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Pool)):
        sides = (op.kernel, op.kernel) if isinstance(op.kernel, int) else op.kernel
        window = f"{sides[0]}x{sides[1]}" + (f"/{stride}" if stride != 1 else "") + " "
    sizes = [values.pop(f"{side}_{what}", None) for what in ("channels", "features") for side in ("in", "out")]
    channels = " to ".join(str(size) for size in sizes if size is not None)
    rest = []
    for key, value in values.items():
        if value is True:
            rest.append(key)
        elif key in ("kind", "channels", "mode", "spelling"):
            rest.append(str(value))
        else:
            rest.append(f"{value} {key}" if key == "groups" else f"{key} {value}")
    return window + ", ".join(filter(None, (f"{name} {channels}".strip(), *rest)))


def difference_list(found: list[Difference], convention: Convention) -> Table:
    """A row for each node that differs, for CSV."""
    rows: list[dict[str, Any] | None] = []
    for entry in found:
        row: dict[str, Any] = {"path": entry.path, "change": _change(entry)}
        for key, side in (("a", entry.a), ("b", entry.b)):
            row |= {f"{key}_op": side and op_text(side.op, side.spelling), f"{key}_output": side and str(side.output)}
            row |= {f"{key}_params": side and side.cost.params, f"{key}_{convention.name}": side and side.cost.total}
        rows.append(row)
    keys = ["path", "change"]
    keys += [f"{key}_{what}" for key in "ab" for what in ("op", "output", "params", convention.name)]
    return Table("", tuple(Column(key, "") for key in keys), rows)


def difference_table(found: list[Difference], a: Network, b: Network, input: Shape, convention: Convention) -> Table:
    """A row for each node that differs: its ops and costs on both sides."""

    def text(side: Side | None) -> str | None:
        return None if side is None else f"{op_text(side.op, side.spelling)}, {side.output.height}x{side.output.width}"

    rows: list[dict[str, Any] | None] = []
    for entry in found:
        row: dict[str, Any] = {"path": entry.path, "a": text(entry.a), "b": text(entry.b)}
        rows.append(row | {f"{key}_count": side and side.cost.total for key, side in (("a", entry.a), ("b", entry.b))})
    counts = (Column("a_count", f"A {convention.name}", "count"), Column("b_count", f"B {convention.name}", "count"))
    columns = (Column("path", "node", "long"), Column("a", "A", "long"), Column("b", "B", "long"), *counts)
    largest = max((row[key] or 0 for row in rows if row for key in ("a_count", "b_count")), default=0)
    unit = next(((size, letter) for size, letter in UNITS if largest >= size), (1, ""))
    title = f"{len(found)} nodes differ at {input.height}x{input.width}: A {a.label}, B {b.label}"
    opaque = opaque_notes((f"{side} {network.label}", network.graph) for side, network in (("A", a), ("B", b)))
    notes = ("height x width: of the output; -: only the other network has the node", *opaque)
    return Table(title, columns, rows, notes, {column.key: unit for column in counts})


def difference_json(
    found: list[Difference], a: Network, b: Network, input: Shape, convention: Convention
) -> dict[str, Any]:
    """The machine form."""

    def data(side: Side | None) -> dict[str, Any] | None:
        if side is None:
            return None
        cost = {"params": side.cost.params, convention.name: side.cost.total, "activations": side.cost.activations}
        return {"op": op_text(side.op, side.spelling), "output": list(side.output), **cost}

    head = {"schema": SCHEMA, "a": a.label, "b": b.label, "input": list(input), "convention": convention.name}
    nodes = [{"path": d.path, "change": _change(d), "a": data(d.a), "b": data(d.b)} for d in found]
    opaque = {"a": opaque_nodes(a.graph), "b": opaque_nodes(b.graph)}
    return {**head, "opaque": opaque, "equal": not found, "nodes": nodes}
