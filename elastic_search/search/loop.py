"""Ask, train, tell: the loop of a search, its budget and its way to stop.

Optuna's own ``optimize`` looks at time between trials only and leaves a killed trial behind; here the budget is
looked at in every batch, and an interrupted trial goes on from its checkpoint.
"""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.errors import EnvironmentFault, MismatchError
from elastic_search.files import SearchSpace, dump_spec
from elastic_search.search.evaluator import Epoch, Evaluator, InterruptedTrainingError, Score, TrialError
from elastic_search.search.folder import RunFolder, write_atomically
from elastic_search.search.halving import Halving
from elastic_search.search.ranking import order
from elastic_search.search.sampler import FeasibleTPE
from elastic_search.search.strategies import STRATEGIES
from elastic_search.search.study import open_study, replay, tell
from elastic_search.search.watchdog import Watchdog
from elastic_search.space.match import Matcher

MAX_FAILURES = 10
"""Trials in a row that may fail before the search gives up."""

REPEATED, SEEDS = 3, 3
"""How many networks are trained again once the band is exhausted, and with how many seeds in all."""

PATIENCE = 600.0
"""Seconds without a step of the training after which a trial counts as hung; or five epochs, if that is longer."""

NOTICE = 20.0
"""Seconds after the first signal in which an epoch may still end."""

SAVED_EVERY = 5.0
"""Seconds between two records of the time used."""

RECOUNTED_EVERY = 60.0
"""Seconds between two independent counts of the best network while the search runs."""

Counter = Callable[[Spec], tuple[str, int, int]]
"""Counts a network by an independent tool: the tool's name, our count, its count."""


@dataclass(frozen=True)
class Budget:
    """What a run may use over all its starts; None is unlimited."""

    trials: int | None = None
    seconds: float | None = None


class Observer(Protocol):
    """Hears what happens, to show it."""

    def started(self, trial: int | None, spec: Spec) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finished(self, trial: int | None, score: Score | None, reason: str) -> None: ...


class StopSignal:
    """The first SIGINT or SIGTERM asks for an end after the epoch at hand; the second ends at once."""

    def __init__(self) -> None:
        self.received: int | None = None
        self.at = 0.0

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Unwinds, so that the terminal gets its cursor back.
            raise KeyboardInterrupt
        self.received, self.at = number, time.monotonic()


@dataclass
class Search:
    """One search in one folder.

    Attributes:
        plan: the space, band and recipe.
        matcher: the space with its costs.
        folder: where everything is written.
        evaluator: trains proxies.
        seed: of proposals and of training.
        budget: when to end.
        observer: hears of every event.
        signal: tells that the search is to end.
        halving: the rungs.
        strategy: a name of ``STRATEGIES``.
        counter: counts the best network by an independent tool before it is written.
        epoch_seconds: what an epoch is expected to take before any was trained.
        began: when the time that counts began, by ``time.monotonic``; by default now.
    """

    plan: SearchSpace
    matcher: Matcher
    folder: RunFolder
    evaluator: Evaluator
    seed: int
    budget: Budget
    observer: Observer
    signal: StopSignal = field(default_factory=StopSignal)
    halving: Halving | None = None
    strategy: str = "feasible-tpe"
    counter: Counter | None = None
    epoch_seconds: float | None = None
    began: float | None = None
    _clock: float = field(init=False, default=0.0)
    _spent_before: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self._clock, self._spent_before = self.began or time.monotonic(), self.folder.spent_seconds
        self._rungs = self.halving or Halving(self.plan.recipe.epochs, on=False)
        self._recent: list[float] = []
        self._own: float | None = None
        self._mark = self._saved = self._counted = time.monotonic()
        self._done = 0
        self._waiting: set[int] = set()
        self._pending: dict[str, Any] = {}
        self._watchdog = Watchdog(lambda: max(PATIENCE, 5 * (self._epoch_estimate() or 0.0)), self._give_up)

    def run(self) -> str:
        """Search until the budget is used, the band is exhausted, or a signal comes.

        Returns:
            Why it ended: "trials", "time", "exhausted" or "signal".

        Raises:
            NothingFitsError: if the band is empty.
            MismatchError: if an independent tool counts the best network differently.
            EnvironmentFault: if the study cannot be written, or trials fail one after the other.
        """
        if not self.matcher.count(self.plan.band.low, self.plan.band.high):
            raise self.matcher.nothing_fits(self.plan.band)
        try:
            study = open_study(self.folder)
            sampler = STRATEGIES[self.strategy](self.matcher, self.plan.band, self.seed, self.plan.space.base)
            study.sampler = sampler
            with self.signal.listening():
                why = self._loop(study, sampler)
            self._write_best()
            return why
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            cause = error.__cause__ or error
            raise EnvironmentFault(
                f"{self.folder.study_file}: {str(cause).splitlines()[0]}",
                "check the disk; if the file is damaged, delete it: it is made anew from the results beside it",
            ) from None
        finally:
            self.folder.spend(self.spent_seconds)

    @property
    def spent_seconds(self) -> float:
        """Seconds used so far, over all starts; the clock starts when the search is made."""
        return self._spent_before + time.monotonic() - self._clock

    @property
    def seconds_left(self) -> float | None:
        return None if self.budget.seconds is None else self.budget.seconds - self.spent_seconds

    def _loop(self, study: optuna.Study, sampler: FeasibleTPE) -> str:
        if self.folder.result(None) is None:
            outcome = self._evaluate(None, self.plan.space.base, None)
            if outcome is None:
                return self._why_stopped()
            if outcome["accuracy"] is None:
                raise EnvironmentFault(f"the base network cannot be trained: {outcome['reason']}", "change the proxy")
            self.folder.record(None, outcome)
        replay(study, self.folder, self.plan.space.choices)
        self._write_best()
        failures = 0
        while True:
            trials = study.get_trials(deepcopy=False)
            running = [t for t in trials if t.state == TrialState.RUNNING and t.number not in self._waiting]
            if not running and self.budget.trials is not None and len(trials) >= self.budget.trials:
                return "time" if self._waiting else "trials"
            if self._ended() or not (running or self._fits(self._rungs.rungs[0])):
                return self._why_stopped()
            if not running and sampler.exhausted(trials):
                return "time" if self._waiting else self._repeat_best(len(trials))
            number, values = self._adopt(study, running) if running else self._ask(study)
            outcome = self._evaluate(number, self._decode(values), values)
            if outcome is None:
                if self.signal.received is not None:
                    return "signal"
                # Its next rung does not fit; a new trial's first may.
                self._waiting.add(number)
                continue
            self._tell(study, number, outcome)
            failures = failures + 1 if outcome["accuracy"] is None else 0
            if failures >= MAX_FAILURES or ("traceback" in outcome and number == 0):
                raise EnvironmentFault(
                    f"trial {number} failed: {outcome['reason']}", f"see {self.folder.path / 'trials'}"
                )

    def _ask(self, study: optuna.Study) -> tuple[int, dict[str, Any]]:
        return self._suggested(study.ask())

    def _adopt(self, study: optuna.Study, running: list[FrozenTrial]) -> tuple[int, dict[str, Any]]:
        """Go on with a trial that an earlier start of this run left behind.

        If it was killed while its values were being stored, it gets the same values again: they depend on the
        seed and the trial's number.
        """
        return self._suggested(optuna.trial.Trial(study, running[0]._trial_id))

    def _suggested(self, trial: optuna.Trial) -> tuple[int, dict[str, Any]]:
        values = {c.name: trial.suggest_categorical(c.name, c.values) for c in self.plan.space.choices}
        return trial.number, values

    def _decode(self, values: dict[str, Any]) -> Spec:
        spec = self.plan.space.decode(values)
        cost = tally(spec.graph(), self.plan.band.input, self.plan.band.convention).total
        if cost not in self.plan.band:
            raise MismatchError(f"proposal {values} costs {cost:,}, outside {self.plan.band}")
        return spec

    def _repeat_best(self, trials: int) -> str:
        """Train the best networks with further seeds, as far as the budget goes; each pair of them once."""
        done = sum(map(len, self.folder.repeats().values()))
        best = [r for r in order(self.folder) if r["accuracy"] is not None and not r.get("stopped")][:REPEATED]
        for extra in range(1, SEEDS):
            for result in best:
                number, seed = result["number"], self.seed + extra
                if self.folder.repeat(number, seed) is not None:
                    continue
                if self.budget.trials is not None and trials + done >= self.budget.trials:
                    return "trials"
                if self._ended() or not self._fits(self._rungs.epochs):
                    return self._why_stopped()
                checkpoint = self.folder.repeat_checkpoint(number, seed)
                spec, values = self._decode(result["values"]), result["values"]
                outcome = self._evaluate(number, spec, values, seed, checkpoint)
                if outcome is None:
                    return self._why_stopped()
                self.folder.record_repeat(number, seed, outcome)
                done += 1
        return "exhausted"

    def _evaluate(
        self,
        number: int | None,
        spec: Spec,
        values: dict[str, Any] | None,
        seed: int | None = None,
        checkpoint: Path | None = None,
    ) -> dict[str, Any] | None:
        """Train a network's proxy: its result, or None if it was interrupted. A repeat has a seed of its own."""
        self.observer.started(number, spec)
        count = tally(spec.graph(), self.plan.band.input, self.plan.band.convention)
        trained = self.seed if seed is None else seed
        result: dict[str, Any] = {"number": number, "values": values, "id": spec_id(spec), "seed": trained}
        result |= {"cost": count.total, "params": count.params}
        checkpoint = checkpoint or self.folder.checkpoint(number)
        checkpoint.parent.mkdir(exist_ok=True)
        halved = number is not None and seed is None
        finished = self._curves(number) if halved and number is not None else []
        self._pending = result if halved else {}
        self._own, self._done, self._mark = None, 0, time.monotonic()

        def prune(curve: list[float]) -> bool:
            self._done = len(curve)
            return halved and self._rungs.stops(curve, finished)

        try:
            with self._watchdog.watching():
                score = self.evaluator(
                    spec,
                    trained,
                    checkpoint=checkpoint,
                    stop=self._stop,
                    report=self._epoch,
                    prune=prune,
                    step=self._step,
                )
        except InterruptedTrainingError:
            return None
        except TrialError as error:
            checkpoint.unlink(missing_ok=True)
            self.observer.finished(number, None, str(error))
            return result | {"accuracy": None, "reason": str(error)}
        except Exception as error:
            if isinstance(error, EnvironmentFault) or number is None:
                raise
            self.observer.finished(number, None, f"{type(error).__name__}: {error}")
            return result | {"accuracy": None, "reason": repr(error), "traceback": traceback.format_exc()}
        epochs = len(score.curve)
        stopped = halved and epochs in self._rungs.rungs[:-1]
        why = f"not among the better half after {epochs} of {self._rungs.epochs} epochs" if stopped else ""
        self.observer.finished(number, score, why)
        return result | score.to_dict() | {"epochs": epochs, "stopped": stopped}

    def _curves(self, before: int) -> list[list[float]]:
        """Curves of the finished trials that came before."""
        results = (self.folder.result(number) for number in self.folder.trials() if number < before)
        return [r["curve"] for r in results if r and r["accuracy"] is not None]

    def _tell(self, study: optuna.Study, number: int, outcome: dict[str, Any]) -> None:
        """Record a trial: first in its own file, then in the study, which may fail or be killed."""
        self.folder.record(number, outcome)
        tell(study, number, outcome)
        self.folder.spend(self.spent_seconds)
        if time.monotonic() - self._counted > RECOUNTED_EVERY:
            self._write_best()

    def _write_best(self) -> None:
        """Write the best network as a spec file, if it is not the one that is there.

        Raises:
            MismatchError: if an independent tool counts it differently, or it is outside the band.
        """
        self._counted = time.monotonic()
        results = [r for r in order(self.folder) if r["accuracy"] is not None and not r.get("stopped")]
        if not results:
            return
        best, base, band = results[0], self.folder.result(None) or {}, self.plan.band
        spec = self._decode(best["values"])
        comments = (
            f"Best of run {self.folder.name}: trial {best['number']}, id {best['id']}",
            f"{best['cost']:,} {band.convention.name} at {band.input.height}x{band.input.width}; "
            f"{self.plan.base_name}, the base, has {base.get('cost', 0):,}",
            f"proxy accuracy {best['accuracy']:.4f} (a proxy on Fashion-MNIST scenes, not an ImageNet result)",
        )
        text = dump_spec(spec, comments)
        if self.folder.best_file.exists() and self.folder.best_file.read_text(encoding="utf-8") == text:
            return
        if self.counter is not None:
            tool, ours, theirs = self.counter(spec)
            if ours != theirs:
                raise MismatchError(
                    f"trial {best['number']}: {tool} counts {theirs:,} where we count {ours:,}; nothing was written",
                    "please report this with the run's folder",
                )
        write_atomically(self.folder.best_file, text)

    def _epoch(self, epoch: Epoch) -> None:
        now = time.monotonic()
        self._own, self._mark, self._done = now - self._mark, now, epoch.number
        self._recent = [*self._recent[-19:], self._own]
        self._watchdog.beat()
        self.folder.spend(self.spent_seconds)
        self.observer.epoch(epoch)

    def _step(self) -> None:
        """Hear of a batch: the deadline holds inside an epoch, too."""
        self._watchdog.beat()
        now, left = time.monotonic(), self.seconds_left
        if (left is not None and left <= 0) or (self.signal.received is not None and now - self.signal.at > NOTICE):
            raise InterruptedTrainingError
        if now - self._saved > SAVED_EVERY:
            self._saved = now
            self.folder.spend(self.spent_seconds)

    def _give_up(self, reason: str) -> None:
        """A training hangs where no exception reaches it: record its trial and end the process."""
        print(f"error: {self.folder.name}: {reason}; recorded, and ended here", file=sys.stderr)
        print("hint: the same command goes on with the next trial", file=sys.stderr, flush=True)
        if self._pending:
            self.folder.record(self._pending["number"], self._pending | {"accuracy": None, "reason": reason})
        self.folder.spend(self.spent_seconds)
        os._exit(3)

    def _ended(self) -> bool:
        return self.signal.received is not None or (self.seconds_left is not None and self.seconds_left <= 0)

    def _stop(self) -> bool:
        """Whether the training ends after the epoch at hand: a rung that cannot be finished is not started."""
        if self._ended():
            return True
        starts_rung = self._done in self._rungs.rungs
        return not self._fits(self._rungs.next_rung(self._done) - self._done if starts_rung else 1)

    def _fits(self, epochs: int) -> bool:
        """Whether that many epochs end in time, as far as is known."""
        left, each = self.seconds_left, self._epoch_estimate()
        return left is None or each is None or left >= epochs * each

    def _epoch_estimate(self) -> float | None:
        """Seconds of an epoch: of the trial at hand, else of those before it, else as calibrated."""
        if self._own is not None:
            return self._own
        if self._recent:
            return statistics.median(self._recent)
        return known_epoch_seconds(self.folder) or self.epoch_seconds

    def _why_stopped(self) -> str:
        return "signal" if self.signal.received is not None else "time"

    def expected_seconds(self) -> float | None:
        """Seconds until the run ends, by its time limit or by what its trials take; None if nothing is known."""
        left, each = self.seconds_left, self._epoch_estimate()
        if self.budget.trials is not None and each is not None:
            trials = max(0, self.budget.trials - len(self.folder.trials())) * self._rungs.expected_epochs * each
            left = trials if left is None else min(left, trials)
        return left


def known_epoch_seconds(folder: RunFolder) -> float | None:
    """Seconds of an epoch in the recorded trainings."""
    results = [folder.result(number) for number in (None, *folder.trials()[-10:])]
    seconds = [r["seconds"] / max(1, len(r["curve"])) for r in results if r and r.get("accuracy") is not None]
    return statistics.median(seconds) if seconds else None
