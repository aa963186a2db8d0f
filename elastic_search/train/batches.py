"""Batches of uint8 images: from the device, or, where the set is too large for it, from the memory map of its file."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from elastic_search.data.augment import Draws, draw
from elastic_search.data.dataset import Examples

SHARE = 4
"""A set stays on the device if it takes at most one part in so many of the memory that is free for a trainer."""

AHEAD = 3
"""Batches that are read before they are needed."""


class Batch(NamedTuple):
    """Images [B, C, S, S] (uint8), labels [B], flips [B] and moves [B, 2] or None; see ``data.augment``."""

    images: Tensor
    labels: Tensor
    flips: Tensor
    moves: Tensor | None


class Batches(Protocol):
    """The training images, batch by batch.

    A step is told what to train on by a few tensors of fixed shapes (``inputs``), and makes a batch of them (``read``):
    a CUDA graph copies the first and holds the second.
    """

    def begin(self, seed: int, epoch: int) -> None:
        """Draw the order of an epoch."""

    def inputs(self, step: int) -> tuple[Tensor, ...]:
        """Tensors on the device that say what a step of the epoch trains on; asked for once each, in turn."""

    def read(self, *inputs: Tensor) -> Batch:
        """The batch."""


class Room:
    """How much a trainer may keep on a device.

    Args:
        device: holds images.
        trainers: processes that share it.
        free: bytes that are free; by default as found.
    """

    def __init__(self, device: torch.device, trainers: int = 1, free: int | None = None) -> None:
        self.device = device
        self.left = (free_memory(device) if free is None else free) / SHARE / trainers

    def placed(self, examples: Examples, layout: torch.memory_format) -> tuple[Examples, bool]:
        """The examples with their images on the device, if there is room; and whether there was.

        Args:
            examples: with images anywhere.
            layout: in memory, of images on the device.
        """
        labels, size = examples.labels.to(self.device), examples.images.numel()
        if size > self.left:
            return Examples(examples.images, labels, examples.groups), False
        self.left -= size
        images = examples.images.to(self.device).contiguous(memory_format=layout)
        return Examples(images, labels, examples.groups), True


def free_memory(device: torch.device) -> float:
    """Bytes that are free on a device; infinitely many where nobody says."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    with suppress(OSError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")) / 2
    return float("inf")


class Resident:
    """Batches of images that are on the device. An epoch's draws are copied there once.

    Args:
        examples: images and labels on the device.
        batch: images in a batch.
        shift: see ``draw``.
    """

    def __init__(self, examples: Examples, batch: int, shift: int) -> None:
        self._examples, self._batch, self._shift = examples, batch, shift
        device, count = examples.images.device, len(examples)
        # Written anew in every epoch, because a graph reads them where they are.
        self._draws = Draws(
            torch.zeros(count, dtype=torch.int64, device=device),
            torch.zeros(count, dtype=torch.bool, device=device),
            torch.zeros(count, 2, dtype=torch.int64, device=device) if shift else None,
        )

    def begin(self, seed: int, epoch: int) -> None:
        for kept, drawn in zip(self._draws, draw(seed, epoch, len(self._examples), self._shift), strict=True):
            if kept is not None and drawn is not None:
                kept.copy_(drawn)

    def inputs(self, step: int) -> tuple[Tensor, ...]:
        return (self._draws.order[step * self._batch : (step + 1) * self._batch],)

    def read(self, *inputs: Tensor) -> Batch:
        (at,) = inputs
        moves = None if self._draws.moves is None else self._draws.moves[at]
        return Batch(self._examples.images[at], self._examples.labels[at], self._draws.flips[at], moves)


class Streamed:
    """Batches of images that stay in the memory map of a file; a thread reads a few ahead of the step.

    For a GPU they are read into pinned memory, from which they are copied while the GPU computes.

    Args:
        examples: images anywhere, labels on the device.
        batch: images in a batch.
        shift: see ``draw``.
        device: gets the batches.
    """

    def __init__(self, examples: Examples, batch: int, shift: int, device: torch.device) -> None:
        self._images, self._labels = examples.images, examples.labels
        self._batch, self._shift, self._device = batch, shift, device
        self._draws = Draws(torch.zeros(0), torch.zeros(0), None)
        self._order = torch.zeros(0)
        self._reader = ThreadPoolExecutor(1, "batches")
        self._pending: dict[int, Future[Tensor]] = {}
        shape = (batch, *examples.images.shape[1:])
        pinned = device.type == "cuda"
        # One more than are ahead: the one that the step has.
        self._buffers = [torch.empty(shape, dtype=torch.uint8, pin_memory=pinned) for _ in range(AHEAD + 1)]
        self._copied: list[torch.cuda.Event | None] = [None] * len(self._buffers)

    def begin(self, seed: int, epoch: int) -> None:
        for future in self._pending.values():  # of an epoch that was not trained to its end
            future.cancel()
        self._pending.clear()
        draws = draw(seed, epoch, len(self._labels), self._shift)
        self._order = draws.order
        self._draws = Draws(*(None if drawn is None else drawn.to(self._device) for drawn in draws))  # type: ignore[arg-type]

    def inputs(self, step: int) -> tuple[Tensor, ...]:
        for ahead in range(step, min(step + AHEAD, len(self._order) // self._batch)):
            if ahead not in self._pending:
                self._pending[ahead] = self._reader.submit(self._fill, ahead)
        images = self._pending.pop(step).result().to(self._device, non_blocking=True)
        if self._device.type == "cuda":
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream(self._device))
            self._copied[step % len(self._buffers)] = event
        at = self._draws.order[step * self._batch : (step + 1) * self._batch]
        moves = () if self._draws.moves is None else (self._draws.moves[at],)
        return (images, self._labels[at], self._draws.flips[at], *moves)

    def read(self, *inputs: Tensor) -> Batch:
        images, labels, flips, *moves = inputs
        return Batch(images, labels, flips, moves[0] if moves else None)

    def _fill(self, step: int) -> Tensor:
        """Read a batch into its buffer, as soon as the buffer's last batch has left."""
        number = step % len(self._buffers)
        if (event := self._copied[number]) is not None:
            event.synchronize()
        at = self._order[step * self._batch : (step + 1) * self._batch]
        return torch.index_select(self._images, 0, at, out=self._buffers[number])
