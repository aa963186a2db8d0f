"""Judges a network by its proxy, which is trained on the embedded scenes: spec -> proxy -> Score.

The proxy has the network's depths, splits and resampling, but is narrower and takes smaller images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.data.dataset import Dataset
from elastic_search.data.scenes import SceneData
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
        data: images to train on, of the proxy's input size; by default the embedded scenes, the same in all runs, so
            that their accuracies can be compared.
    """

    def __init__(self, proxy: Proxy, training: Training, device: torch.device, data: Dataset | None = None) -> None:
        self.proxy, self.training = proxy, training
        data = SceneData(training, proxy.input) if data is None else data
        self.about = data.about
        ranked = data.examples("rank")
        self._groups, self._labels = ranked.groups, ranked.labels
        self._loop = Loop(training, data.examples("train"), ranked, device)
        # Shown for networks trained to the end, never ranked by.
        self._final = data.examples("final").to(device) if "final" in self.about.images else None

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score:
        """Train the proxy of ``spec``."""
        proxy = self._proxy(spec)
        identity = f"{self.about.key} {spec_id(proxy)} {seed} {recipe_dict(self.proxy, self.training)}"
        with self._training():
            run = Run(proxy, seed, self._loop, identity, monitor.checkpoint)
            while not run.state["curve"] or self._goes_on(run, monitor):
                run.epoch(monitor.step)
            predicted = run.predictions.cpu()
            is_whole = len(run.state["curve"]) == self.training.epochs
            test = run.accuracy(self._final) if is_whole and self._final is not None else None
        groups, names = self._groups, self.about.groups
        right, metric = predicted == self._labels, self.training.metric
        of_groups = {} if groups is None else classification.accuracy_by_group(right, groups, names)
        of_classes = classification.accuracy_by_class(predicted, self._labels, len(self.about.classes))
        # That of an accuracy follows from the accuracy.
        error = None if metric == "accuracy" else classification.standard_error(metric, predicted, self._labels)
        edge, curve = self.proxy.input, run.state["curve"]
        count = tally(proxy.graph(), Shape(proxy.in_channels, edge, edge), MACS)
        return Score(
            curve[-1], of_groups, run.state["seconds"], count.total, count.params, curve, test, of_classes, error
        )

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of ``spec``'s proxy takes, from a few steps and one batch of the test."""
        with self._training():
            return self._loop.pace(build(self._proxy(spec), 0))

    def _proxy(self, spec: Spec) -> Spec:
        return self.proxy.of(spec, len(self.about.classes), self.about.channels)

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
