"""One of several processes that search, started by ``run``: ``python -m elastic_search.search.worker SETTINGS``.

What the run is stands in its folder. SETTINGS are JSON: root, name, trainer, worker, trials, deadline, storage,
counter, epoch_seconds.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from elastic_search.errors import ElasticError
from elastic_search.search.evaluator import Named
from elastic_search.search.run import counter_named
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.supervisor import HUNG, Reporter, end_with_parent, tell
from elastic_search.search.trials.halving import Halving
from elastic_search.search.trials.loop import Budget, Search
from elastic_search.search.trials.signals import StopSignal
from elastic_search.space.match import Matcher


def main() -> None:
    """Work until the search ends, telling every event to stdout."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    end_with_parent()
    stop = StopSignal()
    with stop.listening():
        try:
            tell("ended", why=work(settings, stop))
        except ElasticError as error:
            tell("error", message=str(error), hint=error.hint, code=error.exit_code)


def work(settings: dict[str, Any], stop: StopSignal) -> str:
    """Search in the run's folder; why it ended."""
    folder = RunFolder(Path(settings["root"]), settings["name"])
    about, plan = folder.description(), folder.plan()
    search = Search(
        plan,
        Matcher(plan.space, plan.band.convention, plan.band.input, plan.limits),
        folder,
        Named(*settings["trainer"]).make(settings["worker"]),
        about["seed"],
        Budget(settings["trials"]),
        Reporter(),
        signal=stop,
        halving=Halving(plan.training.epochs, about["halving"]),
        strategy=about["strategy"],
        counter=counter_named(settings["counter"], plan),
        epoch_seconds=settings["epoch_seconds"],
        deadline=math.inf if settings["deadline"] is None else settings["deadline"],  # the supervisor keeps the time
        hung_code=HUNG,
        storage=settings["storage"],
    )
    return search.run()


if __name__ == "__main__":
    main()
