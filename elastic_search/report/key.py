"""What a key of the machine formats holds."""

from __future__ import annotations

from typing import NamedTuple


class Key(NamedTuple):
    """What a key holds.

    Attributes:
        type: one of the types that docs/formats.md explains; with "?" it may be null in JSON and empty in CSV.
        means: in words.
        unit: of a number.
    """

    type: str
    means: str
    unit: str = ""
