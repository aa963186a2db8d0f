"""What a long count is doing, on stderr: a line that is rewritten on a terminal, else one plain line."""

from __future__ import annotations

import sys
import time

from elastic_search.report.text import clock

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
        self._live, self._said = sys.stderr.isatty(), False

    def __call__(self, doing: str, share: float) -> None:
        now = time.monotonic()
        if self._doing not in ("", doing):
            self._since = now
        self._doing = doing
        if share >= 1:
            self.clear()
        elif share > 0 and now - self._started >= QUIET_SECONDS and (self._live or not self._said):
            left = clock((now - self._since) * (1 - share) / share)
            line = f"{self._name}: {doing}: {share:.0%} done, about {left} left"
            print(
                f"\r{line}\x1b[K" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True
            )
            self._said = True

    def clear(self) -> None:
        """Remove the line from a terminal."""
        if self._live and self._said:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
