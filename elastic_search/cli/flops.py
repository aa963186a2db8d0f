"""``elastic-search flops``: what a network costs, beside its Elastic variant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import (
    Depths,
    convention_option,
    edit_options,
    edited,
    format_options,
    input_option,
    load_network,
)
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.arch.spec import Spec


@click.command(short_help="What a network costs, beside its Elastic variant.")
@click.argument("name")
@click.option("--elastic", is_flag=True, help="Beside it, its published Elastic variant.")
@edit_options
@click.option("--depths", type=Depths(), help="Blocks per stage, as in 6,8,5,3.")
@input_option
@click.option("--by", type=click.Choice(["stage", "block", "op"]), default="stage", show_default=True)
@convention_option
@format_options
def flops(
    name: str,
    elastic: bool,
    split: str | None,
    down: str | None,
    up: str | None,
    depths: tuple[int, ...] | None,
    size: tuple[int, int],
    by: str,
    convention: str,
    fmt: str,
) -> None:
    """Count a network exactly: parameters, multiply-adds, a tool's count, activations.

    NAME is a published network ('elastic-search models' lists them) or a spec file (.toml). With an edit
    (--split, --down, --up, --depths) the edited network stands beside NAME.
    """
    from elastic_search.arch.ops import image
    from elastic_search.arch.split import parse_split
    from elastic_search.cost.conventions import CONVENTIONS
    from elastic_search.report.costs import cost_list, cost_tables, costs_json, measure
    from elastic_search.report.table import show, show_json

    chosen, input = CONVENTIONS[convention], image(*size)
    label, spec = load_network(name)
    networks = [measure(label, "base", spec, input, chosen, by)]
    options = {
        "split": None if split is None else parse_split(split),
        "down": down,
        "up": up,
        "depths": None if depths is None else ",".join(map(str, depths)),
    }
    edits = {key: value for key, value in options.items() if value is not None}
    if elastic:
        if edits:
            raise UsageError(
                "--elastic means the published variant and cannot be edited at once",
                "leave out --elastic to edit the base, or edit the variant by its own name",
            )
        networks.append(measure(*_published_elastic(label), input, chosen, by))
    elif edits:
        new = edited(spec, split, down, up, depths)
        text = " ".join(f"--{key} {value}" for key, value in edits.items())
        networks.append(measure(f"{label} {text}", "edited", new, input, chosen, by))
    if fmt == "json":
        return show_json(costs_json(networks, input, by, chosen))
    if fmt == "csv":
        return show(cost_list(networks, by, chosen), fmt)
    title = f"{' and '.join(costs.name for costs in networks)} at {input.height}x{input.width}"
    wide, narrow = cost_tables(networks, by, chosen, title)
    show(wide, fmt, narrow)


def _published_elastic(name: str) -> tuple[str, str, Spec]:
    from elastic_search.arch.zoo import PUBLISHED, published

    entry = PUBLISHED.get(name)
    if entry is None or entry.elastic is None:
        raise UsageError(f"no Elastic variant of {name} is published", f"edit it: flops {name} --split 1/2,1/2")
    return entry.elastic, "elastic", published(entry.elastic)
