"""A run: planned, then worked by this process or by several. No torch, and no terminal: an observer shows it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from elastic_search import __version__
from elastic_search.arch.spec import Spec
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import SearchSpace
from elastic_search.search.evaluator import PROXY_EVALUATOR, Epoch, Evaluator, Named, TrialError, named
from elastic_search.search.plan import Pace, Plan, calibrate, forecast, known_pace
from elastic_search.search.propose import STRATEGIES
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import Row, best_accuracies, ranking
from elastic_search.search.store.result import Result
from elastic_search.search.store.winner import Counter
from elastic_search.search.supervisor import Supervisor
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.halving import Halving
from elastic_search.search.trials.loop import Budget, Observer, Search
from elastic_search.search.trials.signals import StopSignal
from elastic_search.space.match import Matcher

COUNTER = "elastic_search.nn.verify:counted"
"""Counts a network by an independent tool: a function of the spec, the image's shape and the convention's name."""


class RunObserver(Protocol):
    """Hears what happens in a run, to show it."""

    def begins(self, path: Path, new: bool) -> None:
        """A new run begins in a folder, or one is resumed."""

    def note(self, what: str) -> None:
        """Something begins that takes seconds."""

    def planned(self, plan: Plan) -> None:
        """What is about to be done."""

    def watching(
        self, base: float | None, best: float | None, left: Callable[[], float | None]
    ) -> AbstractContextManager[object]:
        """Trainings run inside; known are the accuracies so far, and to be asked for are the seconds left."""

    def of(self, worker: int) -> Observer:
        """Hears one worker's trainings."""


class Silent:
    """An observer of a run and of its trainings that shows nothing; a subclass has the methods that it wants."""

    def begins(self, path: Path, new: bool) -> None: ...
    def note(self, what: str) -> None: ...
    def planned(self, plan: Plan) -> None: ...
    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finished(self, result: Result, why: str) -> None: ...

    def watching(
        self, base: float | None, best: float | None, left: Callable[[], float | None]
    ) -> AbstractContextManager[object]:
        return nullcontext()

    def of(self, worker: int) -> Observer:
        return self


@dataclass(frozen=True)
class Settings:
    """How a run searches.

    Attributes:
        trials: networks that are tried over all starts, beside the base; None without limit.
        seed: of proposals and of training.
        strategy: one of ``STRATEGIES``.
        halving: whether poor trainings are stopped early.
        workers: processes that train.
        threads: of each of several workers, unless OMP_NUM_THREADS says otherwise; None for the machine's own.
        storage: address of a study that several machines share; by default it lies in the folder.
        counter: counts the best network before it is written, as "module:function"; None for nobody.
    """

    trials: int | None = None
    seed: int = 0
    strategy: str = STRATEGIES[0]
    halving: bool = True
    workers: int = 1
    threads: int | None = None
    storage: str | None = None
    counter: str | None = COUNTER


@dataclass
class Run:
    """A run in its folder.

    Attributes:
        space: with its band and recipe.
        matcher: the space with its costs.
        folder: of the run.
        settings: how it searches.
        trainer: trains proxies; where several processes do, it is named.
        about: of this machine, recorded at the first start: device, versions.
        observer: hears what happens.
        stop: tells that the search is to end.
    """

    space: SearchSpace
    matcher: Matcher
    folder: RunFolder
    settings: Settings
    trainer: Evaluator | Named
    about: Mapping[str, str] = field(default_factory=dict)
    observer: RunObserver = field(default_factory=Silent)
    stop: StopSignal = field(default_factory=StopSignal)

    @cached_property
    def evaluator(self) -> Evaluator:
        return self.trainer.make() if isinstance(self.trainer, Named) else self.trainer

    @cached_property
    def inside(self) -> int:
        """Number of networks in the band."""
        return self.matcher.count(self.space.band.low, self.space.band.high)

    @property
    def halving(self) -> Halving:
        return Halving(self.space.training.epochs, self.settings.halving)

    def rows(self) -> list[Row]:
        return ranking(self.space, self.folder)

    @cached_property
    def pace(self) -> Pace:
        """Seconds of an epoch, from what was trained, else from a few steps of three networks."""
        if known := known_pace(self.folder):
            return known
        try:
            self.observer.note("measuring an epoch of three networks")
            return calibrate(self.space, self.matcher, self.evaluator.pace)
        except TrialError as error:
            raise EnvironmentFault(f"a proxy of the band cannot be trained: {error}", "a smaller [proxy]") from None

    @property
    def _description(self) -> dict[str, Any]:
        """What must not change from start to start."""
        space, settings = self.space, self.settings
        said = {"space": space.name, "text": space.text, "target": space.band.target, "seed": settings.seed}
        return said | {"strategy": settings.strategy, "halving": settings.halving}

    def plan(self, limit: float | None) -> Plan:
        """What fits into a limit of all starts together; nothing is written.

        Raises:
            UsageError: if a run of this name was started with other settings.
        """
        self.folder.agrees(self._description)
        return self._plan(None if limit is None else max(0.0, limit - self.folder.spent_seconds))

    def _plan(self, left: float | None) -> Plan:
        """What fits into ``left`` seconds."""
        done, trials, halving = len(self.folder.trials()), self.settings.trials, self.halving
        remaining = None if trials is None else max(0, trials - done)
        base_done = self.folder.result(None) is not None
        untried = max(0, self.inside - done)
        fits = forecast(self.pace, halving, left, remaining, untried, base_done, self.settings.workers)
        end = datetime.now().astimezone() + timedelta(seconds=fits.seconds)
        return Plan(
            self.settings.strategy,
            self.inside,
            self.matcher.size,
            self.space.band,
            self.pace,
            halving.rungs,
            fits,
            left,
            self.folder.spent_seconds,
            end,
        )

    @property
    def _is_finished(self) -> bool:
        """Whether every trial that was asked for is recorded, and the best of them written."""
        trials = self.settings.trials
        done = trials is not None and len(self.folder.trials()) >= trials
        return done and self.folder.result(None) is not None and self.folder.best_file.exists()

    def go(self, limit: float | None, began: float | None = None, other: RunFolder | None = None) -> str:
        """Search until the budget is used.

        Args:
            limit: seconds of all starts together, or None.
            began: when this start's time began to count, by ``time.monotonic``; by default now.
            other: another band's run, whose score of the base network holds here, too.

        Returns:
            Why it ended: "trials", "time", "exhausted" or "signal".

        Raises:
            UsageError: if a run of this name was started with other settings.
            EnvironmentFault: if another process holds the folder, nothing can be written, or nothing can be trained.
        """
        began = time.monotonic() if began is None else began
        with self.folder.locked():
            new = self.folder.begin(self._description, **self.about, version=__version__)
            if not new and self._is_finished:
                return "trials"
            if limit is not None and self.folder.spent_seconds >= limit and self.folder.best_file.exists():
                return "time"
            # Only now is it certain that the run is ours and nobody else writes in it.
            if other is not None and self.folder.result(None) is None and (base := other.result(None)) is not None:
                self.folder.record(base)
            self.observer.begins(self.folder.path, new)
            clock = Clock(self.folder, limit, began, epoch_seconds=self.pace.typical)
            self.observer.planned(self._plan(clock.left))
            if self.settings.workers > 1:
                return self._by_several(clock)
            return self._alone(limit, began)

    def _alone(self, limit: float | None, began: float) -> str:
        settings = self.settings
        search = Search(
            self.space,
            self.matcher,
            self.folder,
            self.evaluator,
            settings.seed,
            Budget(settings.trials, limit),
            self.observer.of(0),
            self.stop,
            self.halving,
            settings.strategy,
            counter_named(settings.counter, self.space, self.observer.note),
            self.pace.typical,
            began,
            storage=settings.storage,
        )
        with self.observer.watching(*best_accuracies(self.rows()), search.expected_seconds):
            return search.run()

    def _by_several(self, clock: Clock) -> str:
        """Have several processes search."""
        settings = self.settings
        if not isinstance(self.trainer, Named):
            raise UsageError("several workers need an evaluator by name", "give Named(name, about), or one worker")
        self.__dict__.pop("evaluator", None)  # the workers need the memory
        said = {
            "root": str(self.folder.path.parent),
            "name": self.folder.name,
            "trainer": self.trainer,
            "trials": settings.trials,
            "deadline": None if clock.left is None else time.monotonic() + clock.left,
            "storage": settings.storage,
            "counter": settings.counter,
            "epoch_seconds": self.pace.typical,
        }

        def command(worker: int) -> list[str]:
            return [sys.executable, "-m", "elastic_search.search.worker", json.dumps({**said, "worker": worker})]

        environment = dict(os.environ)
        if settings.threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(settings.threads))
        observer = self.observer
        supervisor = Supervisor(command, environment, settings.workers, observer.of, self.folder, clock, self.stop)
        with observer.watching(*best_accuracies(self.rows()), lambda: clock.left):
            return supervisor.run()


def counter_named(
    name: str | None, space: SearchSpace, tell: Callable[[str], None] = lambda what: None
) -> Counter | None:
    """The independent count that the best network must pass.

    Args:
        name: "module:function"; imported when it is first asked.
        space: its band has the convention and the input.
        tell: hears that the count begins: it takes seconds.
    """
    if name is None:
        return None

    def count(spec: Spec) -> tuple[str, int, int]:
        tell("counting the best network with an independent tool")
        found: tuple[str, int, int] = named(name)(spec, space.band.input, space.band.convention.name)
        return found

    return count


def share(runs: Sequence[Run], number: int, seconds: float | None) -> float | None:
    """Seconds that a band's run may use over all starts: an equal share, and what the earlier ones left."""
    if seconds is None:
        return None
    return seconds * (number + 1) / len(runs) - sum(run.folder.spent_seconds for run in runs[:number])


def sweep(runs: Sequence[Run], seconds: float | None, began: float) -> list[str]:
    """Search one band after the other, up to a signal; the base network is trained once.

    Args:
        runs: a run for each band.
        seconds: of all starts of all of them together, or None.
        began: when the time began to count, by ``time.monotonic``.

    Returns:
        Why each of them ended; see ``Run.go``.
    """
    whys: list[str] = []
    for number, run in enumerate(runs):
        limit = share(runs, number, seconds)
        whys.append(run.go(limit, None if number else began, runs[0].folder if number else None))
        if whys[-1] == "signal":
            break
    return whys


class Found(NamedTuple):
    """What a search has found.

    Attributes:
        why: it ended: "trials", "time", "exhausted" or "signal".
        rows: the base network, then all trials, best first.
        folder: where all of it is written.
    """

    why: str
    rows: list[Row]
    folder: RunFolder


def search(
    space: SearchSpace,
    evaluator: Evaluator | Named | None = None,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    name: str | None = None,
    root: Path | str = "runs",
    observer: RunObserver | None = None,
    **settings: Any,
) -> Found:
    """Search a space for the network whose short-trained proxy is best, as ``elastic-search search`` does.

    Called again with the same arguments, it resumes an interrupted run; a finished one is only read. The first SIGINT
    or SIGTERM ends it after the epoch at hand, so it must be called in the main thread.

    Args:
        space: with its band and recipe, as from ``load_space``.
        evaluator: trains proxies; by default on the embedded scenes, as the space's recipe says.
        trials: networks that are tried over all starts, beside the base.
        seconds: to use over all starts.
        name: of the run; by default the space's.
        root: folder of all runs.
        observer: hears what happens.
        settings: further ones of ``Settings``, as ``strategy="evolution"``.

    Raises:
        UsageError: without trials or seconds, or if a run of this name was started with other settings.
        NothingFitsError: if the band is empty.
        EnvironmentFault: if another process holds the folder, nothing can be written, or nothing can be trained.
    """
    if trials is None and seconds is None:
        raise UsageError("a search needs a budget", "give trials or seconds")
    matcher = Matcher(space.space, space.band.convention, space.band.input, space.limits)
    if not matcher.count(space.band.low, space.band.high):
        raise matcher.nothing_fits(space.band)
    run = Run(
        space,
        matcher,
        RunFolder(Path(root), space.name if name is None else name),
        Settings(trials, **settings),
        Named(PROXY_EVALUATOR, {"recipe": space.recipe}) if evaluator is None else evaluator,
        observer=observer or Silent(),
    )
    with run.stop.listening():
        why = run.go(seconds)
    return Found(why, run.rows(), run.folder)
