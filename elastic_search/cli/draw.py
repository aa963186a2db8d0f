"""``elastic-search draw``: a network as a picture."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from elastic_search.cli.opaque import tell_opaque
from elastic_search.cli.options import input_option, load_graph
from elastic_search.cli.output import write_output
from elastic_search.errors import UsageError

SUFFIXES = {".svg": "svg", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".mermaid": "mermaid"}


@click.command(short_help="A network as a picture.")
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="The file to write; its suffix (.svg, .dot, .mmd) gives the format.")  # fmt: skip
@click.option("--format", "fmt", type=click.Choice(["svg", "dot", "mermaid"]), help="Instead of the suffix's.")
@click.option("--by", type=click.Choice(["stage", "block", "branch"]), default="branch", show_default=True,
              help="How much is drawn: the stages, their blocks, or all of it.")  # fmt: skip
@input_option
def draw(name: str, output: Path | None, fmt: str | None, by: str, size: tuple[int, int]) -> None:
    """Draw a network: its stages, their blocks, and the blocks' branches in the colours of their resolutions.

    NAME is whatever 'flops' takes. Normalisations and activations are not drawn, nor are equal blocks in a row drawn
    twice. svg is a picture for any browser; dot (graphviz) and mermaid (Markdown) are text, and go to stdout
    without -o.
    """
    if fmt is None and output is not None:
        fmt = SUFFIXES.get(output.suffix.lower())
        if fmt is None:
            raise UsageError(f"{output}: no format has this suffix", f"end in {', '.join(SUFFIXES)}, or add --format")
    fmt = fmt or "svg"
    if output is None and fmt == "svg" and sys.stdout.isatty():
        raise UsageError("an SVG is no reading for a terminal", f"write it with -o: draw {name} -o net.svg")
    from elastic_search.arch.ops import image
    from elastic_search.draw.charts import dot, mermaid
    from elastic_search.draw.sketch import sketch
    from elastic_search.draw.svg import svg

    writers = {"svg": svg, "dot": dot, "mermaid": mermaid}
    network = load_graph(name, size)
    tell_opaque([network])
    text = writers[fmt](sketch(network, image(*size)), by)
    if output is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()
        return
    write_output(output, text.encode())
