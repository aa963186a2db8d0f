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

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from elastic_search.atomic import read_sealed, sealed, write_atomically
from elastic_search.errors import EnvironmentFault, UsageError
from elastic_search.files import MAX_BYTES, SearchSpace, parse_space
from elastic_search.search.store.result import Result, is_number

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


_DIFFERS = {"text": "another text of the space file", "halving": "the other choice of --no-halving"}
"""What is said of differences that are too long, or have no name on the command line."""


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

    def checkpoint(self, number: int | None, seed: int | None = None) -> Path:
        """The checkpoint of a trial, of its network trained again with another seed, or of the base network."""
        return self.path / "checkpoints" / f"{_stem(number, seed)}.pt"

    def _result_file(self, number: int | None, seed: int | None) -> Path:
        folder = self.path if number is None else self.path / ("trials" if seed is None else "repeats")
        return folder / f"{_stem(number, seed)}.json"

    @contextmanager
    def locked(self, sweep: bool = True) -> Iterator[None]:
        """Hold the run for this process; the kernel frees it when the process dies.

        Args:
            sweep: whether to delete what a killed start left.

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
            if sweep:
                self._sweep()
            yield
        finally:
            lock.release()

    def _sweep(self) -> None:
        """Delete what a killed start left half written, and checkpoints of trials that are recorded."""
        for path in self.path.rglob("*.tmp"):
            path.unlink(missing_ok=True)
        for path in (self.path / "checkpoints").glob("*.pt"):
            if re.fullmatch(r"base|[0-9]{1,9}(-[0-9]{1,19})?", path.stem):
                folder = self.path if path.stem == "base" else self.path / ("repeats" if "-" in path.stem else "trials")
                if (folder / f"{path.stem}.json").exists():
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
        file = self.path / "run.json"
        found = self._read(file)
        if found is None:
            bands = sorted(
                path.name for path in self.path.parent.glob(f"{self.name}-*") if (path / "run.json").exists()
            )
            hint = f"its bands are {', '.join(bands[:5])}" if bands else "give its folder's parent with --dir"
            raise UsageError(f"no run {self.name!r} in {self.path.parent}", hint)
        kinds = {"space": str, "text": str, "seed": int, "strategy": str, "halving": bool, "first_start": dict}
        wrong = [key for key, kind in kinds.items() if key in found and type(found[key]) is not kind]
        wrong += [key for key in ("space", "text", "seed") if key not in found]
        target = found.get("target")
        if target is not None and (type(target) is not int or not 1 <= target <= 2**53):
            wrong.append("target")
        if wrong:
            raise EnvironmentFault(f"{file}: damaged (its {wrong[0]} is not one)", self._hint)
        return found

    def plan(self) -> SearchSpace:
        """The space, band and recipe that the run was started with.

        Raises:
            UsageError: if there is no such run.
        """
        about = self.description()
        if len(about["text"]) > MAX_BYTES:
            raise EnvironmentFault(f"{self.path / 'run.json'}: damaged (its text is too long)", self._hint)
        space = parse_space(about["text"], about["space"], f"{self.path / 'run.json'}, text")
        return space.at(about.get("target"))

    def begin(self, description: dict[str, Any], **about: str) -> bool:
        """Record what the run is, or check that it is the same as before; true if it is new.

        Args:
            description: what must not change from start to start.
            about: what is recorded of the first start, and may change.

        Raises:
            UsageError: naming what differs from the run's first start.
        """
        if self.agrees(description):
            return False
        write_atomically(self.path / "run.json", sealed({**description, "first_start": about}))
        return True

    def agrees(self, description: dict[str, Any]) -> bool:
        """Whether the run was started before, with the same description.

        Raises:
            UsageError: naming what differs from the run's first start.
        """
        before = self._read(self.path / "run.json")
        if before is None:
            return False
        differing = [_DIFFERS.get(key, f"another {key} ({before.get(key)})")
                     for key, value in description.items() if before.get(key) != value]  # fmt: skip
        if differing:
            raise UsageError(
                f"run {self.name!r} was started with {' and '.join(differing)}",
                "choose another --name, or repeat the first command to resume it",
            )
        return True

    def result(self, number: int | None, seed: int | None = None) -> Result | None:
        """What is recorded of a trial, of its network trained again with another seed, or of the base network."""
        file = self._result_file(number, seed)
        found = self._read(file)
        if found is None:
            return None
        result = Result.read(found, number, str(file), self._hint)
        if seed not in (None, result.seed):
            raise EnvironmentFault(f"{file}: damaged (its seed is not one)", self._hint)
        return result

    def trials(self) -> list[int]:
        """Numbers of the trials whose score is recorded."""
        stems = (file.stem for file in (self.path / "trials").glob("*.json"))
        return sorted(int(stem) for stem in stems if re.fullmatch(r"0|[1-9][0-9]{0,8}", stem))

    def record(self, result: Result, again: bool = False) -> None:
        """Put a result on disk; after this it survives any crash. The checkpoint goes.

        Args:
            result: of a training.
            again: whether it is of a trial's network, trained again with another seed.
        """
        seed = result.seed if again else None
        write_atomically(self._result_file(result.number, seed), sealed(result.to_dict()))
        self.checkpoint(result.number, seed).unlink(missing_ok=True)

    def repeated(self) -> list[tuple[int, int]]:
        """Trial and seed of the recorded repeats."""
        stems = (file.stem for file in (self.path / "repeats").glob("*-*.json"))
        found = (re.fullmatch(r"(0|[1-9][0-9]{0,8})-(0|[1-9][0-9]{0,18})", stem) for stem in stems)
        return sorted((int(pair[1]), int(pair[2])) for pair in found if pair)

    def repeats(self) -> dict[int, list[Result]]:
        """Results under further seeds, by trial."""
        found: dict[int, list[Result]] = {}
        for number, seed in self.repeated():
            if (result := self.result(number, seed)) is not None:
                found.setdefault(number, []).append(result)
        return found

    @property
    def spent_seconds(self) -> float:
        file = self.path / "spent.json"
        found = self._read(file)
        if found is None:
            return 0.0
        if not is_number(found.get("seconds")) or found["seconds"] < 0:
            raise EnvironmentFault(f"{file}: damaged (its seconds are none)", self._hint)
        return float(found["seconds"])

    def spend(self, seconds: float) -> None:
        write_atomically(self.path / "spent.json", sealed({"seconds": seconds}))

    @property
    def _hint(self) -> str:
        return f"elastic-search doctor {self.name} --repair makes a copy that goes on without it"

    def _read(self, file: Path) -> dict[str, Any] | None:
        return read_sealed(file, self._hint)


def _stem(number: int | None, seed: int | None) -> str:
    """What a training's files are called."""
    return "base" if number is None else str(number) if seed is None else f"{number}-{seed}"
