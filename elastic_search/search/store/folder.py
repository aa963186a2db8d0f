"""The folder of a run: what it was started with, its results, and the lock of the process that works in it.

runs/NAME/run.json          the space's text, the seed, versions and device; written once
runs/NAME/study.db          the Optuna study (SQLite)
runs/NAME/base.json         the base network's score
runs/NAME/scaled.json       the score of the base scaled to the band, if its own cost is not in it
runs/NAME/trials/N.json     a trial's score, on disk before the study is told
runs/NAME/repeats/N-S.json  the same network trained again with seed S, once the band is exhausted
runs/NAME/checkpoints/N.pt  a trial's training after its last complete epoch
runs/NAME/kept/N.pt         the same of a finished trial, for the best ones, the base and the scaled base
runs/NAME/device.json       how the device is used, as measured at the first start; only of a GPU
runs/NAME/spent.json        seconds used, over all starts
runs/NAME/best.toml         the best network so far
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from elastic_search.atomic import read_sealed, sealed, write_atomically
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import MAX_BYTES, SearchSpace, parse_space
from elastic_search.files.meaning import differences as text_differences
from elastic_search.recipes import About, Data
from elastic_search.search.claims import acquired
from elastic_search.search.store.result import OF_BASE, Result, is_number


def differences(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> list[str]:
    """How what a run is differs from what it was, a line for each key.

    The text of the space file counts by what it means: neither a remark nor another name of the file is a difference.

    Args:
        before: what is recorded.
        now: some of the same keys.
        where: the recorded text is, for messages.
    """
    lines: list[str] = []
    for key, value in now.items():
        old = before.get(key)
        if key == "data":
            lines += _other_images(old, value)
        elif key == "text":
            lines += map(str, text_differences(str(old), str(value), where))
        elif key == "halving" and old != value:
            given = ("given", "not given")
            lines.append(f"--no-halving: {given[bool(old)]} before, {given[bool(value)]} now")
        elif key != "space" and old != value:
            lines.append(f"{key}: {old} before, {value} now")
    return lines


def _other_images(before: Any, now: Any) -> list[str]:
    """How the images that are trained on differ in content from those before, in a line; [] if they do not."""
    keys, said = [], []
    for of in (before, now):
        keys.append(None if of is None else of["about"]["key"])
        said.append("the embedded scenes" if of is None else f"{of['source']['path']} ({of['about']['key'][:8]})")
    return [] if keys[0] == keys[1] else [f"images: {said[0]} before, {said[1]} now"]


class RunFolder:
    """A run's files.

    Args:
        root: folder that holds all runs.
        name: of this run.

    Raises:
        UsageError: if the name could be read as a path or an option.
    """

    def __init__(self, root: Path, name: str) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name) or name.endswith("."):
            rule = "use at most 64 letters, digits, '.', '_' and '-', beginning with a letter or digit"
            raise UsageError(f"run name {name!r} is not allowed: {rule}", "give another with --name")
        self.name = name
        self.path = (root / name).resolve()
        self.study_file = self.path / "study.db"
        self.best_file = self.path / "best.toml"
        self._hint = f"elastic-search doctor {name} --repair makes a copy that works without it"

    def checkpoint(self, number: int | None, seed: int | None = None) -> Path:
        """The checkpoint of a trial, of its network trained again with another seed, or of the base network."""
        return self.path / "checkpoints" / f"{self._result_file(number, seed).stem}.pt"

    def kept(self, number: int | None) -> Path:
        """The last checkpoint of a finished trial, or of the base network, if it is kept."""
        return self.path / "kept" / self.checkpoint(number).name

    def _result_file(self, number: int | None, seed: int | None) -> Path:
        if number in OF_BASE:
            return self.path / f"{OF_BASE[number]}.json"
        return self.path / (f"trials/{number}.json" if seed is None else f"repeats/{number}-{seed}.json")

    @contextmanager
    def locked(self, sweep: bool = True) -> Iterator[None]:
        """Lock the run for this process; the kernel releases it when the process dies.

        A run that begins in the context, and fails in it before a training begins, leaves no folder.

        Args:
            sweep: whether to delete what a killed start left.

        Raises:
            EnvironmentFault: if another process holds the lock, or the folder cannot be created.
        """
        known, made = (self.path / "run.json").exists(), not self.path.parent.exists()
        lock = acquired(self.path / "lock")
        if lock is None:
            hint = "wait for it, or choose another --name"
            raise EnvironmentFault(f"run {self.name!r} is in use by another process", hint)
        try:
            if sweep:
                self._sweep()
            yield
        except BaseException:
            if not known and not self._has_trained():
                self._remove(self.path.parent if made else None)
            raise
        finally:
            lock.release()

    def _has_trained(self) -> bool:
        """Whether a training has begun: the base network's is the first, and its claim stays until it has ended."""
        return any(next(self.path.glob(kept), None) for kept in ("base.json", "claims/base.lock", "trials/*.json"))

    def _remove(self, root: Path | None) -> None:
        """Remove a run that failed before a training began, and the folder of runs if it is empty and ours."""
        with suppress(OSError):
            shutil.rmtree(self.path)
            if root is not None:
                root.rmdir()

    def _sweep(self) -> None:
        """Delete half-written files of a killed start, and checkpoints of recorded trials."""
        for path in self.path.rglob("*.tmp"):
            path.unlink(missing_ok=True)
        for path in (self.path / "checkpoints").glob("*.pt"):
            if re.fullmatch(r"base|scaled|[0-9]{1,9}(-[0-9]{1,19})?", path.stem):
                folder = (
                    self.path
                    if path.stem in OF_BASE.values()
                    else self.path / ("repeats" if "-" in path.stem else "trials")
                )
                if (folder / f"{path.stem}.json").exists():
                    path.unlink(missing_ok=True)

    def description(self) -> dict[str, Any]:
        """What the run was started with.

        Raises:
            UsageError: if there is no such run.
        """
        file = self.path / "run.json"
        found = self._read(file)
        if found is None:
            bands = sorted(path.parent.name for path in self.path.parent.glob(f"{self.name}-*/run.json"))
            hint = f"its bands are {', '.join(bands[:5])}" if bands else "give the folder that holds it with --dir"
            raise UsageError(f"no run {self.name!r} in {self.path.parent}", hint)
        kinds = {"space": str, "text": str, "seed": int, "strategy": str, "halving": bool, "data": dict}
        kinds["first_start"] = dict
        wrong = [key for key, kind in kinds.items() if key in found and type(found[key]) is not kind]
        wrong += [key for key in ("space", "text", "seed") if key not in found]
        target = found.get("target")
        if target is not None and (type(target) is not int or not 1 <= target <= 2**53):
            wrong.append("target")
        if "data" in found and not wrong:
            try:
                Data.of(found["data"]["source"]), About.of(found["data"]["about"])
            except (KeyError, TypeError, ValueError, AttributeError):
                wrong.append("data")
        if wrong:
            raise EnvironmentFault(f"{file}: damaged (its {wrong[0]} is not valid)", self._hint)
        return found

    def plan(self) -> SearchSpace:
        """The space, band and recipe that the run was started with.

        Raises:
            UsageError: if there is no such run.
        """
        about = self.description()
        file = self.path / "run.json"
        if len(about["text"]) > MAX_BYTES:
            raise EnvironmentFault(f"{file}: damaged (its text is too long)", self._hint)
        space = parse_space(about["text"], about["space"], f"{file}, text")
        if "data" in about:
            space = space.on(Data.of(about["data"]["source"]), About.of(about["data"]["about"]))
        else:
            space = replace(space, data=None)
        return space.at(about.get("target"))

    def begin(self, description: dict[str, Any], **about: str) -> bool:
        """Record what the run is, or check that it is the same as before.

        Args:
            description: what must not change from start to start.
            about: what is recorded about the first start, and may change.

        Returns:
            Whether the run is new.

        Raises:
            UsageError: naming what differs from the run's first start.
        """
        if self.agrees(description):
            return False
        write_atomically(self.path / "run.json", sealed({**description, "first_start": about}))
        return True

    def agrees(self, description: dict[str, Any]) -> bool:
        """Whether the run was started before with the same description; False if it is new.

        Raises:
            UsageError: naming what differs from the run's first start.
        """
        before = self._read(self.path / "run.json")
        if before is None:
            return False
        # A description without images of the user's own is of the embedded scenes.
        if differing := differences(before, {"data": None, **description}, f"{self.path / 'run.json'}, text"):
            lines = "\n  ".join([f"run {self.name!r} was started with other settings", *differing])
            here = os.path.relpath(self.path)
            raise UsageError(lines, f"search {here} goes on with what it was started with; or choose another --name")
        return True

    def result(self, number: int | None, seed: int | None = None) -> Result | None:
        """The record of a trial, of its network trained again with another seed, or of the base network, if any."""
        file = self._result_file(number, seed)
        found = self._read(file)
        if found is None:
            return None
        result = Result.read(found, number, str(file), self._hint)
        if seed not in (None, result.seed):
            raise EnvironmentFault(f"{file}: damaged (its seed is not valid)", self._hint)
        return result

    def trials(self) -> list[int]:
        """Numbers of the recorded trials."""
        stems = (file.stem for file in (self.path / "trials").glob("*.json"))
        return sorted(int(stem) for stem in stems if re.fullmatch(r"0|[1-9][0-9]{0,8}", stem))

    def record(self, result: Result, again: bool = False, keep: bool = False) -> None:
        """Put a result on disk, where it survives any crash, and delete or keep its checkpoint.

        Args:
            result: of a training.
            again: whether a trial's network was trained again with another seed.
            keep: whether its checkpoint is kept; ``keep_only`` deletes it once better ones are there.
        """
        seed = result.seed if again else None
        checkpoint = self.checkpoint(result.number, seed)
        if keep and not again and checkpoint.exists():
            # A second name before the result is there, so that a kill in between costs neither of them.
            kept = self.kept(result.number)
            kept.parent.mkdir(exist_ok=True)
            kept.unlink(missing_ok=True)
            try:
                os.link(checkpoint, kept)
            except OSError:  # not all file systems know second names
                shutil.copyfile(checkpoint, kept)
        write_atomically(self._result_file(result.number, seed), sealed(result.to_dict()))
        checkpoint.unlink(missing_ok=True)

    def kept_trials(self) -> list[int]:
        """Numbers of the trials whose last checkpoints are kept."""
        stems = (path.stem for path in (self.path / "kept").glob("*.pt"))
        return [int(stem) for stem in stems if re.fullmatch(r"0|[1-9][0-9]{0,8}", stem)]

    def keep_only(self, numbers: Collection[int | None]) -> None:
        """Delete all kept checkpoints but those of some trials, or of the base."""
        names = {self.kept(number).name for number in numbers}
        for path in (self.path / "kept").glob("*.pt"):
            if path.name not in names:
                path.unlink(missing_ok=True)

    def repeated(self) -> list[tuple[int, int]]:
        """Trial and seed of each recorded repeat."""
        stems = (file.stem for file in (self.path / "repeats").glob("*-*.json"))
        found = (re.fullmatch(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,18})", stem) for stem in stems)
        return sorted((int(pair[1]), int(pair[2])) for pair in found if pair)

    def repeats(self) -> dict[int, list[Result]]:
        """Results with further seeds, by trial."""
        found: dict[int, list[Result]] = {}
        for number, seed in self.repeated():
            if (result := self.result(number, seed)) is not None:
                found.setdefault(number, []).append(result)
        return found

    @property
    def spent_seconds(self) -> float:
        """Seconds used, over all starts."""
        file = self.path / "spent.json"
        found = self._read(file)
        if found is None:
            return 0.0
        if not is_number(found.get("seconds")) or found["seconds"] < 0:
            raise EnvironmentFault(f"{file}: damaged (its seconds are not valid)", self._hint)
        return float(found["seconds"])

    def spend(self, seconds: float) -> None:
        """Record the seconds used."""
        write_atomically(self.path / "spent.json", sealed({"seconds": seconds}))

    def chosen(self) -> dict[str, Any]:
        """How trainings use the device, as arguments of the evaluator; empty if nothing was chosen by measuring."""
        return self._read(self.path / "device.json") or {}

    def choose(self, chosen: Mapping[str, Any]) -> None:
        """Record how trainings use the device, for all later ones; the first choice stays."""
        if chosen and not self.chosen():
            write_atomically(self.path / "device.json", sealed(dict(chosen)))

    def _read(self, file: Path) -> dict[str, Any] | None:
        return read_sealed(file, self._hint)
