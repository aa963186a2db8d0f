"""Faster forms of what a network computes in training, in place of its modules' own; the modules stay as they are.

- A 1 × 1 convolution of channels-last images is a matrix product: a few per cent of a step, and much more where other
  processes take the cores.
- A batch norm does not count its batches one by one: ``Quick.counted`` adds them up.
- A sum is written over its first operand, where nothing else reads it.

The results differ from the modules' own by the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic_search.arch import ops
from elastic_search.arch.graph import Node
from elastic_search.nn.net import Net


class Quick:
    """Overrides the ``forward`` of some of a network's modules, until ``restore``.

    Args:
        net: the training's own copy; its ``state_dict`` and its modules do not change.
        products: whether 1 × 1 convolutions become matrix products; the images are channels-last in memory.
        in_place: whether sums are written over their first operand.
    """

    def __init__(self, net: nn.Module, products: bool, in_place: bool) -> None:
        self._overridden: list[tuple[nn.Module, str]] = []
        self._norms: list[nn.BatchNorm2d] = []
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d) and module.track_running_stats and module.momentum is not None:
                self._norms.append(module)
                self._override(module, "forward", partial(_norm, module))
            elif products and isinstance(module, nn.Conv2d) and is_product(module):
                self._override(module, "forward", partial(_product, module))
            elif (
                in_place
                and isinstance(module, Net)
                and any(isinstance(node.op, ops.Add) for node in module.graph.nodes)
            ):
                self._override(module, "_visit", partial(_visit, module))

    @torch.no_grad()
    def counted(self, batches: int) -> None:
        """Add to the batches that the batch norms have seen."""
        if counters := [norm.num_batches_tracked for norm in self._norms if norm.num_batches_tracked is not None]:
            torch._foreach_add_(counters, batches)

    def restore(self) -> None:
        """Give the modules their own forms back."""
        for module, name in self._overridden:
            vars(module).pop(name, None)
        self._overridden.clear()

    def _override(self, module: nn.Module, name: str, form: Callable[..., object]) -> None:
        vars(module)[name] = form
        self._overridden.append((module, name))


def is_product(conv: nn.Conv2d) -> bool:
    """Whether a convolution is one matrix product for each pixel."""
    return conv.kernel_size == (1, 1) and conv.groups == 1 and conv.padding == (0, 0)


def _product(conv: nn.Conv2d, x: Tensor) -> Tensor:
    down, across = conv.stride
    pixels = x.permute(0, 2, 3, 1)
    if conv.stride != (1, 1):
        pixels = pixels[:, ::down, ::across]
    return F.linear(pixels, conv.weight.flatten(1), conv.bias).permute(0, 3, 1, 2)


def _norm(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    assert norm.momentum is not None
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps
    )


def _visit(net: Net, node: Node, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # A batch norm's gradient does not need its result.
    if isinstance(node.op, ops.Add) and len(values) == 2 and net.graph.may_overwrite(node.inputs[0]):
        first, second = values
        if first.dtype == second.dtype and first.shape == second.shape:
            return (first.add_(second),)
    return Net._visit(net, node, values)
