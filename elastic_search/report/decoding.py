"""How many images of a set are decoded, on stderr: a bar on a terminal, else one plain line if it takes long."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from elastic_search.report.waiting import Waiting

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Decoding:
    """Told how many images of how many are decoded.

    Args:
        name: of the images.
    """

    def __init__(self, name: str) -> None:
        self._name, self._plain = name, Waiting(name)
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __call__(self, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            self._plain(f"decoding {total:,} images", done / max(1, total))
            return
        if self._bar is None:
            self._begin(total)
        assert self._bar is not None
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total)

    def clear(self) -> None:
        """Remove the bar from a terminal."""
        self._plain.clear()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _begin(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        # Rich reads square brackets in a description as markup, unless it is told not to.
        self._bar = Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task(f"{self._name}: decoding", total=total)
        self._bar.start()
