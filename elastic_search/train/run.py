"""One training of a network: set up, continued from a checkpoint, and run one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.data.dataset import Examples
from elastic_search.nn.init import build
from elastic_search.tasks.classification import METRICS
from elastic_search.train.checkpoint import State, from_bytes, snapshot
from elastic_search.train.loop import Loop


class Run:
    """A training of ``spec``, which has come as far as ``state`` says.

    Args:
        spec: the network.
        seed: decides its first weights and the order of the images.
        loop: trains and tests it.
        identity: a text that no other training has.
        before: ``checkpoint`` of an earlier start, or None; the checkpoint of another training is ignored.

    Raises:
        DamagedError: if ``before`` is damaged.
    """

    def __init__(self, spec: Spec, seed: int, loop: Loop, identity: str, before: bytes | None = None) -> None:
        self._started = time.monotonic()
        self._loop, self._seed = loop, seed
        self._trainee = loop.start(build(spec, seed, zero_init_last=loop.training.zero_init_last))
        self._predictions: Tensor | None = None
        self.state: State = {"identity": identity, "curve": [], "loss": 0.0, "seconds": 0.0}
        self.checkpoint = b"" if before is None else before
        if before is not None:
            it = self._trainee
            self.state = from_bytes(before, it.net, it.optimizer, self.state, loop.device, it.average)

    @property
    def predictions(self) -> Tensor:
        """The most likely class of each of the images that rank, after the last epoch: int64 [N]."""
        return self._predicted(self._loop.ranked) if self._predictions is None else self._predictions

    def accuracy(self, examples: Examples) -> float:
        """The recipe's metric on other images after the last epoch."""
        return self._measured(self._predicted(examples), examples)

    def epoch(self, told: Callable[[], None]) -> None:
        """Train for one more epoch and test; ``told`` is called before every step, and may raise.

        Raises:
            DivergedError: if the loss is not a number.
        """
        state, loop, it = self.state, self._loop, self._trainee
        state["loss"] = loop.train_epoch(it, self._seed, len(state["curve"]), told)
        # Written while the test runs, which does not change it.
        taken = snapshot(it.net, it.optimizer, it.average)
        self._predictions = self._predicted(loop.ranked)
        state["curve"].append(self._measured(self._predictions, loop.ranked))
        now = time.monotonic()
        state["seconds"] += now - self._started
        self._started = now
        self.checkpoint = taken.to_bytes(state)

    def close(self) -> None:
        """Give back the memory that the training has taken beside its weights."""
        self._trainee.close()

    def _predicted(self, examples: Examples) -> Tensor:
        return self._loop.predictions(self._trainee.tested(), examples)

    def _measured(self, predictions: Tensor, examples: Examples) -> float:
        return METRICS[self._loop.training.metric](predictions, examples.labels.to(predictions.device))
