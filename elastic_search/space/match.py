"""The networks of a space whose cost is in a band: counts them, lists them, draws from them. All exact."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN
from elastic_search.cost.convention import Convention
from elastic_search.errors import NothingFitsError, SpaceTooLargeError, SpecError
from elastic_search.space.band import Band, Limit
from elastic_search.space.chain import BlockWay, Chain, StageWay
from elastic_search.space.choice import Option, Space, Value
from elastic_search.space.draw import Draws
from elastic_search.space.join import MAX_LISTED, Join, Place, Rows, nearest
from elastic_search.space.marginals import marginals
from elastic_search.space.narrow import narrowings
from elastic_search.space.parts import Parts, Quantity
from elastic_search.space.work import MAX_ROWS, Watch, Work, unwatched


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network of the space with its exact cost.

    Attributes:
        cost: its cost in the matcher's convention.
        arm: number of the arm in which it was found.
        options: one for each stage.
        stages: its stages.
        matcher: the matcher that found it.
        is_first: whether no earlier arm has the network.
    """

    cost: int
    arm: int
    options: tuple[Option, ...] = field(repr=False)
    stages: tuple[Stage, ...] = field(repr=False)
    matcher: Matcher = field(repr=False)
    is_first: bool = True

    @cached_property
    def values(self) -> dict[str, Value]:
        """Its values by choice name; equal networks have equal values."""
        space = self.matcher.space
        # Draws from the prior may come from another arm than the first that has the network.
        for number in range(0 if self.is_first else self.arm):
            arm = space.arms[number]
            if arm.base == space.arms[self.arm].base and (options := space.options_of(arm, self.stages)):
                return space.encode(arm, options, self.stages)
        return space.encode(space.arms[self.arm], self.options, self.stages)

    @cached_property
    def spec(self) -> Spec:
        """The network."""
        return replace(self.matcher.space.arms[self.arm].base, stages=self.stages)

    @cached_property
    def params(self) -> int:
        """Number of parameters."""
        return self.matcher.cost(self, None)


@dataclass(frozen=True, eq=False)
class Matcher:
    """Every network of a space with its exact cost at one input size under one convention.

    Attributes:
        space: the space.
        convention: the counting rules of the cost.
        input: shape of the image.
        limits: what networks must keep besides the band on their cost.
        watch: is told what is being done and which share of it is done.
        most_rows: most different costs of halves of networks that may be kept in memory; see ``work``.

    All that looks at the networks together raises SpaceTooLargeError if there are too many; it says what to narrow.
    """

    space: Space
    convention: Convention
    input: Shape
    limits: tuple[Limit, ...] = ()
    watch: Watch = field(default=unwatched, repr=False)
    most_rows: int = MAX_ROWS
    _chains: dict[str, list[Join]] = field(default_factory=dict, init=False, repr=False)
    _parts: dict[tuple[int, Convention | None], Parts] = field(default_factory=dict, init=False, repr=False)
    _draws: dict[tuple[int, int, str], Draws] = field(default_factory=dict, init=False, repr=False)

    def _joins(self, measure: str = "uniform") -> list[Join]:
        if measure not in self._chains:
            cost = Quantity(self.convention, self.input)
            try:
                work = Work(watch=self.watch, rows=self.most_rows)
                self._chains[measure] = Chain(self.space, cost, self.limits, measure, work).joins()
            except SpaceTooLargeError as error:
                hint = narrowings(self.space, cost, self.limits, measure, self.most_rows)
                raise SpaceTooLargeError(error.message, hint) from None
        return self._chains[measure]

    def cost(self, candidate: Candidate, convention: Convention | None) -> int:
        """Cost of a network of the space under any convention, or its number of parameters for None, from its parts."""
        base = self.space.arms[candidate.arm].base
        if (id(base), convention) not in self._parts:
            self._parts[id(base), convention] = Parts(base, (Quantity(convention, self.input),))
        depths = [option.depth for option in candidate.options]
        return self._parts[id(base), convention].network(candidate.stages, depths, self.space.splits_per != "block")[0]

    @cached_property
    def size(self) -> int:
        """Number of distinct networks in the space."""
        return sum(join.total for join in self._joins())

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest cost in the space, limits aside."""
        low, high = self.extremes
        return low.cost, high.cost

    @cached_property
    def extremes(self) -> tuple[Candidate, Candidate]:
        """A network with the smallest cost and one with the largest, limits aside."""
        low = min((Place(join, 0, 0) for join in self._joins()), key=lambda place: place.cost)
        ends = (Place(join, len(join.left) - 1, len(join.right) - 1) for join in self._joins())
        return self._candidate(low), self._candidate(max(ends, key=lambda place: place.cost))

    def count(self, low: int, high: int, measure: str = "uniform") -> int:
        """Number (or weight) of the distinct networks that cost from ``low`` to ``high`` and keep all limits."""
        return sum(int(join.blocks(low, high).sum()) for join in self._joins(measure))

    def some(self, band: Band) -> int:
        """Number of networks in a band, which must not be empty.

        Raises:
            NothingFitsError: if it is empty; names the nearest costs below and above.
        """
        if inside := self.count(band.low, band.high):
            return inside
        raise self.nothing_fits(band)

    def _candidate(self, place: Place, is_first: bool = True) -> Candidate:
        """The network at a place."""
        options: list[Option] = []
        stages: list[Stage] = []
        blocks: dict[int, BlockWay] = {}
        for way in place.ways:
            if isinstance(way, BlockWay):
                blocks[way.block] = way
            elif isinstance(way, StageWay):
                stage = way.option.stage
                if way.option.split is None:
                    splits = (blocks[j].split if j in blocks else PLAIN for j in range(len(stage.splits)))
                    stage = Stage(stage.width, tuple(splits))
                options.append(way.option)
                stages.append(stage)
                blocks = {}
        return Candidate(place.cost, place.join.arm, tuple(options), tuple(stages), self, is_first)

    def inside(self, band: Band, limit: int | None = None) -> list[Candidate]:
        """The networks in a band, nearest to its target first.

        Args:
            band: the allowed costs.
            limit: most networks to return, or None for all.

        Raises:
            SpecError: if there are more than MAX_LISTED.
        """
        low, high = self._narrowed(band, limit)
        joins = self._joins()
        found: list[tuple[Rows, ...]] = []
        for number, join in enumerate(joins):
            for left, right in join.pairs(low, high):
                found.append((np.full(len(left), number), left, right, join.cost(left, right)))
        numbers, lefts, rights, costs = (np.concatenate(part) for part in zip(*found, strict=True))
        candidates: list[Candidate] = []
        for at in np.argsort(np.abs(costs - band.target), kind="stable").tolist():
            join, row, other = joins[int(numbers[at])], int(lefts[at]), int(rights[at])
            for before in range(int(join.left.counts[row])):
                for after in range(int(join.right.counts[other])):
                    if limit is not None and len(candidates) >= limit:
                        return candidates
                    candidates.append(self._candidate(Place(join, row, other, before, after)))
        return candidates

    def _narrowed(self, band: Band, limit: int | None) -> tuple[int, int]:
        """Bounds around the target that still include the ``limit`` nearest networks of the band."""
        if limit is None:
            if (count := self.count(band.low, band.high)) > MAX_LISTED:
                raise SpecError(
                    f"{count:,} networks are in the band: too many to list", "use a smaller tolerance or fewer choices"
                )
            return band.low, band.high
        width = max(band.high - band.target, 1)
        while width > 1 and self.count(band.target - width // 2, band.target + width // 2) >= limit:
            width //= 2
        return max(band.low, band.target - width), min(band.high, band.target + width)

    def sample(
        self, band: Band, number: int, rng: np.random.Generator | int, measure: str = "uniform"
    ) -> list[Candidate]:
        """Independent draws from the networks in a band.

        Args:
            band: the allowed costs.
            number: number of draws.
            rng: source of randomness, or its seed.
            measure: "uniform" draws each distinct network with the same probability, so that deep ones dominate;
                "prior" draws as if every choice were made uniformly and independently, again and again until the
                network is in the band.

        Raises:
            NothingFitsError: if the band is empty; names the nearest costs below and above.
        """
        key = band.low, band.high, measure
        if key not in self._draws:
            self._draws.clear()  # the draws of one band at a time
            self._draws[key] = Draws(self._joins(measure), band.low, band.high)
        if not self._draws[key].total:
            raise self.nothing_fits(band)
        places = self._draws[key].take(number, np.random.default_rng(rng))
        return [self._candidate(place, measure == "uniform") for place in places]

    def marginals(self, band: Band) -> dict[str, dict[Value, int]]:
        """For each choice and value, the number of networks in the band that have it."""
        return marginals(self.space, self._joins(), band.low, band.high, self.watch)

    def below(self, cost: int) -> Candidate | None:
        """The network with the largest cost of at most ``cost`` that keeps all limits, or None."""
        return (place := nearest(self._joins(), cost, -1)) and self._candidate(place)

    def above(self, cost: int) -> Candidate | None:
        """The network with the smallest cost of at least ``cost`` that keeps all limits, or None."""
        return (place := nearest(self._joins(), cost, 1)) and self._candidate(place)

    def around(self, band: Band) -> tuple[int | None, int | None]:
        """The largest cost below a band and the smallest above it."""
        below, above = self.below(band.low - 1), self.above(band.high + 1)
        return None if below is None else below.cost, None if above is None else above.cost

    def nothing_fits(self, band: Band) -> NothingFitsError:
        """The error for an empty band, with the nearest costs on both sides."""
        low, high = self.bounds
        kept = "".join(f" and has {limit}" for limit in self.limits)
        alone = (
            Matcher(self.space, self.convention, self.input, watch=self.watch).count(band.low, band.high)
            if self.limits
            else 0
        )
        if alone:
            return NothingFitsError(
                f"{alone:,} of {self.size:,} networks cost {band}, but none of these{kept.replace(' and', '', 1)}",
                "widen the limits besides the one on the cost",
            )
        near = [f"{cost:,} ({band.change(cost):+.3%})" for cost in self.around(band) if cost is not None]
        elsewhere = f"the nearest cost {' and '.join(near)}" if near else "no other cost fits either"
        return NothingFitsError(
            f"none of {self.size:,} networks costs {band}{kept}; {elsewhere}",
            f"costs in the space range from {low:,} to {high:,}; use a larger tolerance or more choices",
        )
