"""The strategies of a search by name. All propose from exactly feasible draws; they differ in which one they take."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from elastic_search.search.propose.density import Finished, Floats
from elastic_search.search.propose.gaussian_process import expected_improvement
from elastic_search.search.propose.sampler import START, FeasibleTPE
from elastic_search.space.choice import Choice, Value
from elastic_search.space.match import Candidate

POPULATION = 25
"""Trials that may be parents: the latest ones, so that a lucky score ages out."""

TOURNAMENT = 8
"""Members drawn for one tournament."""


class Uniform(FeasibleTPE):
    """Every network of the band with the same probability, whatever the others scored."""

    def choose(
        self, candidates: list[Candidate], finished: list[tuple[dict[str, Any], float]], rng: np.random.Generator
    ) -> Candidate:
        return candidates[0]


class FeasibleGP(FeasibleTPE):
    """The draw with the largest expected improvement under a Gaussian process."""

    def judge(self, finished: Finished, candidates: list[dict[str, Value]]) -> Floats:
        return expected_improvement(self._choices, finished, candidates)


class Evolution(FeasibleTPE):
    """Ageing evolution (Real et al. 2019) inside the band.

    A tournament's winner has one of its choices changed. That network rarely meets the band; the proposal is the
    draw nearest to it, among those with the changed choice where there are any.
    """

    def choose(
        self, candidates: list[Candidate], finished: list[tuple[dict[str, Any], float]], rng: np.random.Generator
    ) -> Candidate:
        population = [member for member in finished if member[1] > -math.inf][-POPULATION:]
        if len(population) < START:
            return candidates[0]
        rivals = rng.permutation(len(population))[:TOURNAMENT]
        parent = population[max(rivals, key=lambda i: (population[i][1], -i))][0]
        choice = self._varied[int(rng.integers(len(self._varied)))]
        child = {**parent, choice.name: _mutated(choice, parent[choice.name], rng)}
        heirs = [c for c in candidates if c.values[choice.name] == child[choice.name]] or candidates
        return min(heirs, key=lambda candidate: distance(self._choices, candidate.values, child))

    @property
    def _varied(self) -> list[Choice]:
        return [choice for choice in self._choices if len(choice.values) > 1] or list(self._choices)


def _mutated(choice: Choice, value: Value, rng: np.random.Generator) -> Value:
    """Another value: a neighbour where the order means something."""
    at = choice.values.index(value)
    if choice.ordered:
        others = [i for i in (at - 1, at + 1) if 0 <= i < len(choice.values)]
    else:
        others = [i for i in range(len(choice.values)) if i != at]
    return choice.values[int(rng.choice(others))] if others else value


def distance(choices: tuple[Choice, ...], one: Mapping[str, Value], other: Mapping[str, Value]) -> float:
    """Sum over the choices: steps as a share of the scale where ordered, else 1 where they differ."""
    total = 0.0
    for choice in choices:
        a, b = choice.values.index(one[choice.name]), choice.values.index(other[choice.name])
        total += abs(a - b) / max(1, len(choice.values) - 1) if choice.ordered else float(a != b)
    return total


STRATEGIES: dict[str, type[FeasibleTPE]] = {
    "feasible-tpe": FeasibleTPE,
    "feasible-gp": FeasibleGP,
    "uniform": Uniform,
    "evolution": Evolution,
}
