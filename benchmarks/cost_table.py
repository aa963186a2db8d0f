"""The costs of millions of configurations at once, exactly: sums of looked-up stage costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from elastic_search.arch.ops import Shape
from elastic_search.cost.convention import Convention
from elastic_search.errors import SpecError
from elastic_search.space.choice import Space
from elastic_search.space.parts import Parts, Quantity

CHUNK = 1 << 15
"""Configurations that are looked up at once: few enough to stay in a core's cache."""


class CostTable:
    """Costs of an arm's networks by the numbers of their stages' options.

    Args:
        space: whose stages or network choose their splits; blocks that choose have no options to number.
        arm: number of the arm.
        convention: of the cost.
        input: shape of the image.
    """

    def __init__(self, space: Space, arm: int, convention: Convention, input: Shape) -> None:
        if space.splits_per == "block":
            raise SpecError("a table of costs numbers the options of stages: splits per block have none")
        of = space.arms[arm]
        parts = Parts(of.base, (Quantity(convention, input),))
        (self._stem,), first = parts.stem()
        self.tables: list[NDArray[np.int64]] = []
        self._next: list[NDArray[np.intp]] = []
        states = {first: 0}
        for i, options in enumerate(of.stages):
            made = [parts.stage(i, o.stage, o.depth, shapes) for shapes in states for o in options]
            states = {out: n for n, out in enumerate(dict.fromkeys(out for _, out in made))}
            self._next.append(np.array([states[out] for _, out in made], np.intp))
            self.tables.append(np.array([cost for (cost,), _ in made], np.int64))
        heads = np.array([parts.head(out)[0] for out in states], np.int64)
        self.tables[-1] += heads[self._next[-1]]
        self._next[-1][:] = 0  # nothing follows
        self.sizes = tuple(map(len, of.stages))

    def costs(self, options: Sequence[NDArray[np.intp]]) -> NDArray[np.int64]:
        """Costs of N configurations.

        Args:
            options: for each stage [N] numbers of its options.

        Raises:
            IndexError: if a number is not one of an option.
        """
        total = np.empty(len(options[0]), np.int64)
        coupled = [bool(following.any()) for following in self._next]
        part = np.empty(CHUNK, np.int64)
        for start in range(0, len(total), CHUNK):
            rows = slice(start, min(start + CHUNK, len(total)))
            out, more = total[rows], part[: rows.stop - start]
            out.fill(self._stem)
            state: NDArray[np.intp] | None = None
            for i, table in enumerate(self.tables):
                at = options[i][rows]
                if int(at.view(np.uintp).max()) >= self.sizes[i]:  # negative numbers are large ones
                    raise IndexError(f"options are numbered from 0 to {self.sizes[i] - 1}")
                if state is not None:
                    at = at + state * self.sizes[i]
                # The numbers are known to be legal, and clipping spares NumPy a buffer.
                table.take(at, out=more, mode="clip")
                out += more
                state = self._next[i][at] if coupled[i] else None
        return total
