"""Files that a command writes where the user says."""

from __future__ import annotations

from pathlib import Path

import click

from elastic_search.errors import EnvironmentFault


def write_output(output: Path, data: bytes) -> None:
    """Write a file whole or not at all, and say so on stderr.

    Raises:
        EnvironmentFault: if it cannot be written.
    """
    temporary = output.with_name(f"{output.name}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        hint = "give -o a file in a folder that exists and can be written"
        raise EnvironmentFault(f"{output}: cannot be written ({error.strerror})", hint) from None
    click.echo(f"wrote {output}", err=True)
