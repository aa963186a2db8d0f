"""What ``diff`` reports: the nodes that differ between two networks."""

from __future__ import annotations

import re

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network, opaque_nodes
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Convention
from elastic_search.cost.difference import Difference, Side
from elastic_search.report.emit import Field, Record, Report, unit_of
from elastic_search.report.notes import reading_notes
from elastic_search.report.text import size


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
        # The size that a function resizes to comes last.
        values |= {key: values.pop(key) for key in ("size", "scale") if key in values}
    stride = values.pop("stride", 1)
    window = ""
    if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Pool)):
        window = "x".join(map(str, ops.pair(op.kernel))) + (f"/{stride}" if stride != 1 else "") + " "
    sizes = [values.pop(f"{side}_{what}", None) for what in ("channels", "features") for side in ("in", "out")]
    channels = " to ".join(str(size) for size in sizes if size is not None)
    forms = {"groups": "{1} {0}", **dict.fromkeys(("kind", "channels", "mode", "spelling"), "{1}")}
    rest = (key if value is True else forms.get(key, "{0} {1}").format(key, value) for key, value in values.items())
    return window + ", ".join(filter(None, (f"{name} {channels}".strip(), *rest)))


def difference_report(found: list[Difference], a: Network, b: Network, input: Shape, convention: Convention) -> Report:
    """One row per node that differs, with its ops and costs on both sides."""

    def text(side: Side | None) -> str | None:
        return None if side is None else f"{op_text(side.op, side.spelling)}, {size(side.output)}"

    name, rows = convention.name, list[Record | None]()
    about = {"input": str(input), "convention": name, "unit": convention.unit}
    for entry in found:
        row: Record = {"path": entry.path, "change": _change(entry), "a": text(entry.a), "b": text(entry.b), **about}
        for key, side in (("a", entry.a), ("b", entry.b)):
            costs = _side(side) or {}
            row |= {f"{key}_{what}": value for what, value in costs.items()}
            row |= {f"{key}_output": side and str(side.output)}
        rows.append(row)
    counts = [Field("a_count", f"A {name}", "count"), Field("b_count", f"B {name}", "count")]
    unit = unit_of(row.get(field.key) for row in rows if row for field in counts)
    opaque = reading_notes((f"{side} {network.label}", network) for side, network in (("A", a), ("B", b)))
    return Report(
        f"{len(found)} node{' differs' if len(found) == 1 else 's differ'} at {size(input)}: A {a.label}, B {b.label}",
        [Field("path", "node", "long"), Field("a", "A", "long"), Field("b", "B", "long"), *counts],
        rows,
        ["height x width: size of the output; -: only the other network has this node", *opaque],
        head=lambda: _document(found, a, b, input, convention),
        form="diff",
        units=dict.fromkeys((field.key for field in counts), unit),
    )


def _side(side: Side | None) -> Record | None:
    """A node of one of the networks, with its costs under the convention."""
    if side is None:
        return None
    costs = {"params": side.cost.params, "count": side.cost.total, "activations": side.cost.activations}
    return {"op": op_text(side.op, side.spelling), "output": list(side.output), **costs}


def _document(found: list[Difference], a: Network, b: Network, input: Shape, convention: Convention) -> Record:
    head = {"a": a.label, "b": b.label, "input": list(input), "convention": convention.name, "unit": convention.unit}
    nodes = [{"path": d.path, "change": _change(d), "a": _side(d.a), "b": _side(d.b)} for d in found]
    opaque = {"a": opaque_nodes(a.graph), "b": opaque_nodes(b.graph)}
    return {**head, "opaque": opaque, "equal": not found, "nodes": nodes}
