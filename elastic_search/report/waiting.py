"""What a long count is doing, on stderr: a line that is rewritten on a terminal, else one plain line."""

from __future__ import annotations

import sys
import time

from elastic_search.report.text import clock

REPAINT_SECONDS = 0.5
QUIET_SECONDS = 2.0
"""A count that takes no longer says nothing."""


class Waiting:
    """Told what is being done and which share of it is done; says so once it has lasted.

    Args:
        name: of what is counted.
    """

    def __init__(self, name: str) -> None:
        self._name, self._doing = name, ""
        self._started = self._since = time.monotonic()
        self._next = self._started + QUIET_SECONDS
        self._live, self._shown = sys.stderr.isatty(), False

    def __call__(self, doing: str, share: float) -> None:
        now = time.monotonic()
        if self._doing not in ("", doing):
            self._since = now
        self._doing = doing
        if share >= 1:
            self.clear()
        elif share > 0 and now >= self._next:
            left = clock((now - self._since) * (1 - share) / share)
            line = f"{self._name}: {doing}: {share:.0%} done, about {left} left"
            if self._live:
                print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
                self._next, self._shown = now + REPAINT_SECONDS, True
            else:
                print(line, file=sys.stderr, flush=True)
                self._next = float("inf")

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._shown = False
