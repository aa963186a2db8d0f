"""Measured time of modules, taken in turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import time
from statistics import quantiles

import torch
from torch import nn

from elastic_search.arch.ops import Shape
from elastic_search.cost.timing import Timing
from elastic_search.errors import EnvironmentFault

WARM_UP = 3
ROUNDS = (10, 200)
"""Least and most rounds; between them, as many as fit into SECONDS."""
SECONDS = 6.0


def measure_all(modules: list[nn.Module], input: Shape, batch: int, where: torch.device) -> list[Timing]:
    """Time forward passes in inference mode, one per module and round.

    Args:
        modules: what to time; each is moved to the device.
        input: shape of one image.
        batch: images per pass.
        where: the device.

    Raises:
        EnvironmentFault: if the device runs out of memory.
    """
    try:
        images = torch.randn(batch, *input, device=where)
        nets = [module.eval().to(where) for module in modules]
        samples: list[list[float]] = [[] for _ in nets]
        with torch.inference_mode():
            for net in nets:
                for _ in range(WARM_UP):
                    _timed(net, images)
            end = time.monotonic() + SECONDS
            while len(samples[0]) < ROUNDS[0] or (time.monotonic() < end and len(samples[0]) < ROUNDS[1]):
                for net, seconds in zip(nets, samples, strict=True):
                    seconds.append(_timed(net, images) / batch)
    except torch.OutOfMemoryError:
        raise EnvironmentFault(f"a batch of {batch} does not fit into the memory of {where}", "lower --batch") from None
    name = _name(where)
    quartiles = (quantiles(seconds, n=4) for seconds in samples)
    return [Timing(low, median, high, len(samples[0]), batch, name) for low, median, high in quartiles]


def _timed(net: nn.Module, images: torch.Tensor) -> float:
    """Seconds of one pass."""
    wait = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}.get(images.device.type, lambda: None)
    wait()
    start = time.perf_counter()
    net(images)
    wait()
    return time.perf_counter() - start


def _name(where: torch.device) -> str:
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    threads = torch.get_num_threads()
    return f"{where.type}, {threads} thread{'s' if threads > 1 else ''}" if where.type == "cpu" else where.type
