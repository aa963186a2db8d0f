"""Progress of a search on stderr: a live line on a terminal, one plain line an event elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from elastic_search.report.text import clock, dashed

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from elastic_search.search.evaluator import Epoch, Score

SECONDS_BETWEEN_LINES = 60


class Progress:
    """Shows what a search's workers do: device, trials, epochs, the best so far and the time left.

    Args:
        device: its name.
        trials: how many there will be, or None.
        seconds_left: seconds of the budget left, or None without a time limit.
    """

    def __init__(self, device: str, trials: int | None, seconds_left: Callable[[], float | None]) -> None:
        self.device = device
        self.trials = trials
        self.seconds_left = seconds_left
        self._now: dict[int, str] = {}
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

    def of(self, worker: int) -> Watched:
        """An observer of one worker."""
        return Watched(self, worker)

    def now(self, worker: int, what: str) -> None:
        """What a worker is doing."""
        self._now[worker] = what
        if self._live is None and time.monotonic() - self._said >= SECONDS_BETWEEN_LINES:
            self.say(what)

    def scored(self, trial: int | None, accuracy: float) -> None:
        """A network was trained to the end."""
        if trial is None:
            self._base = accuracy
        elif self._best is None or accuracy > self._best:
            self._best = accuracy

    def _line(self, line: str) -> str:
        parts = [line]
        parts += [f"base {self._base:.1%}"] if self._base is not None else []
        parts += [f"best {self._best:.1%}"] if self._best is not None else []
        left = self.seconds_left()
        if left is not None:
            parts.append(clock(left, " left"))
        return "; ".join(parts)

    def _render(self) -> Text:
        """The live line; asked for twice a second, so that the time left runs."""
        from rich.text import Text

        doing = [now for _, now in sorted(self._now.items())] or ["preparing"]
        return Text(f"{self.device} | " + self._line("\n".join(doing)), overflow="fold")

    def say(self, what: str, alone: bool = False) -> None:
        """A line that stays; ``alone`` leaves out the best so far and the time left."""
        line = what if alone else self._line(what)
        self._said = time.monotonic()
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


class Watched:
    """Hears one worker's events and passes on what is shown of them."""

    def __init__(self, progress: Progress, worker: int) -> None:
        self._progress, self._worker = progress, worker
        self._name = ""
        self._again = False

    def started(self, trial: int | None, depths: tuple[int, ...], pending: dict[str, Any]) -> None:
        trials = self._progress.trials
        of = f" ({trial + 1}/{trials})" if trials and trial is not None else ""
        self._again = bool(pending.get("again"))
        number = "base" if trial is None else f"trial {trial}{of}"
        if self._again:
            number = f"trial {trial} again, seed {pending['seed']}"
        self._name = f"{number} {dashed(depths)}"
        self._progress.now(self._worker, f"{self._name}: started")

    def epoch(self, epoch: Epoch) -> None:
        self._progress.now(
            self._worker, f"{self._name}: epoch {epoch.number}/{epoch.of}, accuracy {epoch.accuracy:.1%}"
        )

    def finished(self, trial: int | None, score: Score | None, reason: str) -> None:
        if score is None:
            return self._progress.say(f"{self._name}: failed: {reason}", alone=True)
        if reason:
            return self._progress.say(f"{self._name}: accuracy {score.accuracy:.1%}, {reason}")
        if not self._again:
            self._progress.scored(trial, score.accuracy)
        self._progress.say(f"{self._name}: accuracy {score.accuracy:.1%} in {score.seconds:.0f} s")
