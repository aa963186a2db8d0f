"""Ends a training that makes no progress: the trial first, and the process if that does not help."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from elastic_search.search.evaluator import TrialError

GRACE = 60.0  # seconds between the attempt to end the trial and the end of the process
STOPPED = 30.0  # seconds without one of the looks that are due every second: the process itself was stopped


class HungError(TrialError):
    """A training has made no step for too long."""


class Watchdog:
    """Is told of every step; if none comes for ``limit`` seconds, raises HungError in the main thread.

    That interrupts waiting in Python, but not a call that never returns to Python: after a grace period, the watching
    thread calls ``give_up``, which should record the trial and end the process.

    Args:
        limit: gives the seconds without a step that are too many; called again each time.
        give_up: called with the reason.
        grace: seconds between the two.
    """

    def __init__(self, limit: Callable[[], float], give_up: Callable[[str], None], grace: float = GRACE) -> None:
        self.limit, self.give_up, self.grace = limit, give_up, grace
        self._last = 0.0
        self._armed = self._told = False

    def beat(self) -> None:
        """Note that a step was made."""
        self._last = time.monotonic()
        self._told = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the training in the ``with`` block; must be entered in the main thread."""
        ended = threading.Event()
        number = getattr(signal, "SIGUSR1", None)
        before = signal.signal(number, self._raise) if number is not None else None
        thread = threading.Thread(target=self._watch, args=(ended, number), daemon=True)
        self.beat()
        self._armed = True
        thread.start()
        try:
            yield
        finally:
            self._armed = False
            ended.set()
            thread.join()
            if number is not None:
                signal.signal(number, before or signal.SIG_DFL)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._armed and self._told:
            raise HungError(self._reason())

    def _reason(self) -> str:
        return f"no step of the training in {time.monotonic() - self._last:.0f} s"

    def _watch(self, ended: threading.Event, number: int | None) -> None:
        looked = time.monotonic()
        while not ended.wait(min(1.0, self.limit() / 4)):
            now = time.monotonic()
            if now - looked > STOPPED:
                self._last = now  # this thread did not run either: the process was stopped, as by Ctrl-Z
            looked = now
            idle, limit = now - self._last, self.limit()
            if idle > limit and not self._told:
                self._told = True
                if number is not None:
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
            if idle > limit + self.grace:
                return self.give_up(self._reason())
