"""The cost of counting resnext50 and resnext50_elastic: ours against the tools that build and run modules, in one run.

    python benchmarks/tools.py [--repeats 3] [--python PATH]

All run with one thread. "cold" is a process that does nothing else: CPU time (user and system) and peak memory of
``elastic-search flops resnext50 --elastic``, and of a script that imports a tool, builds the two modules and counts
them. "warm" is one count of one network in a process that has counted before: ours of a depth not seen before,
building its graph too; a tool's of a module that is built already. Needs the ``tools`` extra; an editable install may
compile its sources at every start, so give ``--python`` one that holds the wheel. Ratios are to ours, by the smallest
of the repeats.

Aims: fvcore at least 45 × our CPU time cold, every other tool 30 ×, and all 300 × warm. Exits with 1 if one is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from elastic_search.errors import ElasticError

SCRIPT = """
import torch
torch.set_num_threads(1)
from elastic_search.arch.zoo import published
from elastic_search.nn.net import Net
from elastic_search.nn.tools import TOOLS
for network in ("resnext50", "resnext50_elastic"):
    net = Net(published(network).graph()).eval()
    print(sum(TOOLS[{name!r}][1](net, torch.zeros(1, 3, 224, 224)).values()))
"""
NAMES = ("fvcore", "torch", "ptflops", "ptflops-aten", "thop", "torchinfo")
COLD_AIMS, COLD_AIM, WARM_AIM = {"fvcore": 45}, 30, 300


def cold(command: list[str]) -> tuple[float, float]:
    """CPU seconds and peak MiB of one process."""
    out = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
    _, status, used = os.wait4(pid, 0)
    os.close(out)
    if status:
        raise SystemExit(f"{command} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / (1024 if sys.platform == "linux" else 2**20)


def best(measure: Callable[[], tuple[float, float]], repeats: int) -> tuple[float, float]:
    """The smallest of each quantity."""
    runs = [measure() for _ in range(repeats)]
    return min(run[0] for run in runs), min(run[1] for run in runs)


def warm_ours(repeats: int) -> float:
    """Seconds of building and counting a network of depths not seen before, the median."""
    from elastic_search.arch.families.resnext import resnext
    from elastic_search.arch.ops import image
    from elastic_search.cost.tally import tally
    from elastic_search.cost.tools import FVCORE

    times = []
    for depth in range(6, 12 + 2 * repeats):
        start = time.process_time()
        tally(resnext((3, 4, depth, 3)).graph(), image(224, 224), FVCORE)
        times.append(time.process_time() - start)
    return sorted(times[3:])[len(times[3:]) // 2]


def warm_tool(name: str, repeats: int) -> float:
    """CPU seconds of a tool's count of a module that is built, the smallest."""
    import torch

    from elastic_search.arch.zoo import published
    from elastic_search.nn.net import Net
    from elastic_search.nn.tools import TOOLS

    torch.set_num_threads(1)
    net, images = Net(published("resnext50").graph()).eval(), torch.zeros(1, 3, 224, 224)
    times = []
    for _ in range(repeats + 1):
        start = time.process_time()
        TOOLS[name][1](net, images)
        times.append(time.process_time() - start)
    return min(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--python", default=sys.executable, help="of an environment that holds the wheel, for our command"
    )
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported, here and in what is started
    # Isolated (-I), so that the wheel is started and not a checkout that PYTHONPATH names.
    command = [chosen.python, "-I", "-m", "elastic_search", "flops", "resnext50", "--elastic"]
    seconds, memory = best(lambda: cold(command), 5 * chosen.repeats)
    ours = warm_ours(chosen.repeats)
    print(f"{'':14}{'cold CPU s':>12}{'ratio':>8}{'peak MiB':>10}{'ratio':>8}{'warm CPU ms':>13}{'ratio':>8}")
    print(f"{'ours':14}{seconds:12.3f}{'':8}{memory:10.0f}{'':8}{1000 * ours:13.2f}")
    missed = False
    for name in NAMES:
        script = [sys.executable, "-c", SCRIPT.format(name=name)]
        try:
            warm = warm_tool(name, chosen.repeats)
        except ElasticError as error:
            print(f"{name:14}left out: {error.message}")
            continue
        cpu, peak = best(lambda script=script: cold(script), chosen.repeats)  # type: ignore[misc]
        missed |= cpu / seconds < COLD_AIMS.get(name, COLD_AIM) or warm / ours < WARM_AIM
        line = f"{name:14}{cpu:12.2f}{cpu / seconds:8.0f}{peak:10.0f}{peak / memory:8.1f}"
        print(f"{line}{1000 * warm:13.0f}{warm / ours:8.0f}")
    sys.exit(missed)


if __name__ == "__main__":
    main()
