"""Which process trains what. A trial belongs to whoever holds its lock, which the kernel frees when that process dies.

So a trial without an owner can be told at once and without clocks. Proposals are made one at a time: a lock of its own
orders them, so that no two workers propose the same network or go past the last trial.
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
        """Wait until no other process does ``what``, and keep them from it."""
        lock = self._lock(what, -1)
        self._acquire(lock)
        try:
            yield
        finally:
            lock.release()

    def take(self, name: str) -> bool:
        """Claim a trial; false if a living process has it."""
        if name in self._held:
            return True
        lock = self._lock(name, 0)
        if not self._acquire(lock):
            return False
        self._held[name] = lock
        return True

    def release(self, name: str, ended: bool = False) -> None:
        """Give a claim back. Of a trial that has ended, nobody asks for it again, and its file goes."""
        lock = self._held.pop(name, None)
        if lock is not None:
            if ended:
                Path(lock.lock_file).unlink(missing_ok=True)
            lock.release()

    def _lock(self, name: str, timeout: float) -> FileLock:
        return FileLock(self._folder / f"{name}.lock", timeout=timeout)

    def _acquire(self, lock: FileLock) -> bool:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise EnvironmentFault(f"{lock.lock_file}: {error.strerror or error}", "check the disk") from None
        return True
