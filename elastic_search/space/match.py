"""The networks of a space whose cost lies in a band: counted, listed, sampled, nearest. All exact.

Every network is a way through the first half of its arm's chain followed by one through the second. The sums of either
half are sorted, so what fits beside a sum of the first is found by bisection (meet in the middle). Where other
quantities are bounded too, the pairs that fit by cost are looked through.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN
from elastic_search.cost.convention import Convention
from elastic_search.errors import NothingFitsError, SpecError
from elastic_search.space.band import Band, Limit
from elastic_search.space.chain import BlockWay, Chain, Join, StageWay
from elastic_search.space.choice import Option, Space, Value
from elastic_search.space.law import CHUNK, Counts, pull, ranges, times
from elastic_search.space.parts import Parts, Quantity, Shapes, Vector, plus

MAX_LISTED = 2_000_000
"""Most networks that are listed one by one."""

MAX_LOOKED = 500_000_000
"""Most pairs of sums that are looked through for bounds on other quantities."""

Rows = NDArray[np.int64]
_Known = dict[tuple[int, Shapes, Stage], tuple[Vector, Shapes]]


@dataclass(frozen=True, eq=False)
class Candidate:
    """A network of the space with its exact cost, in the band's convention.

    Attributes:
        cost: in the band's convention.
        arm: number of the arm that it was found under.
        options: one for each stage.
        stages: the network's stages.
        matcher: that found it.
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
        """Values of the space's choices; equal networks have equal values."""
        space = self.matcher.space
        earlier = () if self.is_first else space.arms[: self.arm]
        for number, arm in enumerate(earlier):
            # Draws from the prior may come from an arm that is not the network's first.
            if arm.base == space.arms[self.arm].base:
                options = [space.holds(arm, i, stage) for i, stage in enumerate(self.stages)]
                found = [option for option in options if option is not None]
                if len(found) == len(options):
                    return space.encode(space.arms[number], found, self.stages)
        return space.encode(space.arms[self.arm], self.options, self.stages)

    @cached_property
    def spec(self) -> Spec:
        return self.matcher.space.spec(self.arm, self.stages)

    @cached_property
    def params(self) -> int:
        """Parameters."""
        return self.matcher.amount(self, None)


class _Draws(NamedTuple):
    """How draws from a band are made.

    ``ends`` are, for each join, the weights up to each row of its first half; ``totals`` those up to each join;
    ``windows`` bound the rows of the second half, and hold their weight.
    """

    totals: list[int]
    ends: list[Counts]
    windows: list[tuple[Rows, Rows, Counts]]


@dataclass(frozen=True, eq=False)
class Matcher:
    """Every network of a space with its exact cost at one input size under one convention.

    Attributes:
        space: the space.
        convention: of the cost.
        input: shape of the image.
        limits: bounds that networks must keep beside that on their cost.
    """

    space: Space
    convention: Convention
    input: Shape
    limits: tuple[Limit, ...] = ()

    @cached_property
    def _chains(self) -> dict[str, list[Join]]:
        return {}

    def _joins(self, measure: str = "uniform") -> list[Join]:
        if measure not in self._chains:
            quantities = (Quantity(self.convention, self.input), *(limit.quantity for limit in self.limits))
            self._chains[measure] = Chain(self.space, quantities, measure).joins()
        return self._chains[measure]

    @cached_property
    def _amounts(self) -> dict[tuple[int, Quantity], tuple[Parts, _Known]]:
        return {}

    def amount(self, candidate: Candidate, convention: Convention | None, input: Shape | None = None) -> int:
        """Cost of a network of the space under any convention, or without one its parameters, from its parts."""
        base, quantity = self.space.arms[candidate.arm].base, Quantity(convention, input or self.input)
        if (id(base), quantity) not in self._amounts:
            self._amounts[id(base), quantity] = Parts(base, (quantity,)), {}
        parts, known = self._amounts[id(base), quantity]
        total, shapes = parts.stem()
        for i, (option, stage) in enumerate(zip(candidate.options, candidate.stages, strict=True)):
            key = (i, shapes, stage)
            if key not in known:
                cost, out = parts.plain(i, stage.width, shapes, option.depth)
                for j, split in enumerate(stage.splits):
                    if split is not PLAIN:
                        cost = plus(cost, parts.added(i, stage.width, shapes, j, split))
                if option.split is None:
                    total, shapes = plus(total, cost), out
                    continue  # stages whose blocks choose are too many to keep
                known[key] = cost, out
            cost, shapes = known[key]
            total = plus(total, cost)
        return plus(total, parts.head(shapes))[0]

    def cost(self, candidate: Candidate, convention: Convention) -> int:
        """Cost of a network of the space under another convention."""
        return self.amount(candidate, convention)

    @cached_property
    def size(self) -> int:
        """Number of distinct networks in the space."""
        return sum(join.left.total * join.right.total for join in self._joins())

    @cached_property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest cost in the space, whatever other quantities are."""
        low, high = self.extremes
        return low.cost, high.cost

    @cached_property
    def extremes(self) -> tuple[Candidate, Candidate]:
        """A network of the smallest cost and one of the largest."""
        joins = self._joins()
        low = min(joins, key=lambda join: int(join.left.sums[0, 0] + join.right.sums[0, 0]))
        high = max(joins, key=lambda join: int(join.left.sums[-1, 0] + join.right.sums[-1, 0]))
        last = len(high.left) - 1, len(high.right) - 1
        return self._candidate(low, 0, 0, 0, 0), self._candidate(high, *last, 0, 0)

    def _window(self, join: Join, low: int, high: int) -> tuple[Rows, Rows]:
        """For each row of the first half, the range of rows of the second that bring it into [low, high]."""
        left, right = join.left.sums[:, 0], join.right.sums[:, 0]
        return np.searchsorted(right, low - left, "left"), np.searchsorted(right, high - left, "right")

    def _pairs(self, join: Join, low: int, high: int) -> Iterator[tuple[Rows, Rows]]:
        """Pairs of rows in [low, high] that keep all limits, in parts."""
        first, last = self._window(join, low, high)
        ends = np.cumsum(last - first)
        if len(ends) and ends[-1] > (MAX_LOOKED if self.limits else 2 * MAX_LISTED):
            raise SpecError(
                f"{ends[-1]:,} pairs of costs to look through are too many", "narrow the band or the choices"
            )
        start = 0
        while start < len(first):
            before = int(ends[start - 1]) if start else 0
            stop = max(start + 1, int(np.searchsorted(ends, before + CHUNK, "right")))
            left, right = ranges(first[start:stop], last[start:stop])
            left += start
            for column, limit in enumerate(self.limits, 1):
                sums = join.left.sums[left, column] + join.right.sums[right, column]
                keep = (sums >= limit.low) & (sums <= limit.high)
                left, right = left[keep], right[keep]
            yield left, right
            start = stop

    def _weights(self, join: Join, low: int, high: int) -> tuple[Rows, Rows, Counts]:
        """The window of each row of the first half, and the weight of the rows of the second that fit beside it."""
        first, last = self._window(join, low, high)
        if not self.limits:
            ends = join.right.cumulative
            return first, last, ends[last] - ends[first]
        inner = np.zeros(len(first), join.right.counts.dtype)
        for left, right in self._pairs(join, low, high):
            np.add.at(inner, left, join.right.counts[right])
        return first, last, inner

    def count(self, low: int, high: int, measure: str = "uniform") -> int:
        """Number (or weight) of the distinct networks whose cost is in [low, high] and that keep all limits."""
        total = 0
        for join in self._joins(measure):
            _, _, inner = self._weights(join, low, high)
            total += int(times(join.left.counts, inner, join.left.total * join.right.total).sum())
        return total

    def _candidate(self, join: Join, left: int, right: int, before: int, after: int) -> Candidate:
        """The network of a pair of rows and the ranks within them."""
        options: list[Option] = []
        stages: list[Stage] = []
        blocks: dict[int, BlockWay] = {}
        for way in (*join.left.way(left, before), *join.right.way(right, after)):
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
        cost = int(join.left.sums[left, 0] + join.right.sums[right, 0])
        return Candidate(cost, join.arm, tuple(options), tuple(stages), self)

    def inside(self, band: Band, params: tuple[int, int] | None = None, limit: int | None = None) -> list[Candidate]:
        """The networks in the band, nearest to its target first.

        Args:
            band: of costs.
            params: smallest and largest number of parameters, or None for any.
            limit: most networks to return, or None for all.

        Raises:
            SpecError: if there are more than MAX_LISTED to look through.
        """
        if params is not None:
            more = Limit(*params, None, self.input)
            return Matcher(self.space, self.convention, self.input, (*self.limits, more)).inside(band, None, limit)
        low, high = self._narrowed(band, limit)
        found: list[tuple[Rows, ...]] = []
        for number, join in enumerate(self._joins()):
            for left, right in self._pairs(join, low, high):
                costs = join.left.sums[left, 0] + join.right.sums[right, 0]
                found.append((np.full(len(left), number), left, right, costs))
        numbers, lefts, rights, costs = (np.concatenate(part) for part in zip(*found, strict=True))
        candidates: list[Candidate] = []
        for at in np.argsort(np.abs(costs - band.target), kind="stable").tolist():
            join, row, other = self._joins()[int(numbers[at])], int(lefts[at]), int(rights[at])
            for before in range(int(join.left.counts[row])):
                for after in range(int(join.right.counts[other])):
                    if limit is not None and len(candidates) >= limit:
                        return candidates
                    candidates.append(self._candidate(join, row, other, before, after))
        return candidates

    def _narrowed(self, band: Band, limit: int | None) -> tuple[int, int]:
        """Bounds around the target that still hold the ``limit`` nearest of the band."""
        width = max(band.high - band.target, 1)
        while (
            limit is not None and self.count(band.target - width // 2, band.target + width // 2) >= limit and width > 1
        ):
            width //= 2
        low, high = max(band.low, band.target - width), min(band.high, band.target + width)
        count = self.count(low, high)
        if count > MAX_LISTED and limit is None:
            raise SpecError(f"{count:,} networks are inside: too many to list", "narrow the tolerance or the choices")
        return low, high

    @cached_property
    def _prepared(self) -> dict[tuple[int, int, str], _Draws]:
        return {}

    def _draws(self, low: int, high: int, measure: str) -> _Draws:
        if (low, high, measure) not in self._prepared:
            totals, all_ends, windows = [0], [], []
            for join in self._joins(measure):
                window = self._weights(join, low, high)
                weights = times(join.left.counts, window[2], join.left.total * join.right.total)
                ends = np.zeros(len(weights) + 1, weights.dtype)
                np.cumsum(weights, out=ends[1:])
                all_ends.append(ends)
                windows.append(window)
                totals.append(totals[-1] + int(ends[-1]))
            self._prepared.clear()  # the draws of one band at a time
            self._prepared[low, high, measure] = _Draws(totals, all_ends, windows)
        return self._prepared[low, high, measure]

    def sample(
        self, band: Band, number: int, rng: np.random.Generator | int, measure: str = "uniform"
    ) -> list[Candidate]:
        """Independent draws from the networks of the band.

        Args:
            band: of costs.
            number: of draws.
            rng: source of randomness, or its seed.
            measure: "uniform": each distinct network with the same probability, which the deepest dominate;
                "prior": as if every choice were drawn uniformly by itself, again and again until the network is
                in the band.

        Raises:
            NothingFitsError: if the band is empty; names the nearest below and above.
        """
        draws = self._draws(band.low, band.high, measure)
        if not draws.totals[-1]:
            raise self.nothing_fits(band)
        found = [
            self._at(draws, rank, measure) for rank in _uniform(draws.totals[-1], number, np.random.default_rng(rng))
        ]
        return found if measure == "uniform" else [replace(candidate, is_first=False) for candidate in found]

    def _at(self, draws: _Draws, rank: int, measure: str) -> Candidate:
        """The network of a rank, from 0 to below the band's weight."""
        number = bisect_right(draws.totals, rank) - 1
        join, ends, (first, last, inner) = self._joins(measure)[number], draws.ends[number], draws.windows[number]
        rank -= draws.totals[number]
        left = bisect_right(ends, rank) - 1
        before, rank = divmod(rank - int(ends[left]), int(inner[left]))
        if not self.limits:
            sums = join.right.cumulative
            rank += int(sums[first[left]])
            right = bisect_right(sums, rank) - 1
            return self._candidate(join, left, right, before, rank - int(sums[right]))
        rows = np.arange(first[left], last[left])
        for column, limit in enumerate(self.limits, 1):
            found = join.left.sums[left, column] + join.right.sums[rows, column]
            rows = rows[(found >= limit.low) & (found <= limit.high)]
        for right in rows.tolist():
            if rank < (weight := int(join.right.counts[right])):
                return self._candidate(join, left, right, before, rank)
            rank -= weight
        raise AssertionError("a rank is below its row's weight")

    def marginals(self, band: Band) -> dict[str, dict[Value, int]]:
        """For each choice and value, the number of networks of the band that have it.

        A block that a network does not have counts for none of its values. A network counts under the values that
        ``Candidate.values`` gives.
        """
        space = self.space
        found: dict[str, dict[Value, int]] = {c.name: dict.fromkeys(c.values, 0) for c in space.choices}
        names = space.stage_names
        texts = {split: str(split) for split in space.splits}
        for number, arm in enumerate(space.arms):
            tops = []
            for join in (join for join in self._joins() if join.arm == number):
                tops += [(join.left, self._weights(join, band.low, band.high)[2])]
                tops += [(join.right, self._right_weights(join, band.low, band.high))]
            total = sum(int((law.counts.astype(object) * weights).sum()) for law, weights in tops[::2])
            if not total:
                continue
            found["resampling"][arm.resampling] += total
            if space.cardinality:
                found["cardinality"][getattr(arm.base, "cardinality", 1)] += total
            if space.splits_per == "network":
                found["split"][texts[next(iter(arm.splits.values()))]] += total
            for law, weights in pull(tops):
                for way, weight in zip(law.payloads, weights.tolist(), strict=True):
                    if isinstance(way, BlockWay):
                        found[space.split_name(way.stage, way.block)][texts[arm.splits[way.split]]] += weight
                    elif isinstance(way, StageWay):
                        name, option = names[way.stage], way.option
                        found[f"{name}.depth"][option.depth] += weight
                        if space.widths:
                            found[f"{name}.width"][option.stage.width] += weight
                        if f"{name}.split" in found and option.split is not None:
                            found[f"{name}.split"][texts[option.split]] += weight
        return found

    def _right_weights(self, join: Join, low: int, high: int) -> Counts:
        """For each row of the second half, the weight of the rows of the first that fit before it."""
        if not self.limits:
            left, right = join.left.sums[:, 0], join.right.sums[:, 0]
            first, last = np.searchsorted(left, low - right, "left"), np.searchsorted(left, high - right, "right")
            ends = join.left.cumulative
            inner: Counts = ends[last] - ends[first]
            return inner
        inner = np.zeros(len(join.right), join.left.counts.dtype)
        for before, after in self._pairs(join, low, high):
            np.add.at(inner, after, join.left.counts[before])
        return inner

    def below(self, cost: int) -> Candidate | None:
        """A network that keeps all limits and has the largest cost up to ``cost``, or None."""
        return self._edge(cost, -1)

    def above(self, cost: int) -> Candidate | None:
        """A network that keeps all limits and has the smallest cost from ``cost``, or None."""
        return self._edge(cost, 1)

    def _edge(self, cost: int, side: int) -> Candidate | None:
        least, most = self.bounds
        if side * cost > side * (most if side > 0 else least):
            return None
        if self.limits:
            return self._limited_edge(cost, side)
        best: tuple[int, Join, int, int] | None = None
        for join in self._joins():
            left, right = join.left.sums[:, 0], join.right.sums[:, 0]
            if side < 0:
                after = np.searchsorted(right, cost - left, "right") - 1
                (rows,) = np.nonzero(after >= 0)
            else:
                after = np.searchsorted(right, cost - left, "left")
                (rows,) = np.nonzero(after < len(right))
            if not len(rows):
                continue
            sums = left[rows] + right[after[rows]]
            at = int(np.argmin(side * sums))
            if best is None or side * int(sums[at]) < side * best[0]:
                best = int(sums[at]), join, int(rows[at]), int(after[rows[at]])
        return None if best is None else self._candidate(best[1], best[2], best[3], 0, 0)

    def _limited_edge(self, cost: int, side: int) -> Candidate | None:
        """The same by looking through wider and wider windows."""
        least, most = self.bounds
        start, width = (min(cost, most), 1 + cost // 1000) if side < 0 else (max(cost, least), 1 + cost // 1000)
        while least <= start <= most:
            low, high = sorted((start, start + side * width))
            best: tuple[int, Join, int, int] | None = None
            for join in self._joins():
                for left, right in self._pairs(join, low, high):
                    sums = join.left.sums[left, 0] + join.right.sums[right, 0]
                    at = int(np.argmin(side * sums)) if len(sums) else -1
                    if at >= 0 and (best is None or side * int(sums[at]) < side * best[0]):
                        best = int(sums[at]), join, int(left[at]), int(right[at])
            if best is not None:
                return self._candidate(best[1], best[2], best[3], 0, 0)
            start, width = start + side * (width + 1), 2 * width
        return None

    def around(self, band: Band) -> tuple[int | None, int | None]:
        """Largest cost below the band and smallest above it."""
        below, above = self.below(band.low - 1), self.above(band.high + 1)
        return None if below is None else below.cost, None if above is None else above.cost

    def nothing_fits(self, band: Band) -> NothingFitsError:
        """The error for an empty band, with the nearest that exists on either side."""
        low, high = self.bounds
        kept = "".join(f" and has {limit}" for limit in self.limits)
        alone = Matcher(self.space, self.convention, self.input).count(band.low, band.high) if self.limits else 0
        if alone:
            return NothingFitsError(
                f"of {self.size:,} networks {alone:,} cost {band}, but none of these{kept.replace(' and', '', 1)}",
                "widen the bounds beside that on the cost",
            )
        near = [
            f"{cost:,} ({(cost - band.target) / band.target:+.3%})" for cost in self.around(band) if cost is not None
        ]
        nearest = f"the nearest cost {' and '.join(near)}" if near else "nor at any other cost"
        return NothingFitsError(
            f"none of {self.size:,} networks costs {band}{kept}; {nearest}",
            f"the space reaches {low:,} to {high:,}: widen the tolerance or the choices",
        )


def _uniform(total: int, number: int, rng: np.random.Generator) -> list[int]:
    """Independent whole numbers from 0 to below ``total``, each equally likely."""
    if total < 1 << 62:
        drawn: list[int] = rng.integers(0, total, number).tolist()
        return drawn
    bits = (total - 1).bit_length()
    size = (bits + 7) // 8
    found: list[int] = []
    while len(found) < number:
        rank = int.from_bytes(rng.bytes(size)) >> (8 * size - bits)
        if rank < total:
            found.append(rank)
    return found
