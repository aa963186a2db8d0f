"""``elastic-search models``: the networks known by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from elastic_search.cli.options import format_options, image_of_spec, image_option
from elastic_search.errors import UsageError

if TYPE_CHECKING:
    from elastic_search.arch.ops import Shape


@click.command()
@image_option
@format_options
def models(input: Shape, fmt: str) -> None:
    """List the networks known by name, with their costs and the tables of the paper that report them."""
    from elastic_search.arch.zoo import PUBLISHED, published
    from elastic_search.report.emit import emit
    from elastic_search.report.networks import models_report

    image = image_of_spec("each network", published(next(iter(PUBLISHED))), input)
    if image.channels != 3:
        raise UsageError(f"--input {image}: the networks known by name take 3 channels", "give height and width alone")
    emit(models_report(image), fmt)
