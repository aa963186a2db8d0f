"""``elastic-search validate``: our counts compared with independent tools on the built module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import (
    format_options,
    image_of,
    image_option,
    load_graph,
    networks_complete,
    option,
    require,
)
from elastic_search.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@click.argument("names", nargs=-1, shell_complete=networks_complete)
@click.option("--all", "everything", is_flag=True, help="Check every network listed by 'elastic-search models'.")
@option("--tools", type=click.Choice(["quick", "all"]), default="quick",
        help="quick: fvcore, torch and the authors' counter; all: also ptflops, thop and torchinfo.")  # fmt: skip
@image_option
@format_options
def validate(names: tuple[str, ...], everything: bool, tools: str, input: Shape, fmt: str) -> None:
    """Build networks and compare our counts with those of other tools, which must be equal.

    NAMES are published networks, spec files or package.module:factory (which is imported, so its code runs). Exits
    with 1 at the first difference. Needs the 'search' extra, and 'tools' for --tools all.
    """
    from elastic_search.arch.zoo import PUBLISHED
    from elastic_search.report.checks import checks_report
    from elastic_search.report.emit import emit

    if bool(names) == everything:
        raise UsageError(
            "nothing to validate, or both NAMES and --all", "give NAMES, as in validate resnext50, or --all"
        )
    require("torch", "fvcore")
    networks = [load_graph(name, input) for name in (PUBLISHED if everything else names)]
    images = [image_of(network, input) for network in networks]
    if tools == "all":
        require("ptflops", "thop", "torchinfo", extra="tools")
    from elastic_search.nn.tools import TOOLS
    from elastic_search.nn.verify import QUICK, verify

    results = []
    chosen = tuple(TOOLS) if tools == "all" else QUICK
    for network, image in zip(networks, images, strict=True):
        if len(networks) > 1:
            click.echo(f"counting {network.label}", err=True)
        results.append((network.label, verify(network.graph, image, chosen, network.module, network.given)))
    emit(checks_report(results, images), fmt)
    for label, checks in results:
        for check in checks:
            if not check.equal:
                if check.theirs is None:
                    continue  # the tool fails on it, as the table says
                raise MismatchError(
                    f"{label}: {check.quantity} is {check.ours:,} here but {check.theirs:,} in {check.tool}"
                )
