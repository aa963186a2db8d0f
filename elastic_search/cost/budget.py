"""Whether networks keep the limits that were set for them. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from elastic_search.arch.network import opaque_nodes
from elastic_search.arch.ops import Shape
from elastic_search.cost.parts import Costs


class Verdict(NamedTuple):
    """A quantity of a network at one input size, next to its limit.

    Attributes:
        name: of the network.
        input: shape of the image.
        quantity: "macs", "params" or "activations".
        value: what the network has, without the operations that are not counted.
        limit: the most that it may have.
        uncounted: operations without a rule.
    """

    name: str
    input: Shape
    quantity: str
    value: int
    limit: int
    uncounted: int

    @property
    def within(self) -> bool:
        """Whether the limit is kept."""
        return self.value <= self.limit

    def __str__(self) -> str:
        size = f"{self.input.height}x{self.input.width}"
        return f"{self.name} at {size}: {self.value:,} {self.quantity}, over {self.limit:,}"


def verdicts(networks: Iterable[Costs], limits: Mapping[str, int | None]) -> list[Verdict]:
    """Compare networks with limits on "macs", "params" and "activations"; None is no limit."""
    found = []
    for costs in networks:
        macs, uncounted = costs.macs, sum(opaque_nodes(costs.network.graph).values())
        values = {"macs": macs.total, "params": macs.params, "activations": macs.activations}
        for key, limit in limits.items():
            if limit is not None:
                found.append(Verdict(costs.network.label, macs.input, key, values[key], limit, uncounted))
    return found
