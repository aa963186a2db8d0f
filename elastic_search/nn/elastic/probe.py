"""A model run once to see what its convolutions are given; it stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.ops import Shape
from elastic_search.nn.elastic.verdict import Maps


def probe(model: nn.Module, input: Shape, watched: dict[str, nn.Module]) -> tuple[dict[str, list[Maps | None]], int]:
    """One forward pass of an image of zeros: the calls of each watched module, and the model's multiply-adds.

    A call with something other than one batch of maps is None.
    """
    calls: dict[str, list[Maps | None]] = {path: [] for path in watched}
    some = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    x = torch.zeros(1, *input, dtype=some.dtype, device=some.device)

    def listen(path: str) -> Callable[..., None]:
        def hear(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            given = (*args, *kwargs.values())
            if len(given) == 1 and isinstance(given[0], Tensor) and given[0].dim() == 4:
                calls[path].extend([(Shape(*given[0].shape[1:]), Shape(*output.shape[1:]))] * len(output))
            else:
                calls[path].append(None)

        return hear

    handles = [m.register_forward_hook(listen(path), with_kwargs=True) for path, m in watched.items()]
    try:
        with _undisturbed(model), FlopCounterMode(display=False) as counter:
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls, counter.get_total_flops() // 2


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode; afterwards modes, buffers and random numbers are as they were."""
    modules = list(model.modules())
    modes = [module.training for module in modules]
    buffers = [
        (module, name, buffer, buffer.clone())
        for module in modules
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    devices = {buffer.device for buffer in model.parameters() if buffer.is_cuda}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=sorted(d.index for d in devices)):
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
    """Put modules in the places of others, wherever a parent holds them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in new:
                parent._modules[name] = new[child]
