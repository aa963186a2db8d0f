"""Networks side by side: the quantities they are compared by, and ratios to one of them. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape
from elastic_search.cost.convention import Convention
from elastic_search.cost.memory import itemsize
from elastic_search.cost.parts import merged
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.cost.traits import Share, Traits, traits
from elastic_search.errors import ShapeError

QUANTITIES = (
    "params", "macs", "count", "activations", "bytes_moved", "peak_memory", "intensity", "depth", "receptive_field"
)  # fmt: skip
"""Quantities that networks are compared by; "count" is the convention's total."""

SORT_KEYS = ("name", *QUANTITIES)


@dataclass(frozen=True)
class Compared:
    """A network with the quantities that it is compared by.

    Attributes:
        network: what was measured.
        input: shape of the image.
        values: by the keys of QUANTITIES.
        traits: the source of the values that no convention counts.
        shares: the network's parts, named for a comparison: a family's stages by number.
    """

    network: Network
    input: Shape
    values: dict[str, int | float | None]
    traits: Traits
    shares: tuple[Share, ...]

    @property
    def blocks(self) -> list[int] | None:
        """Blocks of each stage, where the network has a spec."""
        return None if self.network.spec is None else [len(stage.splits) for stage in self.network.spec.stages]

    @property
    def fractions(self) -> dict[str, float]:
        """Each part's share of the network's macs, by its name; none where there are no macs."""
        whole = sum(share.macs for share in self.shares)
        return {share.path: share.macs / whole for share in self.shares if whole}


@dataclass(frozen=True)
class Comparison:
    """Networks in the order in which they are shown, and the one that ratios are taken to; ``input`` is its image."""

    networks: tuple[Compared, ...]
    first: Compared
    input: Shape
    convention: Convention
    dtype: str

    @property
    def quantities(self) -> dict[str, str]:
        """The keys that are shown, with their names: "count" bears the convention's, and is left out for macs."""
        every = {key: self.convention.name if key == "count" else key for key in QUANTITIES}
        return {key: name for key, name in every.items() if key != "count" or self.convention is not MACS}

    def ratio(self, network: Compared, key: str) -> float | None:
        """A quantity divided by the first network's; None where either is unknown, or the first is zero."""
        value, base = network.values[key], self.first.values[key]
        return value / base if value is not None and base else None

    def parts(self) -> tuple[str, ...]:
        """Names of all networks' parts; one that only a later network has stands before the part that follows it."""
        backwards = merged([share.path for share in reversed(network.shares)] for network in self.networks)
        return tuple(reversed(backwards))


def compare(
    networks: Sequence[Network],
    input: Shape | Sequence[Shape],
    convention: Convention,
    dtype: str = "fp32",
    sort: str | None = None,
    reverse: bool = False,
) -> Comparison:
    """Measure networks for one image.

    Args:
        networks: what to measure; ratios are taken to the first, wherever it is sorted.
        input: shape of the image, or one for each network: of the same size, with the channels that it takes.
        convention: counted in addition to macs.
        dtype: of elements and weights, as in cost.memory.
        sort: one of SORT_KEYS; None keeps the order. Unknown values come last.
        reverse: largest first.

    Raises:
        ShapeError: if a network does not fit on the image; names it.
    """
    images = [input] * len(networks) if isinstance(input, Shape) else input
    pairs = zip(networks, images, strict=True)
    measured = [_measure(network, image, convention, itemsize(dtype)) for network, image in pairs]
    first = measured[0]
    if sort == "name":
        measured.sort(key=lambda one: one.network.label, reverse=reverse)
    elif sort is None:
        measured = measured[::-1] if reverse else measured
    else:
        known = [one for one in measured if one.values[sort] is not None]
        known.sort(key=lambda one: one.values[sort] or 0, reverse=reverse)
        measured = known + [one for one in measured if one.values[sort] is None]
    return Comparison(tuple(measured), first, first.input, convention, dtype)


def _measure(network: Network, input: Shape, convention: Convention, element: int) -> Compared:
    graph = network.graph
    try:
        found = traits(graph, input, element)
    except ShapeError as error:
        hint = None if "channels, not" in error.rule else "give a larger --input"
        raise ShapeError(f"{network.label}: {error.message}", hint) from None
    macs = tally(graph, input, MACS)
    values: dict[str, int | float | None] = {
        "params": graph.params,
        "macs": macs.total,
        "count": tally(graph, input, convention).total,
        "activations": macs.activations,
        **{key: getattr(found, key) for key in ("bytes_moved", "peak_memory", "intensity", "depth")},
        "receptive_field": found.receptive_field and max(found.receptive_field),
    }
    return Compared(network, input, values, found, _numbered(network, found.shares))


def _numbered(network: Network, shares: tuple[Share, ...]) -> tuple[Share, ...]:
    """Number the stages, so that layer1, level2 and block1 share a row."""
    if network.spec is None:
        return shares
    numbers = {network.spec.stage_name(i): f"stage{i + 1}" for i in range(len(network.spec.stages))}
    return tuple(Share(numbers.get(share.path, share.path), share.macs) for share in shares)
