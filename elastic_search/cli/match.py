"""``elastic-search match``: every depth at which a split costs what the base does."""

from __future__ import annotations

from fractions import Fraction

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
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.emit import emit
    from elastic_search.report.matches import match_report
    from elastic_search.space.depths import match as matching

    label, base = load_network(name)
    wanted = read_split("1/2,1/2" if split is None else split, down, up)
    found = matching(
        base,
        wanted,
        tolerance=tolerance,
        params_tolerance=params_tolerance,
        convention=CONVENTIONS[convention],
        input=image(*size),
        limit=None if fmt in ("json", "csv") else limit,
    )
    emit(match_report(found, label, base, wanted), fmt)
