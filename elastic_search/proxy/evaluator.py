"""Judges a network by its proxy, which is trained on the embedded scenes: spec -> proxy -> Score.

The proxy has the network's depths, splits and resampling, but is narrower and takes smaller images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

import torch

from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import spec_id
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS
from elastic_search.data.dataset import Dataset
from elastic_search.data.scenes import SceneData
from elastic_search.nn.init import build
from elastic_search.proxy.images import opened
from elastic_search.recipes import Proxy, Training, recipe_dict, recipe_from
from elastic_search.recipes.scenes import KEY
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
from elastic_search.train.device import choose_device, tuned
from elastic_search.train.graph import GraphMode
from elastic_search.train.loop import DivergedError, Loop, Setting
from elastic_search.train.run import Run

ROOMY = 1.25
"""A GPU has room for another trainer if twice the images take fewer times as long."""


def make(
    recipe: Mapping[str, Any],
    device: str = "auto",
    worker: int = 0,
    data: Mapping[str, Any] | None = None,
    layout: str | None = None,
    graph: GraphMode = "auto",
    trainers: int = 1,
) -> ProxyEvaluator:
    """Make the evaluator that a job names, from plain JSON.

    Args:
        recipe: the keys of a space file's ``[proxy]``; see ``recipe_from``.
        device: see ``choose_device``.
        worker: number of the process.
        data: images of the user's own, as ``on_images`` gives it; by default the embedded scenes.
        layout: see ``ProxyEvaluator.chosen``.
        graph: see ``train.loop.Setting``.
        trainers: processes that share the device.

    Raises:
        EnvironmentFault: if the device cannot be used.
        DataError, EnvironmentFault: if the images are not those of the key, or their cache is damaged or gone.
    """
    proxy, training = recipe_from(recipe)
    images = None if data is None else opened(data)
    chosen = choose_device(device, worker)
    # What was measured on a GPU says nothing of another device, on which a run may go on.
    setting = Setting(layout if chosen.type == "cuda" else None, graph, trainers=trainers)
    return ProxyEvaluator(proxy, training, chosen, images, setting)


class ProxyEvaluator:
    """Evaluates networks by training their proxies on a device, in one thread (``one_thread``) if it is a CPU.

    See ``search.evaluator.Evaluator``.

    Args:
        proxy: the edit that makes a proxy.
        training: how it is trained.
        device: holds images and weights.
        data: images to train on, of the proxy's input size; by default the embedded scenes, the same in all runs, so
            that their accuracies can be compared.
        setting: how the device is used.
    """

    def __init__(
        self,
        proxy: Proxy,
        training: Training,
        device: torch.device,
        data: Dataset | None = None,
        setting: Setting = Setting(),  # noqa: B008  # frozen
    ) -> None:
        self.proxy, self.training = proxy, training
        data = SceneData(training, proxy.input) if data is None else data
        self.about = data.about
        ranked = data.examples("rank")
        self._groups, self._labels = ranked.groups, ranked.labels
        self._loop = Loop(training, data.examples("train"), ranked, device, setting)
        # Shown for networks trained to the end, never ranked by.
        shown = "final" in self.about.images and not self.about.sealed
        self._final = self._loop.placed(data.examples("final")) if shown else None
        self._data = data
        self._doubled: float | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """The layout in memory that ``pace`` has found to be the faster one on a GPU, as argument of ``make``."""
        measured = self._loop.device.type == "cuda" and self._loop.layout_is_measured
        return {"layout": self._loop.layout} if measured else {}

    @property
    def remarks(self) -> tuple[str, ...]:
        """That the images are not kept on the device, or that it has room for further trainers."""
        found = []
        if not self._loop.resident:
            found.append("the images stay in their file, as they would take too much memory; batches come from there")
        if self._doubled is not None and self._doubled < ROOMY:
            found.append(
                f"a step of twice the images takes only {self._doubled:.2f} times as long here: --trainers-per-gpu 2 "
                "would train more in the same time"
            )
        return tuple(found)

    def __call__(self, spec: Spec, seed: int, monitor: Monitor) -> Score:
        """Train the proxy of ``spec``."""
        proxy = self._proxy(spec)
        identity = self._identity(proxy, seed)
        with self._training():
            run = Run(proxy, seed, self._loop, identity, monitor.checkpoint)
            with closing(run):
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

    def final(self, spec: Spec, seed: int, checkpoint: bytes) -> float:
        """The recipe's metric on the final images of the proxy of ``spec`` after its whole training."""
        if self._final is None:
            self._final = self._loop.placed(self._data.examples("final"))
        proxy = self._proxy(spec)
        with self._training(), closing(Run(proxy, seed, self._loop, self._identity(proxy, seed), checkpoint)) as run:
            if len(run.state["curve"]) != self.training.epochs:
                raise DamagedError("it is of another training")
            return run.accuracy(self._final)

    def pace(self, spec: Spec) -> float:
        """Seconds that an epoch of ``spec``'s proxy takes, from a few steps and one batch of the test."""
        with self._training():
            net, first = build(self._proxy(spec), 0), self._doubled is None
            seconds = self._loop.pace(net)
            if first and self._loop.device.type == "cuda" and self._loop.setting.trainers == 1:
                self._doubled = self._loop.doubled(net)
            return seconds

    def _identity(self, proxy: Spec, seed: int) -> str:
        """A text that no other training has."""
        of = "" if self.about.key == KEY else f"{self.about.key} "
        return f"{of}{spec_id(proxy)} {seed} {recipe_dict(self.proxy, self.training)}"

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
            with tuned(self._loop.device):
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
