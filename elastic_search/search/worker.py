"""One of several processes that search, started by ``run``: ``python -m elastic_search.search.worker SETTINGS``.

The folder says what the run is. SETTINGS is JSON: root, name, settings, trainer, worker, deadline, epoch_seconds.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from elastic_search.errors import ElasticError
from elastic_search.search.evaluator import Named
from elastic_search.search.run import Run
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.supervisor import HUNG, Reporter, end_with_parent, tell
from elastic_search.search.trials.clock import Clock
from elastic_search.search.trials.loop import Settings
from elastic_search.search.trials.signals import Stopped, StopSignal


def main() -> None:
    """Work until the search ends; every event is written to stdout."""
    said: dict[str, Any] = json.loads(sys.argv[1])
    end_with_parent()
    stop = StopSignal()
    with stop.listening():
        try:
            tell("ended", why=work(said, stop))
        except ElasticError as error:
            tell("error", message=error.message, hint=error.hint, code=error.exit_code)


def work(said: dict[str, Any], stop: StopSignal) -> str:
    """Search in the run's folder; returns why the search ended."""
    folder = RunFolder(Path(said["root"]), said["name"])
    try:
        with stop.at_once(None):  # the supervisor keeps the time
            evaluator = Named(*said["trainer"]).make(worker=said["worker"])
    except Stopped:
        return "signal"
    run = Run(folder.plan(), folder, Settings(**said["settings"]), evaluator, stop=stop)
    deadline = math.inf if said["deadline"] is None else said["deadline"]  # the supervisor keeps the time
    clock = Clock(folder, None, deadline=deadline, epoch_seconds=said["epoch_seconds"])
    return run.search(Reporter(), clock, HUNG).run()


if __name__ == "__main__":
    main()
