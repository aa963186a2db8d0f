"""``elastic-search match``: every depth at which a split costs what the base does."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import click

from elastic_search.cli.options import (
    Percent,
    convention_option,
    edit_options,
    format_options,
    input_option,
    load_network,
    read_split,
)


@click.command()
@click.argument("name")
@edit_options
@click.option("--tolerance", type=Percent(), default="1%", show_default=True, help="Distance in cost to the base.")
@click.option("--params-tolerance", type=Percent(), help="Bound the parameters too; not bounded unless given.")
@input_option
@convention_option()
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Rows of the table.")
@format_options
def match(
    name: str,
    split: str | None,
    down: str | None,
    up: str | None,
    tolerance: Fraction,
    params_tolerance: Fraction | None,
    size: tuple[int, int],
    convention: str,
    limit: int,
    fmt: str,
) -> None:
    """Find all depths at which an Elastic network costs what NAME costs, nearest first.

    Every depth tuple with at least one block a stage is considered; the split (by default 1/2,1/2) is in
    every block that may scale. The table shows --limit rows; json and csv list all.
    """
    from elastic_search.arch.ops import image
    from elastic_search.cost.conventions import CONVENTIONS, MACS
    from elastic_search.cost.tally import tally
    from elastic_search.errors import NothingFitsError
    from elastic_search.report.emit import emit
    from elastic_search.report.matches import match_report
    from elastic_search.space.band import Band
    from elastic_search.space.depths import all_depths
    from elastic_search.space.match import Matcher

    chosen, input = CONVENTIONS[convention], image(*size)
    label, base = load_network(name)
    wanted = read_split("1/2,1/2" if split is None else split, down, up)
    cost, macs = (tally(base.graph(), input, rules) for rules in (chosen, MACS))
    band = Band(cost.total, tolerance, chosen, input)
    # Depths that cost a quarter more are listed too, so that an empty band can name what lies above it.
    space = all_depths(base, wanted, band.high + cost.total // 4, chosen, input)
    matcher = Matcher(space, chosen, input)
    bounds = None
    if params_tolerance is not None:
        bounds = ceil(cost.params * (1 - params_tolerance)), floor(cost.params * (1 + params_tolerance))
    inside = matcher.count(band.low, band.high)
    if not inside:
        raise matcher.nothing_fits(band)
    few = None if bounds or fmt in ("json", "csv") else limit
    found = matcher.inside(band, bounds, few)
    if bounds:
        if not found:
            raise NothingFitsError(
                f"none of the {inside:,} depths that match in cost has {bounds[0]:,} to {bounds[1]:,} parameters",
                "raise --params-tolerance",
            )
        inside = len(found)
    listed = found if fmt in ("json", "csv") else found[:limit]
    emit(match_report(listed, inside, matcher, band, (label, macs), wanted, bounds), fmt)
