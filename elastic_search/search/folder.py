"""The folder of a run: what it was started with, its results, and who works in it.

runs/NAME/run.json        the space's text, the seed, versions and device; written once
runs/NAME/study.db        the Optuna study (SQLite)
runs/NAME/base.json       the base network's score
runs/NAME/trials/N.json   a trial's score, on disk before the study hears of it
runs/NAME/repeats/N-S.json  the same network trained again with seed S, once the band is exhausted
runs/NAME/checkpoints/N.pt  a trial's training after its last whole epoch
runs/NAME/spent.json      seconds used, over all starts
runs/NAME/best.toml       the best network so far
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import SearchSpace, at_target, parse_space

SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that after any crash it is the old or the new one, whole.

    Raises:
        EnvironmentFault: if it cannot be written, as on a full disk.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.name}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise EnvironmentFault(f"{path}: cannot be written ({error.strerror})", "free space, then run again") from None


class RunFolder:
    """A run's files.

    Args:
        root: folder of all runs.
        name: of this run.

    Raises:
        UsageError: if the name could be read as a path or an option.
    """

    def __init__(self, root: Path, name: str) -> None:
        if not _NAME.fullmatch(name) or name.endswith("."):
            raise UsageError(
                f"run name {name!r}: letters, digits, '.', '_' and '-', at most 64, beginning with a letter or digit",
                "give one with --name",
            )
        self.name = name
        self.path = (root / name).resolve()

    @property
    def study_file(self) -> Path:
        return self.path / "study.db"

    @property
    def best_file(self) -> Path:
        return self.path / "best.toml"

    def checkpoint(self, number: int | None) -> Path:
        """The checkpoint of a trial, or of the base network."""
        return self.path / "checkpoints" / ("base.pt" if number is None else f"{number}.pt")

    def _result_file(self, number: int | None) -> Path:
        return self.path / "base.json" if number is None else self.path / "trials" / f"{number}.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process; the kernel frees it when the process dies.

        Raises:
            EnvironmentFault: if another process holds it, or the folder cannot be made.
        """
        lock = FileLock(self.path / "lock", timeout=0)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise EnvironmentFault(
                f"run {self.name!r} is in use by another process", "wait for it, or choose another --name"
            ) from None
        except OSError as error:
            hint = "check the disk, or choose another --dir"
            raise EnvironmentFault(f"{self.path}: {error.strerror}", hint) from None
        try:
            self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Delete what a killed start left half written, and checkpoints of trials that are recorded."""
        for path in self.path.rglob("*.tmp"):
            path.unlink(missing_ok=True)
        for path in (self.path / "checkpoints").glob("*.pt"):
            stem = path.stem
            number = None if stem == "base" else int(stem) if stem.isdecimal() else -1
            if number != -1 and self._result_file(number).exists():
                path.unlink(missing_ok=True)

    @property
    def is_run(self) -> bool:
        """Whether a run was ever started here."""
        return (self.path / "run.json").exists()

    def description(self) -> dict[str, Any]:
        """What the run was started with.

        Raises:
            UsageError: if there is no such run.
        """
        found = self._read(self.path / "run.json", "space", "text", "seed")
        if found is None:
            raise UsageError(f"no run {self.name!r} in {self.path.parent}", "give its folder's parent with --dir")
        return found

    def plan(self) -> SearchSpace:
        """The space, band and recipe that the run was started with.

        Raises:
            UsageError: if there is no such run.
        """
        about = self.description()
        space = parse_space(about["text"], about["space"], f"{self.path / 'run.json'}, text")
        return at_target(space, about.get("target"))

    def begin(self, description: dict[str, Any], **about: str) -> bool:
        """Record what the run is, or check that it is the same as before; true if it is new.

        Args:
            description: what must not change from start to start.
            about: what is recorded of the first start, and may change.

        Raises:
            UsageError: naming what differs from the run's first start.
        """
        file = self.path / "run.json"
        before = self._read(file)
        if before is None:
            write_atomically(file, json.dumps({"schema": SCHEMA, **description, "first_start": about}, indent=2) + "\n")
            return True
        differing = [key for key, value in description.items() if before.get(key) != value]
        if differing:
            raise UsageError(
                f"run {self.name!r} was started with another {' and '.join(differing)}",
                "choose another --name, or repeat the first command to resume it",
            )
        return False

    def result(self, number: int | None) -> dict[str, Any] | None:
        """A recorded score, of a trial or of the base network, or None."""
        return self._read(self._result_file(number), "number", "values", "id", "cost", "params", "accuracy")

    def trials(self) -> list[int]:
        """Numbers of the trials whose score is recorded."""
        return sorted(int(file.stem) for file in (self.path / "trials").glob("*.json") if file.stem.isdecimal())

    def record(self, number: int | None, result: dict[str, Any]) -> None:
        """Put a score on disk; after this it survives any crash. The checkpoint goes."""
        write_atomically(self._result_file(number), sealed(result))
        self.checkpoint(number).unlink(missing_ok=True)

    def repeat_checkpoint(self, number: int, seed: int) -> Path:
        return self.path / "checkpoints" / f"{number}-{seed}.pt"

    def _repeat_file(self, number: int, seed: int) -> Path:
        return self.path / "repeats" / f"{number}-{seed}.json"

    def repeat(self, number: int, seed: int) -> dict[str, Any] | None:
        """The score of a trial's network under another seed, or None."""
        return self._read(self._repeat_file(number, seed), "accuracy")

    def repeats(self) -> dict[int, list[dict[str, Any]]]:
        """Scores under further seeds, by trial."""
        found: dict[int, list[dict[str, Any]]] = {}
        for file in sorted((self.path / "repeats").glob("*-*.json")):
            result = self._read(file, "number", "seed", "accuracy")
            if result is not None:
                found.setdefault(result["number"], []).append(result)
        return found

    def record_repeat(self, number: int, seed: int, result: dict[str, Any]) -> None:
        write_atomically(self._repeat_file(number, seed), sealed(result))
        self.repeat_checkpoint(number, seed).unlink(missing_ok=True)

    @property
    def spent_seconds(self) -> float:
        found = self._read(self.path / "spent.json", "seconds")
        return float(found["seconds"]) if found else 0.0

    def spend(self, seconds: float) -> None:
        write_atomically(self.path / "spent.json", json.dumps({"schema": SCHEMA, "seconds": seconds}) + "\n")

    def _read(self, file: Path, *keys: str) -> dict[str, Any] | None:
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise EnvironmentFault(f"{file}: damaged ({error})", "move it aside, or choose another --name") from None
        if not isinstance(found, dict) or found.get("schema") != SCHEMA:
            raise EnvironmentFault(f"{file}: not of schema {SCHEMA}", "choose another --name")
        if "sha256" in found and found["sha256"] != _digest(found):
            raise EnvironmentFault(f"{file}: damaged (its checksum differs)", "move it aside: its trial runs again")
        missing = [key for key in keys if key not in found]
        if missing:
            raise EnvironmentFault(
                f"{file}: damaged ({missing[0]} is missing)", "move it aside, or choose another --name"
            )
        return found


def sealed(result: dict[str, Any]) -> str:
    """A result as a file's text, with a checksum that a changed digit breaks."""
    content = {"schema": SCHEMA, **result}
    return json.dumps({**content, "sha256": _digest(content)}, indent=2) + "\n"


def unsealed(text: str, where: str) -> dict[str, Any]:
    """The result in a text that ``sealed`` made.

    Raises:
        EnvironmentFault: if the text was changed; names ``where`` it was.
    """
    try:
        found = json.loads(text)
        whole = isinstance(found, dict) and found.get("schema") == SCHEMA and found["sha256"] == _digest(found)
    except (ValueError, KeyError):
        whole = False
    if not whole:
        raise EnvironmentFault(f"{where}: damaged (its checksum differs)", "choose another --name")
    return {key: value for key, value in found.items() if key not in ("schema", "sha256")}


def _digest(content: dict[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
