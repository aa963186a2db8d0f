"""How much work it is to count a space, known before it is begun; and who is told while it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from elastic_search.errors import SpaceTooLargeError
from elastic_search.space.lattice import LONG, SAFE, Extent, Pairs, effort, united

MAX_EFFORT = 4_000_000_000
"""Most effort (see ``lattice.effort``) of joining stages: about a minute on one core."""

MAX_STAGES = 400_000_000
"""Most effort of making the stages alone, which has to be done before the rest is known: about a second."""

MAX_ROWS = 45_000_000
"""Most different costs of the halves of networks, of 16 bytes each."""

MAX_ROWS_BESIDE_TRAINING = 9_000_000
"""The same in a process that also trains: torch and a proxy take some 0.8 GB, and both together stay below 1 GB."""

Watch = Callable[[str, float], object]
"""Is told what is being done, and which share of it is done."""


def unwatched(doing: str, share: float) -> None:
    """Tells nobody."""


class Work:
    """The effort of a count: first planned, then done.

    Args:
        most: effort that may be planned for the stages.
        watch: is told how much is done.
        rows: that may be kept.
    """

    def __init__(self, most: int = MAX_STAGES, watch: Watch = unwatched, rows: int = MAX_ROWS) -> None:
        self.left, self._watch, self._most_rows = most, watch, rows
        self.planned = self.rows = self._done = 0

    def stage(self, pairs: Pairs) -> None:
        """Plan a product within a stage.

        Raises:
            SpaceTooLargeError: if the stages are too much work.
        """
        self.left -= effort(pairs)
        if self.left < 0:
            raise SpaceTooLargeError("the space has too many networks to be counted exactly")

    def plan(self, pairs: Pairs) -> Extent:
        """Plan a product of stages, and return the extent that it will have."""
        self.planned += effort(pairs)
        return united(pairs)

    def keep(self, halves: Iterable[Extent]) -> None:
        """Plan to keep distributions."""
        self.rows += sum(half.rows * (1 if half.total < SAFE else LONG) for half in halves)

    def begin(self) -> None:
        """All is planned.

        Raises:
            SpaceTooLargeError: if it is too much.
        """
        times = max(self.planned / MAX_EFFORT, self.rows / self._most_rows)
        if times > 1:
            raise SpaceTooLargeError(
                f"counting the networks of the space exactly takes {times:.2g} times the work or memory that is allowed"
            )

    def done(self, pairs: Pairs) -> None:
        """A product of stages is made."""
        self._done += effort(pairs)
        self._watch("counting networks", self._done / self.planned)
