"""The result of a command as one value, and the formats derived from it.

On a terminal rich draws the table; in a pipe it is plain aligned text, never cut. ``csv`` and ``json`` hold raw values:
numbers without units, shares as fractions. Their keys are a contract, ``report.contract``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from elastic_search.report.text import dashed, decimal, flat, yes

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from elastic_search.cost.budget import Verdict

SCHEMA = 2
"""Version of the JSON of every command."""

ENOUGH_LONG, LEAST_LONG = 16, 8
"""Width of a wrapped column that is worth a table with fewer columns, and the smallest."""

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
        key: key of the value in each row.
        title: header in tables: one line, or two if only rich draws the table.
        kind: "text"; "long" (text that may be wrapped); "depths" (blocks by stage, joined by dashes); "check" (yes or
            NO); "number" (shown as it is); "count" (whole numbers in k, M or G, one unit per column; a float is a
            relative change); "percent" (a fraction); "change" (a fraction, with its sign); "seconds".
    """

    key: str
    title: str
    kind: str = "text"

    def value(self, row: Record) -> Any:
        """The value in tables, before it is given a unit."""
        value = row.get(self.key)
        if value is not None and self.kind == "depths":
            return dashed(value)
        return yes(value) if self.kind == "check" and isinstance(value, bool) else value


class Report(NamedTuple):
    """The result of a command; ``emit`` writes it in any format.

    Attributes:
        title: one line above the table.
        fields: columns of the table, in order.
        rows: raw values by field key; None instead of a row is a separator, and a missing value is shown as "-".
        notes: lines below the table; also a list in JSON, and on stderr with CSV, whose file has none.
        head: the JSON document, to which ``emit`` adds schema, form and notes; a function if it takes time to make.
        form: name of its keys in ``report.contract``, which also gives the columns of CSV; those of a report without
            one are its fields.
        records: rows of CSV, if they differ from those of the table.
        narrow: the same content in fewer columns, for narrow terminals, pipes and documents.
        slim: ever narrower forms for terminals that no other fits, if need be with less; see ``without``.
        below: further tables, each after an empty line.
        units: units of count columns by field key, if not derived from the values.
    """

    title: str = ""
    fields: Sequence[Field] = ()
    rows: Sequence[Record | None] = ()
    notes: Sequence[str] = ()
    head: Record | Callable[[], Record] = {}  # noqa: RUF012 (never modified)
    form: str = ""
    records: Sequence[Record] = ()
    narrow: Report | None = None
    slim: Sequence[Report] = ()
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

    def remarks(self) -> list[str]:
        """The notes of all forms of the table and of the tables below, each once."""
        tables = (self, *filter(None, (self.narrow,)), *self.below)
        return list(dict.fromkeys(note for table in tables for note in table.notes))

    def document(self) -> Record:
        """The JSON document."""
        about = {"schema": SCHEMA, **({"form": self.form} if self.form else {})}
        return {**about, **(self.head() if callable(self.head) else self.head), "notes": self.remarks()}

    def without(self, *keys: str) -> Report:
        """The report without some columns, in ``slim``: one after the other is left out, and a note says which."""
        forms, fields = list[Report](), list(self.fields)
        left_out: list[str] = []
        for field in (field for key in keys for field in self.fields if field.key == key):
            fields.remove(field)
            left_out.append(field.title.replace("\n", " "))
            note = f"not shown: {', '.join(left_out)} (a wider terminal has room)"
            forms.append(self._replace(fields=list(fields), notes=[*self.notes, note], below=()))
        return self._replace(slim=forms)

    def with_budget(self, verdicts: Sequence[Verdict]) -> Report:
        """The report with the verdict of a budget in its JSON; null where there is none."""
        limits = []
        for verdict in verdicts:
            about: Record = {"name": verdict.name, "input": list(verdict.input), "quantity": verdict.quantity}
            about |= {"value": verdict.value, "limit": verdict.limit, "within": verdict.within}
            limits.append({**about, "uncounted": sum(verdict.uncounted.values())})
        budget = {"within": all(v.within for v in verdicts), "limits": limits} if limits else None
        head = self.head
        return self._replace(head=lambda: {**(head() if callable(head) else head), "budget": budget})

    def listing(self) -> list[list[Any]]:
        """CSV's header and rows."""
        rows, keys = [row for row in self.records or self.rows if row], [field.key for field in self.fields]
        if self.form:
            from elastic_search.report.contract import FORMS

            keys = FORMS[self.form].header(rows)
        return [keys, *([flat(row.get(key)) for key in keys] for row in rows)]


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
        sys.stdout.flush()
        # The file is a header and rows, as every reader of CSV expects; what is said about them has its own stream.
        for note in report.remarks():
            print(f"note: {note}", file=sys.stderr)
    else:
        _print(report, fmt)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _print(report: Report, fmt: str) -> None:
    """Print the form of a report that fits, and the tables below it."""
    table = report.narrow or report
    if fmt != "table":
        from elastic_search.report import documents

        _write({"markdown": documents.markdown, "latex": documents.latex}[fmt](table))
    elif not sys.stdout.isatty():
        _write(_plain(table))
    else:
        table = _draw(report)
    for below in (*(table.below if table is not report else ()), *report.below):
        _write("\n")
        _print(below, fmt)


def _draw(report: Report) -> Report:
    """Draw the first form that fits the terminal, and return it."""
    from rich.console import Console
    from rich.text import Text

    console = Console()
    forms = [report, *filter(None, (report.narrow,)), *report.slim]
    fit = (form for long in (ENOUGH_LONG, LEAST_LONG) for form in forms if _width(form, long) <= console.width)
    table = next(fit, None)
    if table is None:
        # rich would break numbers over lines; plain lines can at least be scrolled.
        _write(_plain(forms[-1]))
        return forms[-1]
    console.print(Text(table.title, style="bold"))
    console.print(_rich(table))
    for note in table.notes:
        console.print(Text(note, style="dim"))
    return table


def _width(report: Report, long: int) -> int:
    """Width of the drawn table in characters; ``long`` limits the columns that may be wrapped."""
    headers, grid = report.grid(lines=True)
    width = GAP * (len(headers) - 1)
    for i, (field, header) in enumerate(zip(report.fields, headers, strict=True)):
        cells = max((len(row[i]) for row in grid if row), default=0)
        if field.kind == "long":
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
