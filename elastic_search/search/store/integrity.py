"""Checks that a run's files are whole and agree, and makes a repaired copy of them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

from elastic_search.cost.tally import tally
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.files import SearchSpace, load_spec
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import best_result, best_text, network_of
from elastic_search.search.store.result import OF_BASE, SCALED, Result
from elastic_search.search.store.study import close_study, differs, open_study


class Finding(NamedTuple):
    """One thing that was checked.

    ``cure`` says what to do if it is not ``sound``; ``file`` is then what a repair sets aside.
    """

    what: str
    sound: bool
    says: str
    cure: str = ""
    file: Path | None = None


REPAIR = "doctor NAME --repair"
REMADE = "made anew from the results"


def examine(folder: RunFolder, plan: SearchSpace) -> list[Finding]:
    """Check every file of a run; changes nothing.

    Args:
        folder: of the run.
        plan: its space, from the text in run.json.
    """
    results, found = _results(folder, plan)
    found += _look(folder.study_file, partial(_database, folder, results), REMADE)
    checkpoints = sorted((folder.path / "checkpoints").glob("*.pt"))
    torn = [path for path in checkpoints if not _is_whole(path)]
    cure = f"{REPAIR}: its trial starts again"
    found += [Finding(f"checkpoints/{path.name}", False, "damaged", cure, path) for path in torn]
    found.append(Finding("checkpoints", True, f"{len(checkpoints) - len(torn)} whole"))
    if left := sorted(folder.path.rglob("*.tmp")):
        found.append(Finding("*.tmp", True, f"{len(left)} half-written; the next start deletes them"))
    return found + _look(folder.best_file, partial(_best, folder, plan), "written anew")


def _look(file: Path, read: Callable[[], object], cure: str, what: str = "") -> list[Finding]:
    """A file's fault, or what ``read`` says of it if that is a text."""
    what = what or file.name
    try:
        says = read()
    except (ElasticError, sqlite3.Error, OSError) as error:
        fault = getattr(error, "message", str(error)).split(f"{file.name}: ", 1)[-1].partition("\n")[0]
        return [Finding(what, False, fault, f"{REPAIR}: {cure}", file)]
    return [Finding(what, True, says)] if isinstance(says, str) else []


def _results(folder: RunFolder, plan: SearchSpace) -> tuple[dict[int, Result], list[Finding]]:
    results: dict[int, Result] = {}
    found: list[Finding] = []

    def look(name: str, read: Callable[[], object], cure: str = "set aside") -> None:
        found.extend(_look(folder.path / name, read, cure, name))

    def read(number: int | None) -> str | None:
        result = folder.result(number)
        if result is None:
            return None if number == SCALED and plan.scaled_base is None else "not trained yet"
        spec = network_of(plan, result)
        cost = tally(spec.graph(), plan.band.input, plan.band.convention).total
        if cost != result.cost or (number not in OF_BASE and cost not in plan.band):
            raise EnvironmentFault(f"its cost is {cost:,}, but its record says {result.cost:,}")
        if number is not None and number not in OF_BASE:
            results[number] = result
        return None

    for number in (*OF_BASE, *folder.trials()):
        name = f"{OF_BASE[number]}.json" if number in OF_BASE else f"trials/{number}.json"
        look(name, partial(read, number), "set aside, and trained again")
    look("spent.json", lambda: folder.spent_seconds)
    look("device.json", folder.chosen)
    for number, seed in folder.repeated():
        look(f"repeats/{number}-{seed}.json", partial(folder.result, number, seed))
    missing = set(range(max(results, default=-1) + 1)) - set(folder.trials())
    trials = f"{len(results)} result{'' if len(results) == 1 else 's'}" + (f", {len(missing)} open" if missing else "")
    return results, [Finding("trials", True, trials), *found]


def _database(folder: RunFolder, results: dict[int, Result]) -> str:
    file = folder.study_file
    if not file.exists():
        return "missing; the next start makes it from the results"
    with tempfile.TemporaryDirectory() as scratch:
        # On a copy: whoever opens a database that a killed process was writing to also mends it.
        copy = RunFolder(Path(scratch), "copy")
        copy.path.mkdir()
        for part in (file, file.with_name(f"{file.name}-journal")):
            if part.exists():
                shutil.copyfile(part, copy.path / part.name)
        with closing(sqlite3.connect(copy.study_file)) as database:
            (says,) = database.execute("PRAGMA integrity_check").fetchone()
        if says != "ok":
            raise EnvironmentFault(str(says))
        study = open_study(copy)
        trials = study.get_trials(deepcopy=False)
        close_study(study)
    recorded = set(folder.trials())
    for trial in trials:
        result = results.get(trial.number)
        if trial.state.is_finished() and trial.number not in recorded:
            raise EnvironmentFault(f"holds trial {trial.number}, whose result is missing")
        if result and (difference := differs(trial, result)):
            raise EnvironmentFault(f"trial {trial.number} has other {difference} than its file")
    running = sum(not trial.state.is_finished() for trial in trials)
    return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}" + (f", {running} to be resumed" if running else "")


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except Exception:  # the errors of damaged archives have no common class
        return False


def _best(folder: RunFolder, plan: SearchSpace) -> str:
    file = folder.best_file
    if not file.exists():
        return "not written yet"
    cost = tally(load_spec(file).graph(), plan.band.input, plan.band.convention).total
    if cost not in plan.band:
        raise EnvironmentFault(f"costs {cost:,}, outside the band")
    says = f"inside the band ({cost:,})"
    with suppress(ElasticError):  # a damaged record is a finding of its own
        best = best_result(folder)
        if best and file.read_bytes() != best_text(folder, plan, best, network_of(plan, best)).encode():
            says += "; not what the results say: the next start writes it anew"
    return says


def repaired(folder: RunFolder, findings: list[Finding]) -> RunFolder:
    """A copy of the run with the damaged files in ``damaged/``; the run itself stays as it is.

    The copy's next start makes the study anew from the results that are whole.
    """
    copy = RunFolder(folder.path.parent, f"{folder.name[:50]}-repaired")
    if copy.path.exists():
        raise EnvironmentFault(f"{copy.path} already exists", "move it away first")
    shutil.copytree(folder.path, copy.path, symlinks=True, ignore=shutil.ignore_patterns("*.tmp", "*.lock", "lock"))
    aside = copy.path / "damaged"
    for finding in findings:
        if not finding.sound and finding.file is not None:
            inside = finding.file.relative_to(folder.path)
            (aside / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.move(copy.path / inside, aside / inside)
    if aside.exists():
        copy.study_file.unlink(missing_ok=True)
        for journal in copy.path.glob("study.db-*"):
            journal.unlink()
    return copy
