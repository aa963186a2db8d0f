"""The space of all depths that can come near a target: what ``match`` searches."""

from __future__ import annotations

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec, Stage
from elastic_search.arch.split import PLAIN, Split
from elastic_search.cost.convention import Convention
from elastic_search.cost.table import ends_costs, stage_costs
from elastic_search.errors import SpecError
from elastic_search.space.choice import Space

MAX_DEPTH = 2048


def all_depths(base: Spec, split: Split, most: int, convention: Convention, input: Shape) -> Space:
    """Every depth tuple with at least one block a stage that costs at most ``most``, by bounds per stage.

    A stage's deepest choice is what fits while all others have one block; block costs are positive, so
    nothing that fits is left out.
    """

    def options(stage: int, depth: int) -> Stage:
        splits = tuple(split if base.may_scale(stage, j) else PLAIN for j in range(base.blocks(depth)))
        return Stage(base.stages[stage].width, splits)

    def cost(deep: int, depth: int) -> int:
        """Cost of the network whose stage ``deep`` has this depth, and all others one."""
        (total, _), shape = ends_costs(base, input, None, convention)
        for i in range(len(base.stages)):
            costs, (shape,) = stage_costs(base, i, shape, [options(i, depth if i == deep else 1)], convention)
            total += int(costs[0, 0])
        return total + ends_costs(base, input, shape, convention)[0][0]

    legal = []
    for i in range(len(base.stages)):
        fits, fails = 1, 2
        while cost(i, fails) <= most:
            fits, fails = fails, 2 * fails
            if fails > MAX_DEPTH:
                raise SpecError(f"more than {MAX_DEPTH} blocks of {base.stage_name(i)} fit: too many depths to match")
        while fails - fits > 1:
            middle = (fits + fails) // 2
            fits, fails = (middle, fails) if cost(i, middle) <= most else (fits, middle)
        legal.append(tuple(range(1, fits + 1)))
    return Space(base, tuple(legal), (split,), (f"{split.down}+{split.up}",))
