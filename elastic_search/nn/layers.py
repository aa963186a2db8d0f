"""Ops as plain ``torch.nn`` classes, or as functions where torch has no class."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import add
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from elastic_search.arch import ops
from elastic_search.arch.ops import Op
from elastic_search.errors import SpecError


def _global_pool(op: ops.GlobalPool) -> nn.Module:
    if op.kind == "adaptive":
        return nn.AdaptiveAvgPool2d(1)
    # The authors' AvgPool2d(7) fits one input size; here its window is the whole map.
    pool = nn.AvgPool2d(7)
    pool.register_forward_pre_hook(_whole_map)
    return pool


def _whole_map(pool: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    height, width = inputs[0].shape[-2:]
    pool.kernel_size = pool.stride = (int(height), int(width))  # type: ignore[assignment]


def _pool(op: ops.Pool) -> nn.Module:
    if op.kind == "max":
        return nn.MaxPool2d(op.kernel, op.stride, op.padding, op.dilation, ceil_mode=op.ceil)
    return nn.AvgPool2d(op.kernel, op.stride, op.padding, ceil_mode=op.ceil)


_MODULES: dict[type[Op], Callable[[Any], nn.Module]] = {
    ops.Conv: lambda op: nn.Conv2d(
        op.in_channels, op.out_channels, op.kernel, op.stride, op.padding, op.dilation, op.groups, op.bias
    ),
    ops.ConvTranspose: lambda op: nn.ConvTranspose2d(
        op.in_channels,
        op.out_channels,
        op.kernel,
        op.stride,
        op.padding,
        op.output_padding,
        op.groups,
        op.bias,
        op.dilation,
    ),  # fmt: skip
    ops.BatchNorm: lambda op: nn.BatchNorm2d(op.channels, op.eps, op.momentum, op.affine, op.tracked),
    ops.Relu: lambda op: nn.ReLU(),
    ops.Sigmoid: lambda op: nn.Sigmoid(),
    ops.Pool: _pool,
    ops.GlobalPool: _global_pool,
    ops.Upsample: lambda op: nn.Upsample(op.size, None if op.size else op.factor, op.mode),
    ops.Flatten: lambda op: nn.Flatten(),
    ops.Linear: lambda op: nn.Linear(op.in_features, op.out_features, op.bias),
}


def _pad(op: ops.Pad, x: Tensor) -> Tensor:
    height, width = x.shape[-2:]
    bottom, right = (-(-(size + op.extra) // op.multiple) * op.multiple - size for size in (height, width))
    return F.pad(x, (0, right, 0, bottom), mode=op.mode) if bottom or right else x


_FUNCTIONS: dict[type[Op], Callable[..., Tensor]] = {
    ops.Add: lambda op, *xs: reduce(add, xs),
    ops.Gate: lambda op, x, gate: x * gate,
    ops.Concat: lambda op, *xs: torch.cat(xs, 1),
    ops.Pad: _pad,
    ops.Crop: lambda op, x, like: x[..., : like.shape[-2], : like.shape[-1]],
    ops.Relu: lambda op, x: F.relu(x),
    ops.GlobalPool: lambda op, x: F.avg_pool2d(x, x.shape[-2:]),
    ops.Upsample: lambda op, x: F.interpolate(x, op.size, None if op.size else op.factor, op.mode),
}


def module(op: Op, spelling: str = "module") -> nn.Module | None:
    """The op as a module, or None where it is a function.

    Raises:
        SpecError: if it is neither, as in a graph that was read from a module.
    """
    if type(op) not in _MODULES and type(op) not in _FUNCTIONS:
        raise SpecError(f"{type(op).__name__}: a graph that was read from a module cannot be built", "run the module")
    is_module = type(op) in _MODULES and (spelling == "module" or type(op) not in _FUNCTIONS)
    return _MODULES[type(op)](op) if is_module else None


def call(op: Op, *inputs: Tensor) -> Tensor:
    """The op as a function of its input tensors."""
    return _FUNCTIONS[type(op)](op, *inputs)
