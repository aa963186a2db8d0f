"""A training step of the shipped spaces' proxies: a plain eager loop, our loop, and each of our measures alone.

    python benchmarks/train_speed.py                        # on a CPU six minutes of one core
    python benchmarks/train_speed.py --networks demo        # one minute
    python benchmarks/train_speed.py --device cuda

Images per second of CPU time (on a GPU of time) as multiples of the plain loop's, all ways in turn in one process, the
best of several rounds. The plain loop is written as in most tutorials: contiguous images as floats, the modules' own
forms, the loss read in every step. All ways have the same optimiser. Exits with 1 if ours is the slower one.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from elastic_search import elastic, parse_split
from elastic_search.arch.spec import Spec
from elastic_search.data.dataset import Examples
from elastic_search.files import load_space
from elastic_search.nn.init import build
from elastic_search.recipes import Proxy, Training
from elastic_search.train.device import describe, keep_freed_memory
from elastic_search.train.loop import LAYOUTS, Loop, Setting
from elastic_search.train.optim import make_optimizer, set_learning_rate
from elastic_search.train.quick import Quick

DEPTHS = {"demo": (2, 3, 3, 2), "resnext50": (6, 8, 5, 3)}
"""Of an Elastic network in the space's band."""


@dataclass(frozen=True)
class Way:
    """How a step is made; the defaults are the plain loop's.

    Attributes:
        layout: of images and weights.
        kept: whether memory that a step frees is kept for the next one.
        products: whether 1 × 1 convolutions are matrix products.
        forms: whether batch norms do not count and sums are written in place.
        data: whether images are bytes until one operation makes floats of them.
        waits: whether the loss is read in every step.
        bf16: whether the network computes in bfloat16.
        tries: whether cuDNN tries its algorithms.
        graph: whether the step is recorded as a CUDA graph.
        ours: whether it is the package's own loop.
    """

    layout: str = "contiguous"
    kept: bool = False
    products: bool = False
    forms: bool = False
    data: bool = False
    waits: bool = True
    bf16: bool = False
    tries: bool = False
    graph: bool = False
    ours: bool = False


LAST = "channels_last"
ON_CPU = {
    "plain": Way(),
    "channels-last": Way(LAST),
    "freed memory kept": Way(kept=True),
    "norms and sums": Way(forms=True),
    "bytes to the step": Way(data=True),
    "channels-last, products": Way(LAST, products=True),
    "channels-last, bf16": Way(LAST, bf16=True),
    "ours": Way(LAST, kept=True, ours=True),
}
ON_CUDA = {
    "plain": Way(),
    "plain, bf16": Way(bf16=True),
    "channels-last, bf16": Way(LAST, bf16=True),
    "bf16, cudnn.benchmark": Way(bf16=True, tries=True),
    "bf16, no waiting": Way(bf16=True, waits=False),
    "bf16, norms and sums": Way(bf16=True, forms=True),
    "bf16, bytes to the step": Way(bf16=True, data=True),
    "ours, eager": Way(ours=True, tries=True),
    "ours, channels-last, eager": Way(LAST, ours=True, tries=True),
    "ours, graph": Way(ours=True, tries=True, graph=True),
    "ours, channels-last, graph": Way(LAST, ours=True, tries=True, graph=True),
}


def networks(names: list[str]) -> dict[str, tuple[Spec, Proxy, Training]]:
    """The proxies of a space's base and of an Elastic network in its band."""
    found: dict[str, tuple[Spec, Proxy, Training]] = {}
    for name in names:
        plan = load_space(name)
        base = plan.space.base
        of = {"base": base, "elastic": elastic(base.with_depths(DEPTHS[name]), parse_split("1/2,1/2"))}
        found |= {f"{name} {kind}": (plan.proxy.of(spec), plan.proxy, plan.training) for kind, spec in of.items()}
    return found


def images(count: int, edge: int) -> Examples:
    """Random images with something to learn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, (count,), generator=generator)
    found = torch.randint(0, 200, (count, 3, edge, edge), generator=generator, dtype=torch.uint8)
    found[:, 0] += (5 * labels[:, None, None]).to(torch.uint8)
    return Examples(found, labels)


def keep_memory(kept: bool) -> None:
    """Keep freed memory, or give it back as the C library does by itself after some steps."""
    if kept:
        keep_freed_memory.__wrapped__()
    else:
        with suppress(OSError, AttributeError):
            library = ctypes.CDLL(None)
            library.mallopt(-3, 2**25)
            library.mallopt(-1, 2**26)
            library.malloc_trim(0)


def steps_of(way: Way, spec: Spec, training: Training, of: Examples, device: torch.device) -> Callable[[int], Any]:
    """What makes so many steps."""
    net = build(spec, 0, zero_init_last=training.zero_init_last)
    if way.ours:
        loop = Loop(training, of, of, device, Setting(way.layout, "auto" if way.graph else "off"))
        trainee = loop.start(net)
        return lambda count: loop.train_epoch(trainee, 0, 0, lambda: None, count)
    net = net.to(device).to(memory_format=LAYOUTS[way.layout]).train()  # type: ignore[call-overload]
    if way.products or way.forms:
        Quick(net, products=way.products, in_place=way.forms)
    optimizer = make_optimizer(net, training)
    stored, labels = of.images.to(device), of.labels.to(device)
    mean, deviation = (f(stored.float(), (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))

    def batch(at: Tensor, flips: Tensor) -> Tensor:
        flips = flips[:, None, None, None]
        if way.data:
            found = torch.where(flips, stored[at].flip(3), stored[at])
            return torch.addcmul(-mean / deviation, found, 1 / deviation).contiguous(memory_format=LAYOUTS[way.layout])
        found = ((stored[at].float() - mean) / deviation).contiguous(memory_format=LAYOUTS[way.layout])
        return torch.where(flips, found.flip(3), found)

    def plain(count: int) -> None:
        order, total = torch.randperm(len(labels)).to(device), 0.0
        for step in range(count):
            at = order[step * training.batch : (step + 1) * training.batch]
            set_learning_rate(optimizer, step, 100, training)
            with torch.autocast(device.type, torch.bfloat16, enabled=way.bf16):
                found = net(batch(at, torch.rand(len(at), device=device) < 0.5))
                loss = F.cross_entropy(found, labels[at], label_smoothing=training.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if way.waits:
                total += loss.item()

    return plain


def clock(device: torch.device) -> float:
    """Seconds of CPU time; on a GPU of time, once it has done all."""
    if device.type != "cuda":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def measured(
    ways: dict[str, Way], spec: Spec, proxy: Proxy, training: Training, device: torch.device, rounds: int, steps: int
) -> dict[str, float]:
    """Images a second in each way, which take turns."""
    of, best = images(training.batch * steps, proxy.input), dict.fromkeys(ways, float("inf"))
    made = {name: steps_of(way, spec, training, of, device) for name, way in ways.items()}
    for number in range(rounds + 1):
        for name, way in ways.items():
            keep_memory(way.kept)
            torch.backends.cudnn.benchmark = way.tries
            if number == 0:  # chooses kernels, and records
                made[name](min(5, steps))
                continue
            started = clock(device)
            made[name](steps)
            best[name] = min(best[name], clock(device) - started)
    return {name: training.batch * steps / seconds for name, seconds in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="+", default=list(DEPTHS), choices=list(DEPTHS))
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, help="in a round; by default 10 of the demo's, 1 of others on a CPU")
    parser.add_argument("--batch", type=int, help="in place of the recipe's")
    args = parser.parse_args()
    device = torch.device(args.device)
    torch.set_num_threads(1)
    print(f"{describe(device)}, torch {torch.__version__}")
    slower = False
    for name, (spec, proxy, training) in networks(args.networks).items():
        training = replace(training, batch=args.batch or training.batch)
        steps = args.steps or (10 if name.startswith("demo") or device.type == "cuda" else 1)
        ways = ON_CUDA if device.type == "cuda" else ON_CPU
        found = measured(ways, spec, proxy, training, device, args.rounds, steps)
        plain = found["plain"]
        print(f"\n{name}: {training.batch} images of {proxy.input} px; plain {plain:,.0f} images/s", flush=True)
        for way, speed in found.items():
            print(f"  {way:28}{speed / plain:6.2f} ×", flush=True)
        slower |= max(speed for way, speed in found.items() if way.startswith("ours")) < plain
    sys.exit(slower)


if __name__ == "__main__":
    main()
