"""What single values of files may be, as pydantic types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import MAX_COUNT
from elastic_search.arch.split import TYPES, parse_split
from elastic_search.arch.written import MAX_EDGE, parse_percent, parse_size
from elastic_search.arch.zoo import PUBLISHED
from elastic_search.errors import ElasticError, UnknownNameError

MAX_CHOICES = 1000
MAX_DEPTH = 1024


class Strict(BaseModel):
    """A table whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, populate_by_name=True)


def checked(read: Callable[[Any], Any]) -> BeforeValidator:
    """A validator that turns our errors into pydantic's, so that they are all reported at once."""

    def validate(value: Any) -> Any:
        try:
            return read(value)
        except ElasticError as error:
            raise ValueError(f"{error}; {error.hint}" if error.hint else str(error)) from None

    return BeforeValidator(validate)


def among(names: Iterable[str]) -> BeforeValidator:
    """A validator of one of some names."""
    legal = list(names)

    def validate(value: Any) -> Any:
        if value not in legal:
            *others, last = map(repr, legal)
            raise ValueError(f"{value!r}; legal: {', '.join(others)} or {last}")
        return value

    return BeforeValidator(validate)


def _split_text(value: Any) -> Any:
    if isinstance(value, str):
        parse_split(value)
    return value


def _share(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError('write a share as text: "1%" or "0.01"')
    return parse_percent(value)


def _fraction(value: Any) -> Any:
    text = str(value)
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(/\d{1,6}|\.\d{1,6})?", text, re.ASCII):
        raise ValueError(f'{text[:40]!r} is not a fraction: write "1/4"')
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None


def depths(value: Any) -> list[int]:
    """A list of depths from a list, one number, or ``"low..high"``."""
    if isinstance(value, str):
        low, dots, high = value.partition("..")
        if not (dots and low.strip().isdecimal() and high.strip().isdecimal()):
            raise ValueError(f'{value!r}: write depths as a list, or "low..high"')
        numbers = list(range(int(low), int(high) + 1)) if int(high) <= MAX_DEPTH else [0]
    else:
        numbers = value if isinstance(value, list) else [value]
    return _ascending(numbers, MAX_DEPTH, f"{value!r}: depths are whole numbers from 1 to {MAX_DEPTH}, low before high")


def _widths(value: Any) -> list[int]:
    numbers = value if isinstance(value, list) else [value]
    return _ascending(numbers, MAX_COUNT, f"{value!r:.100}: widths are whole numbers from 1 to {MAX_COUNT}")


def _ascending(numbers: list[Any], most: int, wrong: str) -> list[int]:
    """Distinct whole numbers from 1 to ``most``."""
    if not numbers or not all(type(number) is int and 1 <= number <= most for number in numbers):
        raise ValueError(wrong)
    if len(numbers) > MAX_CHOICES:
        raise ValueError(f"more than {MAX_CHOICES} choices")
    return sorted(set(numbers))


def _size(value: Any) -> Any:
    try:
        return parse_size(str(value))
    except ValueError:
        raise ValueError(f'{value!r}: write 224, or "193x257" for height x width (1 to {MAX_EDGE})') from None


def _resampling(value: Any) -> Any:
    if value not in TYPES:
        raise ValueError(f"{value!r}: legal are {', '.join(TYPES)}")
    return value


def _base_name(value: Any) -> Any:
    if not isinstance(value, str) or value not in PUBLISHED:
        raise UnknownNameError("network", str(value), list(PUBLISHED))
    return value


SplitText = Annotated[str, checked(_split_text)]
Count = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]
Depth = Annotated[int, Field(strict=True, ge=1, le=MAX_DEPTH)]
Depths = Annotated[list[int], checked(depths)]
Widths = Annotated[list[int], checked(_widths)]
Share = Annotated[Fraction, checked(_share)]
Part = Annotated[Fraction, checked(_fraction)]
Size = Annotated[Shape, checked(_size)]
Resampling = Annotated[str, checked(_resampling)]
BaseName = Annotated[str, checked(_base_name)]
