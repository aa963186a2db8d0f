"""A run: planned, then worked on by one or several processes. No torch and no terminal: an observer shows it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from elastic_search import __version__
from elastic_search.arch.spec import Spec
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import SearchSpace
from elastic_search.recipes import Data
from elastic_search.search.evaluator import (
    PROXY_EVALUATOR,
    DamagedCheckpointError,
    Epoch,
    Evaluator,
    Named,
    TrialError,
    named,
)
from elastic_search.search.plan import Forecast, Pace, calibrate, crowd, forecast
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import SHOWN, Row, network_of, order, ranking, write_best
from elastic_search.search.store.result import OF_BASE, SCALED, Result
from elastic_search.search.supervisor import Supervisor
from elastic_search.search.trials.clock import Clock, epoch_seconds
from elastic_search.search.trials.halving import Halving
from elastic_search.search.trials.loop import Observer, Search, Settings
from elastic_search.search.trials.signals import Stopped, StopSignal

ON_IMAGES = "elastic_search.proxy.images:on_images"


class RunObserver(Protocol):
    """Receives the events of a run, to show them."""

    def note(self, what: str) -> None:
        """Something is about to begin."""

    def planned(self, run: Run, fits: Forecast) -> None:
        """The run is planned."""

    def watching(self, run: Run, left: Callable[[], float | None]) -> AbstractContextManager[object]:
        """A context in which networks are trained; ``left`` gives the seconds that are left."""

    def of(self, worker: int) -> Observer:
        """The observer of one worker's trainings."""


class Silent:
    """Observes a run and its trainings, and shows nothing; a subclass overrides the methods that it needs."""

    def note(self, what: str) -> None: ...
    def planned(self, run: Run, fits: Forecast) -> None: ...
    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finished(self, result: Result, why: str) -> None: ...

    def watching(self, run: Run, left: Callable[[], float | None]) -> AbstractContextManager[object]:
        return nullcontext()

    def of(self, worker: int) -> Observer:
        return self


@dataclass
class Run:
    """A run in its folder.

    Attributes:
        space: the space, with its band and recipe.
        folder: where the run is stored.
        settings: how to search.
        trainer: trains proxies; given by name if several processes do.
        about: recorded at the first start: "device" in words, and versions.
        observer: receives the events.
        stop: asks the search to end.
        ended: why the search ended: "trials", "time", "exhausted" or "signal"; "" before that.
    """

    space: SearchSpace
    folder: RunFolder
    settings: Settings
    trainer: Evaluator | Named
    about: Mapping[str, str] = field(default_factory=dict)
    observer: RunObserver = field(default_factory=Silent)
    stop: StopSignal = field(default_factory=StopSignal)
    ended: str = ""

    @cached_property
    def evaluator(self) -> Evaluator:
        return self._job(self.trainer).make() if isinstance(self.trainer, Named) else self.trainer

    def _job(self, trainer: Named) -> Named:
        """The trainer, with what was chosen by measuring at the first start."""
        return trainer._replace(about={**trainer.about, **self.folder.chosen()})

    @cached_property
    def inside(self) -> int:
        """Number of networks in the band."""
        return self.space.count()

    @property
    def halving(self) -> Halving:
        return Halving(self.space.training.epochs, self.settings.halving)

    @property
    def device(self) -> str:
        """The device, in words."""
        return self.about.get("device", "this machine")

    @property
    def title(self) -> str:
        workers = f", {self.settings.workers} workers" if self.settings.workers > 1 else ""
        return f"{self.folder.name} on {self.device}{workers}"

    def rows(self) -> list[Row]:
        """The base network, then all trials, best first."""
        return ranking(self.space, self.folder)

    @cached_property
    def pace(self) -> Pace:
        """Seconds of an epoch, from recent trainings if there are any, otherwise from a few steps of three networks."""
        recent, base = epoch_seconds(self.folder, self.folder.trials()[-20:]), epoch_seconds(self.folder, (None,))
        if recent and base:
            return Pace(base[0], min(recent), max(recent))
        try:
            self.observer.note("measuring an epoch of three networks")
            measure = self.evaluator.pace
            with crowd(self.settings.workers - 1):
                return calibrate(self.space, measure)
        except TrialError as error:
            raise EnvironmentFault(f"a proxy cannot be trained: {error}", "make [proxy] smaller") from None

    @property
    def _description(self) -> dict[str, Any]:
        """What must not change between starts."""
        space, settings = self.space, self.settings
        said = {"space": space.name, "text": space.text, "target": space.band.target, "seed": settings.seed}
        said |= {"strategy": settings.strategy, "halving": settings.halving}
        if space.data is None:
            return said
        return said | {"data": {"source": space.data.to_dict(), "about": space.images.to_dict()}}

    def plan(self, limit: float | None) -> Forecast:
        """What fits into a limit in seconds for all starts together; nothing is written.

        Raises:
            UsageError: if a run of this name was started with other settings.
        """
        if self.folder.agrees(self._description):
            self._take_stored_space()
        return forecast(self, None if limit is None else max(0.0, limit - self.folder.spent_seconds))

    def go(self, limit: float | None, began: float | None = None, other: RunFolder | None = None) -> None:
        """Search until the budget is used; ``ended`` then says why.

        Args:
            limit: seconds for all starts together, or None.
            began: when this start's time began to count, by ``time.monotonic``; by default now.
            other: the run of another band, whose score of the base network is taken over.

        Raises:
            UsageError: if a run of this name was started with other settings.
            EnvironmentFault: if another process holds the folder, nothing can be written, or nothing can be trained.
        """
        began = time.monotonic() if began is None else began
        trainer, several = self.trainer, self.settings.workers > 1
        if several and not isinstance(trainer, Named):
            raise UsageError("several workers need an evaluator given by name", "pass Named(name, about)")
        with self.folder.locked():
            new = self.folder.begin(self._description, **self.about, version=__version__)
            if not new:
                self._take_stored_space()
            self.ended = "" if new else self._ended_before(limit)
            if self.ended:
                return self._read_final()
            # From here on the run is ours, and nobody else writes to it.
            if other is not None and self.folder.result(None) is None and (base := other.result(None)) is not None:
                self.folder.record(base)
            self.observer.note(f"{'new run' if new else 'resuming'} {self.folder.path} on {self.device}")
            clock = Clock(self.folder, limit, began)
            if not self._prepared(clock):
                return
            self.observer.planned(self, forecast(self, clock.left))
            for remark in self.evaluator.remarks if "evaluator" in self.__dict__ else ():
                self.observer.note(remark)
            if several and isinstance(trainer, Named):
                self.ended = self._by_several(clock, trainer)
            else:
                search = self.search(self.observer.of(0), clock)
                with self.observer.watching(self, lambda: self._until_end(clock)):
                    self.ended = search.run()
            self._read_final()

    def _read_final(self) -> None:
        """Measure the base and the best networks on images that were not looked at before, once the search is over.

        Those that were measured at an earlier end keep what they have.
        """
        about, folder = self.space.images, self.folder
        if not about.sealed or "final" not in about.images or self.ended == "signal":
            return
        best = [result for result in order(folder) if result.is_whole]
        missing = [
            result
            for result in (folder.result(None), folder.result(SCALED), *best[:SHOWN])
            if result and result.is_whole and result.test_accuracy is None and folder.kept(result.number).exists()
        ]
        if not missing:
            return self._keep(best)
        self.observer.note(f"testing {len(missing)} networks on {about.splits['final']}")
        for result in missing:
            spec, seed = network_of(self.space, result), self.settings.seed if result.seed is None else result.seed
            try:
                accuracy = self.evaluator.final(spec, seed, folder.kept(result.number).read_bytes())
            except DamagedCheckpointError as error:
                self.observer.note(f"{folder.kept(result.number)}: damaged ({error}); its network is not tested")
                continue
            # As it is on disk: the accuracy of several seeds is their mean only in the ranking.
            if (recorded := folder.result(result.number)) is not None:
                folder.record(replace(recorded, test_accuracy=accuracy))
        if folder.best_file.exists():
            write_best(folder, self.space, self.space.space.decode, None)
        self._keep(best)

    def _keep(self, best: Sequence[Result]) -> None:
        """Keep no more trained proxies than was asked for, once those that are shown have been tested."""
        keep = self.settings.keep
        self.folder.keep_only([*OF_BASE, *(result.number for result in best[:keep])] if keep else [])

    def _take_stored_space(self) -> None:
        """Go on with the space that the run was started with, if the present file says the same in other words.

        The order of choices decides what a seed draws, and studies know the choices in their order.
        """
        if self.folder.description()["text"] != self.space.text:
            self.space = replace(self.folder.plan(), watch=self.space.watch, most_rows=self.space.most_rows)

    def _prepared(self, clock: Clock) -> bool:
        """Make what is trained on and measure how long that takes; whether that came to its end in time."""
        try:
            with self.stop.at_once(clock.left):
                clock.epoch_seconds = self.pace.typical
                if "evaluator" in self.__dict__:
                    self.folder.choose(self.evaluator.chosen)
                if self.settings.workers == 1:
                    self.evaluator  # noqa: B018  # makes the images
        except Stopped:
            self.ended = "time" if self.stop.received is None else "signal"
            clock.save()
            return False
        return True

    def _ended_before(self, limit: float | None) -> str:
        """Why nothing is left to do: "trials" or "time"; otherwise ""."""
        trials, best = self.settings.trials, self.folder.best_file.exists()
        if best and trials is not None and len(self.folder.trials()) >= trials and self.folder.result(None) is not None:
            return "trials"
        return "time" if best and limit is not None and self.folder.spent_seconds >= limit else ""

    def search(self, observer: Observer, clock: Clock, hung_code: int = 3) -> Search:
        """The search of one process."""
        counter = None if self.settings.counter is None else self._counted
        evaluator, settings = self.evaluator, self.settings
        return Search(self.space, self.folder, evaluator, settings, observer, clock, self.stop, counter, hung_code)

    def _counted(self, spec: Spec) -> tuple[str, int, int]:
        """An independent count of the best network."""
        self.observer.note("counting the best network with an independent tool")
        band = self.space.band
        found: tuple[str, int, int] = named(str(self.settings.counter))(spec, band.input, band.convention.name)
        return found

    def _by_several(self, clock: Clock, trainer: Named) -> str:
        """Let several processes search; why they ended."""
        self.__dict__.pop("evaluator", None)  # the workers need the memory
        said = {
            "root": str(self.folder.path.parent),
            "name": self.folder.name,
            "settings": vars(self.settings),
            "trainer": self._job(trainer),
            "deadline": None if clock.left is None else time.monotonic() + clock.left,
            "epoch_seconds": self.pace.typical,
        }

        def command(worker: int) -> list[str]:
            return [sys.executable, "-m", "elastic_search.search.worker", json.dumps({**said, "worker": worker})]

        environment, workers = dict(os.environ), self.settings.workers
        if self.settings.threads is not None:
            environment.setdefault("OMP_NUM_THREADS", str(self.settings.threads))
        supervisor = Supervisor(command, environment, workers, self.observer.of, self.folder, clock, self.stop)
        with self.observer.watching(self, lambda: self._until_end(clock)):
            return supervisor.run()

    def _until_end(self, clock: Clock) -> float | None:
        settings = self.settings
        return clock.until_end(settings.trials, self.halving.expected_epochs, settings.workers)


def share(runs: Sequence[Run], number: int, seconds: float | None) -> float | None:
    """Seconds that a band's run may use over all starts: an equal share, and what earlier bands left over."""
    if seconds is None:
        return None
    return seconds * (number + 1) / len(runs) - sum(run.folder.spent_seconds for run in runs[:number])


def sweep(runs: Sequence[Run], seconds: float | None, began: float) -> None:
    """Search one band after another, until a signal; the base network is trained once.

    Args:
        runs: a run for each band.
        seconds: for all starts of all of them together, or None.
        began: when the time began to count, by ``time.monotonic``.
    """
    for number, run in enumerate(runs):
        run.go(share(runs, number, seconds), None if number else began, runs[0].folder if number else None)
        if run.ended == "signal":
            break


def search(
    space: SearchSpace,
    evaluator: Evaluator | Named | None = None,
    *,
    trials: int | None = None,
    seconds: float | None = None,
    name: str | None = None,
    root: Path | str = "runs",
    observer: RunObserver | None = None,
    data: Data | str | None = None,
    **settings: Any,
) -> Run:
    """Search a space for the network whose short-trained proxy is best, as ``elastic-search search`` does.

    Called again with the same arguments, it resumes an interrupted run; a finished run is only read. The first SIGINT
    or SIGTERM ends it after the current epoch, so it must be called in the main thread.

    Args:
        space: the space with its band and recipe, from ``load_space``.
        evaluator: trains proxies; by default with the space's recipe, on ``data`` or the embedded scenes.
        trials: networks to try over all starts, besides the base.
        seconds: time to use over all starts.
        name: of the run; by default the space's.
        root: folder that holds all runs.
        observer: receives the events.
        data: images of your own: a folder, an .npz file, or ``Data`` with how they are split.
        settings: other fields of ``Settings``, such as ``strategy="evolution"``.

    Returns:
        The run, with ``ended``, ``rows()`` (the base network, then all trials, best first) and ``folder``.

    Raises:
        UsageError: without trials or seconds, or if a run of this name was started with other settings.
        NothingFitsError: if the band is empty.
        EnvironmentFault: if another process holds the folder, nothing can be written, or nothing can be trained.
    """
    if trials is None and seconds is None:
        raise UsageError("a search needs a budget", "give trials or seconds")
    about: dict[str, Any] = {"recipe": space.recipe}
    source = Data(data) if isinstance(data, str) else data or space.data
    if source is not None:
        space, about["data"] = named(ON_IMAGES)(space, replace(source, path=str(Path(source.path).absolute())))
    space.matcher.some(space.band)
    folder = RunFolder(Path(root), space.name if name is None else name)
    trainer = Named(PROXY_EVALUATOR, about) if evaluator is None else evaluator
    run = Run(space, folder, Settings(trials, **settings), trainer, observer=observer or Silent())
    with run.stop.listening():
        run.go(seconds)
    return run
