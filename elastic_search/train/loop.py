"""One straight epoch of training, and the test after it.

Every training sees the same images in the same order for the same number of steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.data.dataset import Examples
from elastic_search.recipes import Training
from elastic_search.tasks import classification
from elastic_search.train.optim import make_optimizer, set_learning_rate

TESTED_AT_ONCE = 250


class DivergedError(Exception):
    """The loss is not a number."""


class Loop:
    """Trains and tests networks on images that are kept on a device.

    Args:
        training: batch size, epochs and learning rate.
        train: images to train on.
        ranked: images to test on after every epoch; the accuracy on them ranks networks.
        device: holds images and weights.
    """

    def __init__(self, training: Training, train: Examples, ranked: Examples, device: torch.device) -> None:
        self.training, self.device = training, device
        self.train, self.ranked = train.to(device), ranked.to(device)
        self.batch = min(training.batch, len(train))
        # Channels-last halves the time of the resampling ops on a CPU; grouped convolutions on a GPU prefer NCHW.
        self._layout = torch.channels_last if device.type == "cpu" else torch.contiguous_format
        # Some of the images give the channels' mean and deviation well enough, and fit into any memory as floats.
        some = self.train.images[:2000].float()
        self._mean, self._deviation = some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True)

    def placed(self, net: nn.Module) -> nn.Module:
        """The network on the device, in the memory layout that is fastest there."""
        placed: nn.Module = net.to(self.device).to(memory_format=self._layout)  # type: ignore[call-overload]
        return placed

    def train_epoch(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        seed: int,
        epoch: int,
        told: Callable[[], None],
        limit: int | None = None,
    ) -> float:
        """Make one pass over the training images, or its first ``limit`` steps, and return the mean loss.

        Args:
            net: the network, on the device.
            optimizer: updates its weights.
            seed: decides, with ``epoch``, the order of the images and which are flipped.
            epoch: counts from 0.
            told: called before every step; may raise.
            limit: most steps to make, or None for all.

        Raises:
            DivergedError: if the loss is not a number.
        """
        net.train()
        # Depends on (seed, epoch) alone: every training, resumed or not, sees the same order and flips.
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        count, batch = len(self.train), self.batch
        order = torch.randperm(count, generator=generator).to(self.device)
        flips = (torch.rand(count, generator=generator) < 0.5).to(self.device)
        steps = count // batch
        total = torch.zeros((), device=self.device)
        for step in range(steps if limit is None else min(limit, steps)):
            told()
            set_learning_rate(optimizer, epoch * steps + step, self.training.epochs * steps, self.training)
            at = order[step * batch : (step + 1) * batch]
            images = self._normalised(self.train.images[at])
            images = torch.where(flips[at][:, None, None, None], images.flip(3), images)
            with self._autocast():
                loss = classification.loss(net(images), self.train.labels[at], self.training.label_smoothing)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
        mean = float(total / steps)
        if not math.isfinite(mean):
            raise DivergedError(f"the loss is {mean} in epoch {epoch + 1}")
        return mean

    @torch.no_grad()
    def predictions(self, net: nn.Module, examples: Examples, batches: int | None = None) -> Tensor:
        """The most likely class of each of the images, or of those in the first ``batches``: int64 [N]."""
        net.eval()
        found = []
        for start in range(0, len(examples), TESTED_AT_ONCE)[:batches]:
            part = slice(start, start + TESTED_AT_ONCE)
            with self._autocast():
                logits = net(self._normalised(examples.images[part]))
            found.append(classification.predictions(logits))
        return torch.cat(found)

    def pace(self, net: nn.Module, steps: int = 2, seconds: float = 0.5) -> float:
        """Seconds that an epoch takes, from one batch of the test and some steps: so many, in at least so long."""
        net = self.placed(net)
        optimizer = make_optimizer(net, self.training)
        self.train_epoch(net, optimizer, 0, 0, lambda: None, 1)  # the first step chooses kernels and buffers
        started, done = time.monotonic(), 0
        while done < steps or time.monotonic() - started < seconds:
            self.train_epoch(net, optimizer, 0, 0, lambda: None, 1)
            self._finish()
            done += 1
        step = (time.monotonic() - started) / done
        started = time.monotonic()
        tested = len(self.predictions(net, self.ranked, 1))
        self._finish()
        test = (time.monotonic() - started) / tested * len(self.ranked)
        return step * (len(self.train) // self.batch) + test

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _normalised(self, images: Tensor) -> Tensor:
        return ((images.float() - self._mean) / self._deviation).contiguous(memory_format=self._layout)
