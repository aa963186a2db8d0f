"""One run of a model to see what its convolutions are given; the model itself is not changed."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.ops import Shape
from elastic_search.nn.elastic.verdict import Maps
from elastic_search.nn.trace.reader import image
from elastic_search.nn.unchanged import unchanged


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
        with unchanged(model), FlopCounterMode(display=False) as counter:
            model(image(model, input))
    finally:
        for handle in handles:
            handle.remove()
    return calls, counter.get_total_flops() // 2


def exchange(model: nn.Module, new: dict[nn.Module, nn.Module]) -> None:
    """Replace modules by others, wherever a parent holds them."""
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child in new:
                parent._modules[name] = new[child]
