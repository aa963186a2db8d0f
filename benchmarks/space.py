"""How fast spaces are counted and drawn from.

    python benchmarks/space.py

Limits: a stage-level space of about 10^10 networks counted in 0.1 s, a draw in 0.1 ms; a space of about 10^31 whose
blocks choose counted in 10 s, a draw in 5 ms. Exits with 1 if one is exceeded.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from elastic_search.files import load_space
from elastic_search.space.choice import Space
from elastic_search.space.match import Matcher

DRAWS = 1000


def main() -> None:
    plan = load_space("resnext50")
    band, ours = plan.band, plan.space
    depths = (range(1, 31), range(1, 31), range(1, 41), range(1, 16))
    wide = Space(ours.base, tuple(map(tuple, depths)), (*ours.splits,), ours.resampling)
    blocks = Space(ours.base, ours.depths, ours.splits, ours.resampling[:1], "block")
    slow = False
    for name, space, count_s, draw_ms in (("stage", wide, 0.1, 0.1), ("block", blocks, 10.0, 5.0)):
        start = time.perf_counter()
        matcher = Matcher(space, band.convention, band.input)
        inside = matcher.count(band.low, band.high)
        first = time.perf_counter() - start
        start = time.perf_counter()
        matcher.count(band.low + 1, band.high)
        again = time.perf_counter() - start
        rng = np.random.default_rng(0)
        matcher.sample(band, 1, rng)
        start = time.perf_counter()
        drawn = [candidate.values for candidate in matcher.sample(band, DRAWS, rng)]
        each = 1000 * (time.perf_counter() - start) / len(drawn)
        print(f"per {name}: {inside:,} of {matcher.size:,} networks: {first:.3f} s, another band {again:.3f} s")
        print(f"  a draw: {each:.3f} ms")
        slow = slow or first > count_s or each > draw_ms
    sys.exit(slow)


if __name__ == "__main__":
    main()
