"""A table of raw values that is drawn in every format.

On a terminal rich draws it; in a pipe it is plain aligned text, never cut. ``csv`` and ``json``
hold the raw values: whole numbers without units, shares as fractions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

LEAST_LONG = 8
"""Characters that a wrapped column keeps."""

GAP = 2
"""Characters between columns."""

TEXTUAL = ("text", "long")
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        key: of the row dictionaries; the header in CSV.
        title: header for people, of one line, or two where only rich draws the table.
        kind: "text"; "long" (text that may be wrapped); "number" (shown as it is); "count" (whole numbers
            shown in k, M or G, one unit a column; a float in such a column is a relative change);
            "percent" (a fraction); "change" (a fraction, with its sign); "seconds".
    """

    key: str
    title: str
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """Rows of raw values; None in place of a row is a separating line, a missing value is "-".

    Attributes:
        title: one line above.
        columns: in order.
        rows: dictionaries by column key.
        notes: lines below.
        units: of count columns whose unit is given, by column key: (divisor, letter).
    """

    title: str
    columns: tuple[Column, ...]
    rows: Sequence[dict[str, Any] | None]
    notes: tuple[str, ...] = ()
    units: dict[str, tuple[int, str]] = field(default_factory=dict)

    def unit(self, column: Column) -> tuple[int, str]:
        """Divisor and letter of a count column: the largest unit in which its largest value is at least 1."""
        if column.key in self.units:
            return self.units[column.key]
        values = [abs(row[column.key]) for row in self.rows if row and isinstance(row.get(column.key), int)]
        return next(((size, letter) for size, letter in UNITS if values and max(values) >= size), (1, ""))

    def header(self, column: Column) -> str:
        letter = self.unit(column)[1] if column.kind == "count" else ""
        first, line, rest = column.title.partition("\n")
        return f"{first} {letter}".strip(" ") + line + rest

    def cell(self, column: Column, row: dict[str, Any]) -> str:
        """A value as people read it."""
        value = row.get(column.key)
        if value is None:
            return "-"
        if isinstance(value, str):
            return "".join(c for c in value if c.isprintable())
        if column.kind == "change" or (column.kind == "count" and isinstance(value, float)):
            return f"{100 * value:+.2f}%".replace("-0.00%", "+0.00%")
        if column.kind == "count":
            size, _ = self.unit(column)
            if size == 1:
                return str(value)
            # In whole numbers: a float has no room for the largest counts.
            thousandths = (1000 * abs(value) + size // 2) // size
            return f"{'-' if value < 0 else ''}{thousandths // 1000}.{thousandths % 1000:03}"
        if column.kind == "percent":
            return f"{100 * value:.1f}%"
        if column.kind == "seconds":
            return f"{value:.1f}"
        return str(value)

    def grid(self, lines: bool = False) -> tuple[list[str], list[list[str] | None]]:
        """Headers and cells as text; headers of two lines stay so with ``lines``."""
        headers = [self.header(column).replace("\n", "\n" if lines else " ") for column in self.columns]
        return headers, [[self.cell(column, row) for column in self.columns] if row else None for row in self.rows]


def show(table: Table, fmt: str = "table", narrow: Table | None = None) -> None:
    """Print a table on stdout.

    Args:
        table: what to print.
        fmt: "table", "csv", "markdown" or "latex".
        narrow: the same content in fewer columns, for terminals on which ``table`` does not fit and for pipes.
    """
    if fmt == "csv":
        return _csv(table)
    if fmt == "markdown":
        return _write(_markdown(narrow or table))
    if fmt == "latex":
        return _write(_latex(narrow or table))
    if not sys.stdout.isatty():
        return _write(_plain(narrow or table))
    from rich.console import Console

    console = Console()
    if narrow is not None and _width(table) > console.width:
        table = narrow
    if _width(table, LEAST_LONG) > console.width:
        # rich would break numbers over lines; plain lines can at least be scrolled.
        return _write(_plain(table))
    return _print(console, table)


def _width(table: Table, long: int | None = None) -> int:
    """Characters of a drawn line; ``long`` bounds the columns that may be wrapped."""
    headers, grid = table.grid(lines=True)
    width = GAP * (len(headers) - 1)
    for i, (column, header) in enumerate(zip(table.columns, headers, strict=True)):
        cells = max((len(row[i]) for row in grid if row), default=0)
        if column.kind == "long" and long is not None:
            cells = min(cells, long)
        width += max(cells, *map(len, header.split("\n")))
    return width


def show_json(data: dict[str, Any]) -> None:
    """Print one JSON document on stdout."""
    import json

    _write(json.dumps(data, indent=2) + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _print(console: Console, table: Table) -> None:
    from rich.text import Text

    console.print(Text(table.title, style="bold"))
    console.print(_rich(table))
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _rich(table: Table) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    headers, grid = table.grid(lines=True)
    for column, header in zip(table.columns, headers, strict=True):
        wraps = column.kind == "long"
        justify = "left" if column.kind in TEXTUAL else "right"
        drawn.add_column(Text(header), justify=justify, no_wrap=not wraps, overflow="fold")  # type: ignore[arg-type]
    for cells in grid:
        if cells is None:
            drawn.add_section()
        else:
            drawn.add_row(*[Text(cell) for cell in cells])
    return drawn


def _plain(table: Table) -> str:
    headers, grid = table.grid()
    lines = [headers, *(row for row in grid if row)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]

    def line(cells: list[str]) -> str:
        aligned = (
            cell.ljust(width) if column.kind in TEXTUAL else cell.rjust(width)
            for cell, width, column in zip(cells, widths, table.columns, strict=True)
        )
        return (GAP * " ").join(aligned).rstrip()

    body = [line(cells) if cells else "" for cells in grid]
    rule = "-" * max(len(line(cells)) for cells in lines)
    return "\n".join([table.title, line(headers), rule, *body, *table.notes]) + "\n"


def _csv(table: Table) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([column.key for column in table.columns])
    writer.writerows([row.get(column.key) for column in table.columns] for row in table.rows if row)


def _markdown(table: Table) -> str:
    headers, grid = table.grid()
    marks = [":--" if column.kind in TEXTUAL else "--:" for column in table.columns]
    lines = [headers, marks, *(row for row in grid if row)]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join([f"{table.title}\n", *body, *notes]) + "\n"


def _latex(table: Table) -> str:
    def escape(text: str) -> str:
        special = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
        return "".join(special.get(char, f"\\{char}" if char in "&%_#${}" else char) for char in text)

    headers, grid = table.grid()
    spec = "".join("l" if column.kind in TEXTUAL else "r" for column in table.columns)
    lines = [f"% {table.title}", f"\\begin{{tabular}}{{{spec}}}", "\\hline"]
    lines += [" & ".join(map(escape, headers)) + r" \\", "\\hline"]
    lines += [" & ".join(map(escape, row)) + r" \\" if row else "\\hline" for row in grid]
    lines += ["\\hline", "\\end{tabular}", *(f"% {note}" for note in table.notes)]
    return "\n".join(lines) + "\n"
