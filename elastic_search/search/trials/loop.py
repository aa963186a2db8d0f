"""Ask, train, tell: the loop of a search and its budget. Several processes may run it on one folder.

Optuna's own ``optimize`` checks the time only between trials and abandons a killed trial; here the budget is checked
in every batch, and an interrupted trial continues from its checkpoint in the first process that is free.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import optuna
from sqlalchemy.exc import SQLAlchemyError

from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.files import SearchSpace
from elastic_search.search.evaluator import (
    DamagedCheckpointError,
    Epoch,
    Evaluator,
    InterruptedTrainingError,
    Score,
    TrialError,
)
from elastic_search.search.propose import STRATEGIES
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import Counter
from elastic_search.search.store.result import OF_BASE, Result, is_accuracy, is_number
from elastic_search.search.store.study import REMADE
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.halving import Halving
from elastic_search.search.trials.monitor import TrialMonitor
from elastic_search.search.trials.signals import StopSignal
from elastic_search.search.trials.watchdog import Watchdog
from elastic_search.search.trials.work import Job, Work

MAX_FAILURES = 10  # trials in a row that may fail before the search gives up
PATIENCE = 600.0  # seconds without a step after which a training counts as hung; or five epochs, if that is longer
RECOUNTED_EVERY = 60.0  # seconds between two independent counts of the best network while the search runs
WAIT = 0.5  # seconds between two looks for work while other workers still train
LONGEST = 20_000  # characters of a traceback that are recorded


@dataclass(frozen=True)
class Settings:
    """How a run searches.

    Attributes:
        trials: networks to try over all starts, besides the base; None for no limit.
        seed: of proposals and of training.
        strategy: one of ``STRATEGIES``.
        halving: whether poor trainings are stopped early.
        workers: processes that train.
        keep: finished trials, the best ones, whose last checkpoints are kept, besides those of the base.
        threads: threads of each worker, if there are several; OMP_NUM_THREADS takes precedence. None leaves it to them.
        storage: address of a study that several machines share; by default the study is in the run's folder.
        counter: the independent count that the best network must pass before it is written: the "module:function" of
            a function that takes a spec, an image shape and a convention's name; None for no check.
    """

    trials: int | None = None
    seed: int = 0
    strategy: str = STRATEGIES[0]
    halving: bool = True
    workers: int = 1
    threads: int | None = None
    storage: str | None = None
    counter: str | None = "elastic_search.nn.verify:counted"
    keep: int = 5


class Observer(Protocol):
    """Receives the events of one worker, to show them.

    ``started`` gets a result that is still pending, and whether its network was trained before with another seed;
    ``finished`` gets the result, and why it has no accuracy or was stopped early.
    """

    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None: ...
    def epoch(self, epoch: Epoch) -> None: ...
    def finished(self, result: Result, why: str) -> None: ...


@dataclass
class Search:
    """One search in one folder.

    Attributes:
        plan: the space, band and recipe.
        folder: where everything is written.
        evaluator: trains proxies.
        settings: how to search.
        observer: receives every event.
        clock: the run's clock.
        signal: asks the search to end.
        counter: counts the best network with an independent tool before it is written.
        hung_code: exit code of a process whose training hangs.
    """

    plan: SearchSpace
    folder: RunFolder
    evaluator: Evaluator
    settings: Settings
    observer: Observer
    clock: Clock
    signal: StopSignal = field(default_factory=StopSignal)
    counter: Counter | None = None
    hung_code: int = 3

    def __post_init__(self) -> None:
        self._rungs = Halving(self.plan.training.epochs, self.settings.halving)
        self._counted = time.monotonic()
        self._work: Work | None = None
        self._pending: Result | None = None
        self._ended: dict[int, Sequence[float] | None] = {}
        self._watchdog = Watchdog(lambda: max(PATIENCE, 5 * (self.clock.expected_epoch or 0.0)), self._give_up)

    def run(self) -> str:
        """Search until the budget is used, the band is exhausted, or a signal comes.

        Returns:
            Why it ended: "trials", "time", "exhausted" or "signal".

        Raises:
            NothingFitsError: if the band is empty.
            MismatchError: if an independent tool counts the best network differently.
            EnvironmentFault: if the study cannot be written, or too many trials in a row fail.
        """
        self.plan.matcher.some(self.plan.band)
        try:
            work = self._work = Work(self.plan, self.folder, self.settings, self.clock, self._rungs, self._why_stopped)
            with self.signal.listening():
                why = self._loop(work)
            self._write_best(work)
            return why
        except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
            fault = f"{self.folder.study_file}: {str(error.__cause__ or error).splitlines()[0]}"
            raise EnvironmentFault(fault, f"check the disk; if the file is damaged, {REMADE}") from None
        finally:
            try:
                self.clock.save()
            finally:
                if self._work is not None:
                    self._work.close()

    def _loop(self, work: Work) -> str:
        self._write_best(work)
        failures = 0
        while True:
            job = work.next()
            if isinstance(job, str):
                return job
            if job is None:
                time.sleep(WAIT)
                continue
            outcome = None
            try:
                outcome = self._evaluate(job)
                if outcome is not None and work.record(job, outcome):
                    self.observer.finished(outcome, self._why_short(outcome))
            finally:
                work.release(job, ended=outcome is not None)
            if outcome is None:
                if self.signal.received is not None or job.number in OF_BASE:
                    return self._why_stopped() or "time"
                # Its next rung does not fit, but the first rung of a new trial may.
                work.put_off(job)
                continue
            self.clock.save()
            if time.monotonic() - self._counted > RECOUNTED_EVERY:
                self._write_best(work)
            failures = failures + 1 if outcome.accuracy is None else 0
            if failures >= MAX_FAILURES or (outcome.traceback and job.number == 0 and not job.again):
                hint = f"see {self.folder.path / 'trials'}"
                raise EnvironmentFault(f"trial {job.number} failed: {outcome.reason}", hint)

    def _write_best(self, work: Work) -> None:
        self._counted = time.monotonic()
        work.write_best(self.counter)

    def _evaluate(self, job: Job) -> Result | None:
        """Train a network's proxy: its result, or None if it was interrupted."""
        number, spec = job.number, job.spec
        count = tally(spec.graph(), self.plan.band.input, self.plan.band.convention)
        result = Result(number, job.values, spec_id(spec), count.total, count.params, job.seed)
        checkpoint = self.folder.checkpoint(number, job.seed if job.again else None)
        rivals = None if number is None or number in OF_BASE or job.again else self._curves(number)
        self._pending = None if rivals is None else result
        self.observer.started(result, spec.depths, job.again)
        self.clock.training_starts()
        told = self.observer.epoch
        monitor = TrialMonitor(checkpoint, self.clock, self.signal, self._rungs, rivals, self._alive, told)
        try:
            with self._watchdog.watching():
                score = self.evaluator(spec, job.seed, monitor)
            reason = _odd(score)
        except InterruptedTrainingError:
            return None
        except DamagedCheckpointError as error:
            raise monitor.damaged(str(error)) from None
        except TrialError as error:
            reason = str(error)
        except MemoryError:
            reason = "out of memory"
        except (Exception, SystemExit, GeneratorExit) as error:
            # Libraries call sys.exit; a search that ended there would run into the same trial again.
            if isinstance(error, EnvironmentFault) or (number is None and isinstance(error, Exception)):
                raise
            return replace(result, reason=_said(error), traceback=traceback.format_exc()[-LONGEST:])
        if reason is not None:
            checkpoint.unlink(missing_ok=True)
            return replace(result, reason=reason)
        stopped = rivals is not None and len(score.curve) in self._rungs.rungs[:-1]
        lists = {"curve": tuple(score.curve), "accuracy_by_class": tuple(score.accuracy_by_class)}
        return replace(result, **vars(score) | lists, stopped=stopped)

    def _why_short(self, outcome: Result) -> str:
        """Why a training did not reach its last epoch; "" if it did."""
        if outcome.stopped:
            return f"not in the better half after {outcome.epochs} of {self._rungs.epochs} epochs"
        return outcome.reason

    def _curves(self, before: int) -> list[Sequence[float]]:
        """Curves of the finished trials with a lower number."""
        for number in self.folder.trials():
            if number < before and number not in self._ended and (result := self.folder.result(number)):
                self._ended[number] = None if result.accuracy is None else result.curve
        return [curve for number, curve in sorted(self._ended.items()) if curve is not None and number < before]

    def _alive(self) -> None:
        self._watchdog.beat()
        if self._work is not None:
            self._work.beat()

    def _give_up(self, reason: str) -> None:
        """Record the trial of a training that hangs where no exception reaches it, and end the process."""
        print(f"error: {self.folder.name}: {reason}; recorded, and the process ended", file=sys.stderr)
        print("hint: the same command continues with the next trial", file=sys.stderr, flush=True)
        try:
            if self._pending is not None:
                self.folder.record(replace(self._pending, reason=reason))
            self.clock.save()
        except ElasticError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(self.hung_code)

    def _why_stopped(self) -> str | None:
        if self.signal.received is not None:
            return "signal"
        return "time" if self.clock.is_over else None


def _said(error: BaseException) -> str:
    """An exception in one line, even if its own repr fails."""
    try:
        return repr(error)[:500]
    except Exception:
        return type(error).__name__


def _odd(score: Any) -> str | None:
    """Why an evaluator's answer is not a usable score, or None."""
    if not isinstance(score, Score):
        return f"the evaluator returned {score!r:.60}, which is not a Score"
    if not isinstance(score.curve, list):
        return f"its curve is {score.curve!r:.60}, which is not a list"
    if not isinstance(score.accuracy_by_size, dict):
        return f"its accuracy by size is {score.accuracy_by_size!r:.60}, which is not a dict"
    if not isinstance(score.accuracy_by_class, list):
        return f"its accuracy by class is {score.accuracy_by_class!r:.60}, which is not a list"
    may_lack = (score.test_accuracy, score.standard_error, *score.accuracy_by_class)
    known = (value for value in may_lack if value is not None)
    accuracies = (score.accuracy, *score.curve, *score.accuracy_by_size.values(), *known)
    odd = [value for value in accuracies if not is_accuracy(value)]
    if odd or not is_number(score.seconds):
        return f"its accuracy is {(odd or [score.seconds])[0]!r:.60}, which cannot be ranked"
    return None
