"""The distributions of a space's costs, built along the chain of stages.

The state between two stages is what flows there, and, for every earlier arm (network-wide choice), one bit that says
whether all stages so far exist there too: a network that arises under several arms is counted under the first. The
chain is cut in two; a network is a way through the first half followed by one through the second from the same state.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from elastic_search.arch.split import PLAIN, Split, typed
from elastic_search.errors import SpecError
from elastic_search.space.band import Limit
from elastic_search.space.choice import Arm, Option, Space
from elastic_search.space.distribution import Distribution, atom, product
from elastic_search.space.join import Join
from elastic_search.space.parts import Parts, Quantity, Shapes, Vector, plus

MAX_STAGES = 8
"""Most stages of a network that is matched."""

MEASURES = ("uniform", "prior")
"""Weights of networks: the same for each, or each choice uniform by itself."""


class StageWay(NamedTuple):
    """A stage is made in this way; where blocks choose, their ways come before."""

    stage: int
    option: Option


class BlockWay(NamedTuple):
    """A block that may scale has this split."""

    stage: int
    block: int
    split: Split


State = tuple[Shapes, int]
END: Shapes = ()
"""What flows out of the head."""


class Chain:
    """The distributions of every arm of a space.

    Args:
        space: the space.
        cost: what is summed.
        limits: bounds on other quantities, which are summed too.
        measure: "uniform" weighs each distinct network 1; "prior" weighs each by the probability that it is drawn
            when every choice is drawn uniformly by itself, times a common whole number.
    """

    def __init__(self, space: Space, cost: Quantity, limits: tuple[Limit, ...] = (), measure: str = "uniform") -> None:
        self.space, self.limits, self.measure = space, limits, measure
        self._quantities = (cost, *(limit.quantity for limit in limits))
        self._parts: dict[int, Parts] = {}
        self._stages: dict[tuple[int, Shapes], dict[State, Distribution]] = {}
        if len(space.depths) > MAX_STAGES:
            raise SpecError(f"{len(space.depths)} stages: at most {MAX_STAGES} can be matched")

    def joins(self) -> list[Join]:
        found: list[Join] = []
        for number in range(len(self.space.arms)):
            self._stages = {}
            found += self._arm_joins(number)
        if not found:
            raise SpecError("the space holds no network")
        return found

    def parts(self, arm: Arm) -> Parts:
        """Costs of the parts of an arm's networks; arms of one base share them."""
        key = id(arm.base)
        if key not in self._parts:
            self._parts[key] = Parts(arm.base, self._quantities)
        return self._parts[key]

    def _arm_joins(self, number: int) -> Iterator[Join]:
        arm, last = self.space.arms[number], len(self.space.depths)
        earlier = [a for a in self.space.arms[:number] if a.base == arm.base] if self.measure == "uniform" else []
        masks = _Masks(self.space, arm, earlier)
        stem, first = self.parts(arm).stem()
        states: list[list[State]] = [[(first, masks.every)]]
        for i in range(last):
            after = [
                (out, mask & kept) for shapes, mask in states[i] for out, kept in self._stage(arm, masks, i, shapes)
            ]
            states.append(list(dict.fromkeys(after)))
        cut = self._cut(states)
        forward: dict[State, Distribution] = {states[0][0]: atom([(stem, 1, None)])}
        for i in range(cut):
            grown: dict[State, list[tuple[Distribution, Distribution]]] = {}
            for (shapes, mask), before in forward.items():
                for (out, kept), step in self._stage(arm, masks, i, shapes).items():
                    grown.setdefault((out, mask & kept), []).append((before, step))
            forward = {state: product(sources) for state, sources in grown.items()}
        backward: dict[State, Distribution] = {(END, 0): atom([((0,) * len(stem), 1, None)])}
        for i in reversed(range(cut, last)):
            found: dict[State, Distribution] = {}
            for shapes, mask in states[i]:
                steps = self._stage(arm, masks, i, shapes).items()
                sources = [
                    (step, backward[out, mask & kept]) for (out, kept), step in steps if (out, mask & kept) in backward
                ]
                if sources:
                    found[shapes, mask] = product(sources)
            backward = found
        for state, left in forward.items():
            if state in backward:
                yield Join(number, left, backward[state], self.limits)

    def _cut(self, states: list[list[State]]) -> int:
        """The boundary at which the two halves have the fewest sums together."""
        sizes = []
        for i in range(len(states) - 1):
            every = [self._stages[i, shapes] for shapes in dict.fromkeys(shapes for shapes, _ in states[i])]
            sizes.append(max(sum(map(len, groups.values())) for groups in every))
        return min(range(len(sizes) + 1), key=lambda i: prod(sizes[:i]) + prod(sizes[i:]))

    def _stage(self, arm: Arm, masks: _Masks, stage: int, shapes: Shapes) -> dict[State, Distribution]:
        """Distributions of a stage on the given shapes, by what leaves it and the earlier arms that have it too.

        The last stage's have the head's cost added, after which the shapes say nothing more: they are END.
        """
        key = (stage, shapes)
        if key not in self._stages:
            make = self._by_block if self.space.splits_per == "block" else self._by_option
            self._stages[key] = make(arm, masks, stage, shapes)
        return self._stages[key]

    def _plain(self, arm: Arm, stage: int, option: Option, shapes: Shapes) -> tuple[Vector, Shapes]:
        parts = self.parts(arm)
        cost, out = parts.plain(stage, option.stage.width, shapes, option.depth)
        if stage < len(self.space.depths) - 1:
            return cost, out
        return plus(cost, parts.head(out)), END

    def _by_option(self, arm: Arm, masks: _Masks, stage: int, shapes: Shapes) -> dict[State, Distribution]:
        ways: dict[State, list[tuple[Vector, int, StageWay]]] = {}
        parts, most = self.parts(arm), self.space.base.blocks(max(self.space.depths[stage]))
        plain: dict[tuple[int, int], tuple[Vector, Shapes]] = {}
        runs: dict[tuple[int, Split], list[Vector]] = {}
        for n, option in enumerate(arm.stages[stage]):
            width, blocks, split = option.key
            if (width, blocks) not in plain:
                plain[width, blocks] = self._plain(arm, stage, option, shapes)
            cost, out = plain[width, blocks]
            if split is not PLAIN:
                if (width, split) not in runs:
                    runs[width, split] = parts.run(stage, width, shapes, split, most)
                cost = plus(cost, runs[width, split][blocks])
            weight = 1 if self.measure == "uniform" else option.weight
            ways.setdefault((out, masks.of_option(stage, n)), []).append((cost, weight, StageWay(stage, option)))
        return {state: atom(of) for state, of in ways.items()}

    def _by_block(self, arm: Arm, masks: _Masks, stage: int, shapes: Shapes) -> dict[State, Distribution]:
        base, parts, prior = self.space.base, self.parts(arm), self.measure == "prior"
        most = base.blocks(max(self.space.depths[stage]))
        scalable = [base.may_scale(stage, j) for j in range(most)]
        times = dict.fromkeys(arm.splits, 1)
        if prior:
            made = [typed(split, arm.resampling) for split in dict.fromkeys(self.space.splits)]
            times = {split: made.count(split) for split in arm.splits}
        sources: dict[State, list[tuple[Distribution, Distribution]]] = {}
        for width in dict.fromkeys(option.stage.width for option in arm.stages[stage]):
            nothing = atom([((0,) * len(self._quantities), 1, None)])
            before: list[dict[int, Distribution]] = [{masks.every: nothing}]
            for j in range(most):
                if not scalable[j]:
                    before.append(before[j])
                    continue
                options: dict[int, list[tuple[Vector, int, BlockWay]]] = {}
                for split in arm.splits:
                    way = parts.added(stage, width, shapes, j, split), times[split], BlockWay(stage, j, split)
                    options.setdefault(masks.of_split(split), []).append(way)
                steps = {kept: atom(ways) for kept, ways in options.items()}
                grown: dict[int, list[tuple[Distribution, Distribution]]] = {}
                for mask, found in before[j].items():
                    for kept, step in steps.items():
                        grown.setdefault(mask & kept, []).append((found, step))
                before.append({mask: product(pairs, merge=True) for mask, pairs in grown.items()})
            for option in arm.stages[stage]:
                if option.stage.width != width:
                    continue
                cost, out = self._plain(arm, stage, option, shapes)
                # Of a shallow stage each split stands for all the choices that its missing blocks would have made.
                missing = sum(scalable[len(option.stage.splits) :])
                weight = sum(times.values()) ** missing if prior else 1
                end = atom([(cost, weight, StageWay(stage, option))])
                for mask, found in before[len(option.stage.splits)].items():
                    sources.setdefault((out, mask), []).append((found, end))
        return {state: product(pairs, merge=True) for state, pairs in sources.items()}


class _Masks:
    """Which earlier arms have a stage or split too: a bit each."""

    def __init__(self, space: Space, arm: Arm, earlier: list[Arm]) -> None:
        self.every = (1 << len(earlier)) - 1
        self._arm, self._earlier = arm, earlier
        self._by_split: dict[Split, int] = {}
        self._plain = [
            [{option.key for option in of if option.key[2] is PLAIN} for of in other.stages] for other in earlier
        ]

    def of_option(self, stage: int, number: int) -> int:
        if not self._earlier:
            return 0
        wanted = self._arm.stages[stage][number].key
        if wanted[2] is not PLAIN:
            # Arms have the same widths and depths.
            return self.of_split(wanted[2])
        # A stage is plain by choice, or because none of its blocks may scale.
        return sum((wanted in stages[stage]) << bit for bit, stages in enumerate(self._plain))

    def of_split(self, split: Split) -> int:
        if split not in self._by_split:
            self._by_split[split] = sum((split in other.splits) << bit for bit, other in enumerate(self._earlier))
        return self._by_split[split]
