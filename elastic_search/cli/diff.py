"""``elastic-search diff``: the nodes in which two networks differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import (
    check_convention,
    convention_option,
    format_options,
    image_of,
    image_option,
    load_graph,
    networks_complete,
)
from elastic_search.cli.output import tell_opaque

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@click.argument("a", shell_complete=networks_complete)
@click.argument("b", shell_complete=networks_complete)
@click.option("--exit-code", is_flag=True, help="Exit with 1 if the networks differ.")
@image_option
@convention_option()
@format_options
def diff(a: str, b: str, exit_code: bool, input: Shape, convention: str, fmt: str) -> None:
    """List the nodes that only one of two networks has, or that differ in op, shape or cost.

    A and B are published networks, spec files or package.module:factory (which is imported, so its code runs).
    A block that only one network has is listed as one line.
    """
    from elastic_search.cost.difference import differences
    from elastic_search.cost.tools import CONVENTIONS
    from elastic_search.report.difference import difference_report
    from elastic_search.report.emit import emit

    check_convention(convention, (a, b))
    first, second = (load_graph(name, input) for name in (a, b))
    images = image_of(first, input), image_of(second, input)
    found = differences(first.graph, second.graph, images, CONVENTIONS[convention])
    if fmt == "json":
        tell_opaque((first, second))
    emit(difference_report(found, first, second, images[0], CONVENTIONS[convention]), fmt)
    if exit_code and found:
        raise click.exceptions.Exit(1)
