"""``elastic-search pyramids``: the paper's Table 1 for given sizes."""

from __future__ import annotations

import click

from elastic_search.cli.options import convention_option, format_options, option


@click.command()
@option("--size", type=int, default=56, help="Height and width of the input map.")
@option("--channels", type=int, default=256, help="Channels of the input map.")
@option("--kernel", type=int, default=3, help="Height and width of the kernel.")
@option("--out-channels", type=int, default=256, help="Channels of the output map; 1 gives the printed table.")
@option("--split", metavar="SPLIT", default="1/2,1/2", help="Branches as share@scale: b is 1/share, r is 1/scale.")
@convention_option()
@format_options
def pyramids(size: int, channels: int, kernel: int, out_channels: int, split: str, convention: str, fmt: str) -> None:
    """Compare one convolution as single scale, feature pyramid, filter pyramid and Elastic.

    The costs are those of the paper's Table 1, followed by what the table leaves out: the cost of resampling in the
    real layer, counted by --convention, and the net saving. In json and csv, a number that is not whole is the
    nearest floating-point number.
    """
    from elastic_search.arch.split import parse_split
    from elastic_search.cost.pyramids import Layer, split_ratios, table1
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.emit import emit
    from elastic_search.report.pyramids import pyramids_report

    chosen, branches = CONVENTIONS[convention], parse_split(split)
    layer = Layer(size, channels, kernel, split_ratios(branches), out_channels)
    emit(pyramids_report(table1(layer, chosen), layer, branches, chosen, beside=fmt != "table"), fmt)
