"""Signals that ask a search to stop."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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

    @contextmanager
    def listening(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt  # unwinds, so that the terminal gets its cursor back
        self.received, self.at = number, time.monotonic()
        if self.notice:
            os.write(2, f"\n{self.notice}\n".encode())
