"""Legal values in files, and all mistakes of a file at once, each under its dotted key with the legal values."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from fractions import Fraction
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import MAX_COUNT, Spec
from elastic_search.arch.split import parse_split
from elastic_search.arch.written import parse_amount, parse_percent, parse_size
from elastic_search.arch.zoo import published
from elastic_search.errors import ElasticError, FileError

MAX_CHOICES = 1000
MAX_DEPTH = 1024
MAX_BLOCKS = 1024
"""Most blocks of a stage; in a DLA, whose depth is that of a tree, this is a depth of 10."""

MAX_SHOWN, MAX_LINE = 50, 400
"""Most mistakes that are shown for a file, and most characters of each."""

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A table without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


def _checked(read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator that turns our errors into pydantic's, so that all are reported at once."""

    def validate(value: Any) -> Any:
        try:
            return read(value)
        except ElasticError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _legal(check: Callable[[str], object]) -> BeforeValidator:
    """A validator that checks text and leaves it as it is."""
    return _checked(lambda value: (check(value) if isinstance(value, str) else None, value)[1])


def _share(value: Any) -> Fraction:
    if not isinstance(value, str):
        raise ValueError('write a share as text: "1%" or "0.01"')
    return parse_percent(value)


def _amount(value: Any) -> Any:
    if isinstance(value, str):
        return parse_amount(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise ValueError(f'{value!r:.60} is not a cost: write 4300000000, 4.3e9 or "4.3G"')
    return value


def _fraction(value: Any) -> Fraction:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(/0*[1-9]\d{0,5}|\.\d{1,6})?", text, re.ASCII):
        raise ValueError(f'{text[:40]!r} is not a fraction: write "1/4"')
    return Fraction(text)


def depths_of(value: Any) -> list[int]:
    """A list of depths from a list, one number, or ``"low..high"``."""
    if isinstance(value, str):
        found = re.fullmatch(r"\s*(\d{1,6})\s*\.\.\s*(\d{1,6})\s*", value)
        if not found or not 1 <= int(found[1]) <= int(found[2]) <= MAX_DEPTH:
            raise ValueError(f'{value!r:.100}: write depths as a list, or "low..high", from 1 to {MAX_DEPTH}')
        value = list(range(int(found[1]), int(found[2]) + 1))
    return _ascending(value, MAX_DEPTH)


def _ascending(value: Any, most: int = MAX_COUNT) -> list[int]:
    """The distinct integers, from 1 to ``most``, of a list or a single number."""
    numbers = value if isinstance(value, list) else [value]
    if not numbers or not all(type(number) is int and 1 <= number <= most for number in numbers):
        raise ValueError(f"{value!r:.100}: write whole numbers from 1 to {most}")
    if len(numbers) > MAX_CHOICES:
        raise ValueError(f"{len(numbers):,} choices; at most {MAX_CHOICES:,} are allowed")
    return sorted(set(numbers))


SplitText = Annotated[str, _legal(parse_split)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]
Depth = Annotated[int, Field(strict=True, ge=1, le=MAX_DEPTH)]
Depths = Annotated[list[int], _checked(depths_of)]
Widths = Annotated[list[int], _checked(_ascending)]
Amount = Annotated[int, Field(strict=True, ge=1, le=2**53), _checked(_amount)]
Share = Annotated[Fraction, _checked(_share)]
Part = Annotated[Fraction, _checked(_fraction)]
Size = Annotated[Shape, _checked(lambda value: parse_size(str(value)))]
BaseName = Annotated[str, _legal(published)]


def validated(data: dict[str, Any], path: str, model: type[Model], also: list[str]) -> Model:
    """The ``data`` of the file at ``path`` as a ``model``.

    Raises:
        FileError: if there are mistakes; names the file and all of them, including those that were ``also`` found.
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
    """Why something cannot be built; [] if it can be."""
    try:
        build()
    except ElasticError as error:
        return [f"{where}: {error.message}" + (f" ({error.hint})" if error.hint else "")]
    return []


def too_deep(where: str, family: type[Spec] | Spec, depth: int) -> list[str]:
    """The mistake if a stage of this depth has too many blocks, else []."""
    blocks = family.blocks(min(depth, MAX_BLOCKS))
    return [f"{where}: {depth}: more than {MAX_BLOCKS} blocks in a stage"] if blocks > MAX_BLOCKS else []


def _mistake(entry: Any, model: type[BaseModel]) -> list[str]:
    """One or more lines for one of pydantic's errors: the dotted key, what is wrong, what is legal."""
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
        known = f"did you mean {near[0]}?" if near else f"legal: {', '.join(legal)}"
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
    """The legal keys of the table at ``loc``."""
    at: Any = model
    for part in loc:
        if isinstance(part, str):
            annotation = at.model_fields[part].annotation
            at = next((a for a in (annotation, *getattr(annotation, "__args__", ())) if hasattr(a, "model_fields")), at)
    return [field.alias or name for name, field in at.model_fields.items()]
