"""Judges a network by its proxy, which is trained on the embedded scenes: spec -> proxy -> Score.

The proxy has the network's depths, splits and resampling, but is narrower and takes smaller images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from elastic_search.arch.ops import image
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.data.scenes import SIZE_NAMES, SceneSpec, make_scenes, size_classes
from elastic_search.errors import UnknownNameError
from elastic_search.nn.init import build
from elastic_search.recipes import Proxy, Training, recipe_dict, recipe_from
from elastic_search.search.evaluator import (
    DamagedCheckpointError,
    Epoch,
    InterruptedTrainingError,
    Monitor,
    Score,
    TrialError,
    Verdict,
)
from elastic_search.tasks import classification
from elastic_search.train.checkpoint import DamagedError
from elastic_search.train.device import choose_device, one_thread
from elastic_search.train.loop import DivergedError, Loop
from elastic_search.train.run import Run

DATA = ("scenes",)


def make(recipe: Mapping[str, Any], device: str = "auto", worker: int = 0, data: str = DATA[0]) -> ProxyEvaluator:
    """Make the evaluator that a job names, from plain JSON.

    Args:
        recipe: the keys of a space file's ``[proxy]``; see ``recipe_from``.
        device: see ``choose_device``.
        worker: number of the process.
        data: name of the data set, one of ``DATA``.

    Raises:
        EnvironmentFault: if the device cannot be used.
        UnknownNameError: if there is no such data set.
    """
    if data not in DATA:
        raise UnknownNameError("data set", data, DATA)
    return ProxyEvaluator(*recipe_from(recipe), choose_device(device, worker))


class ProxyEvaluator:
    """Evaluates networks by training their proxies on a device, in one thread (``one_thread``) if it is a CPU.

    See ``search.evaluator.Evaluator``.

    Args:
        proxy: the edit that makes a proxy.
        training: how it is trained.
        device: holds images and weights.
        data_seed: seed of the scenes; the same in all runs, so that their accuracies can be compared.
    """

    def __init__(self, proxy: Proxy, training: Training, device: torch.device, data_seed: int = 0) -> None:
        self.proxy, self.training = proxy, training
        scenes = SceneSpec(
            training.train_images, training.test_images, proxy.input, training.smallest_object,
            seed=data_seed, val=training.val_images,
        )  # fmt: skip
        ranked = make_scenes(scenes, training.ranked_on)
        self._sizes = size_classes(ranked.object_sizes, scenes)
        self._loop = Loop(training, make_scenes(scenes, "train"), ranked, device)
        # Shown for networks trained to the end, never ranked by.
        self._test = make_scenes(scenes, "test").to(device) if training.val_images else None

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score:
        """Train the proxy of ``spec``."""
        proxy = self.proxy.of(spec)
        identity = f"{spec_id(proxy)} {seed} {recipe_dict(self.proxy, self.training)}"
        with self._training():
            run = Run(proxy, seed, self._loop, identity, monitor.checkpoint)
            while not run.state["curve"] or self._goes_on(run, monitor):
                run.epoch(monitor.step)
            right = run.right.cpu()
            is_whole = len(run.state["curve"]) == self.training.epochs
            test = run.accuracy(self._test) if is_whole and self._test is not None else None
        sizes = classification.accuracy_by_group(right, self._sizes, SIZE_NAMES)
        count, curve = tally(proxy.graph(), image(self.proxy.input, self.proxy.input), MACS), run.state["curve"]
        return Score(curve[-1], sizes, run.state["seconds"], count.total, count.params, curve, test)

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of ``spec``'s proxy takes, from a few steps and one batch of the test."""
        with self._training():
            return self._loop.pace(build(self.proxy.of(spec), 0))

    def _goes_on(self, run: Run, monitor: Monitor) -> bool:
        """Report the epoch; whether another follows."""
        curve, of = run.state["curve"], self.training.epochs
        number = len(curve)
        verdict = monitor.epoch(Epoch(number, of, run.state["loss"], curve[-1]), run.checkpoint)
        if number == of or verdict is Verdict.PRUNE:
            return False
        if verdict is Verdict.STOP:
            raise InterruptedTrainingError
        return True

    @contextmanager
    def _training(self) -> Iterator[None]:
        """A context for a training, whose faults become the errors that the search knows."""
        try:
            with one_thread(self._loop.device):
                yield
        except DamagedError as error:
            raise DamagedCheckpointError(str(error)) from None
        except DivergedError as error:
            raise TrialError(str(error)) from None
        except (MemoryError, RuntimeError) as error:
            # The error of a CPU's allocator has no class of its own.
            known = isinstance(error, (MemoryError, torch.OutOfMemoryError))
            if not known and "not enough memory" not in str(error):
                raise
            if self._loop.device.type == "cuda":
                torch.cuda.empty_cache()
            raise TrialError("out of memory") from None
