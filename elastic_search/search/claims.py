"""Which process trains what. A trial belongs to the process that holds its lock; the kernel releases it at its death.

So a trial without an owner is recognised at once, without clocks. Proposals have a lock of their own and are made one
at a time, so that no two workers propose the same network or exceed the number of trials.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from elastic_search.errors import EnvironmentFault


def acquired(file: Path, timeout: float = 0) -> FileLock | None:
    """A lock that this process now holds; None if another still holds it after ``timeout`` seconds (-1: for ever).

    Raises:
        EnvironmentFault: if the file cannot be created.
    """
    lock = FileLock(file, timeout=timeout)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        return None
    except OSError as error:
        hint = "check the disk, or choose another --dir"
        raise EnvironmentFault(f"{file}: {error.strerror or error}", hint) from None
    return lock


class Claims:
    """The locks of a run that this process holds.

    Args:
        folder: of the locks.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, FileLock] = {}

    @contextmanager
    def alone(self, what: str = "proposing") -> Iterator[None]:
        """Wait until no other process does ``what``, and keep others from it."""
        lock = acquired(self._folder / f"{what}.lock", -1)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def take(self, name: str) -> bool:
        """Claim a trial; False if a living process holds it."""
        if name not in self._held and (lock := acquired(self._folder / f"{name}.lock")) is not None:
            self._held[name] = lock
        return name in self._held

    def release(self, name: str, ended: bool = False) -> None:
        """Give a claim back; if its trial has ended, nobody will ask again, and its file is deleted."""
        lock = self._held.pop(name, None)
        if lock is not None:
            if ended:
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()
