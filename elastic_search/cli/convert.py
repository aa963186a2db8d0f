"""``elastic-search convert``: a published checkpoint to a safetensors file."""

from __future__ import annotations

from pathlib import Path

import click

from elastic_search.cli.options import format_options, require
from elastic_search.errors import UsageError

ENDINGS = (".tar", ".pth", ".pt", ".safetensors")


@click.command()
@click.argument("name")
@click.argument("file")
@click.option(
    "-o", "--output", metavar="FILE", help="File to write; by default FILE's name with .safetensors, in this folder."
)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
@format_options
def convert(name: str, file: str, output: str | None, force: bool, fmt: str) -> None:
    """Convert a checkpoint released by the authors to a safetensors file with our names and the spec.

    NAME is a network listed by 'elastic-search models', and FILE is its checkpoint (.pth.tar, .pth, .pt or
    .safetensors), loaded as weights only. A file with a key that cannot be placed is refused. Needs the 'weights'
    extra.
    """
    from elastic_search.arch.zoo import published
    from elastic_search.report.checks import weights_report
    from elastic_search.report.emit import emit

    published(name)
    target = Path(output) if output else Path(_stem(file) + ".safetensors")
    if not target.parent.is_dir() or (target.exists() and not target.is_file()):  # a device would be replaced, too
        raise UsageError(f"{target}: not a file in an existing folder", "choose another with --output")
    if target.exists() and Path(file).exists() and target.samefile(file):
        raise UsageError(f"{target} is the file to be converted", "choose another output with --output")
    if target.exists() and not force:
        raise UsageError(f"{target} already exists", "replace it with --force, or choose another with --output")
    require("torch", "safetensors", extra="weights")
    from elastic_search.nn.weights.checkpoint import convert as convert_file

    conversion = convert_file(name, file, target)
    emit(weights_report(name, file, str(target), conversion), fmt)


def _stem(file: str) -> str:
    """A file's name without checkpoint suffixes: ``x.pth.tar`` is ``x``."""
    path = Path(file)
    while path.suffix in ENDINGS:
        path = path.with_suffix("")
    return path.name
