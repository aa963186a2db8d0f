"""``elastic-search models``: the networks known by name."""

from __future__ import annotations

import click

from elastic_search.cli.options import format_options, input_option


@click.command()
@input_option
@format_options
def models(size: tuple[int, int], fmt: str) -> None:
    """List the networks known by name, with their costs and the tables of the paper that report them."""
    from elastic_search.arch.ops import image
    from elastic_search.report.emit import emit
    from elastic_search.report.networks import models_report

    emit(models_report(image(*size)), fmt)
