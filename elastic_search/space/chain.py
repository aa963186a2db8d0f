"""The distributions of a space's costs, built along the chain of stages.

The state between two stages consists of the shapes that flow there and one bit for every earlier arm (network-wide
choice), which says whether that arm has all stages so far, too: a network that several arms have is counted under the
first of them. The chain is cut in two: a network is a way through the first half to a state, followed by a way from
that state through the second half.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from math import prod
from operator import itemgetter
from typing import NamedTuple, TypeVar

from elastic_search.arch.split import PLAIN, Split, typed
from elastic_search.errors import SpecError
from elastic_search.space.band import Limit
from elastic_search.space.choice import Arm, Option, Space
from elastic_search.space.distribution import Distribution, atom, extents, product
from elastic_search.space.join import Join
from elastic_search.space.parts import Parts, Quantity, Shapes, Vector, plus
from elastic_search.space.work import Work

MAX_STAGES = 8
"""Most stages of a network that can be matched."""


class StageWay(NamedTuple):
    """How a stage is made; where blocks choose their splits, their ways come before it."""

    stage: int
    option: Option


class BlockWay(NamedTuple):
    """The split of a block that may scale."""

    stage: int
    block: int
    split: Split


State = tuple[Shapes, int]
Step = tuple[State, State, Distribution]
"""The states before and after a stage, and the ways from one to the other."""

END: Shapes = ()
"""What flows out of the head."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Walk(NamedTuple):
    """All steps through the stages of an arm, and the boundary between stages that divides it into two halves."""

    start: State
    stem: Vector
    stages: list[list[Step]]
    cut: int


class Chain:
    """The distributions of every arm of a space.

    Args:
        space: the space.
        cost: what is summed.
        limits: bounds on other quantities, which are also summed.
        measure: "uniform" gives each distinct network the weight 1; "prior" weighs each in proportion to its
            probability if every choice is drawn uniformly and independently.
        work: what may be done for it, and who is told.
    """

    def __init__(
        self,
        space: Space,
        cost: Quantity,
        limits: tuple[Limit, ...] = (),
        measure: str = "uniform",
        work: Work | None = None,
    ) -> None:
        if len(space.depths) > MAX_STAGES:
            raise SpecError(f"the base has {len(space.depths)} stages; at most {MAX_STAGES} can be matched")
        self.space, self.limits, self.measure, self._work = space, limits, measure, work or Work()
        self._quantities = (cost, *(Quantity(limit.convention, limit.input) for limit in limits))
        self._runs: dict[tuple[int, int, tuple[tuple[Vector, ...], ...]], list[dict[int, Distribution]]] = {}
        self._parts = {id(arm.base): Parts(arm.base, self._quantities) for arm in space.arms}

    def joins(self) -> list[Join]:
        """The two halves of the chain, for every arm and every state at the cut.

        Raises:
            SpaceTooLargeError: if that is too much work; nothing of it is begun.
            SpecError: if the space contains no networks.
        """
        walks = self.planned()
        found = []
        for number, walk in enumerate(walks):
            first, last = atom([(walk.stem, 1, None)]), atom([((0,) * len(walk.stem), 1, None)])
            forward, backward = _halves(walk, first, last, itemgetter(2), self._product)
            found += [
                Join(number, left, backward[state], self.limits) for state, left in forward.items() if state in backward
            ]
        if not found:
            raise SpecError("the space contains no networks")
        return found

    def planned(self) -> list[Walk]:
        """The steps of every arm.

        Raises:
            SpaceTooLargeError: if it is too much work to join them.
        """
        walks = [self._walk(number) for number in range(len(self.space.arms))]
        for walk in walks:
            one = atom([(walk.stem, 1, None)]).extent
            for half in _halves(walk, one, one, lambda step: step[2].extent, self._work.plan):
                self._work.keep(half.values())
        self._work.begin()
        return walks

    def _product(self, pairs: list[tuple[Distribution, Distribution]]) -> Distribution:
        made = product(pairs)
        self._work.done(extents(pairs))
        return made

    def _walk(self, number: int) -> Walk:
        arm = self.space.arms[number]
        earlier = [a for a in self.space.arms[:number] if a.base == arm.base] if self.measure == "uniform" else []
        masks = _Masks(earlier)
        stem, first = self._parts[id(arm.base)].stem()
        start = (first, masks.every)
        stages: list[list[Step]] = []
        states = [start]
        for stage in range(len(self.space.depths)):
            stages.append(list(self._steps(arm, masks, stage, states)))
            states = list(dict.fromkeys(after for _, after, _ in stages[-1]))
        return Walk(start, stem, stages, _cut(stages))

    def _steps(self, arm: Arm, masks: _Masks, stage: int, states: list[State]) -> Iterator[Step]:
        """All steps through a stage from the given states."""
        made: dict[Shapes, dict[State, Distribution]] = {}
        make = self._by_block if self.space.splits_per == "block" else self._by_option
        for shapes, mask in states:
            if shapes not in made:
                made[shapes] = make(arm, masks, stage, shapes)
            for (out, kept), step in made[shapes].items():
                yield (shapes, mask), (out, mask & kept), step

    def _plain(self, arm: Arm, stage: int, option: Option, shapes: Shapes) -> tuple[Vector, Shapes]:
        """The stage with plain blocks, and the shapes that leave it; the last stage includes the head."""
        parts = self._parts[id(arm.base)]
        cost, out = parts.plain(stage, option.stage.width, shapes, option.depth)
        if stage < len(self.space.depths) - 1:
            return cost, out
        return plus(cost, parts.head(out)), END

    def _by_option(self, arm: Arm, masks: _Masks, stage: int, shapes: Shapes) -> dict[State, Distribution]:
        ways: dict[State, list[tuple[Vector, int, StageWay]]] = {}
        parts, most = self._parts[id(arm.base)], self.space.base.blocks(max(self.space.depths[stage]))
        plain: dict[tuple[int, int], tuple[Vector, Shapes]] = {}
        runs: dict[tuple[int, Split], list[Vector]] = {}
        for option in arm.stages[stage]:
            width, blocks, split = option.key
            if (width, blocks) not in plain:
                plain[width, blocks] = self._plain(arm, stage, option, shapes)
            cost, out = plain[width, blocks]
            if split is not PLAIN:
                if (width, split) not in runs:
                    runs[width, split] = parts.run(stage, width, shapes, split, most)
                cost = plus(cost, runs[width, split][blocks])
            weight = 1 if self.measure == "uniform" else option.weight
            ways.setdefault((out, masks.of_option(stage, option)), []).append((cost, weight, StageWay(stage, option)))
        return {state: atom(of) for state, of in ways.items()}

    def _by_block(self, arm: Arm, masks: _Masks, stage: int, shapes: Shapes) -> dict[State, Distribution]:
        base, parts, prior = self.space.base, self._parts[id(arm.base)], self.measure == "prior"
        most = base.blocks(max(self.space.depths[stage]))
        scalable = [base.may_scale(stage, j) for j in range(most)]
        made = [typed(split, arm.resampling) for split in dict.fromkeys(self.space.splits)]
        times = {split: made.count(split) if prior else 1 for split in arm.splits}
        found: list[tuple[State, Distribution, Distribution]] = []
        for width in dict.fromkeys(option.stage.width for option in arm.stages[stage]):
            added = tuple(
                tuple(parts.added(stage, width, shapes, j, split) for split in times) if scalable[j] else ()
                for j in range(most)
            )
            # What enters a stage seldom matters to the blocks that may scale: they follow its first one.
            key = (id(arm), stage, added)
            if key not in self._runs:
                self._runs[key] = self._run(masks, stage, times, added)
            before = self._runs[key]
            for option in arm.stages[stage]:
                if option.stage.width != width:
                    continue
                cost, out = self._plain(arm, stage, option, shapes)
                # A shallow stage arises from every combination of splits for the blocks that it lacks.
                missing = sum(scalable[len(option.stage.splits) :])
                weight = sum(times.values()) ** missing if prior else 1
                end = atom([(cost, weight, StageWay(stage, option))])
                found += [((out, mask), left, end) for mask, left in before[len(option.stage.splits)].items()]
        return _united(found, self._merged)

    def _run(
        self, masks: _Masks, stage: int, times: dict[Split, int], added: tuple[tuple[Vector, ...], ...]
    ) -> list[dict[int, Distribution]]:
        """What the splits of the first 0, 1, … blocks of a stage add, by the arms that have them too.

        Args:
            masks: of the arm.
            stage: the stage.
            times: the arm's splits and their weights.
            added: for each block what each split adds, or () if it may not scale.
        """
        before = [{masks.every: atom([((0,) * len(self._quantities), 1, None)])}]
        for j, costs in enumerate(added):
            options: dict[int, list[tuple[Vector, int, BlockWay]]] = {}
            for (split, weight), cost in zip(times.items(), costs, strict=bool(costs)):
                options.setdefault(masks.of_split(split), []).append((cost, weight, BlockWay(stage, j, split)))
            steps = {kept: atom(ways) for kept, ways in options.items()}
            pairs = itertools.product(before[j].items(), steps.items())
            then = _united(((mask & kept, left, step) for (mask, left), (kept, step) in pairs), self._merged)
            before.append(then if costs else before[j])
        return before

    def _merged(self, pairs: list[tuple[Distribution, Distribution]]) -> Distribution:
        self._work.stage(extents(pairs))
        return product(pairs, merge=True)


def _united(
    found: Iterable[tuple[Key, Value, Value]], unite: Callable[[list[tuple[Value, Value]]], Value]
) -> dict[Key, Value]:
    """For each key the union of the products of its pairs."""
    pairs: dict[Key, list[tuple[Value, Value]]] = {}
    for key, left, right in found:
        pairs.setdefault(key, []).append((left, right))
    return {key: unite(of) for key, of in pairs.items()}


def _halves(
    walk: Walk,
    first: Value,
    last: Value,
    of: Callable[[Step], Value],
    unite: Callable[[list[tuple[Value, Value]]], Value],
) -> tuple[dict[State, Value], dict[State, Value]]:
    """What leads from the start to each state at the cut, and what leads from there to the end.

    Args:
        walk: the steps.
        first: what leads to the start.
        last: what leads from the end.
        of: the value of a step: its distribution, or what is known of it without its sums.
        unite: makes the union of products of such values.
    """
    forward, backward = {walk.start: first}, {(END, 0): last}
    for steps in walk.stages[: walk.cut]:
        before = forward
        forward = _united(((step[1], before[step[0]], of(step)) for step in steps), unite)
    for steps in reversed(walk.stages[walk.cut :]):
        after = backward
        backward = _united(((step[0], of(step), after[step[1]]) for step in steps if step[1] in after), unite)
    return forward, backward


def _cut(walk: list[list[Step]]) -> int:
    """The boundary between stages at which the two halves together have the fewest sums."""
    sizes = []
    for steps in walk:
        found: Counter[State] = Counter()
        for before, _, step in steps:
            found[before] += len(step)
        sizes.append(max(found.values()))
    return min(range(len(sizes) + 1), key=lambda i: prod(sizes[:i]) + prod(sizes[i:]))


class _Masks:
    """For a stage or split, one bit for each earlier arm that says whether it has it; all have the same depths."""

    def __init__(self, earlier: list[Arm]) -> None:
        self.every = (1 << len(earlier)) - 1
        self._earlier = earlier
        self._plain = [[{o.key for o in of if o.key[2] is PLAIN} for of in arm.stages] for arm in earlier]
        self._by_split: dict[Split, int] = {}

    def of_option(self, stage: int, option: Option) -> int:
        if option.key[2] is not PLAIN:
            return self.of_split(option.key[2])
        # A stage is plain by choice or because none of its blocks may scale.
        return sum((option.key in stages[stage]) << bit for bit, stages in enumerate(self._plain))

    def of_split(self, split: Split) -> int:
        if split not in self._by_split:
            self._by_split[split] = sum((split in arm.splits) << bit for bit, arm in enumerate(self._earlier))
        return self._by_split[split]
