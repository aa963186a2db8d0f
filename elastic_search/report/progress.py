"""Progress of a search on stderr: a live line on a terminal, one plain line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from elastic_search.arch.spec import Spec
    from elastic_search.search.evaluator import Epoch, Score

SECONDS_BETWEEN_LINES = 60


class Progress:
    """Hears a search's events and shows device, trial, epoch, the best so far and the time left.

    Args:
        device: its name.
        trials: how many there will be, or None.
        seconds_left: seconds of the budget left, or None without a time limit.
    """

    def __init__(self, device: str, trials: int | None, seconds_left: Callable[[], float | None]) -> None:
        self.device = device
        self.trials = trials
        self.seconds_left = seconds_left
        self._name = ""
        self._now = "preparing"
        self._best: float | None = None
        self._base: float | None = None
        self._said = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), transient=True, refresh_per_second=2, get_renderable=self._render
            )
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._live.stop()

    def known(self, base: float | None, best: float | None) -> None:
        """Accuracies from earlier starts of the run."""
        self._base, self._best = base, best

    def started(self, trial: int | None, spec: Spec) -> None:
        of = f" ({trial + 1}/{self.trials})" if self.trials and trial is not None else ""
        number = "base" if trial is None else f"trial {trial}{of}"
        self._name = f"{number} {'-'.join(map(str, spec.depths))}"
        self._now = f"{self._name}: started"

    def epoch(self, epoch: Epoch) -> None:
        self._now = f"{self._name}: epoch {epoch.number}/{epoch.of}, accuracy {epoch.accuracy:.1%}"
        if self._live is None and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self._say(self._line(self._now))

    def finished(self, trial: int | None, score: Score | None, reason: str) -> None:
        if score is None:
            return self._say(f"{self._name}: failed: {reason}")
        if reason:
            return self._say(self._line(f"{self._name}: accuracy {score.accuracy:.1%}, {reason}"))
        if trial is None:
            self._base = score.accuracy
        elif self._best is None or score.accuracy > self._best:
            self._best = score.accuracy
        self._say(self._line(f"{self._name}: accuracy {score.accuracy:.1%} in {score.seconds:.0f} s"))

    def _line(self, line: str) -> str:
        parts = [line]
        parts += [f"base {self._base:.1%}"] if self._base is not None else []
        parts += [f"best {self._best:.1%}"] if self._best is not None else []
        left = self.seconds_left()
        if left is not None:
            minutes, seconds = divmod(max(0, round(left)), 60)
            hours, minutes = divmod(minutes, 60)
            parts.append(f"{hours}:{minutes:02}:{seconds:02} left")
        return "; ".join(parts)

    def _render(self) -> Text:
        """The live line; asked for twice a second, so that the time left runs."""
        from rich.text import Text

        return Text(f"{self.device} | {self._line(self._now)}", overflow="fold")

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)
