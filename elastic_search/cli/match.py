"""``elastic-search match``: every depth at which a split costs what the base does."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import (
    AMOUNT,
    PERCENT,
    convention_option,
    edit_options,
    format_options,
    image_of_spec,
    image_option,
    load_network,
    networks_complete,
    option,
    read_split,
)

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@click.argument("name", shell_complete=networks_complete)
@edit_options
@click.option("--target", type=AMOUNT, help="Cost to meet, such as 2G, in place of the base's own.")
@option("--tolerance", type=PERCENT, default="1%", help="Largest difference in cost from the target.")
@click.option("--params-tolerance", type=PERCENT, help="Largest difference in parameters; unlimited if omitted.")
@image_option
@convention_option()
@option("--limit", type=click.IntRange(1), default=20, help="Most rows to show.")
@format_options
def match(
    name: str,
    split: str | None,
    down: str | None,
    up: str | None,
    target: int | None,
    tolerance: Fraction,
    params_tolerance: Fraction | None,
    input: Shape,
    convention: str,
    limit: int,
    fmt: str,
) -> None:
    """Find all depths at which an Elastic network costs as much as NAME, or as --target, nearest first.

    NAME is a published network (see 'elastic-search models'), a spec file (.toml) or a run's folder.
    All depths with at least one block per stage are considered. The split (1/2,1/2 by default) is applied to every
    block that can be split. The table shows --limit rows; json and csv list all of them.
    """
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.emit import emit
    from elastic_search.report.networks import match_report
    from elastic_search.space.depths import match as matching

    label, base = load_network(name)
    wanted = read_split("1/2,1/2" if split is None else split, down, up)
    found = matching(
        base,
        wanted,
        target=target,
        tolerance=tolerance,
        params_tolerance=params_tolerance,
        convention=CONVENTIONS[convention],
        input=image_of_spec(label, base, input),
        limit=None if fmt in ("json", "csv") else limit,
    )
    emit(match_report(found, label, base, wanted), fmt)
