"""Everything that needs a GPU to be measured, in a few minutes: writes a page with the device's name.

    benchmarks/gpu.sh [--wheels DIR] [--out docs/gpu.md]      # calls this where torch is
    benchmarks/gpu.sh --device cpu --small                    # that it runs, in under a minute

Speed of a training step, peak memory beside our estimate, equal training with graph and layouts, a search, and two
trainers on one GPU. A part that fails is named on the page, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from train_speed import ON_CPU, ON_CUDA, images, measured, networks

from elastic_search import __version__
from elastic_search.arch.ops import Shape
from elastic_search.cost.memory import memory
from elastic_search.files import SearchSpace, load_space, parse_space
from elastic_search.nn.init import build
from elastic_search.recipes import recipe_dict
from elastic_search.search.evaluator import PROXY_EVALUATOR, Named
from elastic_search.search.run import search
from elastic_search.train.device import describe, tuned
from elastic_search.train.loop import Loop, Setting

TINY = """
schema = 1
base = "resnext26"
[depths]
layer1 = "1..4"
layer2 = "2..5"
layer3 = "2..5"
layer4 = [2]
[splits]
per = "network"
choices = ["1/2,1/2"]
[proxy]
width = "1/16"
input = 16
epochs = 1
train_images = 40
test_images = 20
batch = 10
smallest_object = 12
learning_rate = 0.002
"""
"""A space for the small form."""

Rows = Iterator[str]
"""Lines of the page."""


class Bench:
    """The parts of the page.

    Args:
        device: what is measured.
        small: only shows that everything runs.
    """

    def __init__(self, device: torch.device, small: bool) -> None:
        self.device, self.small = device, small
        names = ["demo"] if small else ["demo", "resnext50"]
        self.networks = dict(list(networks(names).items())[: 1 if small else None])
        if small:
            self.networks = {name: (*of[:2], replace(of[2], batch=8)) for name, of in self.networks.items()}

    def speed(self) -> Rows:
        """Training steps, images/s as multiples of a plain eager loop's."""
        ways = ON_CUDA if self.device.type == "cuda" else ON_CPU
        rounds, steps = (1, 1) if self.small else (3, 20)
        found = {name: measured(ways, *of, self.device, rounds, steps) for name, of in self.networks.items()}
        yield f"| way | {' | '.join(found)} |"
        yield f"| :-- |{' --: |' * len(found)}"
        plain = {name: of["plain"] for name, of in found.items()}
        yield f"| plain, images/s | {' | '.join(f'{speed:,.0f}' for speed in plain.values())} |"
        for way in ways:
            yield f"| {way} | {' | '.join(f'{of[way] / plain[name]:.2f} ×' for name, of in found.items())} |"

    def memory(self) -> Rows:
        """Peak of a step in float32, without a graph, beside the estimate (``flops --training``)."""
        if self.device.type != "cuda":
            yield "Only a GPU's allocator tells its peak."
        yield "| network | estimate, MiB | measured, MiB | difference |"
        yield "| :-- | --: | --: | --: |"
        for name, (spec, proxy, training) in self.networks.items():
            training = replace(training, optimizer="adamw")
            estimate = memory(spec.graph(), Shape(3, proxy.input, proxy.input), training.batch, 4, "adamw")
            ours, theirs = estimate.total_training, self._peak(build(spec, 0), proxy.input, training.batch)
            cells = f"{theirs / 2**20:.1f} | {100 * (ours / theirs - 1):+.1f} %" if theirs else "- | -"
            yield f"| {name}, batch {training.batch} | {ours / 2**20:.1f} | {cells} |"

    def _peak(self, net: torch.nn.Module, edge: int, batch: int) -> int:
        """Bytes allocated at most in a plain step, besides what was there; 0 where nobody counts."""
        counts = self.device.type == "cuda"
        if counts:
            torch.cuda.empty_cache()
            before = torch.cuda.memory_allocated()
        net = net.to(self.device).train()
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)
        x = torch.zeros(batch, 3, edge, edge, device=self.device)
        for _ in range(2):  # the first makes the optimiser's state
            if counts:
                torch.cuda.reset_peak_memory_stats()
            optimizer.zero_grad()
            net(x).sum().backward()
            optimizer.step()
        return torch.cuda.max_memory_allocated() - before if counts else 0

    def equality(self) -> Rows:
        """Mean losses of epochs with every setting, and how far the weights are from those of the first one.

        The first setting twice shows what the device's own variation is.
        """
        name, (spec, proxy, training) = list(self.networks.items())[-1]
        steps, epochs = (2, 2) if self.small else (30, 3)
        training = replace(training, optimizer="adamw", learning_rate=0.002, epochs=epochs)
        of = images(training.batch * steps, proxy.input)
        yield f"{name}, {epochs} epochs of {steps} steps, AdamW"
        yield ""
        yield "| layout | graph | mean loss of each epoch | distance of the weights |"
        yield "| :-- | :-- | :-- | --: |"
        first: torch.Tensor | None = None
        eager = Setting("contiguous", "off")
        last = Setting("channels_last", "off")
        for setting in (eager, eager, eager._replace(graph="auto"), last, last._replace(graph="auto")):
            loop = Loop(training, of, of, self.device, setting)
            trainee = loop.start(build(spec, 0))
            losses = [loop.train_epoch(trainee, 0, epoch, lambda: None) for epoch in range(epochs)]
            state = trainee.state
            trainee.close()
            weights = torch.cat([p.detach().double().flatten() for p in trainee.net.parameters()])
            first = weights if first is None else first
            apart = float((weights - first).norm() / first.norm())
            yield f"| {setting.layout} | {state} | {', '.join(f'{loss:.4f}' for loss in losses)} | {apart:.1e} |"

    def two_minutes(self) -> Rows:
        """A search."""
        space = self._space("resnext50")
        seconds, trials = (None, 1) if self.small else (120.0, None)
        with tempfile.TemporaryDirectory() as root:
            started = time.monotonic()
            run = search(space, self._job(space), seconds=seconds, trials=trials, root=root, counter=None)
            took = time.monotonic() - started
            rows = run.rows()
            chosen = run.folder.chosen().get("layout", "the usual one")
        epochs = sum(len(row.result.curve) for row in rows)
        yield f"{space.name}: {len(rows) - 1} networks and the base, {epochs} epochs of {space.training.train_images:,}"
        yield f"images in {took:.0f} s; an epoch takes {run.pace.cheapest:.2f} to {run.pace.dearest:.2f} s; layout:"
        yield f"{chosen}. Best: {max(row.result.accuracy or 0.0 for row in rows):.1%}."

    def two_trainers(self) -> Rows:
        """The same trainings by one process, and by two that share the device."""
        space = self._space("demo")
        trials, times = 2 if self.small else 6, {}
        for workers in (1, 2):
            with tempfile.TemporaryDirectory() as root:
                job = self._job(space, workers)
                begun = time.monotonic()
                run = search(space, job, trials=trials, root=root, counter=None, workers=workers, halving=False)
                times[workers] = time.monotonic() - begun
                assert len(run.folder.trials()) >= trials
        yield f"{space.name}, {trials} networks and the base: {times[1]:.0f} s by one trainer, {times[2]:.0f} s by two,"
        yield f"start and measuring included: {times[1] / times[2]:.2f} × as fast."

    def _space(self, name: str) -> SearchSpace:
        return parse_space(TINY, "tiny", "tiny.toml") if self.small else load_space(name)

    def _job(self, space: SearchSpace, trainers: int = 1) -> Named:
        recipe = recipe_dict(space.proxy, space.training)
        return Named(PROXY_EVALUATOR, {"recipe": recipe, "device": self.device.type, "trainers": trainers})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="only show that everything runs")
    parser.add_argument("--out", help="the page; by default it is printed only")
    args = parser.parse_args()
    device = torch.device(args.device, 0) if args.device == "cuda" else torch.device("cpu")
    begun, bench, failed = time.monotonic(), Bench(device, args.small), False
    parts = {
        "Equal training": bench.equality, "Speed of a step": bench.speed, "Peak memory": bench.memory,
        "A search of two minutes": bench.two_minutes, "Two trainers": bench.two_trainers,
    }  # fmt: skip
    lines = [f"# Measured on {describe(device)}", "", f"By `benchmarks/gpu.sh`: elastic-search {__version__}, torch "
             f"{torch.__version__}, Python {platform.python_version()}."]  # fmt: skip
    for title, part in parts.items():
        print(f"{time.monotonic() - begun:4.0f} s  {title}", file=sys.stderr, flush=True)
        lines += ["", f"## {title}", "", " ".join((part.__doc__ or "").split()), ""]
        try:
            with tuned(device):
                lines += list(part())
        except Exception as error:  # the other parts are measured all the same
            traceback.print_exc()
            lines.append(f"Failed: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            failed = True
        if args.out:
            Path(args.out).write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"{time.monotonic() - begun:4.0f} s", file=sys.stderr)
    sys.exit(failed)


if __name__ == "__main__":
    main()
