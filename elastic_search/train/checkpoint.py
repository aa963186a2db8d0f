"""A training as bytes, from which it continues bit for bit."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.train.ema import Average
from elastic_search.train.optim import load_state

State = dict[str, Any]
"""``identity``, a text that no other training has; ``curve``, the accuracy after each epoch; ``loss``, the mean of the
last epoch; ``seconds`` of training and testing, over all starts."""

STATE_FILE = "archive/state.json"  # in the folder of the tensors: torch reads no other
ALIGNED = 16
"""Elements: 64 bytes of floats, so that a kernel finds every tensor as well placed as one of its own."""


class DamagedError(Exception):
    """The bytes are not a training that was written here."""


class Snapshot:
    """A training's tensors at one point. A GPU goes on while they are written; a CPU has to write them itself.

    On CUDA tensors are gathered in one buffer a kind, because copies of hundreds of small ones take the host longer
    than an epoch's end allows. The buffers leave for the host's memory while later work runs, and are written in a
    thread.

    Args:
        tensors: dicts and lists, nested, of tensors and plain values; all are read before anything that is started on
            the device after this.
        device: where the tensors are.
    """

    def __init__(self, tensors: dict[str, Any], device: torch.device) -> None:
        self._written: Future[io.BytesIO] = Future()
        if device.type == "cuda":
            self._written = _in_thread({name: _gathered(value, device) for name, value in tensors.items()}, device)
        else:
            self._written.set_result(_saved(tensors))

    def to_bytes(self, state: State) -> bytes:
        """The tensors with what is known of the training by now; waits until they are written."""
        content = self._written.result()
        with zipfile.ZipFile(content, "a") as file:
            file.writestr(STATE_FILE, json.dumps(state))
        return content.getvalue()


def _in_thread(kept: dict[str, Any], device: torch.device) -> Future[io.BytesIO]:
    """Write what is on its way from the device, as soon as it has arrived."""
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record(torch.cuda.current_stream(device))

    def written() -> io.BytesIO:
        arrived.synchronize()
        return _saved(kept)

    with_thread = ThreadPoolExecutor(1, "checkpoint")
    future = with_thread.submit(written)
    with_thread.shutdown(wait=False)
    return future


def to_bytes(net: nn.Module, optimizer: torch.optim.Optimizer, state: State, average: Average | None = None) -> bytes:
    """The training after an epoch."""
    return snapshot(net, optimizer, average).to_bytes(state)


def snapshot(net: nn.Module, optimizer: torch.optim.Optimizer, average: Average | None = None) -> Snapshot:
    """The network, its optimiser and its average as they are now."""
    tensors = {"net": dict(net.state_dict()), "optimizer": optimizer.state_dict()}
    if average is not None:
        tensors["ema"] = average.weights
    return Snapshot(tensors, next(net.parameters()).device)


def from_bytes(
    content: bytes,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State,
    device: torch.device,
    average: Average | None = None,
) -> State:
    """Restore the network, the optimiser and the average, and return the state at that point.

    If the checkpoint belongs to another training, which has another ``identity``, nothing changes and ``state`` is
    returned.

    Raises:
        DamagedError: if the content is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if file.testzip() is not None:  # torch does not check the checksums that it writes
                raise ValueError("checksum")
            said = file.read(STATE_FILE) if STATE_FILE in file.namelist() else None
        found = None if said is None else json.loads(said)
        if found is not None and found["identity"] != state["identity"]:
            return state
        tensors = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        if found is None:  # earlier versions wrote the state among the tensors
            found = tensors
            if found["identity"] != state["identity"]:
                return state
        net.load_state_dict(tensors["net"])
        load_state(optimizer, tensors["optimizer"])
        if average is not None:
            average.load(tensors["ema"])
        return {key: found[key] for key in state}
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise DamagedError(type(error).__name__) from None


def _saved(kept: dict[str, Any]) -> io.BytesIO:
    content = io.BytesIO()
    torch.save(kept, content)
    return content


def _gathered(value: Any, device: torch.device) -> Any:
    """The same with every tensor as a part of one buffer for each dtype, with its strides; in the host's memory."""
    found: dict[torch.dtype, list[Tensor]] = {}
    dense = _mapped(value, _dense)
    _mapped(dense, lambda tensor: found.setdefault(tensor.dtype, []).append(tensor))
    parts: dict[int, Tensor] = {}
    for dtype, tensors in found.items():
        sizes = [-(-tensor.numel() // ALIGNED) * ALIGNED for tensor in tensors]
        buffer = torch.zeros(sum(sizes), dtype=dtype, device=device)
        starts = [0, *accumulate(sizes)][:-1]
        flat = [tensor.as_strided((tensor.numel(),), (1,)).to(device) for tensor in tensors]
        torch._foreach_copy_([buffer[at : at + len(one)] for at, one in zip(starts, flat, strict=True)], flat)
        if device.type == "cuda":
            buffer = torch.empty(buffer.shape, dtype=dtype, pin_memory=True).copy_(buffer, non_blocking=True)
        for at, tensor in zip(starts, tensors, strict=True):
            parts[id(tensor)] = buffer.as_strided(tensor.shape, tensor.stride(), at)
    return _mapped(dense, lambda tensor: parts[id(tensor)])


def _dense(tensor: Tensor) -> Tensor:
    """The tensor, without gaps in memory."""
    tensor = tensor.detach()
    order = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor if tensor.permute(order).is_contiguous() else tensor.contiguous()


def _mapped(value: Any, form: Callable[[Tensor], Any]) -> Any:
    if isinstance(value, Tensor):
        return form(value)
    if isinstance(value, dict):
        return {key: _mapped(of, form) for key, of in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)([_mapped(of, form) for of in value])
    return value
