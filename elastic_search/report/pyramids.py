"""What ``pyramids`` reports: Table 1 of the paper for given sizes, and the resampling beside it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.pyramids import RELATIVE, Layer
from elastic_search.report.emit import Field, Record, Report, unit_of

KEYS = ("method", "macs", "macs_relative", "params", "params_relative", "conv", "resampling", "net", "net_relative")
SHOWN = ("macs", "params", "resampling", "net")


def exact(value: Any) -> Any:
    """A Fraction as a whole number, or as text such as "1849/4" where it is not one."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    return value


def pyramids_report(rows: list[Record], layer: Layer, split: Split, convention: Convention, beside: bool) -> Report:
    """Rows of ``cost.pyramids.table1``; in JSON and CSV whole numbers, and fractions as text.

    Args:
        rows: of the layer.
        layer: the sizes.
        split: where its branches come from.
        convention: of resampling and net.
        beside: relative costs stand beside the costs, for documents; else below them, which fits a terminal.
    """
    methods = [{key: exact(value) for key, value in row.items()} for row in rows]
    unit = unit_of(row["net"] for row in rows)
    # The real layer pads where r does not divide n; the formula does not, and can be a fraction.
    costs = [
        method | ({"macs": round(row["macs"])} if unit[0] > 1 else {})
        for method, row in zip(methods, rows, strict=True)
    ]
    changes = [{key: float(row[f"{key}_relative"] - 1) for key in RELATIVE} for row in rows]
    fields, shown = [Field("title", "method")], list[Record | None]()
    for key in SHOWN:
        fields.append(Field(key, key, "count"))
        fields += [Field(f"{key}_change", "change", "change")] * (beside and key in RELATIVE)
    if beside:
        for row, change in zip(costs, changes, strict=True):
            shown.append(row | {f"{key}_change": value for key, value in change.items()})
    else:
        blank = dict.fromkeys(SHOWN, "")
        shown += [*costs, None, {"title": "relative to single scale", **blank}]
        shown += [{"title": row["title"], **blank, **change} for row, change in zip(rows, changes, strict=True)][1:]
    before, after = (f"{layer.n}x{layer.n}x{channels}" for channels in (layer.c, layer.out))
    head: Record = {"size": layer.n, "channels": layer.c, "kernel": layer.k, "out_channels": layer.out}
    head |= {"split": str(split), "branches": [{"b": exact(b), "r": exact(r)} for b, r in layer.branches]}
    head |= {"convention": convention.name, "unit": convention.unit}
    return Report(
        f"Table 1: {layer.k}x{layer.k} convolution, {before} to {after}, split {split.short}",
        fields,
        shown,
        _notes(rows, layer, convention),
        {**head, "elastic_saves": rows[-1]["net"] < rows[0]["net"], "methods": methods},
        keys=KEYS,
        records=methods,
        units={"macs": unit},
    )


def _notes(rows: list[dict[str, Any]], layer: Layer, convention: Convention) -> list[str]:
    lines = [
        "macs, params: the paper's formulas; multiply-adds of the convolutions",
        "resampling: bilinear up, average-pool down; net: with the convolutions",
        f"both as {convention.name} counts them: {convention.meaning}",
    ]
    if any(layer.n % r for _, r in layer.branches):
        lines.append(f"some r does not divide {layer.n}: the real layer, in net, pads its low maps")
    macs, net = (float(1 - rows[-1][f"{key}_relative"]) for key in ("macs", "net"))
    if macs == 0:
        lines.append("Elastic saves nothing here: no branch works at a lower resolution")
    elif net > 0:
        lines.append(f"Elastic saves {macs:.2%} of the multiply-adds, {net:.2%} net")
    else:
        lines.append(f"Elastic saves {macs:.2%} of the multiply-adds, but net costs {-net:.2%} more")
    return lines
