"""A training step on fixed tensors, recorded once as a CUDA graph and replayed.

A step of these networks launches over a thousand small kernels, which takes a host longer than a GPU needs to run them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal, Protocol

import torch
from torch import Tensor

GraphMode = Literal["auto", "off"]
"""Whether steps are recorded: wherever that is possible, or nowhere."""

WARM_UP_STEPS = 3
"""Steps before one is recorded. They choose kernels and make the optimiser's state; they are steps of the training."""


class Recorder(Protocol):
    """What a graph needs of a device."""

    def run(self, step: Callable[[], None]) -> None:
        """Run a step as it will be recorded: on the stream that records."""

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        """Record a step without running it; returns what replays it.

        Raises:
            RuntimeError: if it cannot be recorded.
        """

    def free(self) -> None:
        """Give back the memory of what was recorded."""


class CudaRecorder:
    """Records on a CUDA device.

    Args:
        device: where the step's tensors are.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._graph: torch.cuda.CUDAGraph | None = None

    def run(self, step: Callable[[], None]) -> None:
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            step()
        current.wait_stream(self._stream)

    def record(self, step: Callable[[], None]) -> Callable[[], None]:
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        # What other threads do (reading batches, writing a checkpoint) is not part of it.
        with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
            step()
        self._graph = graph
        return graph.replay

    def free(self) -> None:
        if self._graph is not None:
            torch.cuda.synchronize(self._device)
            self._graph.reset()
            self._graph = None
        torch.cuda.empty_cache()


def recorder_for(device: torch.device, mode: GraphMode) -> Recorder | None:
    """What records steps on a device; None if they are run one by one, as everywhere but on CUDA."""
    return CudaRecorder(device) if device.type == "cuda" and mode == "auto" else None


class Step:
    """Runs a training step; on CUDA the fourth is recorded, and replayed from there on.

    Where it cannot be recorded, steps go on one by one, with a warning.

    Args:
        step: trains on its inputs, tensors of fixed shapes; all else that it reads and writes stays where it is.
        recorder: see ``recorder_for``.
        cleared: called before the step is recorded, and where that fails: forgets what an earlier step left.
    """

    def __init__(
        self, step: Callable[..., None], recorder: Recorder | None, cleared: Callable[[], None] = lambda: None
    ) -> None:
        self._step, self._recorder, self._cleared = step, recorder, cleared
        self._inputs: tuple[Tensor, ...] = ()
        self._done = 0
        self._replay: Callable[[], None] | None = None

    @property
    def state(self) -> str:
        """How steps are run: "eager", "warming up" or "graph"."""
        return "eager" if self._recorder is None else "warming up" if self._replay is None else "graph"

    @property
    def first(self) -> int:
        """Steps that take longer than those after them."""
        return 1 if self._recorder is None else WARM_UP_STEPS + 1

    def __call__(self, *inputs: Tensor) -> None:
        if self._recorder is None:
            self._step(*inputs)
            return
        if not self._inputs:
            self._inputs = tuple([given.clone() for given in inputs])
        else:
            for kept, given in zip(self._inputs, inputs, strict=True):
                kept.copy_(given, non_blocking=True)
        if self._replay is None and self._done >= WARM_UP_STEPS:
            self._replay = self._recorded(self._recorder)
        if self._replay is not None:
            self._replay()
        elif self._recorder is not None:
            self._recorder.run(self._on_kept)
            self._done += 1
        else:
            self._on_kept()

    def close(self) -> None:
        """Give back the memory of the recorded step."""
        self._replay, self._inputs, self._done = None, (), 0
        if self._recorder is not None:
            self._recorder.free()

    def _on_kept(self) -> None:
        self._step(*self._inputs)

    def _recorded(self, recorder: Recorder) -> Callable[[], None] | None:
        self._cleared()
        try:
            return recorder.record(self._on_kept)
        except RuntimeError as error:
            self._cleared()  # what was recorded has no values
            recorder.free()
            self._recorder = None
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            warnings.warn(f"steps are not recorded as a CUDA graph: {reason}", RuntimeWarning, stacklevel=3)
            return None
