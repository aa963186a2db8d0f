"""``elastic-search validate``: our counts against independent tools on the built module."""

from __future__ import annotations

import click

from elastic_search.cli.options import format_options, input_option, load_graph
from elastic_search.errors import MismatchError, UsageError


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every network that 'elastic-search models' lists.")
@click.option(
    "--tools",
    type=click.Choice(["quick", "all"]),
    default="quick",
    show_default=True,
    help="quick: fvcore, torch, the authors' counter; all: ptflops, thop and torchinfo too.",
)
@input_option
@format_options
def validate(names: tuple[str, ...], everything: bool, tools: str, size: tuple[int, int], fmt: str) -> None:
    """Build networks and compare our counts with what the tools say of them, to the integer.

    NAMES are published networks, spec files, or package.module:factory, which is imported and so runs its code.
    Exits with 1 and the first difference where anything differs.
    Needs the 'search' extra, and 'tools' for --tools all.
    """
    from elastic_search.arch.ops import image
    from elastic_search.arch.zoo import PUBLISHED
    from elastic_search.cli.extras import require
    from elastic_search.report.checks import checks_report
    from elastic_search.report.emit import emit

    if bool(names) == everything:
        raise UsageError("give names of networks, or --all", "elastic-search validate resnext50")
    require("torch", "fvcore")
    networks = [load_graph(name, size) for name in (PUBLISHED if everything else names)]
    if tools == "all":
        require("ptflops", "thop", "torchinfo", extra="tools")
    from elastic_search.nn.tools import TOOLS
    from elastic_search.nn.verify import QUICK, verify

    results = []
    chosen = tuple(TOOLS) if tools == "all" else QUICK
    for network in networks:
        if len(networks) > 1:
            click.echo(f"counting {network.label}", err=True)
        results.append((network.label, verify(network.graph, image(*size), chosen, network.module)))
    emit(checks_report(results, image(*size)), fmt)
    for label, checks in results:
        for check in checks:
            if not check.equal:
                raise MismatchError(
                    f"{label}: {check.quantity} is {check.ours:,} here and {check.theirs:,} in {check.tool}"
                )
