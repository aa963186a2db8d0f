"""Every mistake of a file at once, each by its dotted key with the legal values."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from elastic_search.arch.spec import Spec
from elastic_search.errors import ElasticError, FileError

MAX_BLOCKS = 1024
"""Of a stage. In a DLA, whose depth is that of a tree, that is a depth of 10."""

MAX_SHOWN, MAX_LINE = 50, 400
"""Mistakes of a file that are shown, and characters of each."""

Model = TypeVar("Model", bound=BaseModel)


def validated(data: dict[str, Any], path: str, model: type[Model], also: list[str]) -> Model:
    """A file's content as ``model``.

    Args:
        data: what the file holds.
        path: of the file, for messages.
        model: what it should hold.
        also: mistakes that were found in other ways.

    Raises:
        FileError: naming the file and every mistake in it.
    """
    mistakes = []
    try:
        found = model.model_validate(data)
    except ValidationError as error:
        mistakes = [line for entry in error.errors() for line in _mistake(entry, model)]
    mistakes += also
    if not mistakes:
        return found
    head = f"{path}: {len(mistakes)} mistake{'s' if len(mistakes) > 1 else ''}"
    shown = [line if len(line) <= MAX_LINE else f"{line[:MAX_LINE]}…" for line in mistakes[:MAX_SHOWN]]
    shown += [f"… and {len(mistakes) - MAX_SHOWN} more"] if len(mistakes) > MAX_SHOWN else []
    raise FileError("\n  ".join([head, *shown]))


def told(where: str, build: Callable[[], object]) -> list[str]:
    """What keeps something from being built; [] if it can be."""
    try:
        build()
    except ElasticError as error:
        return [f"{where}: {error}" + (f" ({error.hint})" if error.hint else "")]
    return []


def too_deep(where: str, family: type[Spec] | Spec, depth: int) -> list[str]:
    """Whether a stage of this depth has too many blocks."""
    blocks = family.blocks(min(depth, MAX_BLOCKS))
    return [f"{where}: {depth}: more than {MAX_BLOCKS} blocks"] if blocks > MAX_BLOCKS else []


def _mistake(entry: Any, model: type[BaseModel]) -> list[str]:
    """One line (or more) for one of pydantic's errors: dotted key, what is wrong, what is legal."""
    where = ""
    for part in entry["loc"]:
        if isinstance(part, int):
            where += f"[{part}]"
        elif not part.startswith(("literal[", "list[", "constrained-")):
            where += f".{part}" if where else part
    message, kind = entry["msg"], entry["type"]
    if kind == "extra_forbidden":
        legal = _keys(model, entry["loc"][:-1])
        near = get_close_matches(str(entry["loc"][-1]), legal, n=1)
        known = f"did you mean {near[0]}?" if near else f"legal are {', '.join(legal)}"
        return [f"{where}: unknown key; {known}"]
    if kind == "missing":
        return [f"{where}: missing"]
    if kind == "literal_error":
        return [f"{where}: {entry['input']!r}; legal: {entry['ctx']['expected']}"]
    if kind == "value_error":
        lines = str(entry["ctx"]["error"]).split("\n")
        return [f"{where}: {line}" if where else line for line in lines]
    return [f"{where}: {entry['input']!r}: {message[0].lower()}{message[1:]}"]


def _keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Legal keys of the table at ``loc``."""
    at: Any = model
    for part in loc:
        if isinstance(part, str):
            annotation = at.model_fields[part].annotation
            at = next((a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")), at)
    return [field.alias or name for name, field in at.model_fields.items()]
