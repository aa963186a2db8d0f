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
        """Smallest cost in the band."""
        return ceil(self.target * (1 - self.tolerance))

    @property
    def high(self) -> int:
        """Largest cost in the band."""
        return floor(self.target * (1 + self.tolerance))

    def __contains__(self, cost: int) -> bool:
        return self.low <= cost <= self.high

    def change(self, cost: int) -> float:
        """Signed distance of a cost from the target, as a share of the target."""
        return cost / self.target - 1

    def __str__(self) -> str:
        percent = f"{float(100 * self.tolerance):g}%"
        return f"{self.low:,} to {self.high:,} {self.convention.name} ({percent} around {self.target:,})"


class Limit(NamedTuple):
    """Inclusive bounds on the cost at an input size or, without a convention, on the number of parameters."""

    low: int
    high: int
    convention: Convention | None
    input: Shape

    def moved(self, factor: Fraction) -> Limit:
        """The same limit with both bounds multiplied by a factor."""
        return self._replace(low=ceil(self.low * factor), high=floor(self.high * factor))

    def amount(self, spec: Spec) -> int:
        """How much a network has of what is bounded."""
        counted = tally(spec.graph(), self.input, self.convention or FVCORE)
        return counted.params if self.convention is None else counted.total

    def holds(self, spec: Spec) -> bool:
        """Whether a network keeps the limit."""
        return self.low <= self.amount(spec) <= self.high

    def __str__(self) -> str:
        size = f"{self.input.height}x{self.input.width}"
        what = f"{self.convention.name} at {size}" if self.convention else "parameters"
        return f"{self.low:,} to {self.high:,} {what}"


def around(target: int, tolerance: Fraction, quantity: Quantity) -> Limit:
    """The limit that allows a distance from ``target`` of at most ``tolerance``, as a share of it."""
    return Limit(ceil(target * (1 - tolerance)), floor(target * (1 + tolerance)), *quantity)
