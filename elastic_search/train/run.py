"""One training of a network: set up, continued from a checkpoint, and run one epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.data.dataset import Examples
from elastic_search.nn.init import build
from elastic_search.train.checkpoint import State, from_bytes, to_bytes
from elastic_search.train.loop import Loop
from elastic_search.train.optim import make_optimizer


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
        self._net = loop.placed(build(spec, seed, zero_init_last=loop.training.zero_init_last))
        self._optimizer = make_optimizer(self._net, loop.training)
        self._right: Tensor | None = None
        self.state: State = {"identity": identity, "curve": [], "loss": 0.0, "seconds": 0.0}
        self.checkpoint = b"" if before is None else before
        if before is not None:
            self.state = from_bytes(before, self._net, self._optimizer, self.state, loop.device)

    @property
    def right(self) -> Tensor:
        """Which of the images that rank are classified correctly after the last epoch: bool [N]."""
        return self._loop.hits(self._net, self._loop.ranked) if self._right is None else self._right

    def accuracy(self, examples: Examples) -> float:
        """Share of other images that are classified correctly after the last epoch."""
        return self._loop.hits(self._net, examples).double().mean().item()

    def epoch(self, told: Callable[[], None]) -> None:
        """Train for one more epoch and test; ``told`` is called before every step, and may raise.

        Raises:
            DivergedError: if the loss is not a number.
        """
        state, loop = self.state, self._loop
        state["loss"] = loop.train_epoch(self._net, self._optimizer, self._seed, len(state["curve"]), told)
        self._right = loop.hits(self._net, loop.ranked)
        state["curve"].append(self._right.double().mean().item())
        now = time.monotonic()
        state["seconds"] += now - self._started
        self._started = now
        self.checkpoint = to_bytes(self._net, self._optimizer, state)
