"""What a command writes other than its report: the file that the user names, and notes on stderr."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from elastic_search.arch.network import Network


def tell_opaque(networks: Iterable[Network]) -> None:
    """Name the operations without a rule on stderr, for who reads JSON without its notes."""
    from elastic_search.report.notes import reading_notes

    for line in reading_notes((network.label, network) for network in networks):
        click.echo(line, err=True)


def write_output(output: Path, data: bytes) -> None:
    """Write a file whole or not at all, and say so on stderr.

    Raises:
        EnvironmentFault: if it cannot be written.
    """
    from elastic_search.atomic import write_atomically

    write_atomically(output, data, "choose a file in an existing, writable folder", parents=False)
    click.echo(f"wrote {output}", err=True)
