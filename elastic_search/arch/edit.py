"""Pure edits of a spec: the paper's Elastic edit, other depths, other resampling."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import TypeVar

from elastic_search.arch.spec import Spec
from elastic_search.arch.split import Branch, Split, as_split, resampled

HALVES = Split((Branch(Fraction(1, 2)), Branch(Fraction(1, 2), Fraction(1, 2))))
"""The paper's split: half of the paths at full, half at half the resolution."""

Network = TypeVar("Network", bound=Spec)


def with_splits(spec: Network, choose: Callable[[int, int, Split], Split]) -> Network:
    """A spec whose scalable blocks have the split ``choose(stage, block, current split)``."""
    stages = []
    for i, stage in enumerate(spec.stages):
        first, others = (spec.may_scale(i, j) for j in (0, 1))
        splits = [choose(i, j, split) if (others if j else first) else split for j, split in enumerate(stage.splits)]
        stages.append(replace(stage, splits=tuple(splits)))
    return replace(spec, stages=tuple(stages))


def elastic(spec: Network, split: Split | str, where: Callable[[int, int], bool] | None = None) -> Network:
    """The paper's edit: divide the paths of every block that may scale.

    Depths stay as they are; the input is left unchanged.

    Args:
        spec: the network.
        split: branches and their resampling, or the text of one, such as "1/2,1/2".
        where: takes (stage, block), counted from 0, and says whether to edit that block; None is everywhere.

    Raises:
        SplitError: if a share is not a whole number of the block's paths.

    Wang et al. 2019, section 3.2, equation 3.
    """
    chosen = as_split(split)
    return with_splits(spec, lambda i, j, current: chosen if where is None or where(i, j) else current)


def with_resampling(spec: Network, down: str | None, up: str | None) -> Network:
    """Other types of down- and up-sampling in every block that has a low branch."""
    return with_splits(spec, lambda i, j, split: resampled(split, down, up))
