"""Layers with weights as ops: convolutions, linear layers, normalisations."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape, Size
from elastic_search.nn.trace.call import Call, Converter


def size_of(value: Any, rank: int = 2) -> Size:
    """A size as torch gives it; that of a 1-D operation, along the width, has height 1."""
    values = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),)
    if rank == 1:
        return (1, values[-1])
    height, width = values if len(values) == 2 else (values[0], values[0])
    return height if height == width else (height, width)


def line_of(value: Any, rank: int, rest: int) -> Size:
    """Like ``size_of``, but the height of a 1-D operation is ``rest``."""
    size = size_of(value, rank)
    return (rest, size[1]) if rank == 1 and isinstance(size, tuple) else size


def _conv(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    weight, padding, groups = call.get(1, "weight"), call.get(4, "padding", 0), call.get(6, "groups", 1)
    rank = weight.ndim - 2
    return ops.Conv(
        int(weight.shape[1]) * groups, int(weight.shape[0]), size_of(tuple(weight.shape[2:]), rank),
        size_of(call.get(3, "stride", 1), rank), padding if isinstance(padding, str) else line_of(padding, rank, 0),
        groups, size_of(call.get(5, "dilation", 1), rank), call.get(2, "bias") is not None,
    )  # fmt: skip


def _transposed(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    if call.module is not None and len(call.args) > 1 and call.args[1] is not None:
        return None  # an output size that does not follow from the settings
    weight, groups = call.get(1, "weight"), call.get(6, "groups", 1)
    rank = weight.ndim - 2
    return ops.ConvTranspose(
        int(weight.shape[0]), int(weight.shape[1]) * groups, size_of(tuple(weight.shape[2:]), rank),
        size_of(call.get(3, "stride", 1), rank), line_of(call.get(4, "padding", 0), rank, 0), groups,
        call.get(2, "bias") is not None, line_of(call.get(5, "output_padding", 0), rank, 0),
        size_of(call.get(7, "dilation", 1), rank),
    )  # fmt: skip


def _linear(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    x, weight = call.get(0, "input"), call.get(1, "weight")
    if weight.ndim == 1:
        return traced_ops.Product("linear", inputs, output, macs=x.numel())
    vector = x.ndim == 1 or (x.ndim == 2 and x.shape[0] == 1)
    return ops.Linear(int(weight.shape[1]), int(weight.shape[0]), call.get(2, "bias") is not None, not vector)


def _batch_norm_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    weights, tracked = call.get(1, "weight") is not None, call.get(1, "running_mean") is not None
    momentum, eps = float(call.get(1, "momentum") or 0.0), float(call.get(1, "eps"))
    return ops.BatchNorm(int(call.get(1, "num_features")), momentum, eps, weights, tracked)


def _batch_norm_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    # torch.batch_norm has the weights before the statistics, the function of torch.nn.functional after them.
    names = ("running_mean", "running_var", "weight", "bias", "training")
    if call.spelling != "function" or call.label.startswith("aten."):
        names = ("weight", "bias", "running_mean", "running_var", "training")
    given = {name: call.get(i + 1, name) for i, name in enumerate(names)}
    tracked = not given["training"] and given["running_mean"] is not None
    return ops.BatchNorm(inputs[0].channels, 0.1, 1e-5, given["weight"] is not None, tracked)


def _norm(kind: str, position: int) -> Converter:
    """``position`` is that of the weight among the function's arguments."""

    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        if call.module is not None and getattr(call.module, "track_running_stats", False):
            return None
        at = 1 if kind == "instance" and (call.label.startswith("aten.") or call.spelling == "method") else position
        given = (call.get(at, "weight"), call.get(at + 1, "bias"))
        return traced_ops.Norm(kind, sum(tensor.numel() for tensor in given if isinstance(tensor, Tensor)))

    return convert


MODULES: dict[type[nn.Module], Converter] = {
    **dict.fromkeys((nn.Conv1d, nn.Conv2d), _conv),
    **dict.fromkeys((nn.ConvTranspose1d, nn.ConvTranspose2d), _transposed),
    nn.Linear: _linear,
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), _batch_norm_module),
    nn.GroupNorm: _norm("group", 2),
    nn.LayerNorm: _norm("layer", 2),
    **dict.fromkeys((nn.InstanceNorm1d, nn.InstanceNorm2d), _norm("instance", 3)),
}

FUNCTIONS: dict[str, Converter] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _transposed),
    "linear": _linear,
    "batch_norm": _batch_norm_function,
    "group_norm": _norm("group", 2),
    "layer_norm": _norm("layer", 2),
    "instance_norm": _norm("instance", 3),
}
