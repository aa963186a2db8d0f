"""One training of a network: set up, gone on with from a checkpoint, and made an epoch at a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import Tensor

from elastic_search.arch.spec import Spec
from elastic_search.nn.init import build
from elastic_search.train.checkpoint import from_bytes, to_bytes
from elastic_search.train.loop import Loop
from elastic_search.train.optim import make_optimizer


class Run:
    """A training of ``spec``, as far as it has come.

    Args:
        spec: the network.
        seed: of its weights, and of the order of the images.
        loop: trains and tests it.
        identity: a text that no other training has.
        before: ``checkpoint`` of an earlier start, or None; that of another training is not taken.

    Raises:
        DamagedError: if ``before`` is damaged.
    """

    def __init__(self, spec: Spec, seed: int, loop: Loop, identity: str, before: bytes | None = None) -> None:
        self._started = time.monotonic()
        self._loop, self._seed = loop, seed
        self._net = loop.placed(build(spec, seed))
        self._optimizer = make_optimizer(self._net, loop.training)
        self._state: dict[str, Any] = {"identity": identity, "curve": [], "loss": 0.0, "seconds": 0.0}
        self._right: Tensor | None = None
        self.checkpoint = b"" if before is None else before
        if before is not None:
            self._state = from_bytes(before, self._net, self._optimizer, self._state, loop.device)

    @property
    def curve(self) -> list[float]:
        """Accuracy after each epoch so far."""
        return list(self._state["curve"])

    @property
    def loss(self) -> float:
        """Mean loss of the last epoch."""
        return float(self._state["loss"])

    @property
    def seconds(self) -> float:
        """Seconds of training and testing, over all starts."""
        return float(self._state["seconds"])

    @property
    def right(self) -> Tensor:
        """Which test images are classified right after the last epoch: bool [N]."""
        return self._loop.test_epoch(self._net) if self._right is None else self._right

    def epoch(self, told: Callable[[], None]) -> None:
        """Train one more epoch and test; ``told`` hears of every step before it is made, and may raise.

        Raises:
            DivergedError: if the loss is not a number.
        """
        state = self._state
        state["loss"] = self._loop.train_epoch(self._net, self._optimizer, self._seed, len(state["curve"]), told)
        self._right = self._loop.test_epoch(self._net)
        state["curve"].append(self._right.double().mean().item())
        now = time.monotonic()
        state["seconds"] += now - self._started
        self._started = now
        self.checkpoint = to_bytes(self._net, self._optimizer, state)
