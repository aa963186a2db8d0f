"""The machine files of a run: written whole or not at all, sealed with a checksum, and judged when they are read.

What is read here may have been damaged, or written by somebody else: it is data, whatever it says.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import stat
from pathlib import Path
from typing import Any

from elastic_search.errors import EnvironmentFault

SCHEMA = 1

MAX_BYTES = 64 * 2**20
"""Of a file that is read: a hundred times what the longest training writes."""

_COUNTER = itertools.count()


def temporary_of(path: Path) -> Path:
    """A file beside ``path`` that no other process, and no other thread, writes; what is left of one is swept."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}-{next(_COUNTER)}.tmp")
    temporary.unlink(missing_ok=True)  # of a process of that number that was killed, or a link to elsewhere
    return temporary


def put_in_place(temporary: Path, path: Path) -> None:
    """Give a file that is on disk its name, so that the name, too, survives a loss of power."""
    temporary.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that after any crash it is the old or the new one, whole.

    Raises:
        EnvironmentFault: if it cannot be written, as on a full disk.
    """
    temporary = temporary_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentFault(f"{path}: cannot be written ({error.strerror})", "free space, then run again") from None


def sealed(result: dict[str, Any]) -> str:
    """A result as a file's text, with a checksum that a changed digit breaks."""
    content = {"schema": SCHEMA, **result}
    return json.dumps({**content, "sha256": _digest(content)}, indent=2) + "\n"


def unsealed(text: str, where: str, hint: str = "choose another --name") -> dict[str, Any]:
    """The result in a text that ``sealed`` made.

    Raises:
        EnvironmentFault: if the text was changed; names ``where`` it was.
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("schema") != SCHEMA or "sha256" not in found:
            raise EnvironmentFault(f"{where}: damaged (not a record of schema {SCHEMA} with a checksum)", hint)
        whole = found["sha256"] == _digest(found)
    except (ValueError, RecursionError) as error:
        raise EnvironmentFault(f"{where}: damaged ({str(error)[:80]})", hint) from None
    if not whole:
        raise EnvironmentFault(f"{where}: damaged (its checksum differs)", hint)
    return {key: value for key, value in found.items() if key not in ("schema", "sha256")}


def read_sealed(file: Path, hint: str) -> dict[str, Any] | None:
    """What a file of ``sealed`` holds; None if there is none.

    Raises:
        EnvironmentFault: if it is damaged, or is no file of ours.
    """
    try:
        about = file.stat()
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_BYTES:
            raise EnvironmentFault(f"{file}: damaged (no file, or larger than {MAX_BYTES // 2**20} MiB)", hint)
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{file}: damaged ({str(error)[:80]})", hint) from None
    return unsealed(text, str(file), hint)


def _digest(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def is_number(value: Any) -> bool:
    """Whether a value is a finite number that fits a float."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_accuracy(value: Any) -> bool:
    """Whether a value can be an accuracy: a number, and none that swallows the epochs that ranks add to it."""
    return is_number(value) and abs(value) <= 1000


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def fault_of_result(found: dict[str, Any], number: int | None) -> str | None:
    """What is wrong with a training's record, of trial ``number`` or of the base network; None if nothing is."""
    missing = [key for key in ("number", "values", "id", "cost", "params", "accuracy") if key not in found]
    if missing:
        return f"{missing[0]} is missing"
    values, by_size = found["values"], found.get("accuracy_by_size")
    legal = {
        "number": found["number"] == number and type(found["number"]) in (int, type(None)),
        "values": values is None if number is None else isinstance(values, dict)
        and all(isinstance(value, int | str) for value in values.values()),
        "id": isinstance(found["id"], str),
        "cost": _is_count(found["cost"]),
        "params": _is_count(found["params"]),
        "seed": _is_count(found.get("seed", 0)),
    }  # fmt: skip
    if found["accuracy"] is None:
        legal["reason"] = isinstance(found.get("reason"), str)
    else:
        curve = found.get("curve")
        legal |= {
            "accuracy": is_accuracy(found["accuracy"]),
            "curve": isinstance(curve, list) and all(map(is_accuracy, curve)),
            "seconds": is_number(found.get("seconds")) and found["seconds"] >= 0,
            "accuracy_by_size": isinstance(by_size, dict) and all(map(is_accuracy, by_size.values())),
            "stopped": isinstance(found.get("stopped", False), bool),
        }
    wrong = [key for key, right in legal.items() if not right]
    return f"its {wrong[0]} is not one" if wrong else None
