"""``elastic-search paper``: the paper's figures next to ours."""

from __future__ import annotations

from pathlib import Path

import click

from elastic_search.cli.options import format_options, require
from elastic_search.cli.output import write_output
from elastic_search.errors import UsageError

SUFFIXES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("what", type=click.Choice(["table2", "table6", "table7", "figure4"]))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Image file to write figure4 to (.png, .svg or .pdf).")  # fmt: skip
@format_options
def paper(what: str, output: Path | None, fmt: str) -> None:
    """Show a table of the paper next to our counts, cell by cell, or the paper's Figure 4.

    Each row is counted at 224x224 in the way the paper counted it, and every cell says whether our count rounds to
    the printed digits. Error rates are those printed; nothing is measured here. In json and csv, printed figures are
    text, which keeps their digits, and ours are whole numbers. figure4 is drawn in the terminal, or to an image file
    with -o. Drawing needs the 'plot' extra; printing the data with --format does not.
    """
    from elastic_search.report.emit import emit

    if what == "figure4":
        return _figure4(output, fmt)
    if output is not None:
        raise UsageError(f"-o works with figure4 only, not with {what}", "leave out -o")
    from elastic_search.paper.reproduce import TABLES
    from elastic_search.report.paper import reproduction_report

    emit(reproduction_report(TABLES[what](), wrapped=fmt == "table"), fmt)


def _figure4(output: Path | None, fmt: str) -> None:
    """Draw Figure 4 to a file or the terminal, or print its data."""
    from elastic_search.paper.figure4 import figure4

    if output is not None:
        suffix = output.suffix.lower()
        if suffix not in SUFFIXES:
            raise UsageError(f"-o {output}: the suffix must be one of {', '.join(SUFFIXES)}", "try -o figure4.svg")
        if fmt != "table":
            raise UsageError(f"-o draws an image and --format {fmt} prints the data", "give one of them")
        require("matplotlib", extra="plot")
        from elastic_search.draw.figure4 import picture

        return write_output(output, picture(figure4(), suffix[1:]))
    if fmt != "table":
        from elastic_search.report.emit import emit
        from elastic_search.report.paper import figure_report

        return emit(figure_report(figure4()), fmt)
    require("plotext", extra="plot")
    from elastic_search.draw.figure4 import terminal

    click.echo(terminal(figure4()))
