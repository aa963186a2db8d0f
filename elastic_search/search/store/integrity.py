"""Whether a run's files are whole and agree, and a repaired copy of them."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

from elastic_search.cost.tally import tally
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.files import SearchSpace, load_spec
from elastic_search.search.store.folder import RunFolder
from elastic_search.search.store.ranking import network_of
from elastic_search.search.store.result import Result
from elastic_search.search.store.study import close_study, differs, open_study
from elastic_search.search.store.winner import best_result, best_text


class Finding(NamedTuple):
    """One thing that was looked at.

    ``cure`` says what to do where it is not ``sound``; ``file`` is what a repair sets aside.
    """

    what: str
    sound: bool
    says: str
    cure: str = ""
    file: Path | None = None


REPAIR = "doctor NAME --repair"


def examine(folder: RunFolder, plan: SearchSpace) -> list[Finding]:
    """Look at every file of a run; changes nothing.

    Args:
        folder: of the run.
        plan: its space, from the text in run.json.
    """
    results, found = _results(folder, plan)
    found += [_database(folder, results)]
    checkpoints = sorted((folder.path / "checkpoints").glob("*.pt"))
    torn = [path for path in checkpoints if not _is_whole(path)]
    found += [Finding(f"checkpoints/{path.name}", False, "damaged", f"{REPAIR}: its trial starts anew", path)
              for path in torn]  # fmt: skip
    found.append(Finding("checkpoints", True, f"{len(checkpoints) - len(torn)} whole"))
    left = sorted(folder.path.rglob("*.tmp"))
    if left:
        found.append(Finding("*.tmp", True, f"{len(left)} half written by a kill; the next start deletes them"))
    return [*found, _best(folder, plan)]


def _results(folder: RunFolder, plan: SearchSpace) -> tuple[dict[int, Result], list[Finding]]:
    results: dict[int, Result] = {}
    found: list[Finding] = []

    def look(name: str, read: Callable[[], object], cure: str) -> None:
        try:
            read()
        except ElasticError as error:
            file = folder.path / name
            found.append(Finding(name, False, error.message.removeprefix(f"{file}: "), f"{REPAIR}: {cure}", file))

    def read(name: str, number: int | None) -> None:
        result = folder.result(number)
        if result is None:
            found.append(Finding(name, True, "not trained yet"))
            return
        spec = plan.space.base if result.values is None else plan.space.decode(result.values)
        cost = tally(spec.graph(), plan.band.input, plan.band.convention).total
        if cost != result.cost or (number is not None and cost not in plan.band):
            raise EnvironmentFault(f"its cost is {cost:,}, its record says {result.cost:,}")
        if number is not None:
            results[number] = result

    for number in (None, *folder.trials()):
        name = "base.json" if number is None else f"trials/{number}.json"
        look(name, partial(read, name, number), "set aside, and trained again")
    look("spent.json", lambda: folder.spent_seconds, "set aside")
    for number, seed in folder.repeated():
        look(f"repeats/{number}-{seed}.json", partial(folder.result, number, seed), "set aside")
    missing = sorted(set(range(max(results, default=-1) + 1)) - set(folder.trials()))
    trials = f"{len(results)} results" + (f", {len(missing)} open" if missing else "")
    return results, [Finding("trials", True, trials), *found]


def _database(folder: RunFolder, results: dict[int, Result]) -> Finding:
    file, cure = folder.study_file, f"{REPAIR}: made anew from the results"
    if not file.exists():
        return Finding(file.name, True, "not there; the next start makes it from the results")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            # On a copy: a database that was being written when its process was killed is mended by whoever opens it.
            copy = RunFolder(Path(scratch), "copy")
            copy.path.mkdir()
            for part in (file, file.with_name(f"{file.name}-journal")):
                if part.exists():
                    shutil.copyfile(part, copy.path / part.name)
            with closing(sqlite3.connect(copy.study_file)) as database:
                (says,) = database.execute("PRAGMA integrity_check").fetchone()
            if says != "ok":
                return Finding(file.name, False, str(says).splitlines()[0], cure, file)
            study = open_study(copy)
            trials = study.get_trials(deepcopy=False)
            close_study(study)
    except (sqlite3.Error, OSError) as error:
        return Finding(file.name, False, str(error), cure, file)
    except ElasticError as error:
        return Finding(file.name, False, error.message.removeprefix(f"{copy.study_file}: "), cure, file)
    recorded = set(folder.trials())
    for trial in trials:
        result = results.get(trial.number)
        if trial.state.is_finished() and trial.number not in recorded:
            return Finding(file.name, False, f"holds trial {trial.number}, whose result is missing", cure, file)
        if result and (difference := differs(trial, result)):
            return Finding(file.name, False, f"trial {trial.number} has other {difference} than its file", cure, file)
    running = sum(not trial.state.is_finished() for trial in trials)
    return Finding(file.name, True, f"{len(trials)} trials" + (f", {running} to be resumed" if running else ""))


def _is_whole(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except Exception:  # what a damaged archive raises has no common class
        return False


def _best(folder: RunFolder, plan: SearchSpace) -> Finding:
    file = folder.best_file
    if not file.exists():
        return Finding(file.name, True, "not written yet")
    try:
        cost = tally(load_spec(file).graph(), plan.band.input, plan.band.convention).total
    except ElasticError as error:
        return Finding(file.name, False, str(error).splitlines()[0], f"{REPAIR}: written anew", file)
    if cost not in plan.band:
        return Finding(file.name, False, f"costs {cost:,}, outside the band", f"{REPAIR}: written anew", file)
    says = f"inside the band ({cost:,})"
    try:
        best = best_result(folder)
        text = None if best is None else best_text(folder, plan, best, network_of(plan, best))
    except ElasticError:
        text = None  # a record is damaged, which is told elsewhere
    if text is not None and file.read_bytes() != text.encode():
        says += "; not what the results say: the next start writes it anew"
    return Finding(file.name, True, says)


def repaired(folder: RunFolder, findings: list[Finding]) -> RunFolder:
    """A copy of the run in which damaged files lie in ``damaged/``; the run itself is left as it is.

    The study is made anew at the copy's next start, from the results that are whole.
    """
    copy = RunFolder(folder.path.parent, f"{folder.name[:50]}-repaired")
    if copy.path.exists():
        raise EnvironmentFault(f"{copy.path} exists", "move it away first")
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
