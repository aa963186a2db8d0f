"""How fast spaces are counted, drawn from and proposed from.

    python benchmarks/space.py

Limits: a stage-level space of about 10^10 networks counted in 0.1 s, a draw in 0.1 ms; a space of about 10^31 whose
blocks choose counted in 2 s, a draw in 5 ms; 50 million costs a second looked up; a proposal after 10,000 finished
trials in 1 s. Every time is CPU time, so that a busy machine does not decide, and the best of a few, beside the same
work done one by one. Exits with 1 if a limit is exceeded.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cost_table import CostTable
from optuna.trial import FrozenTrial, TrialState, create_trial

from elastic_search.arch.split import parse_split
from elastic_search.cost.tally import tally
from elastic_search.files import SearchSpace, load_space
from elastic_search.search.propose.sampler import FeasibleSampler, distributions
from elastic_search.space.choice import Space
from elastic_search.space.match import Candidate, Matcher

DRAWS = 1000
TRIALS = 10_000
CONFIGURATIONS = 20_000_000


def best(do: Callable[[], Any], times: int = 3) -> tuple[float, Any]:
    """Fewest seconds of CPU time of several tries, and the result."""
    seconds = []
    for _ in range(times):
        start = time.process_time()
        found = do()
        seconds.append(time.process_time() - start)
    return min(seconds), found


def wide(plan: SearchSpace) -> Space:
    """About 10^10 networks by stage: depths to 48 and ten splits."""
    splits = [parse_split(text) for text in ("7/8,1/8", "1/8,7/8", "1/4,1/4,1/2", "1/2,1/2@1/4", "1/4,3/4@1/4")]
    depths = (*((tuple(range(1, 49)),) * 3), tuple(range(1, 31)))
    return Space(plan.space.base, depths, (*plan.space.splits, *splits), plan.space.resampling)


def by_block(plan: SearchSpace) -> Space:
    """About 10^31 networks: every block chooses one of five splits."""
    return Space(plan.space.base, plan.space.depths, plan.space.splits, plan.space.resampling[:1], "block")


def counted(plan: SearchSpace, name: str, space: Space, seconds: float, milliseconds: float) -> bool:
    """Count and draw; whether a limit is exceeded."""
    band = plan.band

    def count() -> tuple[Matcher, int]:
        # A space and matcher of their own: nothing is kept from the last time.
        matcher = Matcher(Space(*(getattr(space, f) for f in space.__dataclass_fields__)), band.convention, band.input)
        return matcher, matcher.count(band.low, band.high)

    first, (matcher, inside) = best(count)
    again, _ = best(lambda: matcher.count(band.low + 1, band.high))
    rng = np.random.default_rng(0)
    matcher.sample(band, 1, rng)
    drawing, drawn = best(lambda: [candidate.values for candidate in matcher.sample(band, DRAWS, rng)])
    each = 1000 * drawing / len(drawn)
    single, _ = best(lambda: tally(plan.space.base.graph(), band.input, band.convention), 20)
    print(f"per {name}: {inside:,} of {matcher.size:,} networks")
    print(
        f"  counted in {first:.3f} s, another band in {again:.4f} s ({matcher.size * single / first:.1e} × one by one)"
    )
    print(f"  a draw: {each:.3f} ms")
    return first > seconds or each > milliseconds


def looked_up(plan: SearchSpace) -> bool:
    """Costs of many configurations at once."""
    table = CostTable(plan.space, 0, plan.band.convention, plan.band.input)
    rng = np.random.default_rng(0)
    options = [rng.integers(0, size, CONFIGURATIONS) for size in table.sizes]
    seconds, costs = best(lambda: table.costs(options))
    one_by_one, _ = best(
        lambda: int(sum(part[numbers[0]] for part, numbers in zip(table.tables, options, strict=True)))
    )
    rate = CONFIGURATIONS / seconds
    print(f"costs of {CONFIGURATIONS:,} configurations: {rate / 1e6:.0f} million a second")
    print(f"  {rate * one_by_one:.0f} × looking up and adding one by one; mean {costs.mean():,.0f}")
    return rate < 50e6


def proposed(plan: SearchSpace) -> bool:
    """A proposal after many finished trials."""
    matcher = plan.matcher
    space, rng = distributions(plan.space.choices), np.random.default_rng(0)
    drawn: list[Candidate] = matcher.sample(plan.band, TRIALS, rng)
    trials: list[FrozenTrial] = []
    for number, candidate in enumerate(drawn):
        made = create_trial(
            params=candidate.values, distributions=space, value=float(rng.random()), state=TrialState.COMPLETE
        )
        made.number = number
        trials.append(made)
    slow = False
    for name in ("feasible-tpe", "feasible-gp", "evolution"):
        sampler = FeasibleSampler(matcher, plan.band, 0, name)
        seconds, _ = best(lambda sampler=sampler: sampler.propose(TRIALS, trials))  # type: ignore[misc]
        few, _ = best(lambda sampler=sampler: sampler.propose(100, trials[:100]))  # type: ignore[misc]
        print(f"a proposal of {name} after {TRIALS:,} trials: {seconds:.3f} s ({seconds / few:.1f} × after 100)")
        slow = slow or seconds > 1.0
    return slow


def main() -> None:
    # The command that counts imports no Optuna; its thousands of objects must not be looked through here either.
    gc.freeze()
    plan = load_space("resnext50")
    slow = [
        counted(plan, "stage", wide(plan), 0.1, 0.1),
        counted(plan, "block", by_block(plan), 2.0, 5.0),
        looked_up(plan),
        proposed(plan),
    ]
    sys.exit(any(slow))


if __name__ == "__main__":
    main()
