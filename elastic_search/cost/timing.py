"""Measured times, for the code that measures and the code that shows them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Seconds per image of one module.

    Attributes:
        low, median, high: quartiles over the rounds.
        rounds: forward passes that were timed.
        batch: images per pass.
        device: its name for people.
    """

    low: float
    median: float
    high: float
    rounds: int
    batch: int
    device: str
