"""Signals that ask a search to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(BaseException):
    """A signal, or the end of the time, where nothing is worth keeping. No ``except Exception`` holds it up."""


class StopSignal:
    """The first SIGINT or SIGTERM asks for a stop after the current epoch; the second stops at once.

    Attributes:
        received: the first signal, or None.
        at: when it came, by ``time.monotonic``.
        notice: text that is then written to stderr; "" for none.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.at = 0.0
        self.notice = ""
        self._at_once = self._is_listening = False

    @contextmanager
    def at_once(self, seconds: float | None) -> Iterator[None]:
        """Let a signal, or the end of so many seconds, leave the block with ``Stopped``, wherever its code is.

        For what comes before a training: images are made and speed is measured, which can take minutes and leaves
        nothing behind. A call into torch, such as a batch, ends first.
        """
        if self.received is not None or (seconds is not None and seconds <= 0):
            raise Stopped
        timed = seconds is not None and hasattr(signal, "setitimer") and self._is_listening
        before = signal.signal(signal.SIGALRM, self._time_is_over) if timed else None
        self._at_once = True
        if timed:
            signal.setitimer(signal.ITIMER_REAL, min(seconds or 0.0, 1e7))
        try:
            yield
        finally:
            self._at_once = False
            if timed:
                signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(signal.SIGALRM, before)

    def _time_is_over(self, number: int, frame: FrameType | None) -> None:
        if self._at_once:
            raise Stopped

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        self._is_listening = True
        try:
            yield
        finally:
            self._is_listening = False
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt  # unwinds, so that the terminal gets its cursor back
        self.received, self.at = number, time.monotonic()
        if self._at_once:
            raise Stopped
        if self.notice:
            os.write(2, f"\n{self.notice}\n".encode())
