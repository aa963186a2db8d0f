"""What there is to train, and where its result goes. Several processes ask, on one machine or several.

A trial is asked for, or taken over from a process that died, by one process at a time; whoever has it holds its claim
until its result is recorded: first in a file of its own, then in the study, which may fail or be killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import tally
from elastic_search.errors import EnvironmentFault, MismatchError
from elastic_search.files import SearchSpace
from elastic_search.search.claims import Claims
from elastic_search.search.propose.sampler import PROPOSAL, FeasibleSampler
from elastic_search.search.shared import SharedStudy
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import order
from elastic_search.search.store.result import Result
from elastic_search.search.store.study import REMADE, close_study, open_study, replay, tell
from elastic_search.search.store.winner import Counter, write_best
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.halving import Halving

REPEATED, SEEDS = 3, 3
"""How many networks are trained again once the band is exhausted, and with how many seeds in all."""

AGREED = ("space", "text", "target", "seed", "strategy", "halving")
"""What must be the same on all machines that share a study."""

T = TypeVar("T")


class Job(NamedTuple):
    """One training.

    Attributes:
        claim: name of the lock that its process holds.
        number: of the trial; None for the base network.
        spec: the network.
        values: of the space's choices; None for the base network.
        seed: of the training.
        again: whether the trial was trained before, with another seed.
    """

    claim: str
    number: int | None
    spec: Spec
    values: dict[str, Any] | None
    seed: int
    again: bool = False


class Work:
    """The work of a run.

    Args:
        plan: the space, band and recipe.
        folder: where results are.
        sampler: proposes.
        trials: how many there will be, or None.
        clock: tells what fits.
        rungs: of a training.
        stopped: why to end now, "signal" or "time", or None.
        storage: address of a study that several machines share; by default it lies in the folder.
    """

    def __init__(
        self,
        plan: SearchSpace,
        folder: RunFolder,
        sampler: FeasibleSampler,
        trials: int | None,
        clock: Clock,
        rungs: Halving,
        stopped: Callable[[], str | None],
        storage: str | None = None,
    ) -> None:
        self.plan, self.folder, self.seed, self.trials = plan, folder, sampler.seed, trials
        self._sampler, self._clock, self._rungs, self._stopped = sampler, clock, rungs, stopped
        self._claims = Claims(folder.path / "claims")
        self._waiting: set[str] = set()
        self._trial_id = 0
        self._shared = None if storage is None else SharedStudy(storage, folder)
        try:
            self._study = self._patiently(self._open_alone)
        except BaseException:
            self.close()
            raise

    def _open_alone(self) -> optuna.Study:
        with self._alone():
            return self._open()

    def _open(self) -> optuna.Study:
        """The study, and what the folder holds told to it."""
        study = open_study(self.folder) if self._shared is None else self._shared.open()
        study.sampler = self._sampler
        if self._shared is not None:
            self._shared.agree(study, {key: self.folder.description()[key] for key in AGREED})
            self._shared.pull(study)
        replay(study, self.folder, self.plan.space.choices, None if self._shared is None else self._publish)
        return study

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all other processes, here and on other machines, from asking."""
        with self._claims.alone():
            if self._shared is None:
                yield
            else:
                with self._shared.alone():
                    yield

    def _patiently(self, do: Callable[[], T]) -> T:
        return do() if self._shared is None else self._shared.patiently(do, lambda: self._stopped() is not None)

    def _publish(self, study: optuna.Study, number: int | None) -> None:
        if self._shared is not None:
            self._shared.publish(study, number)

    def next(self) -> Job | str | None:
        """What to train now, why to end, or None to look again: others still train."""
        return self._patiently(self._next_alone)

    def _next_alone(self) -> Job | str | None:
        with self._alone():
            if self._shared is not None:
                self._shared.pull(self._study)
            return self._next()

    def _next(self) -> Job | str | None:
        if self.folder.result(None) is None and not self._stopped() and self._claims.take("base"):
            if self.folder.result(None) is None:
                return Job("base", None, self.plan.space.base, None, self.seed)
            self._claims.release("base", ended=True)
        trials = self._study.get_trials(deepcopy=False)
        open_ones = [t for t in trials if t.state == TrialState.RUNNING and str(t.number) not in self._waiting]
        enough = self.trials is not None and len(trials) >= self.trials
        if (why := self._stopped()) and (open_ones or not enough):
            return why
        others_train = False
        for trial in open_ones:
            if not self._take(trial):
                others_train = True
            elif (outcome := self.folder.result(trial.number)) is not None:
                # Its process died, or still lives, between its record and the self._study.
                self._publish(self._study, trial.number)
                tell(self._study, trial.number, outcome)
                self._claims.release(str(trial.number), ended=True)
            else:
                return self._job(*self._adopt(trial))
        if enough:
            return "time" if self._waiting else "trials"
        if not self._clock.fits(self._rungs.rungs[0]):
            return "time"
        if self._sampler.exhausted(trials):
            if others_train:
                return None
            if self._waiting:
                return "time"
            # Further seeds are each machine's own affair, and are left out where there are several.
            return "exhausted" if self._shared is not None else self._next_repeat(len(trials))
        asked = self._study.ask()
        number, values = self._suggested(asked)
        self._claims.take(str(number))
        self._own(asked._trial_id)
        return self._job(number, values)

    def _take(self, trial: FrozenTrial) -> bool:
        """Claim a trial that nobody trains."""
        if not self._claims.take(str(trial.number)):
            return False
        if self._shared is not None and not self._shared.is_free(trial):
            self._claims.release(str(trial.number))
            return False
        self._own(trial._trial_id)
        return True

    def _own(self, trial_id: int) -> None:
        self._trial_id = trial_id
        if self._shared is not None:
            self._shared.own(trial_id)

    def _job(self, number: int, values: dict[str, Any]) -> Job:
        return Job(str(number), number, self.decode(values), values, self.seed)

    def _adopt(self, trial: FrozenTrial) -> tuple[int, dict[str, Any]]:
        """Go on with a trial whose process died.

        If it was killed while its values were being stored, it gets the same values again: they depend on the
        seed and the trial's number.
        """
        return self._suggested(optuna.trial.Trial(self._study, trial._trial_id))

    def _suggested(self, trial: optuna.Trial) -> tuple[int, dict[str, Any]]:
        try:
            values = {c.name: trial.suggest_categorical(c.name, c.values) for c in self.plan.space.choices}
        except ValueError as error:
            said = str(error).splitlines()[0]
            raise EnvironmentFault(f"{self._where}: damaged (trial {trial.number}: {said})", REMADE) from None
        if self._study._storage.get_trial(trial._trial_id).system_attrs.get(PROPOSAL, values) != values:
            raise EnvironmentFault(f"{self._where}: damaged (trial {trial.number} has two sets of values)", REMADE)
        return trial.number, values

    @property
    def _where(self) -> str:
        return str(self.folder.study_file) if self._shared is None else "the shared study"

    def decode(self, values: dict[str, Any]) -> Spec:
        """The network of some values, whose cost is checked again.

        Raises:
            MismatchError: if it is outside the band.
        """
        spec = self.plan.space.decode(values)
        cost = tally(spec.graph(), self.plan.band.input, self.plan.band.convention).total
        if cost not in self.plan.band:
            raise MismatchError(f"proposal {values} costs {cost:,}, outside {self.plan.band}")
        for limit in self.plan.limits:
            if not limit.holds(spec):
                raise MismatchError(f"proposal {values} is outside {limit}")
        return spec

    def _next_repeat(self, trials: int) -> Job | str | None:
        """The next of the best networks to train with a further seed, each pair of them once."""
        done = sum(map(len, self.folder.repeats().values()))
        best = [result for result in order(self.folder) if result.is_whole][:REPEATED]
        others_train = False
        for seed in range(self.seed + 1, self.seed + SEEDS):
            for result in best:
                number, values = result.number, result.values or {}
                if self.folder.result(number, seed) is not None:
                    continue
                if self.trials is not None and trials + done >= self.trials:
                    return "trials"
                if why := self._stopped():
                    return why
                if not self._clock.fits(self._rungs.epochs) or f"{number}-{seed}" in self._waiting:
                    return "time"
                if self._claims.take(f"{number}-{seed}"):
                    return Job(f"{number}-{seed}", number, self.decode(values), values, seed, again=True)
                others_train = True
        return None if others_train else "exhausted"

    def put_off(self, job: Job) -> None:
        """Leave a training to others, and to later starts: what is left of it does not fit."""
        self._waiting.add(job.claim)

    def release(self, job: Job, ended: bool) -> None:
        """Let others have a training, or forget its claim if it has ended."""
        self._claims.release(job.claim, ended)

    def close(self) -> None:
        """Let go of the study; nothing can be asked for any more."""
        if self._shared is not None:
            self._shared.close()
        elif (study := vars(self).get("_study")) is not None:
            close_study(study)

    def beat(self) -> None:
        """Tell other machines that the training at hand is alive."""
        if self._shared is not None:
            self._shared.beat(self._trial_id)

    def record(self, job: Job, outcome: Result) -> bool:
        """Record a result; false if another machine has taken the trial over from one that slept.

        Raises:
            EnvironmentFault: if the base network cannot be trained, or nothing can be written.
        """
        if job.number is None:
            if outcome.accuracy is None:
                raise EnvironmentFault(f"the base network cannot be trained: {outcome.reason}", "change the proxy")
            self.folder.record(outcome)
            self._patiently(lambda: self._publish(self._study, None))
        elif job.again:
            self.folder.record(outcome, again=True)
        else:
            number, shared = job.number, self._shared
            if shared is not None and not self._patiently(lambda: shared.owns(self._trial_id)):
                return False
            self.folder.record(outcome)
            self._patiently(lambda: self._publish(self._study, number))
            # Another machine's result, if it was first.
            told = self.folder.result(number) or outcome
            self._patiently(lambda: tell(self._study, number, told))
        return True

    def write_best(self, counter: Counter | None) -> None:
        """Write the best network so far as a spec file; see ``winner.write_best``."""
        with self._claims.alone("best"):
            write_best(self.folder, self.plan, self.decode, counter)
