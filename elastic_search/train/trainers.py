"""How many processes train on this machine."""

from __future__ import annotations

from typing import Literal

import torch

from elastic_search.errors import UsageError
from elastic_search.train.device import usable_cores

MOST = 64
"""Most training processes of a search."""


def sharing(number: int, device: torch.device) -> int:
    """Most of so many training processes that have one device: they take GPUs in turn, and all share one CPU."""
    return -(-number // torch.cuda.device_count()) if device.type == "cuda" else number


def trainers(workers: int | Literal["auto"], per_gpu: int | None, device: torch.device) -> int:
    """Number of training processes.

    Args:
        workers: a number, or "auto" for ``per_gpu`` processes on each GPU, or one for each core without GPUs.
        per_gpu: processes that share a GPU; None for one.
        device: of the first process.

    Raises:
        UsageError: if ``per_gpu`` is given without CUDA, or ``workers`` is more than the GPUs then take.
    """
    if device.type != "cuda":
        if per_gpu is not None:
            raise UsageError(f"--trainers-per-gpu needs CUDA, but the device is {device.type}", "use --workers")
        if workers == "auto":
            return min(MOST, usable_cores()) if device.type == "cpu" else 1
        return workers
    room = torch.cuda.device_count() * (per_gpu or 1)
    if workers == "auto":
        return min(MOST, room)
    if per_gpu is not None and workers > room:
        raise UsageError(
            f"--workers {workers} with --trainers-per-gpu {per_gpu}: the GPUs here take {room}", "use auto"
        )
    return workers
