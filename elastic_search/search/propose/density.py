"""How much likelier a configuration is among good trials than among the others.

The ratio l(x) / g(x) of a tree-structured Parzen estimator (Bergstra et al. 2011). If few choices vary, the densities
are of whole configurations, with a kernel at each trial; if many do, trials are hardly ever near one another, and each
density is a product of one density for each choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from elastic_search.space.choice import Choice, Value

Choices = Sequence[Choice]
Values = Mapping[str, Value]
Finished = Sequence[tuple[Values, float]]
Floats = NDArray[np.float64]
Codes = NDArray[np.intp]  # [N, choices]: the index of each value in its choice


def encoded(choices: Choices, values: Sequence[Values]) -> Codes:
    """Configurations as indices of their values."""
    at = [{value: i for i, value in enumerate(choice.values)} for choice in choices]
    rows = [[places[v[choice.name]] for choice, places in zip(choices, at, strict=True)] for v in values]
    return np.array(rows, np.intp).reshape(len(values), len(choices))


def ranked(choices: Choices, finished: Finished) -> tuple[list[Choice], NDArray[np.intp]]:
    """The choices that vary, and the finished trials' numbers from the best to the worst."""
    varied = [choice for choice in choices if len(choice.values) > 1]
    return varied, np.array(sorted(range(len(finished)), key=lambda i: -finished[i][1]), np.intp)


def thinned(order: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most that many entries, evenly spaced from first to last."""
    return order if len(order) <= most else order[np.linspace(0, len(order) - 1, most).astype(np.intp)]


@dataclass(frozen=True)
class Density:
    """Judges candidates by the ratio of two densities.

    Attributes:
        good_share: share of the finished trials that count as good.
        joint_up_to: maximal number of varying choices for densities of whole configurations.
        width: deviation of a joint kernel along an ordered choice, as a share of its range.
        stays: weight that a joint kernel gives to its trial's value of an unordered choice; all values share the rest.
        most_good: maximal number of good trials.
        most_others: maximal number of other trials that are used; more are thinned evenly.
    """

    good_share: float = 0.3
    joint_up_to: int = 16
    width: float = 0.2
    stays: float = 0.3
    most_good: int = 300
    most_others: int = 700

    def judge(self, choices: Choices, finished: Finished, candidates: Sequence[Mapping[str, Value]]) -> Floats:
        """log l(x) - log g(x) of each candidate.

        Args:
            choices: what varies.
            finished: values and accuracy of at least two finished trials.
            candidates: values to judge.
        """
        varied, order = ranked(choices, finished)
        cut = min(self.most_good, max(1, ceil(self.good_share * len(finished))))
        seen = encoded(varied, [values for values, _ in finished])
        good, others = seen[order[:cut]], seen[thinned(order[cut:], self.most_others)]
        density = self._log_joint if len(varied) <= self.joint_up_to else _log_product
        at = encoded(varied, candidates)
        return density(varied, good, at) - density(varied, others, at)

    def _log_joint(self, choices: Choices, seen: Codes, at: Codes) -> Floats:
        """log of the mean of a uniform prior and a kernel at each trial, relative to the prior."""
        logs = np.zeros((len(at), 1 + len(seen)))
        for c, choice in enumerate(choices):
            size = len(choice.values)
            table = np.log(_joint_kernels(size, choice.ordered, self.width, self.stays) * size)
            logs[:, 1:] += table[seen[:, c]][:, at[:, c]].T
        top = logs.max(1, keepdims=True)
        found: Floats = top[:, 0] + np.log(np.exp(logs - top).sum(1)) - np.log(1 + len(seen))
        return found


def _log_product(choices: Choices, seen: Codes, at: Codes) -> Floats:
    """log of the product of a density for each choice: a uniform prior with a trial's weight, and the kernels."""
    total = np.zeros(len(at))
    for c, choice in enumerate(choices):
        size = len(choice.values)
        # What a trial at each value says about all of them: a row for each, which adds up to 1.
        kernels = _gaussians(size, max(0.7, size / 8)) if choice.ordered else np.eye(size)
        prior = np.full((1, size), 1.0 / size)
        density: Floats = np.concatenate([prior, kernels[seen[:, c]]]).sum(0) / (1 + len(seen))
        total += np.log(density)[at[:, c]]
    return total


@lru_cache(maxsize=256)
def _joint_kernels(size: int, ordered: bool, width: float, stays: float) -> Floats:
    """The kernels of whole configurations along one choice: a row for each value, nowhere 0."""
    if ordered:
        return np.maximum(_gaussians(size, width * (size - 1)), 1e-12)
    found: Floats = stays * np.eye(size) + (1 - stays) / size
    return found


def _gaussians(size: int, width: float) -> Floats:
    at = np.arange(size)
    kernels = np.exp(-0.5 * ((at[None] - at[:, None]) / width) ** 2)
    found: Floats = kernels / kernels.sum(1, keepdims=True)
    return found
