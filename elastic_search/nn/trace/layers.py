"""Layers with weights as ops: convolutions, linear layers, normalisations."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape, Size
from elastic_search.nn.trace.call import Call, Converter


def size_of(value: Any, rank: int = 2) -> Size:
    """A size as torch has it; of a 1-D operation, whose axis is the width, with height 1."""
    values = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),)
    if rank == 1:
        return (1, values[-1])
    height, width = values if len(values) == 2 else (values[0], values[0])
    return height if height == width else (height, width)


def line_of(value: Any, rank: int, rest: int) -> Size:
    """As ``size_of``; along the height of a 1-D operation stands ``rest``."""
    size = size_of(value, rank)
    return (rest, size[1]) if rank == 1 and isinstance(size, tuple) else size


def _convolution(weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Op:
    rank = weight.ndim - 2
    pad: Size | str = padding if isinstance(padding, str) else line_of(padding, rank, 0)
    return ops.Conv(
        int(weight.shape[1]) * groups, int(weight.shape[0]), size_of(tuple(weight.shape[2:]), rank),
        size_of(stride, rank), pad, groups, size_of(dilation, rank), bias is not None,
    )  # fmt: skip


def _conv_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    m: Any = call.module
    return _convolution(m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups)


def _conv_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _convolution(
        call.get(1, "weight"), call.get(2, "bias"), call.get(3, "stride", 1), call.get(4, "padding", 0),
        call.get(5, "dilation", 1), call.get(6, "groups", 1),
    )  # fmt: skip


def _transposed(weight: Tensor, bias: Any, stride: Any, padding: Any, extra: Any, groups: int, dilation: Any) -> Op:
    rank = weight.ndim - 2
    return ops.ConvTranspose(
        int(weight.shape[0]), int(weight.shape[1]) * groups, size_of(tuple(weight.shape[2:]), rank),
        size_of(stride, rank), line_of(padding, rank, 0), groups, bias is not None, line_of(extra, rank, 0),
        size_of(dilation, rank),
    )  # fmt: skip


def _transposed_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    m: Any = call.module
    if len(call.args) > 1 and call.args[1] is not None:
        return None  # an output size that the settings do not tell
    return _transposed(m.weight, m.bias, m.stride, m.padding, m.output_padding, m.groups, m.dilation)


def _transposed_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _transposed(
        call.get(1, "weight"), call.get(2, "bias"), call.get(3, "stride", 1), call.get(4, "padding", 0),
        call.get(5, "output_padding", 0), call.get(6, "groups", 1), call.get(7, "dilation", 1),
    )  # fmt: skip


def _linear(weight: Tensor, bias: Any, x: Tensor) -> Op:
    vector = x.ndim == 1 or (x.ndim == 2 and x.shape[0] == 1)
    return ops.Linear(int(weight.shape[1]), int(weight.shape[0]), bias is not None, not vector)


def _linear_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    m: Any = call.module
    return _linear(m.weight, m.bias, call.get(0, "input"))


def _linear_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _linear(call.get(1, "weight"), call.get(2, "bias"), call.get(0, "input"))


def _batch_norm_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    m: Any = call.module
    return ops.BatchNorm(m.num_features, m.momentum or 0.0, m.eps, m.weight is not None, m.running_mean is not None)


def _batch_norm_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    # torch.batch_norm has the weights before the statistics, the function of torch.nn.functional after them.
    names = ("running_mean", "running_var", "weight", "bias", "training")
    if call.spelling != "function" or call.label.startswith("aten."):
        names = ("weight", "bias", "running_mean", "running_var", "training")
    given = {name: call.get(i + 1, name) for i, name in enumerate(names)}
    tracked = not given["training"] and given["running_mean"] is not None
    return ops.BatchNorm(inputs[0].channels, 0.1, 1e-5, given["weight"] is not None, tracked)


def _norm_module(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        m: Any = call.module
        if kind == "instance" and m.track_running_stats:
            return None
        return traced_ops.Norm(kind, sum(p.numel() for p in m.parameters()))

    return convert


def _norm_function(kind: str, weight: int) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        at = 1 if kind == "instance" and (call.label.startswith("aten.") or call.spelling == "method") else weight
        given = (call.get(at, "weight"), call.get(at + 1, "bias"))
        return traced_ops.Norm(kind, sum(tensor.numel() for tensor in given if isinstance(tensor, Tensor)))

    return convert


MODULES: dict[type[nn.Module], Converter] = {
    nn.Conv1d: _conv_module,
    nn.Conv2d: _conv_module,
    nn.ConvTranspose1d: _transposed_module,
    nn.ConvTranspose2d: _transposed_module,
    nn.Linear: _linear_module,
    nn.BatchNorm1d: _batch_norm_module,
    nn.BatchNorm2d: _batch_norm_module,
    nn.GroupNorm: _norm_module("group"),
    nn.LayerNorm: _norm_module("layer"),
    nn.InstanceNorm1d: _norm_module("instance"),
    nn.InstanceNorm2d: _norm_module("instance"),
}

FUNCTIONS: dict[str, Converter] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv_function),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _transposed_function),
    "linear": _linear_function,
    "batch_norm": _batch_norm_function,
    "group_norm": _norm_function("group", 2),
    "layer_norm": _norm_function("layer", 2),
    "instance_norm": _norm_function("instance", 3),
}
