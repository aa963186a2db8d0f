"""The networks of a space whose cost lies in a band: counted, listed, sampled, nearest. All exact.

Costs add up along a chain of stages whose state is the shape that flows between them. The stages
are cut into two halves; all sums of either half are listed, those of the second sorted, and what
fits beside a sum of the first is found by bisection (meet in the middle).

A network can arise under several arms (network-wide choices). It is counted under the first: the
state carries, for every earlier arm, one bit that says whether all stages so far exist there too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.cost.conventions import Convention
from elastic_search.cost.table import Costs, ends_costs, stage_costs
from elastic_search.errors import NothingFitsError, SpecError
from elastic_search.space.band import Band
from elastic_search.space.choice import Arm, Option, Space, Value

MAX_LISTED = 2_000_000
"""Most networks that are listed one by one."""

MAX_STAGES = 8
"""Most stages of a network that is matched."""

MAX_HALF = 20_000_000
"""Most sums that one half of a space may have."""


@dataclass(frozen=True)
class Candidate:
    """A network of the space with its exact cost, in the band's convention, and parameters.

    ``values`` are those of the space's choices; equal networks have equal values.
    """

    values: dict[str, Value]
    cost: int
    params: int
    space: Space = field(repr=False)
    options: tuple[Option, ...] = field(repr=False)

    @property
    def spec(self) -> Spec:
        return self.space.spec(self.options)


class _Half(NamedTuple):
    """All ways through some stages that start and end in one state."""

    sums: NDArray[np.int64]  # [N, 2]: cost, parameters
    options: NDArray[np.int32]  # [N, stages]


class _Join(NamedTuple):
    """Ways of the first half, and the ways of the second, sorted by cost, that may follow them."""

    arm: Arm
    left: _Half
    right: _Half


class _Picks(NamedTuple):
    """Configurations as indices into the joins' halves, with their [N, 2] sums."""

    join: NDArray[np.int64]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    sums: NDArray[np.int64]


State = tuple[Shape, int]
END = Shape(0, 0, 0)
"""What flows out of the head."""


@dataclass(frozen=True, eq=False)
class Matcher:
    """Every network of a space with its exact cost at one input size under one convention."""

    space: Space
    convention: Convention
    input: Shape

    @cached_property
    def _joins(self) -> list[_Join]:
        if len(self.space.arms[0].stages) > MAX_STAGES:
            raise SpecError(f"{len(self.space.arms[0].stages)} stages: at most {MAX_STAGES} can be matched")
        joins: list[_Join] = []
        for number, arm in enumerate(self.space.arms):
            earlier = [[{o.stage for o in options} for options in a.stages] for a in self.space.arms[:number]]
            joins += self._arm_joins(arm, earlier)
        return joins

    def _arm_joins(self, arm: Arm, earlier: list[list[set[Stage]]]) -> Iterator[_Join]:
        sizes = [len(options) for options in arm.stages]
        cut = min(range(len(sizes)), key=lambda i: prod(sizes[:i]) + prod(sizes[i:]))
        if max(prod(sizes[:cut]), prod(sizes[cut:])) > MAX_HALF:
            raise SpecError(f"a space with {prod(sizes):,} combinations is too large to match exactly", "fewer choices")
        base = self.space.base
        stem, first = ends_costs(base, self.input, None, self.convention)
        every = (1 << len(earlier)) - 1
        start = {(first, every): _Half(np.array([stem], np.int64), np.empty((1, 0), np.int32))}
        lefts = self._extend(arm, earlier, start, range(cut))
        for shape in dict.fromkeys(shape for shape, _ in lefts):
            start = {(shape, every): _Half(np.zeros((1, 2), np.int64), np.empty((1, 0), np.int32))}
            rights = self._extend(arm, earlier, start, range(cut, len(sizes)))
            for (_, right_mask), right in rights.items():
                order = np.argsort(right.sums[:, 0], kind="stable")
                right = _Half(right.sums[order], right.options[order])
                for (left_shape, left_mask), left in lefts.items():
                    if left_shape == shape and not left_mask & right_mask:
                        yield _Join(arm, left, right)

    def _extend(
        self, arm: Arm, earlier: list[list[set[Stage]]], states: dict[State, _Half], stages: range
    ) -> dict[State, _Half]:
        for i in stages:
            options = arm.stages[i]
            masks = [sum((o.stage in other[i]) << bit for bit, other in enumerate(earlier)) for o in options]
            grown: dict[State, list[_Half]] = {}
            for (shape, mask), half in states.items():
                costs, shapes = self._option_costs(arm, i, shape)
                targets: dict[State, list[int]] = {}
                for n, out in enumerate(shapes):
                    targets.setdefault((out, mask & masks[n]), []).append(n)
                for state, numbers in targets.items():
                    picked = np.array(numbers, np.int32)
                    sums = (half.sums[:, None] + costs[picked][None]).reshape(-1, 2)
                    before = np.repeat(half.options, len(picked), axis=0)
                    after = np.tile(picked, len(half.sums))[:, None]
                    grown.setdefault(state, []).append(_Half(sums, np.hstack([before, after])))
            states = {
                state: _Half(np.concatenate([h.sums for h in halves]), np.concatenate([h.options for h in halves]))
                for state, halves in grown.items()
            }
        return states

    def _option_costs(self, arm: Arm, stage: int, shape: Shape) -> tuple[Costs, list[Shape]]:
        """Costs of a stage's options and the shapes that leave them.

        The last stage's have the head's cost added, after which the shape says nothing more: it is END.
        """
        key = (id(arm), stage, shape)
        if key not in self._option_tables:
            options = [option.stage for option in arm.stages[stage]]
            costs, shapes = stage_costs(self.space.base, stage, shape, options, self.convention)
            if stage == len(arm.stages) - 1:
                heads = {out: ends_costs(self.space.base, self.input, out, self.convention)[0] for out in set(shapes)}
                costs, shapes = costs + np.array([heads[out] for out in shapes], np.int64), [END] * len(shapes)
            self._option_tables[key] = costs, shapes
        return self._option_tables[key]

    @cached_property
    def _option_tables(self) -> dict[tuple[int, int, Shape], tuple[Costs, list[Shape]]]:
        return {}

    def cost(self, candidate: Candidate, convention: Convention) -> int:
        """Cost of a network of the space under another convention, from the costs of its stages."""
        (total, _), shape = ends_costs(self.space.base, self.input, None, convention)
        for i, option in enumerate(candidate.options):
            key = (convention, i, shape, id(option))
            if key not in self._stage_costs:
                costs, (after,) = stage_costs(self.space.base, i, shape, [option.stage], convention)
                self._stage_costs[key] = int(costs[0, 0]), after
            cost, shape = self._stage_costs[key]
            total += cost
        return total + ends_costs(self.space.base, self.input, shape, convention)[0][0]

    @cached_property
    def _stage_costs(self) -> dict[tuple[Convention, int, Shape, int], tuple[int, Shape]]:
        return {}

    @cached_property
    def size(self) -> int:
        """Number of distinct networks in the space."""
        return sum(len(join.left.sums) * len(join.right.sums) for join in self._joins)

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest cost in the space."""
        low = min(int(join.left.sums[:, 0].min() + join.right.sums[0, 0]) for join in self._joins)
        return low, max(int(join.left.sums[:, 0].max() + join.right.sums[-1, 0]) for join in self._joins)

    def _window(self, join: _Join, low: int, high: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each way of the first half, the range of ways of the second that bring it into [low, high]."""
        left, right = join.left.sums[:, 0], join.right.sums[:, 0]
        return np.searchsorted(right, low - left, "left"), np.searchsorted(right, high - left, "right")

    def count(self, low: int, high: int) -> int:
        """Number of distinct networks whose cost is in [low, high]."""
        windows = (self._window(join, low, high) for join in self._joins)
        return sum(int((last - first).sum()) for first, last in windows)

    def _picks(self, low: int, high: int) -> _Picks:
        parts = []
        for number, join in enumerate(self._joins):
            first, last = self._window(join, low, high)
            widths = last - first
            left = np.repeat(np.arange(len(widths)), widths)
            right = np.arange(int(widths.sum())) + np.repeat(first - (np.cumsum(widths) - widths), widths)
            parts.append(self._sums(np.full(len(left), number), left, right))
        return _Picks(*map(np.concatenate, zip(*parts, strict=True)))

    def _sums(self, join: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> _Picks:
        sums = np.empty((len(join), 2), np.int64)
        for number in np.unique(join):
            at = join == number
            sums[at] = self._joins[number].left.sums[left[at]] + self._joins[number].right.sums[right[at]]
        return _Picks(join, left, right, sums)

    def _candidates(self, picks: _Picks) -> list[Candidate]:
        found = []
        for number, left, right, sums in zip(*picks, strict=True):
            join = self._joins[number]
            numbers = (*join.left.options[left], *join.right.options[right])
            options: tuple[Option, ...] = tuple(of[n] for of, n in zip(join.arm.stages, numbers, strict=True))
            values = self.space.encode(join.arm, options)
            found.append(Candidate(values, int(sums[0]), int(sums[1]), self.space, options))
        return found

    def inside(self, band: Band, params: tuple[int, int] | None = None, limit: int | None = None) -> list[Candidate]:
        """The networks in the band, nearest to its target first.

        Args:
            band: of costs.
            params: smallest and largest number of parameters, or None for any.
            limit: most networks to return, or None for all.

        Raises:
            SpecError: if there are more than MAX_LISTED to look through.
        """
        picks = self._picks(*self._narrowed(band, limit if params is None else None))
        if params is not None:
            keep = (picks.sums[:, 1] >= params[0]) & (picks.sums[:, 1] <= params[1])
            picks = _Picks(*(part[keep] for part in picks))
        order = np.argsort(np.abs(picks.sums[:, 0] - band.target), kind="stable")[:limit]
        return self._candidates(_Picks(*(part[order] for part in picks)))

    def _narrowed(self, band: Band, limit: int | None) -> tuple[int, int]:
        """Bounds around the target that still hold the ``limit`` nearest of the band."""
        width = max(band.high - band.target, 1)
        while (
            limit is not None and self.count(band.target - width // 2, band.target + width // 2) >= limit and width > 1
        ):
            width //= 2
        low, high = max(band.low, band.target - width), min(band.high, band.target + width)
        count = self.count(low, high)
        if count > MAX_LISTED:
            raise SpecError(f"{count:,} networks are inside: too many to list", "narrow the tolerance or the choices")
        return low, high

    def sample(self, band: Band, number: int, rng: np.random.Generator) -> list[Candidate]:
        """Independent draws, each network of the band with the same probability.

        Raises:
            NothingFitsError: if the band is empty; names the nearest below and above.
        """
        windows = [self._window(join, band.low, band.high) for join in self._joins]
        ends = [np.cumsum(last - first) for first, last in windows]
        totals = np.cumsum([int(end[-1]) for end in ends])
        if not totals[-1]:
            raise self.nothing_fits(band)
        draws = rng.integers(0, totals[-1], number)
        join = np.searchsorted(totals, draws, "right")
        left, right = np.empty(number, np.int64), np.empty(number, np.int64)
        for at, (n, draw) in enumerate(zip(join, draws, strict=True)):
            offset = draw - (totals[n - 1] if n else 0)
            left[at] = np.searchsorted(ends[n], offset, "right")
            before = ends[n][left[at] - 1] if left[at] else 0
            right[at] = windows[n][0][left[at]] + offset - before
        return self._candidates(self._sums(join, left, right))

    def around(self, band: Band) -> tuple[int | None, int | None]:
        """Largest cost below the band and smallest above it."""
        below, above = [], []
        for join in self._joins:
            first, last = self._window(join, band.low, band.high)
            left, right = join.left.sums[:, 0], join.right.sums[:, 0]
            below += [int((left[first > 0] + right[first[first > 0] - 1]).max())] if (first > 0).any() else []
            room = last < len(right)
            above += [int((left[room] + right[last[room]]).min())] if room.any() else []
        return max(below, default=None), min(above, default=None)

    def nothing_fits(self, band: Band) -> NothingFitsError:
        """The error for an empty band, with the nearest that exists on either side."""
        below, above = self.around(band)
        near = [f"{cost:,} ({(cost - band.target) / band.target:+.3%})" for cost in (below, above) if cost is not None]
        low, high = self.bounds
        return NothingFitsError(
            f"none of {self.size:,} networks costs {band}; the nearest cost {' and '.join(near)}",
            f"the space reaches {low:,} to {high:,}: widen the tolerance or the choices",
        )
