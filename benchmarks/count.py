"""How fast a network is built and counted, beside fvcore on the built module in the same run.

    python benchmarks/count.py

"warm" is a depth not seen before, counted by a process that has counted its family before: what a script or a
search does. Limit: resnext101_elastic under 5 ms. Exits with 1 if it is exceeded.
"""

from __future__ import annotations

import sys
import time

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE

LIMIT_MS = 5.0


def build_and_count(depths: tuple[int, ...]) -> int:
    return tally(elastic(resnext(depths), HALVES).graph(), image(224, 224), FVCORE).total


def timed_ms(depths: tuple[int, ...]) -> float:
    start = time.perf_counter()
    build_and_count(depths)
    return 1000 * (time.perf_counter() - start)


def main() -> None:
    cold = timed_ms((11, 13, 19, 2))
    # Depths around resnext101_elastic's 12-14-20-3, each counted once.
    warm = sorted(timed_ms((a, b, c, 3)) for a in (12, 13) for b in (14, 15) for c in range(20, 30))
    median = warm[len(warm) // 2]
    print(f"resnext101_elastic's neighbours: cold {cold:.2f} ms, warm median {median:.2f} ms, worst {warm[-1]:.2f} ms")

    import torch

    from elastic_search.nn.tools import fvcore_counts
    from elastic_search.nn.verify import empty_net

    start = time.perf_counter()
    net = empty_net(elastic(resnext((12, 14, 20, 3)), HALVES).graph())
    counts, _ = fvcore_counts(net, torch.zeros(1, 3, 224, 224))
    theirs = 1000 * (time.perf_counter() - start)
    assert sum(counts.values()) == build_and_count((12, 14, 20, 3))
    print(f"building the module and fvcore: {theirs:.0f} ms, {theirs / median:.0f} times as long")
    sys.exit(median > LIMIT_MS)


if __name__ == "__main__":
    main()
