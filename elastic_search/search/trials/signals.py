"""Signals that ask a search to end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopSignal:
    """The first SIGINT or SIGTERM asks for an end after the epoch at hand; the second ends at once.

    Attributes:
        received: the first signal, or None.
        at: when it came, by ``time.monotonic``.
        notice: what is then written to stderr; "" for nothing.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.at = 0.0
        self.notice = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, self._receive)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Unwinds, so that the terminal gets its cursor back.
            raise KeyboardInterrupt
        self.received, self.at = number, time.monotonic()
        if self.notice:
            os.write(2, f"\n{self.notice}\n".encode())
