"""``elastic-search paper``: the paper's figures beside ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import format_options
from elastic_search.cli.output import write_output
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.paper.figure4 import Figure4

SUFFIXES = (".png", ".svg", ".pdf")


@click.command()
@click.argument("what", type=click.Choice(["table2", "table6", "table7", "figure4"]))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write figure4 as an image, by suffix: .png, .svg or .pdf.",
)
@format_options
def paper(what: str, output: Path | None, fmt: str) -> None:
    """Show a table of the paper beside our counts, cell by cell, or its Figure 4.

    Each row is counted at 224x224 as the paper counted it, and every cell says whether ours rounds to the printed
    digits. Errors are the printed ones: nothing is measured here. In json and csv, printed figures are text with
    their digits and ours are whole numbers. figure4 is drawn in the terminal, or as an image with -o; drawing
    needs the 'plot' extra, its data in another --format does not.
    """
    from elastic_search.report.emit import emit

    if what == "figure4":
        return _figure4(output, fmt)
    if output is not None:
        raise UsageError(f"{what} is no image, and -o draws one", "leave out -o, or take figure4")
    from elastic_search.paper.reproduce import TABLES
    from elastic_search.report.paper import reproduction_report

    emit(reproduction_report(TABLES[what](), wrapped=fmt == "table"), fmt)


def _figure4(output: Path | None, fmt: str) -> None:
    from elastic_search.paper.figure4 import figure4
    from elastic_search.report.emit import emit
    from elastic_search.report.paper import figure_report

    if output is not None:
        return _write(figure4(), output, fmt)
    if fmt != "table":
        return emit(figure_report(figure4()), fmt)
    from elastic_search.cli.extras import require

    require("plotext", extra="plot")
    from elastic_search.draw.figure4 import terminal

    click.echo(terminal(figure4()))


def _write(figure: Figure4, output: Path, fmt: str) -> None:
    """The image, whole or not at all.

    Raises:
        UsageError: if the suffix names no image format, or data was asked for too.
        EnvironmentFault: if the file cannot be written.
    """
    suffix = output.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"-o {output}: the suffix says the format, one of {', '.join(SUFFIXES)}", "-o figure4.svg")
    if fmt != "table":
        raise UsageError(f"-o draws an image and --format {fmt} prints its data", "leave out one of them")
    from elastic_search.cli.extras import require

    require("matplotlib", extra="plot")
    from elastic_search.draw.figure4 import picture

    write_output(output, picture(figure, suffix[1:]))
