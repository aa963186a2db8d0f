"""Sizes, numbers and shares as people write them: ``193x257``, ``4.3G``, ``1%``."""

from __future__ import annotations

import re
from contextlib import suppress
from fractions import Fraction

from elastic_search.arch.ops import Shape

MAX_EDGE = 4096
_UNITS = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def is_number(text: str) -> bool:
    """Whether a text is a whole number that is worth converting."""
    return text.isascii() and text.isdigit() and len(text) <= 6


class Inputs(Shape):
    """The shape of an image as it was written.

    Attributes:
        more: shapes of a module's further inputs, each without the batch.
        own_channels: whether none were written, so that a network of other channels than 3 takes its own.
    """

    more: tuple[tuple[int, ...], ...] = ()
    own_channels: bool = True


def parse_inputs(text: str) -> Inputs:
    """The shape of an image from ``224``, ``193x257`` or ``3x224x224``, and further inputs from ``3x224x224+1x64+10``.

    Raises:
        ValueError: if one of them is not a shape.
    """
    first, *others = text.split("+")
    shape = Inputs(*parse_size(first.strip(), channels=True))
    shape.more = tuple(map(_further, others))
    shape.own_channels = len(_edges(first)) < 3
    return shape


def _edges(text: str) -> list[str]:
    return text.strip().lower().replace("×", "x").split("x")


def _further(text: str) -> tuple[int, ...]:
    parts = _edges(text)
    if not all(is_number(part) and 1 <= int(part) <= MAX_EDGE for part in parts):
        raise ValueError(f"{text!r} is not the shape of an input: write it without the batch, such as 1x64")
    return tuple(map(int, parts))


def parse_size(text: str, channels: bool = False) -> Shape:
    """The shape of an image from ``224`` or ``193x257`` (height x width); with ``channels`` from ``3x224x224`` too.

    Raises:
        ValueError: if it is not a size, or an edge is not from 1 to MAX_EDGE.
    """
    parts = _edges(text)
    if len(parts) > 2 + channels or not all(map(is_number, parts)):
        legal = "224, 193x257 (height x width) or 3x224x224" if channels else "224, or 193x257 for height x width"
        raise ValueError(f"{text!r} is not a size: write {legal}")
    numbers = [int(part) for part in parts]
    shape = Shape(numbers[0] if len(numbers) == 3 else 3, numbers[-2:][0], numbers[-1])
    if not all(1 <= edge <= MAX_EDGE for edge in shape):
        raise ValueError(f"{text!r}: {'channels, ' * channels}height and width are 1 to {MAX_EDGE}")
    return shape


def parse_amount(text: str) -> int:
    """A number of operations or parameters from ``4300000000``, ``4.3e9`` or ``4.3G``.

    Raises:
        ValueError: if it is not a number from 0 to below 10^18.
    """
    from decimal import Decimal

    written = text.strip().lower()
    unit = _UNITS.get(written[-1:], 1)
    with suppress(ArithmeticError):  # not a number, or one that is too large
        amount = Decimal(written[:-1] if unit > 1 else written) * unit
        if 0 <= amount < 10**18:
            return int(amount)
    raise ValueError(f"{text!r} is not a number: write 4300000000, 4.3e9 or 4.3G")


def parse_percent(text: str) -> Fraction:
    """An exact share from ``1%``, ``0.5 %`` or ``0.01``.

    Raises:
        ValueError: if it is not a number, or outside 0 to 100 %.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(%?)\s*", text, re.ASCII)
    if not found:
        raise ValueError(f"{text!r} is not a share: write 1% or 0.01")
    share = Fraction(found[1]) / (100 if found[2] else 1)
    if share > 1:
        raise ValueError(f"{text!r} is more than 100%: write 1% or 0.01")
    return share
