"""The one way to write a file whole or not at all, and JSON that is sealed with a checksum.

Files that are read here may be damaged, or written by somebody else: their content is never trusted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import stat
from pathlib import Path
from typing import Any

from elastic_search.errors import EnvironmentFault

SCHEMA = 1

MAX_BYTES = 64 * 2**20
"""Largest file that is read: a hundred times what the longest training writes."""

_COUNTER = itertools.count()


def temporary_of(path: Path) -> Path:
    """A name next to ``path`` for a file that no other process or thread writes; an old file there is deleted."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{next(_COUNTER)}.tmp")
    temporary.unlink(missing_ok=True)  # left by a killed process with the same number, or a link to elsewhere
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file that is on disk its name, so that the name survives a loss of power, too."""
    temporary.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(
    path: Path, content: str | bytes, hint: str | None = "free space, then run again", parents: bool = True
) -> None:
    """Write a file so that after any crash either the old or the new one is there, whole.

    Args:
        path: the file; a link in its place is replaced, not followed.
        content: bytes, or text to write as UTF-8.
        hint: what to do if it cannot be written.
        parents: whether to make missing folders.

    Raises:
        EnvironmentFault: if it cannot be written, as on a full disk.
    """
    temporary = None
    try:
        if parents:
            path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_of(path)
        with temporary.open("xb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise EnvironmentFault(f"{path}: cannot be written ({error.strerror})", hint) from None


def sealed(result: dict[str, Any]) -> str:
    """A result as the text of a file, with a checksum that reveals any change."""
    content = {"schema": SCHEMA, **result}
    return json.dumps({**content, "sha256": _digest(content)}, indent=2) + "\n"


def unsealed(text: str, where: str, hint: str = "choose another --name") -> dict[str, Any]:
    """The result in a text that ``sealed`` made.

    Raises:
        EnvironmentFault: if the text was changed; names ``where`` it came from.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA or "sha256" not in found:
            raise ValueError(f"not a record of schema {SCHEMA} with a checksum")
        if found["sha256"] != _digest(found):
            raise ValueError("its checksum differs")
    except (ValueError, RecursionError) as error:
        raise EnvironmentFault(f"{where}: damaged ({str(error)[:80]})", hint) from None
    return {key: value for key, value in found.items() if key not in ("schema", "sha256")}


def read_sealed(file: Path, hint: str) -> dict[str, Any] | None:
    """The result in a file that ``sealed`` made; None if there is no file.

    Raises:
        EnvironmentFault: if it is damaged, or was not made by ``sealed``.
    """
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            raise ValueError(f"not a regular file, or larger than {MAX_BYTES // 2**20} MiB")
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{file}: damaged ({str(error)[:80]})", hint) from None
    return unsealed(text, str(file), hint)


def _digest(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
