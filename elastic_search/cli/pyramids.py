"""``elastic-search pyramids``: the paper's Table 1 for given sizes."""

from __future__ import annotations

import click

from elastic_search.cli.options import convention_option, format_options


@click.command()
@click.option("--size", type=int, default=56, show_default=True, help="Height and width of the input map.")
@click.option("--channels", type=int, default=256, show_default=True, help="Channels of the input map.")
@click.option("--kernel", type=int, default=3, show_default=True, help="Height and width of the kernel.")
@click.option("--out-channels", type=int, default=256, show_default=True, help="1 gives the table as printed.")
@click.option(
    "--split",
    metavar="SPLIT",
    default="1/2,1/2",
    show_default=True,
    help="Branches of the layer, share@scale: b is 1/share, r is 1/scale.",
)
@convention_option()
@format_options
def pyramids(size: int, channels: int, kernel: int, out_channels: int, split: str, convention: str, fmt: str) -> None:
    """Compare one convolution as single scale, feature pyramid, filter pyramid and Elastic.

    The costs are those of the paper's Table 1. Beside them stands what it leaves out: the resampling of the
    real layer, which --convention counts, and what remains of the saving. In json and csv a number that is
    not whole is exact text, as in "1849/4".
    """
    from elastic_search.arch.split import parse_split
    from elastic_search.cost.pyramids import Layer, split_ratios, table1
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.emit import emit
    from elastic_search.report.pyramids import pyramids_report

    chosen, branches = CONVENTIONS[convention], parse_split(split)
    layer = Layer(size, channels, kernel, split_ratios(branches), out_channels)
    emit(pyramids_report(table1(layer, chosen), layer, branches, chosen, beside=fmt != "table"), fmt)
