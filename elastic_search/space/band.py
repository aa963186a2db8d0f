"""A band of costs around a target, in exact integers."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE
from elastic_search.space.parts import Quantity


@dataclass(frozen=True)
class Band:
    """Costs within ``tolerance`` of ``target``, in the convention's unit, at one input size."""

    target: int
    tolerance: Fraction
    convention: Convention
    input: Shape

    @property
    def low(self) -> int:
        """Smallest cost inside."""
        return ceil(self.target * (1 - self.tolerance))

    @property
    def high(self) -> int:
        """Largest cost inside."""
        return floor(self.target * (1 + self.tolerance))

    def __contains__(self, cost: int) -> bool:
        return self.low <= cost <= self.high

    def change(self, cost: int) -> float:
        """A cost's distance from the target, as a share of it."""
        return cost / self.target - 1

    def __str__(self) -> str:
        percent = f"{float(100 * self.tolerance):g}%"
        return f"{self.low:,} to {self.high:,} {self.convention.name} ({percent} around {self.target:,})"


class Limit(NamedTuple):
    """Bounds, both inside, on a cost at an input size; without a convention, on parameters."""

    low: int
    high: int
    convention: Convention | None
    input: Shape

    @property
    def quantity(self) -> Quantity:
        return Quantity(self.convention, self.input)

    def moved(self, factor: Fraction) -> Limit:
        """The bounds times a factor."""
        return self._replace(low=ceil(self.low * factor), high=floor(self.high * factor))

    def amount(self, spec: Spec) -> int:
        """What is bounded, of a network."""
        counted = tally(spec.graph(), self.input, self.convention or FVCORE)
        return counted.params if self.convention is None else counted.total

    def holds(self, spec: Spec) -> bool:
        """Whether a network is inside."""
        return self.low <= self.amount(spec) <= self.high

    def __str__(self) -> str:
        what = "parameters"
        if self.convention is not None:
            what = f"{self.convention.name} at {self.input.height}x{self.input.width}"
        return f"{self.low:,} to {self.high:,} {what}"


def around(target: int, tolerance: Fraction, quantity: Quantity) -> Limit:
    """Bounds within ``tolerance`` of ``target``."""
    return Limit(ceil(target * (1 - tolerance)), floor(target * (1 + tolerance)), *quantity)
