"""The Optuna study of a run: opened, told, and made anew from the results next to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import URL

from elastic_search.errors import EnvironmentFault
from elastic_search.search.propose.sampler import distributions
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.result import Result
from elastic_search.space.choice import Choice

REMADE = "delete it: it is made anew from the results next to it"
AHEAD = 1000  # how far a result's number may be ahead of the number of results; no search leaves larger gaps


def open_storage(url: str, **engine: Any) -> optuna.storages.RDBStorage:
    """Optuna's storage at an SQLAlchemy address."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.storages.RDBStorage(url.replace("{", "{{").replace("}", "}}"), engine_kwargs=engine)


def close_storage(storage: optuna.storages.RDBStorage) -> None:
    """Close its connections."""
    storage.remove_session()
    storage.engine.dispose()


def load_study(storage: optuna.storages.RDBStorage, name: str) -> optuna.Study:
    """The study of that name, created if need be."""
    return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)


def open_study(folder: RunFolder) -> optuna.Study:
    """The run's study, created if need be; its trials are known to be readable.

    Raises:
        EnvironmentFault: if the file is not a study.
    """
    url = URL.create("sqlite", database=str(folder.study_file)).render_as_string(hide_password=False)
    try:
        study = load_study(open_storage(url, connect_args={"timeout": 60}), "search")
        numbers = [trial.number for trial in study.get_trials(deepcopy=False)]
    except Exception as error:  # what SQLite, SQLAlchemy and Optuna raise for a damaged file has no common class
        said = (str(error).splitlines() or [""])[0]
        hint = f"free space if the disk is full; otherwise {REMADE}"
        raise EnvironmentFault(f"{folder.study_file}: {type(error).__name__}: {said}", hint) from None
    if numbers != list(range(len(numbers))):
        raise EnvironmentFault(f"{folder.study_file}: damaged (its trials are not numbered one by one)", REMADE)
    return study


def close_study(study: optuna.Study) -> None:
    """Close the file of a study that was opened."""
    backend = getattr(study._storage, "_backend", study._storage)
    if isinstance(backend, optuna.storages.RDBStorage):
        close_storage(backend)


def tell(study: optuna.Study, number: int, outcome: Result) -> None:
    """Tell a study a recorded outcome; telling it again changes nothing.

    A trial that was stopped at a rung is pruned, with its curve as intermediate values. One that cannot be trained
    (out of memory, a loss that is not a number) is pruned without: that is a result about the network, and the sampler
    avoids it. Only unforeseen errors are failures.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state.is_finished():
        return
    for epoch, accuracy in enumerate(outcome.curve, 1):
        study._storage.set_trial_intermediate_value(trial._trial_id, epoch, accuracy)
    study.tell(number, outcome.accuracy if outcome.is_whole else None, state=_state(outcome))


def _state(outcome: Result) -> TrialState:
    if outcome.is_whole:
        return TrialState.COMPLETE
    return TrialState.FAIL if outcome.traceback else TrialState.PRUNED


def replay(
    study: optuna.Study,
    folder: RunFolder,
    choices: tuple[Choice, ...],
    publish: Callable[[optuna.Study, int | None], None] | None = None,
) -> None:
    """Tell the study the results on disk that it does not hold.

    These are the result of a trial whose process was killed before it told the study, and all results if the study's
    file was lost. A trial without any result is left to be run again.

    Args:
        study: of the run.
        folder: holds the results.
        choices: of the space.
        publish: called before each result is told; given if the study is not in the folder.

    Raises:
        EnvironmentFault: if the two contradict each other.
    """
    numbers, trials, legal = folder.trials(), study.get_trials(deepcopy=False), distributions(choices)
    if numbers and numbers[-1] >= len(trials) + len(numbers) + AHEAD:
        fault = f"{folder.path / 'trials'}: {numbers[-1]}.json is far ahead of the other results"
        raise EnvironmentFault(fault, "move it aside")
    where = folder.study_file if publish is None else "the shared study"
    ended = {trial.number for trial in trials if trial.state.is_finished()}
    if publish is None and (missing := sorted(ended - set(numbers))):
        hint = "restore its file, or delete the study: it is made anew from the results, and the trial runs again"
        raise EnvironmentFault(f"{where}: holds trial {missing[0]}, whose result is missing", hint)
    for number in numbers:
        outcome = folder.result(number)
        if outcome is None:
            continue
        for _ in range(len(trials), number):
            study.add_trial(create_trial(state=TrialState.RUNNING))
        if number >= len(trials):
            try:
                study.add_trial(create_trial(state=TrialState.RUNNING, params=outcome.values, distributions=legal))
            except ValueError as error:
                fault = f"trial {number}: its values are not in this space ({str(error).splitlines()[0]})"
                raise EnvironmentFault(fault, f"move {folder.path / 'trials' / f'{number}.json'} aside") from None
            trials = study.get_trials(deepcopy=False)
        elif difference := differs(trials[number], outcome):
            raise EnvironmentFault(f"{where}: trial {number} has other {difference} than its own file", REMADE)
        if not trials[number].state.is_finished():
            if publish is not None:
                publish(study, number)
            tell(study, number, outcome)


def differs(trial: FrozenTrial, outcome: Result) -> str | None:
    """What differs between a study and a recorded outcome, if anything."""
    finished = trial.state.is_finished()
    if (trial.params or finished) and trial.params != outcome.values:
        return "values"
    if not finished:
        return None
    right = trial.state == _state(outcome) and trial.intermediate_values == dict(enumerate(outcome.curve, 1))
    return None if right and (not outcome.is_whole or trial.value == outcome.accuracy) else "results"
