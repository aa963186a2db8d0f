"""An Optuna sampler whose every proposal lies inside the band and is new."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import tally
from elastic_search.errors import NothingFitsError
from elastic_search.search.propose.strategies import STRATEGIES
from elastic_search.space.band import Band
from elastic_search.space.choice import Choice, Value
from elastic_search.space.match import Candidate, Matcher

DRAWS = 1024  # feasible candidates that each proposal is chosen from
PROPOSAL = "elastic_search:proposal"  # attribute of a trial: its values, before they are stored one by one


def distributions(choices: tuple[Choice, ...]) -> dict[str, BaseDistribution]:
    """A space's choices in Optuna's terms."""
    return {choice.name: CategoricalDistribution(choice.values) for choice in choices}


class FeasibleSampler(BaseSampler):
    """Has a strategy choose among exactly feasible draws, given the finished trials.

    The draws are uniform over the distinct networks of the band; a small band is listed whole. The randomness of a
    proposal comes only from the seed and the trial's number, so a resumed search proposes what the uninterrupted one
    would have proposed.

    Args:
        matcher: the space with its costs.
        band: contains every proposal's cost.
        seed: of the search.
        strategy: its name.
        skip: a network that must not be proposed (the base, which is trained anyway).
    """

    def __init__(self, matcher: Matcher, band: Band, seed: int, strategy: str, skip: Spec | None = None) -> None:
        self.matcher, self.band, self.seed = matcher, band, seed
        self._strategy = STRATEGIES[strategy]
        self._choices = matcher.space.choices
        inside = skip is not None and tally(skip.graph(), band.input, band.convention).total in band
        skipped = matcher.space.values_of(skip) if skip is not None and inside else None
        self._skip = set() if skipped is None else {_key(skipped)}
        self._size = matcher.count(band.low, band.high)
        self._all = matcher.inside(band) if 0 < self._size <= 4 * DRAWS else None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return distributions(self._choices)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        # If the process was killed while it stored a trial's values, the trial gets the same ones: what has finished
        # since would lead to others, and a mixture may lie outside the band.
        stored: dict[str, Any] | None = trial.system_attrs.get(PROPOSAL)
        if stored is None:
            # Later trials exist only if this one is run again: it must get the values it had.
            others = [t for t in study.get_trials(deepcopy=False) if t.number < trial.number and t.params]
            stored = dict(self.propose(trial.number, others).values)
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSAL, stored)
        return stored

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise ValueError(f"{param_name} is not a choice of this space")

    def propose(self, number: int, others: list[FrozenTrial]) -> Candidate:
        """The configuration of trial ``number``, given all other trials.

        Raises:
            NothingFitsError: if every network of the band has been tried.
        """
        if self.exhausted(others):
            raise NothingFitsError(f"all {self._size:,} networks of the band have been tried")
        rng = np.random.default_rng(np.random.SeedSequence([self.seed, number]))
        candidates = self._candidates(rng, self._tried(others))
        return self._strategy.choose(self._choices, candidates, finished_trials(others), rng)

    def exhausted(self, others: list[FrozenTrial]) -> bool:
        """Whether every network of the band has been tried."""
        return len(self._tried(others)) >= self._size

    def _tried(self, others: list[FrozenTrial]) -> set[tuple[Value, ...]]:
        return self._skip | {_key(t.params) for t in others if t.params}

    def _candidates(self, rng: np.random.Generator, tried: set[tuple[Value, ...]]) -> list[Candidate]:
        if self._all is not None:
            found = [c for c in self._all if _key(c.values) not in tried]
            return [found[i] for i in rng.permutation(len(found))[:DRAWS]]
        while True:
            # The band has more than 4 × DRAWS networks, so few of the draws have been tried.
            found = [c for c in self.matcher.sample(self.band, DRAWS, rng) if _key(c.values) not in tried]
            if found:
                return found


def finished_trials(others: list[FrozenTrial]) -> list[tuple[dict[str, Any], float]]:
    """Values and score of the trials that have ended, by number.

    A trial that was stopped at a rung scores below all that reached a later one. Networks that cannot be trained count
    as bad, so that the search avoids similar ones.
    """
    found = []
    for trial in sorted(others, key=lambda trial: trial.number):
        if trial.state == TrialState.COMPLETE and trial.value is not None:
            found.append((trial.params, trial.value))
        elif trial.state == TrialState.PRUNED and trial.intermediate_values:
            rung = max(trial.intermediate_values)
            found.append((trial.params, trial.intermediate_values[rung] + rung - 1_000_000))
        elif trial.state in (TrialState.PRUNED, TrialState.FAIL):
            found.append((trial.params, -math.inf))
    return found


def _key(values: Mapping[str, Any]) -> tuple[Value, ...]:
    return tuple(values[name] for name in sorted(values))
