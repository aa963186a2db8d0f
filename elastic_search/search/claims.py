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
        lock = self._acquire(what, -1)
        try:
            yield
        finally:
            if lock is not None:
                lock.release()

    def take(self, name: str) -> bool:
        """Claim a trial; False if a living process holds it."""
        if name not in self._held and (lock := self._acquire(name, 0)) is not None:
            self._held[name] = lock
        return name in self._held

    def release(self, name: str, ended: bool = False) -> None:
        """Give a claim back; if its trial has ended, nobody will ask again, and its file is deleted."""
        lock = self._held.pop(name, None)
        if lock is not None:
            if ended:
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _acquire(self, name: str, timeout: float) -> FileLock | None:
        lock = FileLock(self._folder / f"{name}.lock", timeout=timeout)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            return None
        except OSError as error:
            raise EnvironmentFault(f"{lock.lock_file}: {error.strerror or error}", "check the disk") from None
        return lock
