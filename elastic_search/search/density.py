"""How much likelier a configuration's values are among good trials than among the others.

A tree-structured Parzen estimator's ratio l(x) / g(x) (Bergstra et al. 2011), one density per choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from elastic_search.space.choice import Choice, Value

GOOD_SHARE = 0.2
"""Share of the finished trials that count as good."""

Finished = Sequence[tuple[Mapping[str, Value], float]]


def log_ratios(
    choices: Sequence[Choice], finished: Finished, candidates: Sequence[Mapping[str, Value]]
) -> NDArray[np.float64]:
    """log l(x) - log g(x) of each candidate.

    Args:
        choices: what varies.
        finished: values and accuracy of at least two finished trials.
        candidates: values to judge.
    """
    order = sorted(range(len(finished)), key=lambda i: -finished[i][1])
    good = set(order[: max(1, ceil(GOOD_SHARE * len(finished)))])
    ratios = np.zeros(len(candidates))
    for choice in choices:
        at = {value: i for i, value in enumerate(choice.values)}
        seen = [[at[values[choice.name]] for i, (values, _) in enumerate(finished) if (i in good) == is_good]
                for is_good in (True, False)]  # fmt: skip
        table = np.log(_density(choice, seen[0])) - np.log(_density(choice, seen[1]))
        ratios += table[[at[values[choice.name]] for values in candidates]]
    return ratios


def _density(choice: Choice, seen: list[int]) -> NDArray[np.float64]:
    """Probability of each value: a uniform prior that weighs as one trial, and a kernel at each trial."""
    size = len(choice.values)
    prior = np.full((1, size), 1.0 / size)
    density: NDArray[np.float64] = np.concatenate([prior, _kernels(size, choice.ordered)[seen]]).sum(0)
    return density / (1 + len(seen))


@lru_cache(maxsize=256)
def _kernels(size: int, ordered: bool) -> NDArray[np.float64]:
    """What a trial at each of ``size`` values says about all of them: a row for each, which adds up to 1."""
    if not ordered:
        return np.eye(size)
    width = max(0.7, size / 8)
    at = np.arange(size)
    kernels = np.exp(-0.5 * ((at[None] - at[:, None]) / width) ** 2)
    found: NDArray[np.float64] = kernels / kernels.sum(1, keepdims=True)
    return found
