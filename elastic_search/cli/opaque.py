"""Formats that hold data alone say on stderr what they leave out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from elastic_search.arch.network import Network


def tell_opaque(networks: Iterable[Network]) -> None:
    """Name the operations that have no rule on stderr: for outputs without notes."""
    from elastic_search.report.notes import opaque_notes

    for line in opaque_notes((network.label, network.graph) for network in networks):
        click.echo(line, err=True)
