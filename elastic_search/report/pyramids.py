"""What ``pyramids`` reports: Table 1 of the paper for given sizes, and the cost of resampling."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.pyramids import RELATIVE, Layer
from elastic_search.report.emit import Field, Record, Report, unit_of

SHOWN = ("macs", "params", "resampling", "net")


def number(value: Any) -> Any:
    """A Fraction as an int, or as the nearest float if it is not whole."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else float(value)
    return value


def pyramids_report(rows: list[Record], layer: Layer, split: Split, convention: Convention, beside: bool) -> Report:
    """Rows of ``cost.pyramids.table1``; in JSON and CSV whole numbers, and the nearest floats of fractions.

    Args:
        rows: the table of the layer.
        layer: the sizes.
        split: the split that its branches come from.
        convention: rules that resampling and net are counted by.
        beside: put relative costs next to the costs, for documents, not below them, to fit a terminal.
    """
    methods = [{key: number(value) for key, value in row.items()} for row in rows]
    unit = unit_of(row["net"] for row in rows)
    fields, shown = [Field("title", "method")], list[Record | None]()
    for key in SHOWN:
        fields.append(Field(key, key, "count"))
        fields += [Field(f"{key}_change", "change", "change")] * (beside and key in RELATIVE)
    blank = dict.fromkeys(SHOWN, "")
    below: list[Record | None] = [None, {"title": "relative to single scale", **blank}]
    for method, row in zip(methods, rows, strict=True):
        change = {key: float(row[f"{key}_relative"] - 1) for key in RELATIVE}
        # The formula can give a fraction; the real layer pads where r does not divide n.
        rounded = {"macs": round(row["macs"])} if unit[0] > 1 else {}
        shown.append(method | rounded | {f"{key}_change": value for key, value in change.items()})
        below += [{"title": row["title"], **blank, **change}] * (row is not rows[0])
    shown += [] if beside else below
    before, after = (f"{layer.n}x{layer.n}x{channels}" for channels in (layer.c, layer.out))
    head: Record = {"size": layer.n, "channels": layer.c, "kernel": layer.k, "out_channels": layer.out}
    head |= {"split": str(split), "branches": [{"b": number(b), "r": number(r)} for b, r in layer.branches]}
    head |= {"convention": convention.name, "unit": convention.unit}
    return Report(
        f"Table 1: {layer.k}x{layer.k} convolution, {before} to {after}, split {split.short}",
        fields,
        shown,
        _notes(rows, layer, convention),
        {**head, "elastic_saves": rows[-1]["net"] < rows[0]["net"], "methods": methods},
        form="pyramids",
        records=[{**row, "convention": convention.name, "unit": convention.unit} for row in methods],
        units={"macs": unit},
    )


def _notes(rows: list[dict[str, Any]], layer: Layer, convention: Convention) -> list[str]:
    lines = [
        "macs, params: by the paper's formulas, for the convolutions alone",
        "resampling: bilinear up, average pooling down; net: convolutions and resampling",
        f"both as {convention.name} counts them: {convention.meaning}",
    ]
    if any(layer.n % r for _, r in layer.branches):
        lines.append(f"some r does not divide {layer.n}: the real layer (net) pads its small maps")
    macs, net = (float(1 - rows[-1][f"{key}_relative"]) for key in ("macs", "net"))
    if macs == 0:
        lines.append("Elastic saves nothing here, since no branch works at a lower resolution")
    elif net > 0:
        lines.append(f"Elastic saves {macs:.2%} of the multiply-adds, {net:.2%} net")
    else:
        lines.append(f"Elastic saves {macs:.2%} of the multiply-adds, but net costs {-net:.2%} more")
    return lines
