"""What a space file means: its values by dotted key, whatever its remarks, the order of its keys and their spelling.

``choices = ["1/2, 1/2"]`` and ``depths.layer1 = "3..5"`` mean what ``["1/2,1/2"]`` and ``[3, 4, 5]`` do, and a key that
is left out means its default.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, NamedTuple

from pydantic import BaseModel

from elastic_search.arch.ops import Shape
from elastic_search.arch.split import parse_split
from elastic_search.files.space import read_model

REMARKS = ("schema_", "description", "data")
"""What does not count: remarks, and where images are, since a run knows its images by their content."""

ABSENT = "none"
_ANY_ORDER = ("splits.choices", "resampling.choices", "cardinality.choices", "band.inputs")


class Difference(NamedTuple):
    """A key whose value differs."""

    key: str
    before: str
    now: str

    def __str__(self) -> str:
        return f"{self.key}: {self.before} before, {self.now} now"


def differences(before: str, now: str, where: str) -> list[Difference]:
    """How the meaning of the text of a space file differs from what it was.

    Args:
        before: the earlier text.
        now: the present one, which is valid.
        where: the earlier text is, for messages.

    Raises:
        FileError: if the earlier text is not valid.
    """
    if before == now:
        return []
    old, new = meaning(before, where), meaning(now, "the space file")
    keys = [*old, *(key for key in new if key not in old)]
    return [
        Difference(key, _shown(key, old.get(key)), _shown(key, new.get(key)))
        for key in keys
        if old.get(key) != new.get(key)
    ]


def meaning(text: str, path: str) -> dict[str, Any]:
    """The values of a space file by dotted key; equal for files that mean the same."""
    values = dict[str, Any]()
    for key, value in read_model(text, path):
        table = dict(value) if isinstance(value, BaseModel | dict) else None
        if key not in REMARKS:
            values |= {key: value} if table is None else {f"{key}.{inner}": v for inner, v in table.items()}
    values["splits.choices"] = [parse_split(choice) for choice in values["splits.choices"]]
    for key in _ANY_ORDER:
        if values.get(key):
            values[key] = sorted(set(values[key]), key=str)
    return {key: value for key, value in values.items() if value is not None}


def _shown(key: str, value: Any) -> str:
    """A value as the file writes it, in short."""
    if value is None:
        return ABSENT
    if isinstance(value, list):
        numbers = [one for one in value if type(one) is int]
        if len(numbers) > 2 and numbers == list(range(numbers[0], numbers[0] + len(value))):
            return f"{numbers[0]}..{numbers[-1]}"
        return f"[{', '.join(_shown(key, one) for one in value)}]"
    if isinstance(value, Fraction):
        is_share = key in ("band.tolerance", "band.params")
        return f"{float(100 * value):g}%" if is_share else str(value)
    if isinstance(value, Shape):
        return f"{value.height}x{value.width}" if value.height != value.width else str(value.height)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:g}" if isinstance(value, float) else str(value)
