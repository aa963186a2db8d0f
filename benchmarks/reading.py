"""CPU time of reading a module against the real tools on it, in turns: ``python benchmarks/reading.py [NAME …]``.

One thread. NAME is package.module:factory, torchvision:NAME (mobilenet_v2 by default) or timm:NAME. Ours is one reading
with the counts of every convention; theirs is a call of each of the six tools.
"""

import statistics
import sys
import time
import warnings
from collections.abc import Callable

import torch
from torch import nn

from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS
from elastic_search.nn.tools import TOOLS
from elastic_search.nn.trace.factory import load_module
from elastic_search.nn.trace.tracing import read

ROUNDS = 5
SIZE = (3, 224, 224)


def seconds(work: Callable[[nn.Module], object], module: nn.Module) -> float:
    started = time.process_time()
    work(module)
    return time.process_time() - started


def ours(module: nn.Module) -> None:
    graph = read(module, SIZE).graph
    for convention in CONVENTIONS.values():
        tally(graph, SIZE, convention)


def theirs(module: nn.Module) -> None:
    for name, (_, counts) in TOOLS.items():
        if name != "authors":
            counts(module, torch.zeros(1, *SIZE))


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in sys.argv[1:] or ["torchvision:mobilenet_v2"]:
        module = load_module(name).eval()
        first = seconds(ours, module), seconds(theirs, module)
        pairs = [(seconds(ours, module), seconds(theirs, module)) for _ in range(ROUNDS)]
        mine, tools = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(f"{name}: ours {1e3 * mine:.0f} ms, the tools {1e3 * tools:.0f} ms: {mine / tools:.2f} x", end="")
        print(f"; the first time {first[0] / first[1]:.2f} x")


if __name__ == "__main__":
    main()
