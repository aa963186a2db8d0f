"""What a budget buys, before it is spent. No torch: a callable measures the seconds of an epoch."""

from __future__ import annotations

import heapq
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.files import SearchSpace
from elastic_search.search.store.result import SCALED

if TYPE_CHECKING:
    from elastic_search.search.run import Run

DRAWS = 32  # networks of the band among which the cheapest and the most expensive proxy are looked for


@dataclass(frozen=True)
class Pace:
    """Seconds of an epoch: of the base's proxy, and of the cheapest and the most expensive proxy of the band."""

    base: float
    cheapest: float
    dearest: float

    @property
    def typical(self) -> float:
        """Seconds for a typical network of the band."""
        return (self.cheapest + self.dearest) / 2


def calibrate(plan: SearchSpace, measure: Callable[[Spec], float]) -> Pace:
    """Measure the base and two networks of the band, a few seconds each."""
    found = plan.sample(DRAWS)
    size = Shape(plan.images.channels, plan.proxy.input, plan.proxy.input)
    costs = {spec: tally(plan.proxy_of(spec).graph(), size, MACS).total for spec in {c.spec for c in found}}
    ordered = sorted(costs, key=lambda spec: costs[spec])
    base, first, last = (measure(spec) for spec in (plan.space.base, ordered[0], ordered[-1]))
    return Pace(base, min(first, last), max(first, last))


@contextmanager
def crowd(others: int) -> Iterator[None]:
    """Keep as many cores busy as ``others`` further workers would, so that a measurement is what each worker gets."""
    # They end by themselves once this process is gone, even if that was before they started.
    code = f"import os\nwhile os.getppid() == {os.getpid()}: sum(range(100_000))"
    busy = [subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.DEVNULL) for _ in range(others)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


@dataclass(frozen=True)
class Forecast:
    """What fits into a budget.

    Attributes:
        trials: networks that will be tried, besides the base.
        full: number of them that are expected to be trained to the last epoch.
        epochs: of all trials, the base and the base scaled to the band.
        seconds: until the end.
        short: whether the time is too short for the base network alone.
        budget_seconds: the budget; None if it is not limited.
    """

    trials: int
    full: int
    epochs: int
    seconds: float
    short: bool
    budget_seconds: float | None


def forecast(run: Run, seconds: float | None) -> Forecast:
    """What fits into the seconds that are left, or into no limit (None)."""
    settings, pace, halving, done = run.settings, run.pace, run.halving, len(run.folder.trials())
    left = max(0, run.inside - done)
    number = wanted = left if settings.trials is None else min(left, max(0, settings.trials - done))
    base_epochs = 0 if run.folder.result(None) else halving.epochs
    scaled_epochs = 0 if run.space.scaled_base is None or run.folder.result(SCALED) else halving.epochs
    base, each = base_epochs * pace.base, halving.expected_epochs * pace.typical
    short = base_epochs > 0 and seconds is not None and seconds < base
    base += scaled_epochs * pace.typical
    if seconds is not None:
        number = min(wanted, max(0, int((settings.workers * seconds - base) / each)))
    used = makespan(base, each, number, settings.workers)
    if seconds is not None and number < wanted:
        used = seconds
    full = max(min(number, 1), round(number / 2 ** (len(halving.rungs) - 1)))
    epochs = round(number * halving.expected_epochs) + base_epochs + scaled_epochs
    return Forecast(number, full, epochs, used, short, seconds)


def makespan(base: float, each: float, number: int, workers: int) -> float:
    """Seconds in which workers train the base and a number of trials that take the same time, one after another.

    Two workers need as long for the base and four trials as for the base and five.
    """
    if number > 1000 * workers:
        return (base + number * each) / workers
    free = [0.0] * (workers - 1) + [base]
    for _ in range(number):
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def bands(space: SearchSpace, name: str, root: Path, targets: Sequence[int] | None) -> dict[str, SearchSpace]:
    """The runs of a search, by name: one, or one for each target.

    A band of a sweep, or a repaired copy of one, continues with the target that it had before.
    """
    if not targets:
        return {name: space.at(_target_of(root / name))}
    named = {target: str(target) if target % 10**6 else f"{target // 10**6}M" for target in targets}
    return {f"{name}-{short}": space.at(target) for target, short in named.items()}


def _target_of(run: Path) -> int | None:
    """The target of an earlier start of this run, or None."""
    try:
        found = json.loads((run / "run.json").read_text(encoding="utf-8")).get("target")
    except (OSError, ValueError, AttributeError):
        return None  # the run itself will report what is wrong
    return found if type(found) is int and found > 0 else None
