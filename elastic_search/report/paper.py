"""What ``paper`` reports: printed figures next to ours, and the data of Figure 4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elastic_search.cost.tools import CONVENTIONS, MACS
from elastic_search.paper.figure4 import TITLES, Figure4, Point
from elastic_search.paper.reproduce import INPUT, Cell, Reproduction, Row, round_half_up
from elastic_search.report.emit import Field, Record, Report
from elastic_search.report.text import size

ABOUT = {
    2: ("network", "ImageNet"),
    6: ("method", "DLA-X60 by resampling"),
    7: ("high/low", "DLA-X60 by shares of the paths"),
}
"""Header of the first column, and subject of a table."""

LETTERS = {10**6: "M", 10**9: "G"}
COUNTERS = {
    "authors": "the paper's own: multiply-adds with the bias, ReLU 1 per element, batch normalisation 2, "
    "pooling 1 per input element, up-sampling 8",
    "macs": MACS.meaning,
}
"""What a counter counts; here ``authors`` is used for more rows than those of DLA."""

FAMILIES = {"DenseNet": "densenet", "ResNeXt": "resnext", "SE-ResNeXt": "se_resnext", "DLA": "dla"}
"""Families of Table 2 and how the names of their networks begin."""


def reproduction_report(table: Reproduction, wrapped: bool = True) -> Report:
    """A table of the paper; in JSON and CSV printed figures are text, which keeps their digits.

    Args:
        table: what to show.
        wrapped: for a terminal: notes are wrapped, and a narrow terminal does not show Table 2's source and counter.
    """
    is_table2, (first, subject) = table.number == 2, ABOUT[table.number]
    name, about = Field("name", first), [Field("source", "source"), Field("convention", "counter")] * is_table2
    columns = [] if is_table2 else [Field("split_short", "split"), Field("params_ours", "params", "count")]
    for kind, title in (("params", "params"), ("flops", "FLOPs")):
        if any(getattr(row, kind).printed is not None for row in table.rows):
            columns.append(Field(f"{kind}_printed", title, "number"))
            columns += [Field(f"{kind}_ours", "ours", "count"), Field(f"{kind}_equal", "=", "check")]
    columns.append(Field("top1_error_printed", "top-1", "number"))
    columns += [Field("top5_error_printed", "top-5", "number")] * is_table2
    rows = [_record(row) for row in table.rows]
    wide = Report(
        f"Table {table.number}: {subject}, printed and ours at {size(INPUT)}",
        [name, *about, *columns],
        rows,
        _notes(table, wide=True),
        head=lambda: _document(table),
        form="paper",
        units={"params_ours": (10**6, "M"), "flops_ours": (10**9, "G")},
    )
    if not wrapped:
        return wide
    quoted = [row | ({"name": f"{row['name']} (quoted)"} if row["source"] == "quoted" else {}) for row in rows]
    narrow = wide._replace(fields=[name, *columns], rows=quoted, notes=_wrapped(_notes(table, wide=False)))
    return wide._replace(notes=_wrapped(wide.notes), narrow=narrow)


def _text(printed: Any) -> str | None:
    return None if printed is None else str(printed)


def _about(row: Row) -> Record:
    """What a row is: its network and the edit of it."""
    data: Record = {"name": row.name, "network": row.network, "source": row.source}
    types = (row.split.down, row.split.up) if row.split and row.split.scales_down else (None, None)
    data |= {"split": row.split and str(row.split), "down": types[0], "up": types[1]}
    return {**data, "convention": row.convention.name, "unit": row.convention.unit}


def _errors(row: Row) -> Record:
    return {"top1_error_printed": _text(row.top1), "top5_error_printed": _text(row.top5)}


def _record(row: Row) -> Record:
    """A row of the table and of CSV."""
    record, cells = _about(row), {"params": row.params, "flops": row.flops}
    for kind, cell in cells.items():
        record |= {f"{kind}_printed": _text(cell.printed), f"{kind}_ours": cell.ours, f"{kind}_equal": cell.equal}
    reasons = "; ".join(f"{kind}: {cell.reason}" for kind, cell in cells.items() if cell.reason)
    return {**record, **_errors(row), "split_short": row.split.short if row.split else "1", "reason": reasons or None}


def _document(table: Reproduction) -> Record:
    def data(cell: Cell) -> Record:
        return {"printed": _text(cell.printed), "ours": cell.ours, "equal": cell.equal, "reason": cell.reason}

    rows = [{**_about(row), "params": data(row.params), "flops": data(row.flops), **_errors(row)} for row in table.rows]
    head = {"table": table.number, "input": list(INPUT), "compared": len(table.cells)}
    return {**head, "equal": len(table.cells) - len(table.differing), "rows": rows}


def _notes(table: Reproduction, wide: bool) -> list[str]:
    different = table.differing
    lines = [f"{len(table.cells) - len(different)} of {len(table.cells)} cells equal to the printed digit"]
    for row, kind, cell in different:
        title, reason = "FLOPs" if kind == "flops" else kind, cell.reason or "for no known reason"
        printed = f"printed {cell.printed} {LETTERS[cell.unit]}, ours rounds to {cell.rounded}"
        lines.append(f"NO {row.name}, {title}: {printed}: {reason}")
    for name in dict.fromkeys(row.convention.name for row in table.rows):
        named = [row.name for row in table.rows if row.convention.name == name]
        families = [title for title, start in FAMILIES.items() if any(row.startswith(start) for row in named)]
        rows = "all rows" if len(named) == len(table.rows) else ", ".join(families)
        lines.append(f"counter {name}{'' if wide and table.number == 2 else f' ({rows})'}: {COUNTERS[name]}")
    compares = "= compares ours, rounded half up, with the printed digits"
    errors = "in percent, as printed, not measured here"
    if table.number == 2:
        lines += [f"params, FLOPs: as printed, in M and G; {compares}", *_near(table)]
        lines += [f"top-1, top-5: errors {errors}", "quoted: the paper took the errors of this row from another paper"]
        return lines
    lines += [f"FLOPs: as printed, in G; params: ours, as the table prints none; {compares}", f"top-1: error {errors}"]
    plain = next(row.params.ours for row in table.rows if row.split is None)
    return lines + [
        f"{row.name} adds {row.params.ours - plain:,} parameters, since its down- and up-sampling filters are learned; "
        "the other methods add none"
        for row in table.rows
        if row.params.ours != plain
    ]


def _near(table: Reproduction) -> list[str]:
    """Notes on counts that would round differently from the three decimals shown."""
    notes = dict[str, None]()
    for _, _, cell in table.cells:
        shown = round_half_up(cell.ours, cell.unit, 3)
        if round_half_up(int(shown * 1000), 1000, cell.places) != cell.rounded:
            notes[f"{shown} {LETTERS[cell.unit]} stands for {cell.ours:,}, which rounds to {cell.rounded}"] = None
    return list(notes)


def _wrapped(notes: Sequence[str]) -> list[str]:
    """Notes as lines for a terminal, continued with an indent."""
    from textwrap import wrap

    return [line for note in notes for line in wrap(note, 78, subsequent_indent="  ", break_on_hyphens=False)]


def figure_report(figure: Figure4) -> Report:
    """The points of Figure 4, for documents and machines."""
    points = [_point(point) for point in figure.points]
    fields = [Field("title", "family"), Field("variant", "network"), Field("source", "source")]
    fields += [Field("convention", "counter"), Field("params", "params", "count"), Field("flops", "FLOPs", "count")]
    fields.append(Field("accuracy", "top-1 accuracy", "number"))
    variants = ("base", "Elastic")
    rows: list[Record] = []
    for point, data in zip(figure.points, points, strict=True):
        shown = {"title": TITLES[point.family], "variant": variants[point.elastic], "accuracy": str(point.accuracy)}
        rows.append({**data, **shown})
    notes = ["params, FLOPs: ours, each row under its own counter"]
    notes.append("accuracy: 100 minus the printed top-1 error, not measured here")
    head = {"figure": 4, "input": list(INPUT), "points": points}
    return Report("Figure 4: accuracy against parameters and FLOPs", fields, rows, notes, head, "paper figure4")


def _point(point: Point) -> Record:
    data = {key: getattr(point, key) for key in ("network", "family", "elastic", "source", "convention")}
    data |= {"unit": CONVENTIONS[point.convention].unit, "params": point.params, "flops": point.flops}
    return {**data, "top1_error_printed": str(point.top1_error), "top1_accuracy": float(point.accuracy)}
