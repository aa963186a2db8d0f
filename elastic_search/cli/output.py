"""Files that a command writes where the user says."""

from __future__ import annotations

from pathlib import Path

import click

from elastic_search.atomic import write_atomically


def write_output(output: Path, data: bytes) -> None:
    """Write a file whole or not at all, and say so on stderr.

    Raises:
        EnvironmentFault: if it cannot be written.
    """
    write_atomically(output, data, "give -o a file in a folder that exists and can be written", parents=False)
    click.echo(f"wrote {output}", err=True)
