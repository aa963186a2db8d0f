"""``elastic-search draw``: a network as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import image_of, image_option, load_graph, networks_complete, option, require
from elastic_search.cli.output import tell_opaque, write_output
from elastic_search.errors import UsageError

SUFFIXES = {
    ".svg": "svg", ".png": "png", ".pdf": "pdf", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid",
}  # fmt: skip
FORMATS = list(dict.fromkeys(SUFFIXES.values()))

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@click.argument("name", shell_complete=networks_complete)
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="File to write; its suffix (.svg, .png, .pdf, .dot or .mmd) sets the format.")  # fmt: skip
@click.option(
    "--format",
    "fmt",
    type=click.Choice(FORMATS),
    help="Format to write; overrides the suffix.",
)
@option("--by", type=click.Choice(["stage", "block", "branch"]), default="branch", help="Level of detail.")
@image_option
def draw(name: str, output: Path | None, fmt: str | None, by: str, input: Shape) -> None:
    """Draw a network: its stages, their blocks, and the branches of the blocks, coloured by resolution.

    NAME is anything that 'flops' accepts. Normalisations and activations are not drawn, and equal blocks in a row are
    drawn once. svg is a picture for any browser, png and pdf need the 'plot' extra; dot (graphviz) and mermaid
    (Markdown) are text. Without -o the drawing goes to stdout.
    """
    of_suffix = None if output is None else SUFFIXES.get(output.suffix.lower())
    if None not in (fmt, of_suffix) and fmt != of_suffix:
        raise UsageError(f"{output} is named as {of_suffix}, and --format is {fmt}", "give one of the two")
    if fmt is None and output is not None:
        fmt = of_suffix
        if fmt is None:
            raise UsageError(f"{output}: unknown suffix", f"use one of {', '.join(SUFFIXES)}, or add --format")
    fmt = fmt or "svg"
    if output is None and fmt in ("svg", "png", "pdf") and sys.stdout.isatty():
        raise UsageError("a picture cannot be shown in a terminal", f"write it to a file: draw {name} -o net.{fmt}")
    if fmt in ("png", "pdf"):
        require("matplotlib", extra="plot")
    from elastic_search.draw.charts import dot, mermaid
    from elastic_search.draw.sketch import sketch
    from elastic_search.draw.svg import svg

    writers = {"dot": dot, "mermaid": mermaid}
    network = load_graph(name, input)
    input = image_of(network, input)
    tell_opaque([network])
    data = writers.get(fmt, svg)(sketch(network, input), by).encode()
    if fmt in ("png", "pdf"):
        from elastic_search.draw.picture import picture

        data = picture(data.decode(), fmt)
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    write_output(output, data)
