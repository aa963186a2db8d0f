"""The strategies of a search by name. All propose from exactly feasible draws; they differ in which one they take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from elastic_search.search.propose import STRATEGIES as NAMES
from elastic_search.search.propose.density import Choices, Density, Finished, Floats, Values
from elastic_search.search.propose.gaussian_process import GaussianProcess
from elastic_search.space.choice import Choice, Value
from elastic_search.space.match import Candidate

Random = np.random.Generator

START = 5
"""Finished trials from which there is something to learn."""


class Strategy(Protocol):
    """Chooses among draws."""

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        """One of the candidates, which come in random order, in view of the finished trials, oldest first."""


class Judge(Protocol):
    """Tells how good each candidate seems, in view of the finished trials."""

    def judge(self, choices: Choices, finished: Finished, candidates: Sequence[Values]) -> Floats: ...


@dataclass(frozen=True)
class Uniform:
    """Every network of the band with the same probability, whatever the others scored."""

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        return candidates[0]


@dataclass(frozen=True)
class Judged:
    """The draw that is judged best.

    Attributes:
        by: judges.
        start: finished trials before it is trusted; until then draws are uniform.
    """

    by: Judge
    start: int = START

    def choose(self, choices: Choices, candidates: list[Candidate], finished: Finished, rng: Random) -> Candidate:
        if sum(score > -math.inf for _, score in finished) < self.start:
            return candidates[0]
        judgements = self.by.judge(choices, finished, [candidate.values for candidate in candidates])
        return candidates[int(np.argmax(judgements))]


@dataclass(frozen=True)
class Evolution:
    """Ageing evolution (Real et al. 2019) inside the band.

    A tournament's winner has one of its choices changed. That network rarely meets the band; the proposal is the
    draw nearest to it, among those with the changed choice where there are any.

    Attributes:
        population: trials that may be parents: the latest ones, so that a lucky score ages out.
        tournament: members drawn for one tournament.
        start: finished trials before there are parents; until then draws are uniform.
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


def _mutated(choice: Choice, value: Value, rng: Random) -> Value:
    """Another value: a neighbour where the order means something."""
    at = choice.values.index(value)
    if choice.ordered:
        others = [i for i in (at - 1, at + 1) if 0 <= i < len(choice.values)]
    else:
        others = [i for i in range(len(choice.values)) if i != at]
    return choice.values[int(rng.choice(others))] if others else value


def distance(choices: Choices, one: Values, other: Values) -> float:
    """Sum over the choices: steps as a share of the scale where ordered, else 1 where they differ."""
    total = 0.0
    for choice in choices:
        a, b = choice.values.index(one[choice.name]), choice.values.index(other[choice.name])
        total += abs(a - b) / max(1, len(choice.values) - 1) if choice.ordered else float(a != b)
    return total


STRATEGIES: dict[str, Strategy] = dict(
    zip(NAMES, (Judged(Density()), Judged(GaussianProcess()), Uniform(), Evolution()), strict=True)
)
