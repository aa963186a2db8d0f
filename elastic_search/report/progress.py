"""Progress of a search on stderr: a live line on a terminal, else one plain line per event."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from elastic_search.report.accuracies import LONG
from elastic_search.report.searches import plan_report
from elastic_search.report.text import clock, dashed

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from elastic_search.search.evaluator import Epoch
    from elastic_search.search.plan import Forecast
    from elastic_search.search.run import Run
    from elastic_search.search.store.result import Result

SECONDS_BETWEEN_LINES = 60
MEASURES = LONG | {"accuracy": "accuracy"}


class Progress:
    """Shows a run and what its workers do: the plan, trials, epochs, the best so far and the time left.

    Args:
        cautions: notes to print with the plan.
    """

    def __init__(self, *cautions: str) -> None:
        self._cautions, self._where = cautions, ""
        self.trials: int | None = None
        self.seconds_left: Callable[[], float | None] = lambda: None
        self._now: dict[int, str] = {}
        self._best: float | None = None
        self._base: float | None = None
        self._said = time.monotonic()
        self._live: Live | None = None
        self.measure = MEASURES["accuracy"]
        self._asked_to_stop: Callable[[], str] = lambda: ""

    def note(self, what: str) -> None:
        self.say(what, alone=True)

    def planned(self, run: Run, fits: Forecast) -> None:
        table = plan_report(run, fits)
        lines = [f"{row['name']}: {row['text']}" for row in table.rows if row]
        for line in (*lines, *table.notes, *self._cautions):
            self.note(line)

    @contextmanager
    def watching(self, run: Run, left: Callable[[], float | None]) -> Iterator[None]:
        """Show a live line on a terminal, starting with the accuracies known from earlier starts."""
        self._where, self.trials = run.title if run.settings.workers > 1 else run.device, run.settings.trials
        self.measure = MEASURES[run.space.training.metric]
        known = {row.rank: row.result.accuracy for row in run.rows()}
        self._base, self._best, self.seconds_left = known.get("base"), known.get("1"), left
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                console=Console(stderr=True), transient=True, refresh_per_second=2, get_renderable=self._render
            )
            self._live.start()
            # Written to the terminal as it comes, a notice would be where the line is drawn next.
            notice, run.stop.notice = run.stop.notice, ""
            self._asked_to_stop = lambda: "" if run.stop.received is None else notice
        try:
            yield
        finally:
            if self._live is not None:
                run.stop.notice = notice
            if self._live is not None:
                self._live.stop()
                self._live = None

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
        elif trial >= 0 and (self._best is None or accuracy > self._best):
            self._best = accuracy

    def _line(self, line: str) -> str:
        known = (("base", self._base), ("best", self._best))
        parts = [line, *(f"{name} {accuracy:.1%}" for name, accuracy in known if accuracy is not None)]
        if (left := self.seconds_left()) is not None:
            parts.append(clock(left, " left"))
        return "; ".join(parts)

    def _render(self) -> Text:
        """The live line, rendered twice a second to keep the time left current."""
        from rich.text import Text

        doing = [now for _, now in sorted(self._now.items())] or ["preparing"]
        line = f"{self._where} | " + self._line("\n".join(doing))
        asked = self._asked_to_stop()
        return Text(f"{line}\n{asked}" if asked else line, overflow="fold")

    def say(self, what: str, alone: bool = False) -> None:
        """Print a line; ``alone`` omits the best accuracy so far and the time left."""
        line = what if alone else self._line(what)
        self._said = time.monotonic()
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=sys.stderr, flush=True)


class Watched:
    """Receives the events of one worker and passes on those that are shown."""

    def __init__(self, progress: Progress, worker: int) -> None:
        self._progress, self._worker = progress, worker
        self._name, self._again = "", False

    def started(self, pending: Result, depths: tuple[int, ...], again: bool) -> None:
        trial, trials, self._again = pending.number, self._progress.trials, again
        of = f" ({trial + 1}/{trials})" if trials and trial is not None and trial >= 0 else ""
        number = "base" if trial is None else "scaled base" if trial < 0 else f"trial {trial}{of}"
        if again:
            number = f"trial {trial} again, seed {pending.seed}"
        self._name = f"{number} {dashed(depths)}"
        self._progress.now(self._worker, f"{self._name}: started")

    def epoch(self, epoch: Epoch) -> None:
        self._progress.now(
            self._worker,
            f"{self._name}: epoch {epoch.number}/{epoch.of}, {self._progress.measure} {epoch.accuracy:.1%}",
        )

    def finished(self, result: Result, why: str) -> None:
        if result.accuracy is None:
            return self._progress.say(f"{self._name}: failed: {why}", alone=True)
        if why:
            return self._progress.say(f"{self._name}: {self._progress.measure} {result.accuracy:.1%}, {why}")
        if not self._again:
            self._progress.scored(result.number, result.accuracy)
        measured = f"{self._progress.measure} {result.accuracy:.1%}"
        self._progress.say(f"{self._name}: {measured} in {result.seconds:.0f} s")
