"""One straight epoch of training, and the test after it.

Every training sees the same images in the same order for the same number of steps.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from elastic_search.data.augment import augmented
from elastic_search.data.dataset import Examples
from elastic_search.recipes import Training
from elastic_search.tasks import classification
from elastic_search.train.batches import Resident, Room, Streamed
from elastic_search.train.device import has_bf16
from elastic_search.train.ema import Average
from elastic_search.train.graph import GraphMode, Step, recorder_for
from elastic_search.train.optim import make_optimizer, set_learning_rate
from elastic_search.train.quick import Quick

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
MEASURED = 2000
"""Images give the channels' mean and deviation well enough if there are so many, and fit into any memory as floats."""


class DivergedError(Exception):
    """The loss is not a number."""


class Setting(NamedTuple):
    """How a device is used. The same training with another setting ends with nearly, not exactly, the same weights.

    Attributes:
        layout: of images and weights in memory, a key of ``LAYOUTS``; None takes the usual one of the device
            (channels-last on a CPU, where it halves the time of resampling) until ``Loop.pace`` has measured on a GPU.
        graph: whether steps are recorded as a CUDA graph.
        products: whether 1 × 1 convolutions on a CPU are matrix products.
        trainers: processes that share the device.
    """

    layout: str | None = None
    graph: GraphMode = "auto"
    products: bool = True
    trainers: int = 1


class Loop:
    """Trains and tests networks on images that are kept on a device, or beside it if they are too many.

    Args:
        training: batch size, epochs and learning rate.
        train: images to train on.
        ranked: images to test on after every epoch; the accuracy on them ranks networks.
        device: holds images and weights.
        setting: how the device is used.

    Attributes:
        layout: the key of ``LAYOUTS`` in use.
        resident: whether the training images are on the device.
    """

    def __init__(
        self,
        training: Training,
        train: Examples,
        ranked: Examples,
        device: torch.device,
        setting: Setting = Setting(),  # noqa: B008  # frozen
    ) -> None:
        self.training, self.device, self.setting = training, device, setting
        self.layout = setting.layout or ("channels_last" if device.type == "cpu" else "contiguous")
        if device.type == "cuda":
            torch.cuda.set_device(device)  # pinned memory and new streams are of the current one
        self.layout_is_measured = setting.layout is not None or device.type != "cuda"
        self._room = Room(device, setting.trainers)
        self.train, self.resident = self._room.placed(train, LAYOUTS[self.layout])
        self.ranked = self.placed(ranked)
        self.batch = min(training.batch, len(train))
        self.tested_at_once = 1000 if device.type == "cuda" else 250
        self.steps = len(train) // self.batch
        if self.resident:
            self.batches: Resident | Streamed = Resident(self.train, self.batch, training.shift)
        else:
            self.batches = Streamed(self.train, self.batch, training.shift, device)
        # Evenly spread, because the images of a folder are sorted by class.
        some = train.images[:: max(1, len(train) // MEASURED)].to(device).float()
        mean, deviation = some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True)
        self._scale, self._offset = 1 / deviation, -mean / deviation

    def placed(self, examples: Examples) -> Examples:
        """Images to test on, on the device if there is room."""
        return self._room.placed(examples, LAYOUTS[self.layout])[0]

    def start(self, net: nn.Module) -> Trainee:
        """Begin a training of a network, which is moved to the device and is the training's own from here on."""
        return Trainee(self, net)

    def train_epoch(
        self, trainee: Trainee, seed: int, epoch: int, told: Callable[[], None], limit: int | None = None
    ) -> float:
        """Make one pass over the training images, or its first ``limit`` steps, and return the mean loss.

        Nothing in it waits for the device before the loss is read at the end.

        Args:
            trainee: the network in training.
            seed: decides, with ``epoch``, the order of the images and how they are flipped and moved.
            epoch: counts from 0.
            told: called before every step; may raise.
            limit: most steps to make, or None for all.

        Raises:
            DivergedError: if the loss is not a number.
        """
        trainee.begin()
        self.batches.begin(seed, epoch)
        steps = self.steps if limit is None else min(limit, self.steps)
        for step in range(steps):
            told()
            trainee.step(epoch * self.steps + step, *self.batches.inputs(step))
        mean = trainee.end(steps)
        if not math.isfinite(mean):
            raise DivergedError(f"the loss is {mean} in epoch {epoch + 1}")
        return mean

    @torch.inference_mode()
    def predictions(self, net: Callable[[Tensor], Tensor], examples: Examples, batches: int | None = None) -> Tensor:
        """The most likely class of each of the images, or of those in the first ``batches``: int64 [N], on the device.

        Args:
            net: in evaluation mode; see ``Trainee.tested``.
            examples: images, on the device or not.
            batches: of ``tested_at_once`` images.
        """
        found = []
        for start in range(0, len(examples), self.tested_at_once)[:batches]:
            part = slice(start, start + self.tested_at_once)
            images = examples.images[part].to(self.device, non_blocking=True)
            with self.autocast():
                logits = net(self.normalised(images))
            found.append(classification.predictions(logits))
        return torch.cat(found)

    def pace(self, net: nn.Module, steps: int = 2, seconds: float = 0.5) -> float:
        """Seconds that an epoch takes, from one batch of the test and some steps: so many, in at least so long.

        On a GPU, the first call also chooses the layout that all later trainings have.
        """
        if not self.layout_is_measured:
            paces = {layout: self._paced(deepcopy(net), layout, steps, seconds)[0] for layout in LAYOUTS}
            self.layout_is_measured = True
            self._take(min(paces, key=lambda layout: paces[layout]))
        step, test = self._paced(net, self.layout, steps, seconds)
        return step * self.steps + test * len(self.ranked)

    def doubled(self, net: nn.Module) -> float | None:
        """How many times as long a step of twice as many images takes; near 1 where the device has room for another.

        None if the images stay beside the device, or are too few.
        """
        if not self.resident or len(self.train) < 4 * self.batch:
            return None
        training = replace(self.training, batch=2 * self.batch)
        # What is on the device already is not copied there again.
        twice = Loop(training, self.train, self.ranked, self.device, self.setting._replace(layout=self.layout))
        return twice._paced(deepcopy(net), self.layout, 2, 0.2)[0] / self._paced(deepcopy(net), self.layout, 2, 0.2)[0]

    def _paced(self, net: nn.Module, layout: str, steps: int, seconds: float) -> tuple[float, float]:
        """Seconds of a step, and of the test of an image."""
        self._take(layout)
        trainee = self.start(net)
        try:
            for _ in range(trainee.first_steps):  # they choose kernels and buffers
                self.train_epoch(trainee, 0, 0, lambda: None, 1)
            self.finish()
            started, done = time.monotonic(), 0
            while done < steps or time.monotonic() - started < seconds:
                self.train_epoch(trainee, 0, 0, lambda: None, 1)
                self.finish()
                done += 1
            step = (time.monotonic() - started) / done
            started = time.monotonic()
            tested = len(self.predictions(trainee.tested(), self.ranked, 1))
            self.finish()
            return step, (time.monotonic() - started) / tested
        finally:
            trainee.close()

    def _take(self, layout: str) -> None:
        """Use a layout from here on."""
        if layout == self.layout:
            return
        self.layout = layout
        if self.resident:
            images = self.train.images.contiguous(memory_format=LAYOUTS[layout])
            self.train = Examples(images, self.train.labels, self.train.groups)
            self.batches = Resident(self.train, self.batch, self.training.shift)

    def finish(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def autocast(self) -> AbstractContextManager[Any]:
        """A context in which the network computes in bfloat16, where the device has it in hardware."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=has_bf16(self.device))

    def normalised(self, images: Tensor) -> Tensor:
        """Images [B, C, S, S] of bytes as floats with mean 0 and deviation 1, in the layout."""
        if self.device.type == "mps":  # multiplies no bytes by floats
            images = images.float()
        return torch.addcmul(self._offset, images, self._scale).contiguous(memory_format=LAYOUTS[self.layout])


class Trainee:
    """A network in training, with its optimiser, the average of its weights and its step.

    Args:
        loop: what it is trained on and how.
        net: the network.
    """

    def __init__(self, loop: Loop, net: nn.Module) -> None:
        self._loop, training = loop, loop.training
        self.net: nn.Module = net.to(loop.device).to(memory_format=LAYOUTS[loop.layout])  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.net, training)
        self.average = Average(self.net, training.ema) if training.ema else None
        on_cpu = loop.device.type == "cpu"
        products = on_cpu and loop.setting.products and loop.layout == "channels_last"
        self._quick = Quick(self.net, products=products, in_place=True)
        self._total = torch.zeros((), device=loop.device)
        self._step = Step(self._train, recorder_for(loop.device, loop.setting.graph), self._forget)

    @property
    def first_steps(self) -> int:
        """Steps that take longer than those after them."""
        return self._step.first

    @property
    def state(self) -> str:
        """How steps are run; see ``Step.state``."""
        return self._step.state

    def begin(self) -> None:
        """Make ready for an epoch."""
        self.net.train()
        self._total.zero_()

    def step(self, number: int, *inputs: Tensor) -> None:
        """Make a step; ``number`` counts from the training's first one, ``inputs`` are those of ``Batches``."""
        loop = self._loop
        set_learning_rate(self.optimizer, number, loop.training.epochs * loop.steps, loop.training)
        if self.average is not None:
            self.average.before(number)
        self._step(*inputs)

    def end(self, steps: int) -> float:
        """The mean loss of an epoch; waits for the device."""
        self._quick.counted(steps)
        return float(self._total / max(1, steps))

    def tested(self) -> Callable[[Tensor], Tensor]:
        """The network in evaluation mode, with the average of its weights if the recipe has one."""
        self.net.eval()
        return self.net if self.average is None else partial(functional_call, self.net, self.average.weights)

    def close(self) -> None:
        """End the training: give back the memory of the recorded step, and the modules' own forms."""
        self._step.close()
        self._quick.restore()

    def _train(self, *inputs: Tensor) -> None:
        loop = self._loop
        batch = loop.batches.read(*inputs)
        images = loop.normalised(augmented(batch.images, batch.flips, batch.moves))
        with loop.autocast():
            loss = classification.loss(self.net(images), batch.labels, loop.training.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        self._total += loss.detach()

    def _forget(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
