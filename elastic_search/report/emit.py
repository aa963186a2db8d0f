"""What a command found, as one value, and the formats that are derived from it.

On a terminal rich draws the table; in a pipe it is plain aligned text, never cut. ``csv`` and ``json``
hold the raw values: whole numbers without units, shares as fractions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from elastic_search.report.text import dashed, decimal, yes

if TYPE_CHECKING:
    from rich.table import Table as RichTable

SCHEMA = 1
"""Version of the JSON of every command."""

LEAST_LONG = 8
"""Characters that a wrapped column keeps."""

GAP = 2
"""Characters between columns."""

TEXTUAL = ("text", "long", "depths", "check")
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))

Record = dict[str, Any]
Unit = tuple[int, str]
"""Divisor and letter."""


class Field(NamedTuple):
    """A column.

    Attributes:
        key: of the rows; the header in CSV.
        title: header for people, of one line, or two where only rich draws the table.
        kind: "text"; "long" (text that may be wrapped); "depths" (blocks by stage, joined by dashes); "check" (yes or
            NO); "number" (shown as it is); "count" (whole numbers shown in k, M or G, one unit a column; a float in
            such a column is a relative change); "percent" (a fraction); "change" (a fraction, with its sign);
            "seconds".
    """

    key: str
    title: str
    kind: str = "text"

    def value(self, row: Record) -> Any:
        """What CSV holds."""
        value = row.get(self.key)
        if value is not None and self.kind == "depths":
            return dashed(value)
        return yes(value) if self.kind == "check" and value is not None else value


class Report(NamedTuple):
    """What a command found; ``emit`` writes it in any format.

    Attributes:
        title: one line above the table.
        fields: of the table, in order; of CSV too unless ``keys`` are given.
        rows: raw values by field key; None in place of a row is a separating line, a missing value is "-".
        notes: lines below.
        head: the JSON document, to which ``emit`` adds the schema; a function, where making it takes time.
        listed: the key under which the document lists the rows, if they are not in ``head``.
        keys: of CSV's columns, where they are others than the fields'.
        records: CSV's rows, where they are others than the table's.
        narrow: the same content in fewer columns: for terminals that are narrow, for pipes and documents.
        below: further tables, each after an empty line.
        units: of count columns whose unit is given, by field key.
    """

    title: str = ""
    fields: Sequence[Field] = ()
    rows: Sequence[Record | None] = ()
    notes: Sequence[str] = ()
    head: Record | Callable[[], Record] = {}  # noqa: RUF012 (never changed)
    listed: str = ""
    keys: Sequence[str] = ()
    records: Sequence[Record] = ()
    narrow: Report | None = None
    below: Sequence[Report] = ()
    units: dict[str, Unit] = {}  # noqa: RUF012

    def unit(self, field: Field) -> Unit:
        """Unit of a count column: the largest in which its largest value is at least 1."""
        if field.key in self.units:
            return self.units[field.key]
        return unit_of(row.get(field.key) for row in self.rows if row)

    def header(self, field: Field) -> str:
        letter = self.unit(field)[1] if field.kind == "count" else ""
        first, line, rest = field.title.partition("\n")
        return f"{first} {letter}".strip(" ") + line + rest

    def cell(self, field: Field, row: Record) -> str:
        """A value as people read it."""
        value = field.value(row)
        if value is None:
            return "-"
        if isinstance(value, str):
            return "".join(c for c in value if c.isprintable())
        if field.kind == "change" or (field.kind == "count" and isinstance(value, float)):
            return f"{100 * value:+.2f}%".replace("-0.00%", "+0.00%")
        if field.kind == "count":
            size, _ = self.unit(field)
            return str(value) if size == 1 else decimal(value, size, 3)
        if field.kind == "percent":
            return f"{100 * value:.1f}%"
        return f"{value:.1f}" if field.kind == "seconds" else str(value)

    def grid(self, lines: bool = False) -> tuple[list[str], list[list[str] | None]]:
        """Headers and cells as text; headers of two lines stay so with ``lines``."""
        known = self._replace(units={field.key: self.unit(field) for field in self.fields if field.kind == "count"})
        headers = [known.header(field).replace("\n", "\n" if lines else " ") for field in self.fields]
        return headers, [[known.cell(field, row) for field in self.fields] if row else None for row in self.rows]

    def document(self) -> Record:
        """The JSON document."""
        head = self.head() if callable(self.head) else self.head
        return {"schema": SCHEMA, **head, **({self.listed: [row for row in self.rows if row]} if self.listed else {})}

    def listing(self) -> list[list[Any]]:
        """CSV's header and rows."""
        if self.keys:
            rows = [[_plain_value(row.get(key)) for key in self.keys] for row in self.records or self.rows if row]
            return [list(self.keys), *rows]
        return [[f.key for f in self.fields], *([f.value(row) for f in self.fields] for row in self.rows if row)]


def unit_of(values: Iterable[Any]) -> Unit:
    """The largest unit in which the largest whole number of some values is at least 1."""
    largest = max((abs(value) for value in values if isinstance(value, int)), default=0)
    return next((unit for unit in UNITS if largest >= unit[0]), (1, ""))


def _plain_value(value: Any) -> Any:
    """A value of CSV, where true and false are written as in JSON."""
    return str(value).lower() if isinstance(value, bool) else value


def emit(report: Report, fmt: str = "table") -> None:
    """Print a report on stdout.

    Args:
        report: what to print.
        fmt: "table", "json", "csv", "markdown" or "latex".
    """
    if fmt == "json":
        import json

        _write(json.dumps(report.document(), indent=2) + "\n")
    elif fmt == "csv":
        import csv

        csv.writer(sys.stdout, lineterminator="\n").writerows(report.listing())
    else:
        _print(report, fmt)
        for table in report.below:
            _write("\n")
            _print(table, fmt)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _print(report: Report, fmt: str) -> None:
    narrow = report.narrow or report
    if fmt != "table" or not sys.stdout.isatty():
        return _write({"table": _plain, "markdown": _markdown, "latex": _latex}[fmt](narrow))
    from rich.console import Console
    from rich.text import Text

    console = Console()
    table = narrow if _width(report) > console.width else report
    if _width(table, LEAST_LONG) > console.width:
        # rich would break numbers over lines; plain lines can at least be scrolled.
        return _write(_plain(table))
    console.print(Text(table.title, style="bold"))
    console.print(_rich(table))
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _width(report: Report, long: int | None = None) -> int:
    """Characters of a drawn line; ``long`` bounds the columns that may be wrapped."""
    headers, grid = report.grid(lines=True)
    width = GAP * (len(headers) - 1)
    for i, (field, header) in enumerate(zip(report.fields, headers, strict=True)):
        cells = max((len(row[i]) for row in grid if row), default=0)
        if field.kind == "long" and long is not None:
            cells = min(cells, long)
        width += max(cells, *map(len, header.split("\n")))
    return width


def _rich(report: Report) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    headers, grid = report.grid(lines=True)
    for field, header in zip(report.fields, headers, strict=True):
        wraps = field.kind == "long"
        justify = "left" if field.kind in TEXTUAL else "right"
        drawn.add_column(Text(header), justify=justify, no_wrap=not wraps, overflow="fold")  # type: ignore[arg-type]
    for cells in grid:
        if cells is None:
            drawn.add_section()
        else:
            drawn.add_row(*[Text(cell) for cell in cells])
    return drawn


def _plain(report: Report) -> str:
    headers, grid = report.grid()
    lines = [headers, *(row for row in grid if row)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headers))]

    def line(cells: list[str]) -> str:
        aligned = (
            cell.ljust(width) if field.kind in TEXTUAL else cell.rjust(width)
            for cell, width, field in zip(cells, widths, report.fields, strict=True)
        )
        return (GAP * " ").join(aligned).rstrip()

    body = [line(cells) if cells else "" for cells in grid]
    rule = "-" * max(len(line(cells)) for cells in lines)
    return "\n".join([report.title, line(headers), rule, *body, *report.notes]) + "\n"


def _markdown(report: Report) -> str:
    headers, grid = report.grid()
    marks = [":--" if field.kind in TEXTUAL else "--:" for field in report.fields]
    lines = [headers, marks, *(row for row in grid if row)]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"\n{note}" for note in report.notes]
    return "\n".join([f"{report.title}\n", *body, *notes]) + "\n"


def _latex(report: Report) -> str:
    def escape(text: str) -> str:
        special = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
        return "".join(special.get(char, f"\\{char}" if char in "&%_#${}" else char) for char in text)

    headers, grid = report.grid()
    spec = "".join("l" if field.kind in TEXTUAL else "r" for field in report.fields)
    lines = [f"% {report.title}", f"\\begin{{tabular}}{{{spec}}}", "\\hline"]
    lines += [" & ".join(map(escape, headers)) + r" \\", "\\hline"]
    lines += [" & ".join(map(escape, row)) + r" \\" if row else "\\hline" for row in grid]
    lines += ["\\hline", "\\end{tabular}", *(f"% {note}" for note in report.notes)]
    return "\n".join(lines) + "\n"
