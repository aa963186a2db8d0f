"""The result of a command as one value, and the formats derived from it.

On a terminal rich draws the table; in a pipe it is plain aligned text, never cut. ``csv`` and ``json`` hold raw values:
whole numbers without units, shares as fractions.
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
"""Smallest width of a wrapped column."""

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
        key: key of the value in each row, and the header in CSV.
        title: header in tables: one line, or two if only rich draws the table.
        kind: "text"; "long" (text that may be wrapped); "depths" (blocks by stage, joined by dashes); "check" (yes or
            NO); "number" (shown as it is); "count" (whole numbers in k, M or G, one unit per column; a float is a
            relative change); "percent" (a fraction); "change" (a fraction, with its sign); "seconds".
    """

    key: str
    title: str
    kind: str = "text"

    def value(self, row: Record) -> Any:
        """The value in CSV."""
        value = row.get(self.key)
        if value is not None and self.kind == "depths":
            return dashed(value)
        return yes(value) if self.kind == "check" and value is not None else value


class Report(NamedTuple):
    """The result of a command; ``emit`` writes it in any format.

    Attributes:
        title: one line above the table.
        fields: columns of the table, in order, and of CSV unless ``keys`` are given.
        rows: raw values by field key; None instead of a row is a separator, and a missing value is shown as "-".
        notes: lines below the table.
        head: the JSON document, to which ``emit`` adds the schema; a function if it takes time to make.
        keys: columns of CSV, if they differ from the fields.
        records: rows of CSV, if they differ from those of the table.
        narrow: the same content in fewer columns, for narrow terminals, pipes and documents.
        below: further tables, each after an empty line.
        units: units of count columns by field key, if not derived from the values.
    """

    title: str = ""
    fields: Sequence[Field] = ()
    rows: Sequence[Record | None] = ()
    notes: Sequence[str] = ()
    head: Record | Callable[[], Record] = {}  # noqa: RUF012 (never modified)
    keys: Sequence[str] = ()
    records: Sequence[Record] = ()
    narrow: Report | None = None
    below: Sequence[Report] = ()
    units: dict[str, Unit] = {}  # noqa: RUF012

    def unit(self, field: Field) -> Unit:
        """Unit of a count column: the largest in which the column's largest value is at least 1."""
        if field.key in self.units:
            return self.units[field.key]
        return unit_of(row.get(field.key) for row in self.rows if row)

    def header(self, field: Field) -> str:
        letter = self.unit(field)[1] if field.kind == "count" else ""
        first, line, rest = field.title.partition("\n")
        return f"{first} {letter}".strip(" ") + line + rest

    def cell(self, field: Field, row: Record) -> str:
        """A value as shown in a table."""
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
        """Headers and cells as text; ``lines`` keeps line breaks in headers."""
        known = self._replace(units={field.key: self.unit(field) for field in self.fields if field.kind == "count"})
        headers = [known.header(field).replace("\n", "\n" if lines else " ") for field in self.fields]
        return headers, [[known.cell(field, row) for field in self.fields] if row else None for row in self.rows]

    def document(self) -> Record:
        """The JSON document."""
        return {"schema": SCHEMA, **(self.head() if callable(self.head) else self.head)}

    def listing(self) -> list[list[Any]]:
        """CSV's header and rows."""
        if self.keys:
            rows = [[row.get(key) for key in self.keys] for row in self.records or self.rows if row]
            # True and false are written as in JSON.
            return [list(self.keys), *([str(v).lower() if isinstance(v, bool) else v for v in row] for row in rows)]
        return [[f.key for f in self.fields], *([f.value(row) for f in self.fields] for row in self.rows if row)]


def unit_of(values: Iterable[Any]) -> Unit:
    """The largest unit in which the largest whole number of some values is at least 1."""
    largest = max((abs(value) for value in values if isinstance(value, int)), default=0)
    return next((unit for unit in UNITS if largest >= unit[0]), (1, ""))


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
    """Width of the drawn table in characters; ``long`` limits the columns that may be wrapped."""
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
