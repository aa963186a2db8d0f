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
        uncounted: operations of which nobody knows what they multiply, by name: the value is at least what it says.
        allowed: whether such operations may pass.
    """

    name: str
    input: Shape
    quantity: str
    value: int
    limit: int
    uncounted: dict[str, int]
    allowed: bool = False

    @property
    def within(self) -> bool:
        """Whether the limit is known to be kept."""
        return self.value <= self.limit and (self.allowed or not self.uncounted)

    def __str__(self) -> str:
        start = f"{self.name} at {self.input.height}x{self.input.width}:"
        if self.value > self.limit:
            return f"{start} {self.value:,} {self.quantity}, over {self.limit:,}"
        times = sum(self.uncounted.values())
        said = f"{times} operation{' is' if times == 1 else 's are'} unknown ({', '.join(sorted(self.uncounted))})"
        return f"{start} at least {self.value:,} {self.quantity}, and {said}"


def verdicts(networks: Iterable[Costs], limits: Mapping[str, int | None], allow_unknown: bool = False) -> list[Verdict]:
    """Compare networks with limits on "macs", "params" and "activations"; None is no limit.

    A network with operations that nobody can count keeps no limit but that of its parameters, unless ``allow_unknown``.
    """
    found = []
    for costs in networks:
        macs, unknown = costs.macs, opaque_nodes(costs.network.graph)
        values = {"macs": macs.total, "params": macs.params, "activations": macs.activations}
        for key, limit in limits.items():
            if limit is not None:
                uncounted = {} if key == "params" else unknown
                found.append(
                    Verdict(costs.network.label, macs.input, key, values[key], limit, uncounted, allow_unknown)
                )
    return found
