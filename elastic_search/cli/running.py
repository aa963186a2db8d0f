"""One run of a search as the command drives it: planned, then worked by this process or by several."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import click

from elastic_search import __version__
from elastic_search.cli.counted import counter_of
from elastic_search.errors import EnvironmentFault
from elastic_search.files import SearchSpace
from elastic_search.report.progress import Progress
from elastic_search.report.searches import plan_report
from elastic_search.report.spaces import band_head
from elastic_search.search.clock import Clock
from elastic_search.search.evaluator import TrialError
from elastic_search.search.folder import RunFolder
from elastic_search.search.halving import Halving
from elastic_search.search.loop import Budget, Search
from elastic_search.search.plan import Pace, calibrate, forecast
from elastic_search.search.ranking import best_accuracies, ranking
from elastic_search.search.signals import StopSignal
from elastic_search.search.supervisor import Supervisor
from elastic_search.space.match import Matcher
from elastic_search.train.device import choose_device, describe, torch_version
from elastic_search.train.proxy import ProxyTrainer

RECENT = 20
"""Trials that tell what an epoch takes."""


class Settings(NamedTuple):
    """What the command line says of every band's run."""

    trials: int | None
    strategy: str
    halving: bool
    seed: int
    device: str
    workers: int
    storage: str | None


@dataclass
class Run:
    """A run in its folder.

    Attributes:
        plan: the space, band and recipe.
        matcher: the space with its costs.
        folder: of the run.
        settings: from the command line.
        stop: tells that the search is to end.
    """

    plan: SearchSpace
    matcher: Matcher
    folder: RunFolder
    settings: Settings
    stop: StopSignal

    @cached_property
    def device(self) -> Any:
        return choose_device(self.settings.device)

    @cached_property
    def trainer(self) -> ProxyTrainer:
        return ProxyTrainer(self.plan.recipe, self.device)

    @cached_property
    def inside(self) -> int:
        """Number of networks in the band."""
        return self.matcher.count(self.plan.band.low, self.plan.band.high)

    @property
    def halving(self) -> Halving:
        return Halving(self.plan.recipe.epochs, self.settings.halving)

    @property
    def title(self) -> str:
        workers = f", {self.settings.workers} workers" if self.settings.workers > 1 else ""
        return f"{self.folder.name} on {describe(self.device)}{workers}"

    def rows(self) -> list[dict[str, Any]]:
        return ranking(self.plan, self.folder)

    @cached_property
    def pace(self) -> Pace:
        """Seconds of an epoch, from what was trained, else from a few steps of three networks."""
        if known := self._known_pace():
            return known
        try:
            click.echo("measuring an epoch of three networks", err=True)
            return calibrate(self.plan, self.matcher, self.trainer.pace)
        except TrialError as error:
            raise EnvironmentFault(f"a proxy of the band cannot be trained: {error}", "a smaller [proxy]") from None

    def _known_pace(self) -> Pace | None:
        """Seconds of an epoch in the trainings that are recorded, if there are any in the band."""
        results = [self.folder.result(number) for number in self.folder.trials()[-RECENT:]]
        trained = [r for r in results if r and r["accuracy"] is not None]
        seconds = [r["seconds"] / len(r["curve"]) for r in trained]
        base = self.folder.result(None)
        if not seconds or not base:
            return None
        return Pace(base["seconds"] / len(base["curve"]), min(seconds), max(seconds))

    @property
    def _description(self) -> dict[str, Any]:
        """What must not change from start to start."""
        plan, settings = self.plan, self.settings
        said = {"space": plan.name, "text": plan.text, "target": plan.band.target, "seed": settings.seed}
        return said | {"strategy": settings.strategy, "halving": settings.halving}

    def plan_of(self, limit: float | None) -> dict[str, Any]:
        """What fits into a limit of all starts together; nothing is written.

        Raises:
            UsageError: if a run of this name was started with other settings.
        """
        self.folder.agrees(self._description)
        return self.planned(None if limit is None else max(0.0, limit - self.folder.spent_seconds))

    @property
    def is_finished(self) -> bool:
        """Whether every trial that was asked for is recorded, and the best of them written."""
        trials = self.settings.trials
        done = trials is not None and len(self.folder.trials()) >= trials
        return done and self.folder.result(None) is not None and self.folder.best_file.exists()

    def planned(self, left: float | None) -> dict[str, Any]:
        """What fits into ``left`` seconds."""
        done, trials, halving = len(self.folder.trials()), self.settings.trials, self.halving
        remaining = None if trials is None else max(0, trials - done)
        base_done = self.folder.result(None) is not None
        fits = forecast(
            self.pace, halving, left, remaining, max(0, self.inside - done), base_done, self.settings.workers
        )
        end = datetime.now().astimezone() + timedelta(seconds=fits.seconds)
        return {
            "strategy": self.settings.strategy,
            "inside": self.inside,
            "networks": self.matcher.size,
            "band": band_head(self.plan.band),
            "seconds_an_epoch": vars(self.pace),
            "rungs": list(halving.rungs),
            **vars(fits),
            "budget_seconds": left,
            "spent_seconds": self.folder.spent_seconds,
            "end": end.isoformat(timespec="seconds"),
        }

    def go(self, limit: float | None, began: float | None = None, other: RunFolder | None = None) -> str:
        """Search until the budget is used; why it ended.

        Args:
            limit: seconds of all starts together, or None.
            began: when this start's time began to count, by ``time.monotonic``; by default now.
            other: another band's run, whose score of the base network holds here, too.
        """
        began = time.monotonic() if began is None else began
        plan, settings = self.plan, self.settings
        with self.folder.locked():
            about = {"device": describe(self.device), "torch": torch_version(), "version": __version__}
            new = self.folder.begin(self._description, **about)
            if not new and self.is_finished:
                return "trials"
            if limit is not None and self.folder.spent_seconds >= limit and self.folder.best_file.exists():
                return "time"
            # Only now is it certain that the run is ours and nobody else writes in it.
            if other is not None and self.folder.result(None) is None and (base := other.result(None)) is not None:
                self.folder.record(None, base)
            click.echo(f"{'new run' if new else 'resuming'} {self.folder.path} on {describe(self.device)}", err=True)
            clock = Clock(self.folder, limit, began, epoch_seconds=self.pace.typical)
            planned = self.planned(clock.left)
            for line in plan_report(planned, self.title, str(plan.band)).rows:
                click.echo(f"{line['name']}: {line['text']}" if line else "", err=True)
            if planned["short"]:
                click.echo("the time left is too short for the base network alone", err=True)
            if settings.workers > 1 or settings.storage is not None:
                click.echo("several workers: the trials depend on which of them is quicker", err=True)
            elif self.device.type != "cpu":
                click.echo("on a GPU, equal seeds give nearly equal accuracies only", err=True)
            if settings.workers > 1:
                return self._supervised(clock)
            progress = Progress(describe(self.device), settings.trials, lambda: run.expected_seconds())
            run = Search(
                plan,
                self.matcher,
                self.folder,
                self.trainer,
                settings.seed,
                Budget(settings.trials, limit),
                progress.of(0),
                self.stop,
                self.halving,
                settings.strategy,
                counter_of(plan, lambda what: progress.say(what, alone=True)),
                self.pace.typical,
                began,
                storage=settings.storage,
            )
            progress.known(*best_accuracies(self.rows()))
            with progress:
                return run.run()

    def _supervised(self, clock: Clock) -> str:
        """Have several processes search; why it ended."""
        settings = self.settings
        self.__dict__.pop("trainer", None)  # the workers need the memory
        deadline = None if clock.left is None else time.monotonic() + clock.left

        def command(worker: int) -> list[str]:
            said: dict[str, Any] = {
                "root": str(self.folder.path.parent),
                "name": self.folder.name,
                "device": settings.device,
            }
            more: dict[str, Any] = {"worker": worker, "trials": settings.trials, "deadline": deadline}
            more |= {"storage": settings.storage, "epoch_seconds": self.pace.typical}
            text = json.dumps(said | more)
            return [sys.executable, "-m", "elastic_search.cli.worker", text]

        environment = dict(os.environ)
        if self.device.type == "cpu":
            # Two processes with a thread for every core slow one another down many times over.
            environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // settings.workers)))
        progress = Progress(self.title, settings.trials, lambda: clock.left)
        progress.known(*best_accuracies(self.rows()))
        supervisor = Supervisor(command, environment, settings.workers, progress.of, self.folder, clock, self.stop)
        with progress:
            return supervisor.run()
