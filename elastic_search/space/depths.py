"""The space of all depths that can come near a target: what ``match`` searches."""

from __future__ import annotations

from elastic_search.arch.ops import Shape
from elastic_search.arch.resnext import ResNeXt
from elastic_search.arch.split import Split
from elastic_search.cost.conventions import Convention
from elastic_search.cost.tally import tally
from elastic_search.space.choice import Space


def all_depths(base: ResNeXt, split: Split, most: int, convention: Convention, input: Shape) -> Space:
    """Every depth tuple with at least one block a stage that costs at most ``most``, by bounds per stage.

    A stage's deepest choice is what fits while all others have one block; block costs are positive, so
    nothing that fits is left out.
    """
    stages = len(base.stages)
    pair = ((split.down, split.up),)

    def cost(depths: tuple[int, ...]) -> int:
        space = Space(base, tuple((depth,) for depth in depths), (split,), pair)
        (arm,) = space.arms
        return tally(space.spec(tuple(options[0] for options in arm.stages)).graph(), input, convention).total

    legal = []
    for i in range(stages):
        deepest = 1
        while cost(tuple(deepest + 1 if j == i else 1 for j in range(stages))) <= most:
            deepest += 1
        legal.append(tuple(range(1, deepest + 1)))
    return Space(base, tuple(legal), (split,), pair)
