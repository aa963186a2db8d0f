"""What an epoch does to the images: their order, and which are flipped and moved. All of it is drawn at once.

It depends on the seed and the number of the epoch alone, and is drawn on the CPU: every training, on any device,
resumed or not, sees the same.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Draws(NamedTuple):
    """An epoch of N images.

    Attributes:
        order: int64 [N], numbers of the images.
        flips: bool [N], whether each image is flipped, by its number.
        moves: int64 [N, 2], pixels by which it is moved down and to the right; None if none is.
    """

    order: Tensor
    flips: Tensor
    moves: Tensor | None


def draw(seed: int, epoch: int, count: int, shift: int = 0) -> Draws:
    """Order, flips and moves of an epoch.

    Args:
        seed: of the training.
        epoch: counted from 0.
        count: images.
        shift: most pixels that an image is moved by along an axis.
    """
    generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
    order = torch.randperm(count, generator=generator)
    flips = torch.rand(count, generator=generator) < 0.5
    moves = torch.randint(-shift, shift + 1, (count, 2), generator=generator) if shift else None
    return Draws(order, flips, moves)


def augmented(images: Tensor, flips: Tensor, moves: Tensor | None) -> Tensor:
    """The images, flipped from left to right and then moved; what comes in at a border is the image's reflection.

    Nothing depends on a value on the device, so that a CUDA graph can hold it.

    Args:
        images: [B, C, S, S] of any dtype.
        flips: bool [B].
        moves: int64 [B, 2], down and to the right, of less than S; None moves nothing.

    Returns:
        [B, C, S, S]; channels-last in memory if anything is moved, otherwise as ``images``.
    """
    if moves is None:
        return torch.where(flips[:, None, None, None], images.flip(3), images)
    edge = images.shape[-1]
    pixels = torch.arange(edge, device=images.device)
    rows, columns = (_reflected(pixels - moves[:, axis, None], edge) for axis in (0, 1))
    columns = torch.where(flips[:, None], edge - 1 - columns, columns)
    which = torch.arange(len(images), device=images.device)[:, None, None]
    # One look-up for all: it gives [B, S, S, C].
    return images[which, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflected(position: Tensor, edge: int) -> Tensor:
    """Positions outside 0 … edge - 1, mirrored at the border pixel, which is not repeated."""
    last = edge - 1
    return last - (last - position.abs()).abs()
