"""What to train next, and where its result goes. Several processes may ask, on one machine or several.

Only one process at a time asks for a new trial or takes over that of a dead process. The process that trains it holds
its claim until the result is recorded: first in a file of its own, then in the study, which may fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import optuna
from optuna.trial import FrozenTrial, TrialState

from elastic_search.arch.spec import Spec
from elastic_search.errors import EnvironmentFault, MismatchError
from elastic_search.files import SearchSpace
from elastic_search.search.claims import Claims
from elastic_search.search.propose.sampler import PROPOSAL, FeasibleSampler
from elastic_search.search.shared import SharedStudy
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import SHOWN, Counter, order, write_best
from elastic_search.search.store.result import OF_BASE, SCALED, Result
from elastic_search.search.store.study import REMADE, close_study, open_study, replay, tell
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.halving import Halving

if TYPE_CHECKING:
    from elastic_search.search.trials.loop import Settings

REPEATED, SEEDS = 3, 3  # networks that are trained again once the band is exhausted, and seeds in all for each

T = TypeVar("T")


class Job(NamedTuple):
    """One training.

    Attributes:
        claim: name of the lock that the process holds.
        number: of the trial; None for the base network, SCALED for the base scaled to the band.
        spec: the network.
        values: of the space's choices; None for the base network, depths by stage for the scaled one.
        seed: of the training.
        again: whether the trial was already trained with another seed.
    """

    claim: str
    number: int | None
    spec: Spec
    values: dict[str, Any] | None
    seed: int
    again: bool = False


@dataclass
class Work:
    """The work of a run.

    Attributes:
        plan: the space, band and recipe.
        folder: the run's folder.
        settings: how to search.
        clock: knows what still fits into the time.
        rungs: of a training.
        stopped: why to end now, "signal" or "time", or None.
    """

    plan: SearchSpace
    folder: RunFolder
    settings: Settings
    clock: Clock
    rungs: Halving
    stopped: Callable[[], str | None]

    def __post_init__(self) -> None:
        plan, settings, folder = self.plan, self.settings, self.folder
        self._sampler = FeasibleSampler(plan.matcher, plan.band, settings.seed, settings.strategy, plan.space.base)
        self._claims = Claims(folder.path / "claims")
        self._waiting: set[str] = set()
        self._trial_id = 0
        self._shared = None if settings.storage is None else SharedStudy(settings.storage, folder)
        try:
            self._study = self._patiently(self._open)
        except BaseException:
            self.close()
            raise

    def _open(self) -> optuna.Study:
        """The study, once it holds all that the folder holds."""
        with self._alone():
            study = open_study(self.folder) if self._shared is None else self._shared.open()
            study.sampler = self._sampler
            if self._shared is not None:
                self._shared.agree(study)
                self._shared.pull(study)
            publish = None if self._shared is None else self._shared.publish
            replay(study, self.folder, self.plan.space.choices, publish)
            return study

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep all other processes, on this and other machines, from asking."""
        with self._claims.alone(), nullcontext() if self._shared is None else self._shared.alone():
            yield

    def _patiently(self, do: Callable[[], T]) -> T:
        return do() if self._shared is None else self._shared.patiently(do, lambda: self.stopped() is not None)

    def _publish(self, number: int | None) -> None:
        if self._shared is not None:
            self._shared.publish(self._study, number)

    def next(self) -> Job | str | None:
        """What to train now, why to end, or None to ask again later: others are still training."""
        return self._patiently(self._next)

    def _next(self) -> Job | str | None:
        with self._alone():
            if self._shared is not None:
                self._shared.pull(self._study)
            return self._next_alone()

    def _next_alone(self) -> Job | str | None:
        if self.folder.result(None) is None and not self.stopped() and self._claims.take("base"):
            if self.folder.result(None) is None:
                return Job("base", None, self.plan.space.base, None, self.settings.seed)
            self._claims.release("base", ended=True)
        scaled = self.plan.scaled_base
        wanted = scaled is not None and self.folder.result(SCALED) is None and not self.stopped()
        if scaled is not None and wanted and self._claims.take("scaled"):
            if self.folder.result(SCALED) is None:
                return Job("scaled", SCALED, scaled, self._depths(scaled), self.settings.seed)
            self._claims.release("scaled", ended=True)
        trials = self._study.get_trials(deepcopy=False)
        unfinished = [t for t in trials if t.state == TrialState.RUNNING and str(t.number) not in self._waiting]
        enough = self.settings.trials is not None and len(trials) >= self.settings.trials
        if (why := self.stopped()) and (unfinished or not enough):
            return why
        others_train = False
        for trial in unfinished:
            if not self._take(trial):
                others_train = True
            elif (outcome := self.folder.result(trial.number)) is not None:
                # Its process died, or is still alive, between recording the result and telling the study.
                self._publish(trial.number)
                tell(self._study, trial.number, outcome)
                self._claims.release(str(trial.number), ended=True)
            else:
                # If its process was killed while storing its values, it gets the same values again.
                return self._job(optuna.trial.Trial(self._study, trial._trial_id))
        if enough:
            return "time" if self._waiting else "trials"
        if not self.clock.fits(self.rungs.rungs[0]):
            return "time"
        if self._sampler.exhausted(trials):
            if others_train:
                return None
            if self._waiting:
                return "time"
            # Machines do not share the results of further seeds, so several machines train none.
            return "exhausted" if self._shared is not None else self._next_repeat(len(trials))
        asked = self._study.ask()
        job = self._job(asked)
        self._claims.take(job.claim)
        self._own(asked._trial_id)
        return job

    def _depths(self, spec: Spec) -> dict[str, Any]:
        return {spec.stage_name(i): depth for i, depth in enumerate(spec.depths)}

    def _take(self, trial: FrozenTrial) -> bool:
        """Claim a trial unless another process trains it."""
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

    def _job(self, trial: optuna.Trial) -> Job:
        """The training of a trial, with the values that the sampler suggests."""
        where = str(self.folder.study_file) if self._shared is None else "the shared study"
        try:
            values = {c.name: trial.suggest_categorical(c.name, c.values) for c in self.plan.space.choices}
        except ValueError as error:
            said = str(error).splitlines()[0]
            raise EnvironmentFault(f"{where}: damaged (trial {trial.number}: {said})", REMADE) from None
        if self._study._storage.get_trial(trial._trial_id).system_attrs.get(PROPOSAL, values) != values:
            raise EnvironmentFault(f"{where}: damaged (trial {trial.number} has two sets of values)", REMADE)
        return Job(str(trial.number), trial.number, self.decode(values), values, self.settings.seed)

    def decode(self, values: dict[str, Any]) -> Spec:
        """The network that values describe, checked against the band once more.

        Raises:
            MismatchError: if it is outside the band.
        """
        spec = self.plan.space.decode(values)
        if reasons := self.plan.why_not(spec):
            raise MismatchError(f"proposal {values}: {'; '.join(reasons)}")
        return spec

    def _next_repeat(self, trials: int) -> Job | str | None:
        """The next of the best networks to train with a further seed; each pair is trained once."""
        done = sum(map(len, self.folder.repeats().values()))
        best = [result for result in order(self.folder) if result.is_whole][:REPEATED]
        others_train = False
        for seed in range(self.settings.seed + 1, self.settings.seed + SEEDS):
            for result in best:
                number, values, claim = result.number, result.values or {}, f"{result.number}-{seed}"
                if self.folder.result(number, seed) is not None:
                    continue
                if self.settings.trials is not None and trials + done >= self.settings.trials:
                    return "trials"
                if why := self.stopped():
                    return why
                if not self.clock.fits(self.rungs.epochs) or claim in self._waiting:
                    return "time"
                if self._claims.take(claim):
                    return Job(claim, number, self.decode(values), values, seed, again=True)
                others_train = True
        return None if others_train else "exhausted"

    def put_off(self, job: Job) -> None:
        """Leave a training to others and to later starts: what remains of it does not fit into the time."""
        self._waiting.add(job.claim)

    def release(self, job: Job, ended: bool) -> None:
        """Give up the claim to a training; delete it if the training has ended."""
        self._claims.release(job.claim, ended)

    def close(self) -> None:
        """Close the study."""
        if self._shared is not None:
            self._shared.close()
        elif (study := vars(self).get("_study")) is not None:
            close_study(study)

    def beat(self) -> None:
        """Show other machines that the current training is alive."""
        if self._shared is not None:
            self._shared.beat(self._trial_id)

    def record(self, job: Job, outcome: Result) -> bool:
        """Record a result; false if another machine took the trial over while this one slept.

        Raises:
            EnvironmentFault: if the base network cannot be trained, or nothing can be written.
        """
        number, shared = job.number, self._shared
        if number is None and outcome.accuracy is None:
            raise EnvironmentFault(f"the base network cannot be trained: {outcome.reason}", "change [proxy]")
        first = number not in OF_BASE and not job.again
        if first and shared is not None and not self._patiently(lambda: shared.owns(self._trial_id)):
            return False
        self._keep(job, outcome)
        if not job.again:
            self._patiently(lambda: self._publish(number))
        if number is not None and first:
            told = self.folder.result(number) or outcome  # another machine's result, if it was first
            self._patiently(lambda: tell(self._study, number, told))
        return True

    def _keep(self, job: Job, outcome: Result) -> None:
        """Record a result, and keep the checkpoints of the best ones."""
        about, keep = self.plan.images, self.settings.keep
        if about.sealed and "final" in about.images:  # until the best ones are tested on them
            keep = max(keep, SHOWN)
        self.folder.record(outcome, again=job.again, keep=keep > 0 and outcome.is_whole)
        if keep > 0 and outcome.is_whole:
            # Whatever is not kept any more was worse than what is.
            best = [result.number for result in order(self.folder, self.folder.kept_trials()) if result.is_whole]
            self.folder.keep_only([*OF_BASE, *best[:keep]])

    def write_best(self, counter: Counter | None) -> None:
        """Write the best network so far as a spec file; see ``ranking.write_best``."""
        with self._claims.alone("best"):
            write_best(self.folder, self.plan, self.decode, counter)
