"""Ask, train, tell: the loop of a search, its budget and its way to stop.

Optuna's own ``optimize`` looks at time between trials only and leaves a killed trial behind; here the budget is
looked at after every epoch, and an interrupted trial goes on from its checkpoint.
"""

from __future__ import annotations

import signal
import statistics
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Protocol

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.errors import EnvironmentFault, MismatchError
from elastic_search.files import SearchSpace, dump_spec
from elastic_search.search.evaluator import Epoch, Evaluator, InterruptedTrainingError, Score, TrialError
from elastic_search.search.folder import RunFolder, write_atomically
from elastic_search.search.sampler import FeasibleTPE, distributions
from elastic_search.space.match import Matcher

STUDY = "search"
"""Name of the one study in a run's file."""

MAX_FAILURES = 10
"""Trials in a row that may fail before the search gives up."""


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
        self.received = number


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
    """

    plan: SearchSpace
    matcher: Matcher
    folder: RunFolder
    evaluator: Evaluator
    seed: int
    budget: Budget
    observer: Observer
    signal: StopSignal = field(default_factory=StopSignal)
    _clock: float = field(init=False, default=0.0)
    _spent_before: float = field(init=False, default=0.0)

    def run(self) -> str:
        """Search until the budget is used, the band is exhausted, or a signal comes.

        Returns:
            Why it ended: "trials", "time", "exhausted" or "signal".

        Raises:
            NothingFitsError: if the band is empty.
            EnvironmentFault: if the study cannot be written, or trials fail one after the other.
        """
        if not self.matcher.count(self.plan.band.low, self.plan.band.high):
            raise self.matcher.nothing_fits(self.plan.band)
        self._clock, self._spent_before = time.monotonic(), self.folder.spent_seconds
        try:
            study = open_study(self.folder)
            sampler = FeasibleTPE(self.matcher, self.plan.band, self.seed, self.plan.space.base)
            study.sampler = sampler
            with self.signal.listening():
                return self._loop(study, sampler)
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
        """Seconds used so far, over all starts."""
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
        self._replay(study)
        self._write_best(study)
        failures = 0
        while True:
            trials = study.get_trials(deepcopy=False)
            running = [trial for trial in trials if trial.state == TrialState.RUNNING]
            if self.budget.trials is not None and len(trials) - len(running) >= self.budget.trials:
                return "trials"
            if self._stop() or not (running or self._time_for_another()):
                return self._why_stopped()
            if not running and sampler.exhausted(trials):
                return "exhausted"
            number, values = self._adopt(study, running) if running else self._ask(study)
            outcome = self._evaluate(number, self._decode(values), values)
            if outcome is None:
                return self._why_stopped()
            self._tell(study, number, outcome)
            failures = failures + 1 if outcome["accuracy"] is None else 0
            if failures >= MAX_FAILURES or (failures and number == 0):
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

    def _evaluate(self, number: int | None, spec: Spec, values: dict[str, Any] | None) -> dict[str, Any] | None:
        """Train a network's proxy: its result, or None if it was interrupted."""
        self.observer.started(number, spec)
        count = tally(spec.graph(), self.plan.band.input, self.plan.band.convention)
        result: dict[str, Any] = {"number": number, "values": values, "id": spec_id(spec)}
        result |= {"cost": count.total, "params": count.params}
        checkpoint = self.folder.checkpoint(number)
        checkpoint.parent.mkdir(exist_ok=True)
        try:
            score = self.evaluator(spec, self.seed, checkpoint=checkpoint, stop=self._stop, report=self._epoch)
        except InterruptedTrainingError:
            return None
        except TrialError as error:
            self.observer.finished(number, None, str(error))
            return result | {"accuracy": None, "reason": str(error)}
        except Exception as error:
            if isinstance(error, EnvironmentFault) or number is None:
                raise
            self.observer.finished(number, None, f"{type(error).__name__}: {error}")
            return result | {"accuracy": None, "reason": repr(error), "traceback": traceback.format_exc()}
        self.observer.finished(number, score, "")
        return result | score.to_dict()

    def _tell(self, study: optuna.Study, number: int, outcome: dict[str, Any]) -> None:
        """Record a trial: first in its own file, then in the study, which may fail or be killed."""
        self.folder.record(number, outcome)
        tell(study, number, outcome)
        self.folder.spend(self.spent_seconds)
        self._write_best(study)

    def _write_best(self, study: optuna.Study) -> None:
        """Write the best network as a spec file, if it is not the one that is there."""
        done = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
        if not done:
            return
        best = max(done, key=lambda trial: (trial.value, -trial.number))
        result, base, band = self.folder.result(best.number) or {}, self.folder.result(None) or {}, self.plan.band
        comments = (
            f"Best of run {self.folder.name}: trial {best.number}, id {result.get('id')}",
            f"{result.get('cost', 0):,} {band.convention.name} at {band.input.height}x{band.input.width}; "
            f"{self.plan.base_name}, the base, has {base.get('cost', 0):,}",
            f"proxy accuracy {best.value:.4f} (a proxy on Fashion-MNIST scenes, not an ImageNet result)",
        )
        text = dump_spec(self._decode(best.params), comments)
        if not self.folder.best_file.exists() or self.folder.best_file.read_text(encoding="utf-8") != text:
            write_atomically(self.folder.best_file, text)

    def _replay(self, study: optuna.Study) -> None:
        """Tell the study the results on disk that it does not hold.

        Such are the result of a trial that was told just when an earlier start was killed, and all results if
        the study's file was lost.
        """
        for number in self.folder.trials():
            outcome, trials = self.folder.result(number), study.get_trials(deepcopy=False)
            if outcome is None or number > len(trials):
                continue
            if number == len(trials):
                state = TrialState.RUNNING
                study.add_trial(
                    create_trial(
                        state=state, params=outcome["values"], distributions=distributions(self.plan.space.choices)
                    )
                )
            elif trials[number].params and trials[number].params != outcome["values"]:
                raise EnvironmentFault(
                    f"trial {number} has other values in {self.folder.study_file.name} than in its own file",
                    "delete the study's file: it is made anew from the results beside it",
                )
            tell(study, number, outcome)

    def _epoch(self, epoch: Epoch) -> None:
        self.folder.spend(self.spent_seconds)
        self.observer.epoch(epoch)

    def _stop(self) -> bool:
        return self.signal.received is not None or (self.seconds_left is not None and self.seconds_left <= 0)

    def _why_stopped(self) -> str:
        return "signal" if self.signal.received is not None else "time"

    def expected_seconds(self) -> float | None:
        """Seconds until the run ends, by its time limit or by what its trials take; None if nothing is known."""
        left, typical = self.seconds_left, self._typical_seconds()
        if self.budget.trials is not None and typical is not None:
            trials = typical * max(0, self.budget.trials - len(self.folder.trials()))
            left = trials if left is None else min(left, trials)
        return left

    def _time_for_another(self) -> bool:
        """Whether a trial as long as those before can still end in time."""
        left, typical = self.seconds_left, self._typical_seconds()
        return left is None or typical is None or left >= typical

    def _typical_seconds(self) -> float | None:
        results = [self.folder.result(number) for number in (None, *self.folder.trials()[-10:])]
        seconds = [r["seconds"] for r in results if r and r.get("accuracy") is not None]
        return statistics.median(seconds) if seconds else None


def tell(study: optuna.Study, number: int, outcome: dict[str, Any]) -> None:
    """Tell a study a recorded outcome; telling it again changes nothing."""
    if outcome["accuracy"] is None:
        study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
    else:
        study.tell(number, outcome["accuracy"], skip_if_finished=True)


def open_study(folder: RunFolder) -> optuna.Study:
    """The run's study, made if need be.

    Raises:
        EnvironmentFault: if the file is not a study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = URL.create("sqlite", database=str(folder.study_file)).render_as_string(hide_password=False)
    try:
        storage = optuna.storages.RDBStorage(
            url.replace("{", "{{").replace("}", "}}"), engine_kwargs={"connect_args": {"timeout": 60}}
        )
        return optuna.create_study(storage=storage, study_name=STUDY, direction="maximize", load_if_exists=True)
    except Exception as error:
        raise EnvironmentFault(
            f"{folder.study_file}: {type(error).__name__}: {str(error).splitlines()[0]}",
            "delete it: it is made anew from the results beside it",
        ) from None
