"""``elastic-search diff``: the nodes in which two networks differ."""

from __future__ import annotations

import click

from elastic_search.cli.options import convention_option, format_options, input_option, load_graph
from elastic_search.cli.output import tell_opaque


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the networks differ.")
@input_option
@convention_option()
@format_options
def diff(a: str, b: str, exit_code: bool, size: tuple[int, int], convention: str, fmt: str) -> None:
    """List the nodes that only one of two networks has, or that differ in op, shape or cost.

    A and B are published networks, spec files or package.module:factory (which is imported, so its code runs).
    A block that only one network has is listed as one line.
    """
    from elastic_search.arch.ops import image
    from elastic_search.cost.difference import differences
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.difference import difference_report
    from elastic_search.report.emit import emit

    first, second = (load_graph(name, size) for name in (a, b))
    found = differences(first.graph, second.graph, image(*size), CONVENTIONS[convention])
    if fmt == "json":
        tell_opaque((first, second))
    emit(difference_report(found, first, second, image(*size), CONVENTIONS[convention]), fmt)
    if exit_code and found:
        raise click.exceptions.Exit(1)
