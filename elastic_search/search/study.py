"""The Optuna study of a run: opened, told, and made anew from the results beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
from optuna.trial import TrialState, create_trial
from sqlalchemy import URL

from elastic_search.errors import EnvironmentFault
from elastic_search.search.folder import RunFolder
from elastic_search.search.sampler import distributions
from elastic_search.space.choice import Choice

STUDY = "search"
"""Name of the one study in a run's file."""


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
            "free space if the disk is full; else delete it: it is made anew from the results beside it",
        ) from None


def tell(study: optuna.Study, number: int, outcome: dict[str, Any]) -> None:
    """Tell a study a recorded outcome; telling it again changes nothing.

    A trial that was stopped at a rung is pruned, with its curve as intermediate values. One that cannot be trained
    (out of memory, a loss that is no number) is pruned without: a result about the network, which the sampler
    avoids. Only what nobody foresaw is a failure.
    """
    trial = study.get_trials(deepcopy=False)[number]
    if trial.state.is_finished():
        return
    if outcome["accuracy"] is None:
        study.tell(number, state=TrialState.FAIL if "traceback" in outcome else TrialState.PRUNED)
        return
    for epoch, accuracy in enumerate(outcome.get("curve", ()), 1):
        study._storage.set_trial_intermediate_value(trial._trial_id, epoch, accuracy)
    if outcome.get("stopped"):
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, outcome["accuracy"])


def replay(
    study: optuna.Study,
    folder: RunFolder,
    choices: tuple[Choice, ...],
    publish: Callable[[optuna.Study, int | None], None] = lambda study, number: None,
) -> None:
    """Tell the study the results on disk that it does not hold; ``publish`` hears of each before.

    Such are the result of a trial that was told just when an earlier start was killed, and all results if the
    study's file was lost. A trial of which neither knows anything is left to be run again.
    """
    for number in folder.trials():
        outcome, trials = folder.result(number), study.get_trials(deepcopy=False)
        if outcome is None:
            continue
        for _ in range(len(trials), number):
            study.add_trial(create_trial(state=TrialState.RUNNING))
        if number >= len(trials):
            study.add_trial(
                create_trial(state=TrialState.RUNNING, params=outcome["values"], distributions=distributions(choices))
            )
        elif trials[number].params and trials[number].params != outcome["values"]:
            raise EnvironmentFault(
                f"trial {number} has other values in {folder.study_file.name} than in its own file",
                "delete the study's file: it is made anew from the results beside it",
            )
        publish(study, number)
        tell(study, number, outcome)
