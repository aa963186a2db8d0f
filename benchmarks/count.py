"""How fast a network is built and counted, beside fvcore on the built module in the same run.

    python benchmarks/count.py

"warm" is a depth not seen before, counted by a process that has counted its family before: what a script or a
search does. Then deeper and deeper stages: the time must grow with their blocks. CPU time, on one thread. Limits:
resnext101_elastic under 5 ms, and 1,000 blocks in each of four stages under 6 ms. Exits with 1 if one is exceeded.
"""

from __future__ import annotations

import sys
import time

from elastic_search.arch.edit import HALVES, elastic
from elastic_search.arch.families.resnext import resnext
from elastic_search.arch.ops import image
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE

LIMIT_MS, LONG_LIMIT_MS = 5.0, 6.0


def build_and_count(depths: tuple[int, ...]) -> int:
    return tally(elastic(resnext(depths), HALVES).graph(), image(224, 224), FVCORE).total


def timed_ms(depths: tuple[int, ...]) -> float:
    start = time.process_time()
    build_and_count(depths)
    return 1000 * (time.process_time() - start)


def least_ms(depths: list[tuple[int, ...]]) -> float:
    """The fewest milliseconds of several depths, each counted once."""
    return min(map(timed_ms, depths))


def main() -> None:
    cold = timed_ms((11, 13, 19, 2))
    # Depths around resnext101_elastic's 12-14-20-3, each counted once.
    warm = sorted(timed_ms((a, b, c, 3)) for a in (12, 13) for b in (14, 15) for c in range(20, 30))
    median = warm[len(warm) // 2]
    print(f"resnext101_elastic's neighbours: cold {cold:.2f} ms, warm median {median:.2f} ms, worst {warm[-1]:.2f} ms")
    for blocks in (100, 300, 1000):
        one = least_ms([(3, 4, blocks + i, 3) for i in range(9)])
        all_four = least_ms([(blocks + i,) * 4 for i in range(9)])
        print(f"{blocks:,} blocks in a stage {one:.2f} ms, in each of four {all_four:.2f} ms")

    import torch

    from elastic_search.nn.tools import fvcore_counts
    from elastic_search.nn.verify import empty_net

    torch.set_num_threads(1)
    start = time.process_time()
    net = empty_net(elastic(resnext((12, 14, 20, 3)), HALVES).graph())
    counts, _ = fvcore_counts(net, torch.zeros(1, 3, 224, 224))
    theirs = 1000 * (time.process_time() - start)
    assert sum(counts.values()) == build_and_count((12, 14, 20, 3))
    print(f"building the module and fvcore: {theirs:.0f} ms, {theirs / median:.0f} times as long")
    sys.exit(median > LIMIT_MS or all_four > LONG_LIMIT_MS)


if __name__ == "__main__":
    main()
