"""One training of a network: set up, continued from a checkpoint, and run one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.data.dataset import Examples
from elastic_search.nn.init import build
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
        self._right: Tensor | None = None
        self.state: State = {"identity": identity, "curve": [], "loss": 0.0, "seconds": 0.0}
        self.checkpoint = b"" if before is None else before
        if before is not None:
            it = self._trainee
            self.state = from_bytes(before, it.net, it.optimizer, self.state, loop.device, it.average)

    @property
    def right(self) -> Tensor:
        """Which of the images that rank are classified correctly after the last epoch: bool [N]."""
        return self._hits(self._loop.ranked) if self._right is None else self._right

    def accuracy(self, examples: Examples) -> float:
        """Share of other images that are classified correctly after the last epoch."""
        return self._hits(examples).double().mean().item()

    def epoch(self, told: Callable[[], None]) -> None:
        """Train for one more epoch and test; ``told`` is called before every step, and may raise.

        Raises:
            DivergedError: if the loss is not a number.
        """
        state, loop, it = self.state, self._loop, self._trainee
        state["loss"] = loop.train_epoch(it, self._seed, len(state["curve"]), told)
        # Written while the test runs, which does not change it.
        taken = snapshot(it.net, it.optimizer, it.average)
        self._right = self._hits(loop.ranked)
        state["curve"].append(self._right.double().mean().item())
        now = time.monotonic()
        state["seconds"] += now - self._started
        self._started = now
        self.checkpoint = taken.to_bytes(state)

    def close(self) -> None:
        """Give back the memory that the training has taken beside its weights."""
        self._trainee.close()

    def _hits(self, examples: Examples) -> Tensor:
        return self._loop.hits(self._trainee.tested(), examples)
