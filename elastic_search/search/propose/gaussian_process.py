"""A Gaussian process over configurations, which estimates the improvement that each draw promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erf, sqrt
from statistics import NormalDist

import numpy as np

from elastic_search.search.propose.density import Choices, Codes, Finished, Floats, Values, encoded, ranked, thinned


def normal_scores(scores: Sequence[float]) -> Floats:
    """Scores as quantiles of the normal distribution at their ranks; equal scores share one.

    Ranks can deal with -inf, and with trials that were stopped early and score below all that went further.
    """
    ordered = np.sort(scores)
    low, high = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    law = NormalDist()
    return np.array([law.inv_cdf(float(rank)) for rank in (low + high) / (2 * len(scores))])


@dataclass(frozen=True)
class GaussianProcess:
    """Judges candidates by the expected improvement over the best mean of the trials so far.

    The covariance is half a mean over the choices, which learns the effect of each by itself, and half a product,
    which tells configurations apart.

    Attributes:
        noise: share of the scores' variance that is due to seeds; short trainings are noisy.
        unlike: covariance of two different values of an unordered choice; equal ones have 1.
        most: maximal number of trials that are used; the cost grows with its third power.
    """

    noise: float = 0.6
    unlike: float = 0.3
    most: int = 1000

    def judge(self, choices: Choices, finished: Finished, candidates: Sequence[Values]) -> Floats:
        """Expected improvement of each candidate; the arguments are those of ``Density.judge``."""
        varied, order = ranked(choices, finished)
        if len(order) > self.most:
            half = self.most // 2
            order = np.concatenate([order[:half], thinned(order[half:], self.most - half)])
        kept = [finished[i] for i in order]
        scores = normal_scores([score for _, score in kept])
        seen, at = encoded(varied, [values for values, _ in kept]), encoded(varied, candidates)
        known = self._covariance(varied, seen, seen)
        to = self._covariance(varied, at, seen)
        solved = np.linalg.solve(known + self.noise * np.eye(len(kept)), np.column_stack([scores, to.T]))
        mean = to @ solved[:, 0]
        deviation = np.sqrt(np.maximum(1 - self.noise - (to * solved[:, 1:].T).sum(1), 1e-12))
        gain = (mean - float((known @ solved[:, 0]).max())) / deviation
        below = 0.5 * (1 + np.array([erf(value / sqrt(2)) for value in gain]))
        found: Floats = deviation * (gain * below + np.exp(-0.5 * gain**2) / np.sqrt(2 * np.pi))
        return found

    def _covariance(self, choices: Choices, one: Codes, other: Codes) -> Floats:
        """The covariance of all pairs of configurations without the noise: [len(one), len(other)]."""
        total, product = np.zeros((len(one), len(other))), np.ones((len(one), len(other)))
        for c, choice in enumerate(choices):
            apart = np.arange(len(choice.values))[:, None] - np.arange(len(choice.values))[None]
            if choice.ordered:
                table = np.exp(-0.5 * (apart / max(1.0, (len(choice.values) - 1) / 2)) ** 2)
            else:
                table = np.where(apart == 0, 1.0, self.unlike)
            part = table[one[:, c]][:, other[:, c]]
            total += part
            product *= part
        found: Floats = (1 - self.noise) * (total / max(1, len(choices)) + product) / 2
        return found
