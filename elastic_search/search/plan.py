"""What a budget buys, told before it is spent. No torch: the seconds of an epoch are measured by a callable."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from elastic_search.arch.ops import image
from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.files import SearchSpace
from elastic_search.space.match import Matcher

if TYPE_CHECKING:
    from elastic_search.search.run import Run

DRAWS = 32
"""Networks of the band among which the cheapest and the dearest proxy are looked for."""


@dataclass(frozen=True)
class Pace:
    """Seconds an epoch takes, of the base's proxy and of the cheapest and the dearest in the band."""

    base: float
    cheapest: float
    dearest: float

    @property
    def typical(self) -> float:
        """Of a network of the band."""
        return (self.cheapest + self.dearest) / 2


def calibrate(plan: SearchSpace, matcher: Matcher, measure: Callable[[Spec], float]) -> Pace:
    """Measure the base and two networks of the band; a few seconds for each."""
    found = matcher.sample(plan.band, DRAWS, np.random.default_rng(0))
    edge = image(plan.proxy.input, plan.proxy.input)
    costs = {spec: tally(plan.proxy.of(spec).graph(), edge, MACS).total for spec in {c.spec for c in found}}
    ordered = sorted(costs, key=lambda spec: costs[spec])
    base, first, last = (measure(spec) for spec in (plan.space.base, ordered[0], ordered[-1]))
    return Pace(base, min(first, last), max(first, last))


@dataclass(frozen=True)
class Forecast:
    """What fits into a budget.

    Attributes:
        trials: networks that will be tried, beside the base.
        full: of them, those expected to be trained to the last epoch.
        epochs: of all trials and the base.
        seconds: until the end.
        short: whether the time is too short for the base network alone.
        budget_seconds: what it was made for; None without limit.
    """

    trials: int
    full: int
    epochs: int
    seconds: float
    short: bool
    budget_seconds: float | None


def forecast(run: Run, seconds: float | None) -> Forecast:
    """What fits into the seconds that are left, or None without limit.

    Workers train side by side, each as quickly as one alone.
    """
    settings, pace, halving, done = run.settings, run.pace, run.halving, len(run.folder.trials())
    left = max(0, run.inside - done)
    number = wanted = left if settings.trials is None else min(left, max(0, settings.trials - done))
    base_epochs = 0 if run.folder.result(None) else halving.epochs
    base, each = base_epochs * pace.base, halving.expected_epochs * pace.typical
    if seconds is not None:
        number = min(wanted, max(0, int((settings.workers * seconds - base) / each)))
    used = (base + number * each) / settings.workers
    if seconds is not None and number < wanted:
        used = seconds
    full = max(min(number, 1), round(number / 2 ** (len(halving.rungs) - 1)))
    epochs = round(number * halving.expected_epochs) + base_epochs
    short = base_epochs > 0 and seconds is not None and seconds < base
    return Forecast(number, full, epochs, used, short, seconds)


def matcher_of(space: SearchSpace) -> Matcher:
    """A space with its costs.

    Raises:
        NothingFitsError: if its band is empty.
    """
    matcher = Matcher(space.space, space.band.convention, space.band.input, space.limits)
    if not matcher.count(space.band.low, space.band.high):
        raise matcher.nothing_fits(space.band)
    return matcher


def bands(space: SearchSpace, name: str, root: Path, targets: Sequence[int] | None) -> dict[str, SearchSpace]:
    """The runs that a search makes, by name: one, or one for each target.

    A band of a sweep, or a repaired copy of one, goes on at the cost that it aimed at before.
    """
    if not targets:
        return {name: space.at(_target_of(root / name))}
    return {f"{name}-{_millions(target)}": space.at(target) for target in targets}


def _target_of(run: Path) -> int | None:
    """The cost that an earlier start of this run aimed at, or None."""
    try:
        found = json.loads((run / "run.json").read_text(encoding="utf-8")).get("target")
    except (OSError, ValueError, AttributeError):
        return None  # the run's own start says what is wrong
    return found if type(found) is int and found > 0 else None


def _millions(target: int) -> str:
    return str(target) if target % 10**6 else f"{target // 10**6}M"
