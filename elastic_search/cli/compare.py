"""``elastic-search compare``: networks side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import (
    OneOf,
    check_convention,
    convention_option,
    dtype_option,
    format_options,
    image_of,
    image_option,
    load_graph,
    networks_complete,
)
from elastic_search.cli.output import tell_opaque

SORTS = ["name", "params", "macs", "count", "activations", "bytes", "peak", "intensity", "depth", "field"]
KEYS = {"bytes": "bytes_moved", "peak": "peak_memory", "field": "receptive_field"}
"""Keys of quantities in a comparison, if they differ from the option."""

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=networks_complete)
@image_option
@convention_option()
@dtype_option("Data type of weights and activations, for bytes moved and peak memory.")
@click.option(
    "--sort", type=OneOf(SORTS, "quantity to sort by"), help="Quantity to sort by; 'count' is the convention's count."
)
@click.option("--reverse", is_flag=True, help="Sort the largest first; without --sort, reverse the order of the names.")
@format_options
def compare(
    names: tuple[str, ...],
    input: Shape,
    convention: str,
    dtype: str,
    sort: str | None,
    reverse: bool,
    fmt: str,
) -> None:
    """Compare networks: parameters, multiply-adds, activations, bytes moved, peak memory, depth, receptive field.

    NAME is anything that 'flops' accepts. Ratios are relative to the first NAME, wherever --sort puts it. A wide
    terminal shows one network per row, a narrow one shows one per column. Bytes moved assume that ops run one by one,
    without fusion: each reads its inputs and weights and writes its output once. FLOPs per byte count two FLOPs per
    multiply-add. Depth is the number of convolutions and linear layers on the longest path. The receptive field is
    the width in pixels of the region that one position of the last feature map depends on, not counting
    squeeze-and-excite gates, which see the whole image.
    """
    from elastic_search.cost.compare import compare
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.compare import comparison_report
    from elastic_search.report.emit import emit

    check_convention(convention, names)
    networks = [load_graph(name, input) for name in names]
    key = sort and KEYS.get(sort, sort)
    images = [image_of(network, input) for network in networks]
    found = compare(networks, images, CONVENTIONS[convention], dtype, key, reverse)
    if fmt == "json":
        tell_opaque(networks)
    emit(comparison_report(found, fmt), fmt)
