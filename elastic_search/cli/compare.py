"""``elastic-search compare``: networks side by side."""

from __future__ import annotations

import click

from elastic_search.cli.opaque import tell_opaque
from elastic_search.cli.options import convention_option, dtype_option, format_options, input_option, load_graph

SORTS = {
    "name": "name",
    "params": "params",
    "macs": "macs",
    "count": "count",
    "activations": "activations",
    "bytes": "bytes_moved",
    "peak": "peak_memory",
    "intensity": "intensity",
    "depth": "depth",
    "field": "receptive_field",
}
"""What users sort by, and its key."""


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@input_option
@convention_option()
@dtype_option("Of elements and weights, for bytes moved and peak memory.")
@click.option("--sort", type=click.Choice(list(SORTS)), help="Order of the networks; 'count' is the convention's.")
@click.option("--reverse", is_flag=True, help="Largest first; without --sort, the names from the last.")
@format_options
def compare(
    names: tuple[str, ...],
    size: tuple[int, int],
    convention: str,
    dtype: str,
    sort: str | None,
    reverse: bool,
    fmt: str,
) -> None:
    """Compare networks: parameters, multiply-adds, activations, bytes moved, peak memory, depth, receptive field.

    A NAME is whatever 'flops' takes. Ratios are to the first NAME, wherever --sort puts it. A terminal with room
    shows a network a row, a narrow one a network a column. The bytes moved are those of running op by op: every op
    reads its inputs and weights and writes its output once, without fusion; FLOPs per byte are two for each
    multiply-add over these bytes. Depth is the convolutions and linear layers on the longest path. The receptive
    field is the edge in pixels of what one position of the last feature map depends on; squeeze-and-excite gates,
    which see the whole image, do not count.
    """
    from elastic_search.arch.ops import image
    from elastic_search.cost.compare import compare
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.compare import comparison_report
    from elastic_search.report.emit import emit

    networks = [load_graph(name, size) for name in names]
    found = compare(networks, image(*size), CONVENTIONS[convention], dtype, sort and SORTS[sort], reverse)
    if fmt in ("csv", "json"):
        tell_opaque(networks)
    emit(comparison_report(found, fmt), fmt)
