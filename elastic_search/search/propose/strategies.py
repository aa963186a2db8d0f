"""The strategies of a search, by name. All choose among exactly feasible draws, each in its own way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from elastic_search.search.propose import STRATEGIES as NAMES
from elastic_search.search.propose.density import Choices, Density, Finished, Values
from elastic_search.search.propose.gaussian_process import GaussianProcess
from elastic_search.space.choice import Choice, Value
from elastic_search.space.match import Candidate

Random = np.random.Generator

START = 5  # finished trials that are needed to learn from


@dataclass(frozen=True)
class Uniform:
    """Chooses every network of the band with the same probability, whatever the others scored."""

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        return candidates[0]


@dataclass(frozen=True)
class Judged:
    """Chooses the draw that is judged best.

    Attributes:
        by: the judge.
        start: finished trials that it needs; until then draws are uniform.
    """

    by: Density | GaussianProcess
    start: int = START

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        if sum(score > -math.inf for _, score in finished) < self.start:
            return candidates[0]
        judgements = self.by.judge(choices, finished, [candidate.values for candidate in candidates])
        return candidates[int(np.argmax(judgements))]


@dataclass(frozen=True)
class Evolution:
    """Ageing evolution (Real et al. 2019) inside the band.

    One choice of a tournament's winner is changed. The result is rarely inside the band, so the nearest draw is
    proposed, preferably one with the changed choice.

    Attributes:
        population: number of latest trials that may be parents, so that a lucky score ages out.
        tournament: members drawn for one tournament.
        start: finished trials that it needs; until then draws are uniform.
    """

    population: int = 25
    tournament: int = 8
    start: int = START

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        population = [member for member in finished if member[1] > -math.inf][-self.population :]
        if len(population) < self.start:
            return candidates[0]
        rivals = rng.permutation(len(population))[: self.tournament]
        parent = population[max(rivals, key=lambda i: (population[i][1], -i))][0]
        varied = [choice for choice in choices if len(choice.values) > 1] or list(choices)
        choice = varied[int(rng.integers(len(varied)))]
        child = {**parent, choice.name: _mutated(choice, parent[choice.name], rng)}
        heirs = [c for c in candidates if c.values[choice.name] == child[choice.name]] or candidates
        return min(heirs, key=lambda candidate: distance(choices, candidate.values, child))


Strategy = Uniform | Judged | Evolution
"""``choose`` gives one of the randomly ordered candidates, given the finished trials, oldest first."""


def _mutated(choice: Choice, value: Value, rng: Random) -> Value:
    """Another value of a choice: a neighbour if the choice is ordered."""
    at = choice.values.index(value)
    others = [i for i in range(len(choice.values)) if (abs(i - at) == 1 if choice.ordered else i != at)]
    return choice.values[int(rng.choice(others))] if others else value


def distance(choices: Choices, one: Values, other: Values) -> float:
    """Sum over the choices: steps as a share of the range if ordered, otherwise 1 if they differ."""
    total = 0.0
    for choice in choices:
        a, b = choice.values.index(one[choice.name]), choice.values.index(other[choice.name])
        total += abs(a - b) / max(1, len(choice.values) - 1) if choice.ordered else float(a != b)
    return total


_ALL: tuple[Strategy, ...] = (Judged(Density()), Judged(GaussianProcess()), Uniform(), Evolution())
STRATEGIES = dict(zip(NAMES, _ALL, strict=True))
