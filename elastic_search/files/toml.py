"""Reads and writes TOML files. A syntax error is reported with its line."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from elastic_search.errors import FileError

MAX_BYTES = 256 * 1024
MAX_PARTS = 64
"""Most parts in the dotted keys of a line."""

_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*+"|\'[^\'\n]*+\'')


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        FileError: if it cannot be read, is too large or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise FileError(f"{path}: larger than {MAX_BYTES // 1024} KiB")
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise FileError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def parse(text: str, path: str) -> dict[str, Any]:
    """The data in a TOML text; ``path`` is for messages.

    Raises:
        FileError: if it is not TOML.
    """
    # Python's parser takes minutes and gigabytes for keys with ten thousand parts.
    for number, line in enumerate(_STRING.sub('""', text).split("\n"), 1):
        if line.partition("#")[0].count(".") > MAX_PARTS:
            raise FileError(f"{path}: line {number}: a key with more than {MAX_PARTS} parts")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at ")
        raise FileError(f"{path}: " + (f"{place.rstrip(')')}: " if place else "") + message) from None
    except (RecursionError, ValueError) as error:
        raise FileError(f"{path}: not a readable TOML file ({type(error).__name__})") from None


def written(value: Any) -> str:
    """A value as TOML."""
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    # JSON's strings are TOML's, but for one control character.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f") if isinstance(value, str) else str(value)


def _line(key: str, value: Any) -> str:
    return f"{_key(key)} = {written(value)}"


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else written(key)


def document(data: dict[str, Any]) -> str:
    """A whole file of values and tables of values."""
    lines = [_line(key, value) for key, value in data.items() if not isinstance(value, dict)]
    for name, table in data.items():
        if isinstance(table, dict):
            lines += ["", f"[{_key(name)}]", *(_line(key, value) for key, value in table.items())]
    return "\n".join(lines) + "\n"
