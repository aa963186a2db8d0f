"""Trains the proxy of a candidate on the embedded scenes: one straight loop.

The proxy has the candidate's depths, splits and resampling, narrower and on smaller images. Every trial sees
the same images in the same order for the same number of steps.
"""

from __future__ import annotations

import math
import os
import time
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.arch.ops import image
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.atomic import put_in_place, temporary_of
from elastic_search.cost.conventions import MACS
from elastic_search.cost.tally import tally
from elastic_search.data.scenes import SIZE_NAMES, Scenes, SceneSpec, make_scenes, size_classes
from elastic_search.errors import EnvironmentFault
from elastic_search.nn.init import build
from elastic_search.recipes import Proxy, Training, recipe_dict
from elastic_search.search.evaluator import Epoch, InterruptedTrainingError, Score, TrialError
from elastic_search.tasks import classification


class ProxyTrainer:
    """Evaluates networks by training their proxies on a device.

    Args:
        proxy: the edit that makes a proxy.
        training: how it is trained.
        device: holds images and weights.
        data_seed: of the scenes; equal for all runs, so that accuracies compare.
    """

    def __init__(self, proxy: Proxy, training: Training, device: torch.device, data_seed: int = 0) -> None:
        self.proxy, self.training = proxy, training
        self.device = device
        scenes = SceneSpec(training.train_images, training.test_images, proxy.input, seed=data_seed)
        self.train: Scenes = make_scenes(scenes, "train").to(device)
        self.test: Scenes = make_scenes(scenes, "test").to(device)
        self.sizes = size_classes(self.test.object_sizes, scenes)
        # A part of the scenes tells the channels' mean and deviation well enough, and fits any memory as floats.
        some = self.train.images[:2000].float()
        self.mean, self.deviation = some.mean((0, 2, 3), keepdim=True), some.std((0, 2, 3), keepdim=True)

    def __call__(
        self,
        spec: Spec,
        seed: int,
        *,
        checkpoint: Path,
        stop: Callable[[], bool],
        report: Callable[[Epoch], None],
        prune: Callable[[list[float]], bool] = lambda curve: False,
        step: Callable[[], None] = lambda: None,
    ) -> Score:
        """Train the proxy of ``spec``; see ``search.evaluator.Evaluator``."""
        proxy = self.proxy.of(spec)
        try:
            score, right = self._run(proxy, seed, checkpoint, stop, report, prune, step)
        except (torch.OutOfMemoryError, MemoryError):
            raise self._out_of_memory() from None
        except RuntimeError as error:
            # What a CPU's allocator says has no class of its own.
            if "not enough memory" not in str(error):
                raise
            raise self._out_of_memory() from None
        sizes = classification.accuracy_by_group(right.cpu(), self.sizes.cpu(), SIZE_NAMES)
        count = tally(proxy.graph(), image(self.proxy.input, self.proxy.input), MACS)
        return Score(score["curve"][-1], sizes, score["seconds"], count.total, count.params, score["curve"])

    def pace(self, spec: Spec, steps: int = 2) -> float:
        """Seconds that an epoch of ``spec``'s proxy takes, from a few steps and one batch of the test.

        Raises:
            TrialError: if there is not memory enough.
        """
        try:
            net = build(self.proxy.of(spec), 0).to(self.device)
            net = net.to(memory_format=self._layout)  # type: ignore[call-overload]
            optimizer = _optimizer(net, self.training)
            self._train_epoch(net, optimizer, 0, 0, lambda: None, 1)  # the first step chooses kernels and buffers
            started = time.monotonic()
            self._train_epoch(net, optimizer, 0, 0, lambda: None, steps)
            self._finish()
            step = (time.monotonic() - started) / steps
            started = time.monotonic()
            tested = len(self._test(net, 1))
            self._finish()
            test = (time.monotonic() - started) / tested * len(self.test)
        except (torch.OutOfMemoryError, MemoryError):
            raise self._out_of_memory() from None
        return step * (len(self.train) // min(self.training.batch, len(self.train))) + test

    def _finish(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _out_of_memory(self) -> TrialError:
        """The reason, after what the failed training held has been let go."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return TrialError("out of memory")

    def _run(
        self,
        proxy: Spec,
        seed: int,
        checkpoint: Path,
        stop: Callable[[], bool],
        report: Callable[[Epoch], None],
        prune: Callable[[list[float]], bool],
        step: Callable[[], None],
    ) -> tuple[dict[str, Any], Tensor]:
        """Train to the last epoch: the curve and the seconds, and which test scenes are classified right."""
        started = time.monotonic()
        net = build(proxy, seed).to(self.device)
        net = net.to(memory_format=self._layout)  # type: ignore[call-overload]
        optimizer = _optimizer(net, self.training)
        identity = f"{spec_id(proxy)} {seed} {recipe_dict(self.proxy, self.training)}"
        state = _load(checkpoint, identity, net, optimizer, self.device)
        curve: list[float] = state["curve"]
        right = None
        while len(curve) < self.training.epochs:
            if curve and prune(list(curve)):
                break
            if curve and stop():
                raise InterruptedTrainingError
            loss = self._train_epoch(net, optimizer, seed, len(curve), step)
            right = self._test(net)
            curve.append(right.double().mean().item())
            state["seconds"] += time.monotonic() - started
            started = time.monotonic()
            _save(checkpoint, net, optimizer, state)
            report(Epoch(len(curve), self.training.epochs, loss, curve[-1]))
        return state, self._test(net) if right is None else right

    @property
    def _layout(self) -> torch.memory_format:
        # Channels-last halves the time of the resampling ops on a CPU; grouped convolutions on a GPU prefer NCHW.
        return torch.channels_last if self.device.type == "cpu" else torch.contiguous_format

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda")

    def _batch(self, images: Tensor) -> Tensor:
        return ((images.float() - self.mean) / self.deviation).contiguous(memory_format=self._layout)

    def _train_epoch(
        self,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        seed: int,
        epoch: int,
        told: Callable[[], None],
        limit: int | None = None,
    ) -> float:
        """One pass over the training scenes, or its first ``limit`` steps; mean loss."""
        net.train()
        # From (seed, epoch) alone: every trial, resumed or not, sees the same order and flips.
        generator = torch.Generator().manual_seed(seed * 100_003 + epoch)
        count, batch = len(self.train), min(self.training.batch, len(self.train))
        order = torch.randperm(count, generator=generator).to(self.device)
        flips = (torch.rand(count, generator=generator) < 0.5).to(self.device)
        steps = count // batch
        total = torch.zeros((), device=self.device)
        for step in range(steps if limit is None else min(limit, steps)):
            told()
            rate = _learning_rate(epoch * steps + step, self.training.epochs * steps, self.training.learning_rate)
            for group in optimizer.param_groups:
                group["lr"] = rate
            at = order[step * batch : (step + 1) * batch]
            images = self._batch(self.train.images[at])
            images = torch.where(flips[at][:, None, None, None], images.flip(3), images)
            with self._autocast():
                loss = classification.loss(net(images), self.train.labels[at])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.detach()
        mean = float(total / steps)
        if not math.isfinite(mean):
            raise TrialError(f"the loss is {mean} in epoch {epoch + 1}")
        return mean

    @torch.no_grad()
    def _test(self, net: nn.Module, batches: int | None = None) -> Tensor:
        """Which test scenes are classified right: bool [N]; of the first ``batches``, if given."""
        net.eval()
        right = []
        for start in range(0, len(self.test), 250)[:batches]:
            part = slice(start, start + 250)
            with self._autocast():
                logits = net(self._batch(self.test.images[part]))
            right.append(classification.hits(logits, self.test.labels[part]))
        return torch.cat(right)


def _learning_rate(step: int, steps: int, peak: float) -> float:
    """Triangular: up to the peak over the first steps, then down to zero."""
    top = max(1.0, Training.warm_up * steps)
    return peak * min((step + 1) / top, (steps - step) / max(1.0, steps - top))


def _optimizer(net: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW, without weight decay on batch normalisation and biases.

    Not the paper's SGD: in the few hundred steps of a proxy, SGD leaves these deep, narrow networks near chance.
    """
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)


def _save(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Write a checkpoint so that after a crash the old or the new one is there, whole."""
    temporary = temporary_of(path)
    try:
        with temporary.open("xb") as file:
            torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **state}, file)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise EnvironmentFault(f"{path}: cannot be written ({error})", "free space, then run again") from None


def _load(
    path: Path, identity: str, net: nn.Module, optimizer: torch.optim.Optimizer, device: torch.device
) -> dict[str, Any]:
    """Continue from a checkpoint of the same training, if there is one: the curve so far and the seconds used."""
    state: dict[str, Any] = {"identity": identity, "curve": [], "seconds": 0.0}
    if not path.exists():
        return state
    try:
        with zipfile.ZipFile(path) as file:
            if file.testzip() is not None:  # torch does not look at the checksums that it writes
                raise ValueError("checksum")
        found = torch.load(path, map_location=device, weights_only=True)
        if found["identity"] != identity:
            return state
        net.load_state_dict(found["net"])
        optimizer.load_state_dict(found["optimizer"])
        return {key: found[key] for key in state}
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        hint = "delete it: its trial starts anew"
        raise EnvironmentFault(f"{path}: damaged ({type(error).__name__})", hint) from None
