"""One run of a model to see what its convolutions are given; the model itself is not changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.ops import Shape
from elastic_search.nn.elastic.verdict import Maps
from elastic_search.nn.trace.reader import image


def probe(model: nn.Module, input: Shape, watched: dict[str, nn.Module]) -> tuple[dict[str, list[Maps | None]], int]:
    """Run an image of zeros: the calls of each watched module, and the model's multiply-adds.

    A call with something other than one batch of maps is None.
    """
    calls: dict[str, list[Maps | None]] = {path: [] for path in watched}

    def hear(path: str, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        given = (*args, *kwargs.values())
        if len(given) == 1 and isinstance(given[0], Tensor) and given[0].dim() == 4:
            calls[path].extend([(Shape(*given[0].shape[1:]), Shape(*output.shape[1:]))] * len(output))
        else:
            calls[path].append(None)

    handles = [m.register_forward_hook(partial(hear, path), with_kwargs=True) for path, m in watched.items()]
    try:
        with _undisturbed(model), FlopCounterMode(display=False) as counter:
            model(image(model, input))
    finally:
        for handle in handles:
            handle.remove()
    return calls, counter.get_total_flops() // 2


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards modes, buffers and random number generators are restored."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    own = ((module, name, buffer) for module in modules for name, buffer in module._buffers.items())
    buffers = [(module, name, buffer, buffer.clone()) for module, name, buffer in own if buffer is not None]
    devices = sorted({parameter.device.index for parameter in model.parameters() if parameter.is_cuda})
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            for module in modules:
                module.training = False
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
        for module, name, buffer, saved in buffers:
            module._buffers[name] = buffer
            if not buffer.is_meta and not torch.equal(buffer, saved):
                buffer.copy_(saved)


def exchange(model: nn.Module, new: dict[nn.Module, nn.Module]) -> None:
    """Replace modules by others, wherever a parent holds them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in new:
                parent._modules[name] = new[child]
