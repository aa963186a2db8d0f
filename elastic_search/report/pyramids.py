"""The table and JSON of ``pyramids``: Table 1 of the paper for given sizes, and the resampling beside it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from elastic_search.arch.split import Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.pyramids import METHODS, Layer, built, cost
from elastic_search.report.table import Column, Table

SCHEMA = 1
RELATIVE = ("macs", "params", "net")


def pyramid_rows(layer: Layer, convention: Convention) -> list[dict[str, Any]]:
    """A row for each method of Table 1, exact: whole numbers and Fractions.

    ``macs`` and ``params`` are the paper's formulas; ``conv``, ``resampling`` and ``net`` count the real layer
    under the convention. ``*_relative`` is the quotient with the single scale's.
    """
    rows: list[dict[str, Any]] = []
    for name, method in METHODS.items():
        formula, real = cost(name, layer), built(name, layer, convention)
        row: dict[str, Any] = {"method": name, "title": method.title, "macs": formula.flops, "params": formula.params}
        row |= {"conv": real.conv, "resampling": real.resampling, "net": real.net}
        single = rows[0] if rows else row
        rows.append(row | {f"{key}_relative": Fraction(row[key]) / single[key] for key in RELATIVE})
    return rows


def exact(value: Any) -> Any:
    """A Fraction as a whole number, or as text such as "1849/4" where it is not one."""
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    return value


_KEYS = ("method", "macs", "macs_relative", "params", "params_relative", "conv", "resampling", "net", "net_relative")


def pyramid_list(rows: list[dict[str, Any]]) -> Table:
    """Rows of ``pyramid_rows`` for CSV, exact."""
    shown = [{key: exact(value) for key, value in row.items()} for row in rows]
    return Table("", tuple(Column(key, "") for key in _KEYS), shown)


def pyramid_json(rows: list[dict[str, Any]], layer: Layer, split: Split, convention: Convention) -> dict[str, Any]:
    """The machine form of ``pyramids``: whole numbers, and fractions as text."""
    return {
        "schema": SCHEMA,
        "size": layer.n,
        "channels": layer.c,
        "kernel": layer.k,
        "out_channels": layer.out,
        "split": str(split),
        "branches": [{"b": exact(b), "r": exact(r)} for b, r in layer.branches],
        "convention": convention.name,
        "unit": convention.unit,
        "elastic_saves": rows[-1]["net"] < rows[0]["net"],
        "methods": [{key: exact(value) for key, value in row.items()} for row in rows],
    }


def pyramid_table(
    rows: list[dict[str, Any]], layer: Layer, split: Split, convention: Convention, beside: bool
) -> Table:
    """Rows of ``pyramid_rows`` for people.

    Args:
        rows: of the layer.
        layer: the sizes.
        split: where its branches come from.
        convention: of resampling and net.
        beside: relative costs stand beside the costs, for documents; else below them, which fits a terminal.
    """
    before, after = (f"{layer.n}x{layer.n}x{channels}" for channels in (layer.c, layer.out))
    title = f"Table 1: {layer.k}x{layer.k} convolution, {before} to {after}, split {split.short}"
    counts = [Column(key, key, "count") for key in ("macs", "params", "resampling", "net")]
    unit = Table("", (), rows).unit(Column("net", "", "count"))
    costs = [{**{column.key: row[column.key] for column in counts}, "title": row["title"]} for row in rows]
    for row in costs:
        # The real layer pads where r does not divide n; the formula does not, and can be a fraction.
        row["macs"] = round(row["macs"]) if unit[0] > 1 else exact(row["macs"])
        row["params"] = exact(row["params"])
    changes = [{key: float(row[f"{key}_relative"] - 1) for key in RELATIVE} for row in rows]
    columns, shown = [Column("title", "method")], list[dict[str, Any] | None]()
    if beside:
        for column in counts:
            columns.append(column)
            if column.key in RELATIVE:
                columns.append(Column(f"{column.key}_change", "change", "change"))
        for row, change in zip(costs, changes, strict=True):
            shown.append(row | {f"{key}_change": value for key, value in change.items()})
    else:
        columns += counts
        blank = {column.key: "" for column in counts}
        shown += [*costs, None, {"title": "relative to single scale", **blank}]
        shown += [{"title": row["title"], **blank, **change} for row, change in zip(rows, changes, strict=True)][1:]
    return Table(title, tuple(columns), shown, _notes(rows, layer, convention), {"macs": unit})


def _notes(rows: list[dict[str, Any]], layer: Layer, convention: Convention) -> tuple[str, ...]:
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
    return tuple(lines)
