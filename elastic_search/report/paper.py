"""The tables and JSON of ``paper``: printed figures beside ours, and the data of Figure 4."""

from __future__ import annotations

from typing import Any

from elastic_search.cost.tools import MACS
from elastic_search.paper.figure4 import TITLES, Figure4, Point
from elastic_search.paper.reproduce import INPUT, Cell, Reproduction, Row, round_half_up
from elastic_search.report.table import Column, Table

SCHEMA = 1
CAPTIONS = {
    2: "Table 2: ImageNet, printed beside ours",
    6: "Table 6: DLA-X60 by resampling, printed beside ours",
    7: "Table 7: DLA-X60 by shares of the paths, printed beside ours",
}
LETTERS = {10**6: "M", 10**9: "G"}
ACCURACY = "100 minus the printed top-1 error, not measured here"
ERRORS = "top-1, top-5: errors in percent as printed, not measured here"
COUNTERS = {
    "authors": "the paper's own: multiply-adds with the bias, ReLU 1 an element, batch normalisation 2, "
    "pooling 1 an input element, up-sampling 8",
    "macs": MACS.meaning,
}
"""What a counter is; here ``authors`` stands for more rows than those of DLA."""

LINE = 78
"""Characters of a note's line."""


def _text(printed: Any) -> str | None:
    return None if printed is None else str(printed)


def _cell_data(cell: Cell) -> dict[str, Any]:
    return {"printed": _text(cell.printed), "ours": cell.ours, "equal": cell.equal, "reason": cell.reason}


def _row_data(row: Row) -> dict[str, Any]:
    data: dict[str, Any] = {"name": row.name, "network": row.network, "source": row.source}
    if row.split is not None:
        types = (row.split.down, row.split.up) if row.split.scales_down else (None, None)
        data |= {"split": str(row.split), "down": types[0], "up": types[1]}
    return data | {
        "convention": row.convention.name,
        "params": _cell_data(row.params),
        "flops": _cell_data(row.flops),
        "top1_error_printed": _text(row.top1),
        "top5_error_printed": _text(row.top5),
    }


def reproduction_json(table: Reproduction) -> dict[str, Any]:
    """The machine form of a table: printed figures as text, which keeps their digits, ours as whole numbers."""
    return {
        "schema": SCHEMA,
        "table": table.number,
        "input": list(INPUT),
        "compared": len(table.cells),
        "equal": len(table.cells) - len(table.differing),
        "rows": [_row_data(row) for row in table.rows],
    }


_LIST = (
    *("name", "network", "source", "split", "down", "up", "convention"),
    *(f"{kind}_{part}" for kind in ("params", "flops") for part in ("printed", "ours", "equal")),
    *("top1_error_printed", "top5_error_printed", "reason"),
)


def reproduction_list(table: Reproduction) -> Table:
    """The rows for CSV."""
    rows = []
    for row in table.rows:
        data = _row_data(row)
        reasons = []
        for kind, cell in (("params", row.params), ("flops", row.flops)):
            data |= {f"{kind}_printed": _text(cell.printed), f"{kind}_ours": cell.ours}
            data[f"{kind}_equal"] = None if cell.equal is None else str(cell.equal).lower()
            reasons += [f"{kind}: {cell.reason}"] if cell.reason else []
        rows.append(data | {"reason": "; ".join(reasons) or None})
    return Table("", tuple(Column(key, "") for key in _LIST), rows)


def reproduction_table(table: Reproduction, wide: bool = True, wrapped: bool = True) -> Table:
    """The table for people.

    Args:
        table: what to show.
        wide: Table 2 with its columns of source and counter; else its notes name them, which fits 80 columns.
        wrapped: notes are broken into lines for a terminal; documents break them on their own.
    """
    first = {2: "network", 6: "method", 7: "high/low"}[table.number]
    columns = [Column("name", first)]
    if table.number == 2 and wide:
        columns += [Column("source", "source"), Column("convention", "counter")]
    if table.number != 2:
        columns += [Column("split", "split"), Column("params_ours", "params", "count")]
    for kind, title in (("params", "params"), ("flops", "FLOPs")):
        if any(getattr(row, kind).printed is not None for row in table.rows):
            columns.append(Column(f"{kind}_printed", title, "number"))
            columns += [Column(f"{kind}_ours", "ours", "count"), Column(f"{kind}_equal", "=")]
    columns.append(Column("top1", "top-1", "number"))
    if table.number == 2:
        columns.append(Column("top5", "top-5", "number"))
    rows = []
    for row in table.rows:
        shown: dict[str, Any] = {"name": row.name, "source": row.source, "convention": row.convention.name}
        if not wide and row.source == "quoted":
            shown["name"] += " (quoted)"
        shown["split"] = row.split.short if row.split else "1"
        for kind, cell in (("params", row.params), ("flops", row.flops)):
            shown |= {f"{kind}_printed": _text(cell.printed), f"{kind}_ours": cell.ours}
            shown[f"{kind}_equal"] = None if cell.equal is None else ("yes" if cell.equal else "NO")
        rows.append(shown | {"top1": _text(row.top1), "top5": _text(row.top5)})
    caption = f"{CAPTIONS[table.number]} at {INPUT.height}x{INPUT.width}"
    units = {"params_ours": (10**6, "M"), "flops_ours": (10**9, "G")}
    notes = _notes(table, wide)
    return Table(caption, tuple(columns), rows, _wrapped(notes) if wrapped else tuple(notes), units)


def _notes(table: Reproduction, wide: bool) -> list[str]:
    different = table.differing
    lines = [f"{len(table.cells) - len(different)} of {len(table.cells)} cells equal to the printed digit"]
    for row, kind, cell in different:
        title = "FLOPs" if kind == "flops" else kind
        lines.append(
            f"NO {row.name}, {title}: printed {cell.printed} {LETTERS[cell.unit]}, ours rounds to {cell.rounded}: "
            f"{cell.reason or 'no reason is known'}"
        )
    for name in dict.fromkeys(row.convention.name for row in table.rows):
        named = [row.name for row in table.rows if row.convention.name == name]
        which = "" if wide and table.number == 2 else f" ({_who(table, named)})"
        lines.append(f"counter {name}{which}: {COUNTERS[name]}")
    compares = "= compares ours, rounded half up, with the printed digits"
    if table.number == 2:
        lines += [f"params, FLOPs: as printed, in M and G; {compares}", *_near(table)]
        lines += [ERRORS, "quoted: the paper took the row's errors from another paper"]
    else:
        lines.append(f"FLOPs: as printed, in G; params: ours, the table prints none; {compares}")
        lines.append(ERRORS.replace("top-1, top-5: errors", "top-1: error"))
    if table.number == 6:
        lines += _added(table)
    return lines


def _who(table: Reproduction, named: list[str]) -> str:
    """The rows of a counter, by what their names begin with."""
    if len(named) == len(table.rows):
        return "all rows"
    families = {"DenseNet": "densenet", "ResNeXt": "resnext", "SE-ResNeXt": "se_resnext", "DLA": "dla"}
    return ", ".join(title for title, start in families.items() if any(name.startswith(start) for name in named))


def _near(table: Reproduction) -> list[str]:
    """Notes on counts that would round otherwise from the three decimals shown."""
    notes = dict[str, None]()
    for _, _, cell in table.cells:
        shown = round_half_up(cell.ours, cell.unit, 3)
        if round_half_up(int(shown * 1000), 1000, cell.places) != cell.rounded:
            notes[f"{shown} {LETTERS[cell.unit]} stands for {cell.ours:,}, which rounds to {cell.rounded}"] = None
    return list(notes)


def _added(table: Reproduction) -> list[str]:
    """Notes on the methods whose filters are weights."""
    plain = next(row.params.ours for row in table.rows if row.split is None)
    return [
        f"{row.name} adds {row.params.ours - plain:,} parameters: its down- and up-sampling filters are learned; "
        "without learned ones the parameters stay"
        for row in table.rows
        if row.params.ours != plain
    ]


def _wrapped(notes: list[str]) -> tuple[str, ...]:
    """Notes as lines that fit a terminal; what goes on is indented."""
    from textwrap import wrap

    return tuple(line for note in notes for line in wrap(note, LINE, subsequent_indent="  ", break_on_hyphens=False))


def _point_data(point: Point) -> dict[str, Any]:
    return {
        "network": point.network,
        "family": point.family,
        "elastic": point.elastic,
        "source": point.source,
        "convention": point.convention,
        "params": point.params,
        "flops": point.flops,
        "top1_error_printed": str(point.top1_error),
        "top1_accuracy": str(point.accuracy),
    }


def figure_json(figure: Figure4) -> dict[str, Any]:
    """The machine form of Figure 4."""
    return {"schema": SCHEMA, "figure": 4, "input": list(INPUT), "points": [_point_data(p) for p in figure.points]}


def figure_list(figure: Figure4) -> Table:
    """The points for CSV."""
    rows = [_point_data(point) | {"elastic": str(point.elastic).lower()} for point in figure.points]
    return Table("", tuple(Column(key, "") for key in rows[0]), rows)


def figure_table(figure: Figure4) -> Table:
    """The points for documents."""
    columns = (
        Column("title", "family"),
        Column("variant", "network"),
        Column("source", "source"),
        Column("convention", "counter"),
        Column("params", "params", "count"),
        Column("flops", "FLOPs", "count"),
        Column("top1_accuracy", "top-1 accuracy", "number"),
    )
    rows = [
        _point_data(point) | {"title": TITLES[point.family], "variant": "Elastic" if point.elastic else "base"}
        for point in figure.points
    ]
    notes = ["params and FLOPs: ours, each row under its counter", f"accuracy: {ACCURACY}"]
    return Table("Figure 4: accuracy against parameters and FLOPs", columns, rows, tuple(notes))
