"""What a call of a torch module or function is as an op: a table from torch's name to a converter.

A converter gets the call and the shapes that enter and leave it, and returns an op, or None where it has none. The op
is used only if its output shape is the one that torch gave.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape, Size


def shape_of(tensor: Tensor) -> Shape:
    """[1, C, H, W] as C×H×W, [1, C] as C×1×1, [1, A, B] as A×1×B; the first of more axes are merged."""
    sizes = [int(size) for size in tensor.shape]
    if len(sizes) > 1 and sizes[0] == 1:
        sizes = sizes[1:]
    if len(sizes) == 2:
        sizes = [sizes[0], 1, sizes[1]]
    sizes += [1] * (3 - len(sizes))
    channels = 1
    for size in sizes[:-2]:
        channels *= size
    return Shape(channels, sizes[-2], sizes[-1])


def dotted(target: Any) -> str:
    """The name of a class, a function or an operator of torch."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target._opname}"
    if isinstance(target, torch._ops.OpOverloadPacket):
        return str(target)
    name = getattr(target, "__qualname__", getattr(target, "__name__", type(target).__qualname__))
    if "<locals>" in name:
        name = target.__name__
    home = getattr(target, "__module__", None) or "torch"
    return f"{home}.{name}"


@dataclass(frozen=True)
class Call:
    """A call of a module or a function, with tensors without numbers in the place of arguments.

    Attributes:
        label: full name, for people and for registered rules.
        name: torch's short name of a function, without the underscore of an in-place one.
        module: None for a function.
        spelling: "function" of torch.nn.functional, "method" of tensors (and functions of torch), or "operator".
        mutates: whether the first argument is overwritten.
    """

    label: str
    name: str
    module: nn.Module | None
    spelling: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    mutates: bool

    @staticmethod
    def of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Call:
        if isinstance(target, nn.Module):
            mutates = bool(getattr(target, "inplace", False))
            kind = type(target)
            label = f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.modules") else dotted(kind)
            return Call(label, "", target, "module", args, kwargs, result, mutates)
        if isinstance(target, str):
            name, label, spelling = target, f"torch.Tensor.{target}", "method"
        else:
            label = dotted(target)
            name = label.rpartition(".")[2]
            if label.startswith("_operator."):
                spelling = "operator"
            elif isinstance(target, torch._ops.OpOverload):
                # Which of its names an exported operator had is lost; these are the commonest.
                spelling = "operator" if name.rstrip("_") in _ARITHMETIC else "function"
            else:
                spelling = "function" if getattr(torch.nn.functional, name, None) is target else "method"
        overwrites = (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE
        mutates = overwrites or kwargs.get("inplace") is True or (len(args) > 1 and args[1] is True)
        if overwrites:
            name = _IN_PLACE.get(name, name.rstrip("_"))
        return Call(label, name, None, spelling, args, kwargs, result, mutates)

    @property
    def known(self) -> str:
        """The name under which the tables of this file have a function; "" if it is not torch's, whatever its name."""
        home = self.label.partition(".")[0]
        return self.name if home in _HOMES else self.label if self.label in FUNCTIONS else ""

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name."""
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)


Converter = Callable[[Call, tuple[Shape, ...], Shape], Op | None]

_HOMES = {"torch", "torchvision", "aten", "_operator", "builtins", "math"}
"""First parts of the labels of functions that the tables mean."""
_IN_PLACE = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "setitem": "setitem"}
_ARITHMETIC = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "truediv": "div", "multiply": "mul", "subtract": "sub",
    "divide": "div", "true_divide": "div",
}  # fmt: skip


def _size(value: Any, rank: int = 2) -> Size:
    """A size as torch has it; of a 1-D operation, whose axis is the width, with height 1."""
    values = tuple(int(v) for v in value) if isinstance(value, (tuple, list)) else (int(value),)
    if rank == 1:
        return (1, values[-1])
    height, width = values if len(values) == 2 else (values[0], values[0])
    return height if height == width else (height, width)


def _line(value: Any, rank: int, rest: int) -> Size:
    """As ``_size``; along the height of a 1-D operation stands ``rest``."""
    size = _size(value, rank)
    return (rest, size[1]) if rank == 1 and isinstance(size, tuple) else size


def _convolution(
    weight: Tensor | nn.Parameter, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int, functional: bool
) -> Op:
    rank = weight.ndim - 2
    pad: Size | str = padding if isinstance(padding, str) else _line(padding, rank, 0)
    return ops.Conv(
        int(weight.shape[1]) * groups, int(weight.shape[0]), _size(tuple(weight.shape[2:]), rank), _size(stride, rank),
        pad, groups, _size(dilation, rank), bias is not None, functional,
    )  # fmt: skip


def _conv_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    m: Any = call.module
    return _convolution(m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups, False)


def _conv_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _convolution(
        call.get(1, "weight"), call.get(2, "bias"), call.get(3, "stride", 1), call.get(4, "padding", 0),
        call.get(5, "dilation", 1), call.get(6, "groups", 1), True,
    )  # fmt: skip


def _transposed(
    weight: Tensor, bias: Any, stride: Any, padding: Any, extra: Any, groups: int, dilation: Any, functional: bool
) -> Op:
    rank = weight.ndim - 2
    return ops.ConvTranspose(
        int(weight.shape[0]), int(weight.shape[1]) * groups, _size(tuple(weight.shape[2:]), rank), _size(stride, rank),
        _line(padding, rank, 0), groups, bias is not None, _line(extra, rank, 0), _size(dilation, rank), functional,
    )  # fmt: skip


def _transposed_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    m: Any = call.module
    if len(call.args) > 1 and call.args[1] is not None:
        return None  # an output size that the settings do not tell
    return _transposed(m.weight, m.bias, m.stride, m.padding, m.output_padding, m.groups, m.dilation, False)


def _transposed_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _transposed(
        call.get(1, "weight"), call.get(2, "bias"), call.get(3, "stride", 1), call.get(4, "padding", 0),
        call.get(5, "output_padding", 0), call.get(6, "groups", 1), call.get(7, "dilation", 1), True,
    )  # fmt: skip


def _linear(weight: Tensor, bias: Any, inputs: tuple[Shape, ...], functional: bool, vector: bool) -> Op:
    return ops.Linear(int(weight.shape[1]), int(weight.shape[0]), bias is not None, not vector, functional)


def _is_vector(call: Call) -> bool:
    x = call.get(0, "input")
    return bool(x.ndim == 1 or (x.ndim == 2 and x.shape[0] == 1))


def _linear_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    m: Any = call.module
    return _linear(m.weight, m.bias, inputs, False, _is_vector(call))


def _linear_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return _linear(call.get(1, "weight"), call.get(2, "bias"), inputs, True, _is_vector(call))


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
    return ops.BatchNorm(inputs[0].channels, 0.1, 1e-5, given["weight"] is not None, tracked, True)


def _norm_module(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        m: Any = call.module
        if kind == "instance" and m.track_running_stats:
            return None
        return ops.Norm(kind, sum(p.numel() for p in m.parameters()))

    return convert


def _norm_function(kind: str, weight: int) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        at = 1 if kind == "instance" and (call.label.startswith("aten.") or call.spelling == "method") else weight
        given = (call.get(at, "weight"), call.get(at + 1, "bias"))
        return ops.Norm(kind, sum(tensor.numel() for tensor in given if isinstance(tensor, Tensor)), True)

    return convert


def _activation(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        if call.module is not None:
            return ops.Activation(kind, "module", sum(p.numel() for p in call.module.parameters()))
        weight = call.get(1, "weight") if kind == "prelu" else None
        return ops.Activation(kind, _spelling(call), weight.numel() if weight is not None else 0)

    return convert


def _spelling(call: Call) -> str:
    return "function" if call.spelling == "function" else "method"


def _relu_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    patched = _spelling(call) == "function" and not call.label.endswith("_")
    return ops.Relu(True) if patched else ops.Activation("relu", "method")


def _softmax(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    m: Any = call.module
    x = call.get(0, "input")
    dim = 1 if isinstance(m, nn.Softmax2d) else m.dim if m is not None else call.get(1, "dim")
    if dim is None or x.shape[0] != 1:
        return None
    axes = {1: (0,), 2: (None, 0), 3: (None, 0, 2), 4: (None, 0, 1, 2)}.get(x.ndim)
    axis = axes[dim] if axes else None
    return None if axis is None else ops.Softmax(axis, "module" if m is not None else _spelling(call))


def _pool_module(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        m: Any = call.module
        if getattr(m, "return_indices", False):
            return None
        rank = 1 if isinstance(m, (nn.MaxPool1d, nn.AvgPool1d)) else 2
        dilation = getattr(m, "dilation", 1)
        return ops.Pool(
            kind, _size(m.kernel_size, rank), _size(m.stride, rank), _line(m.padding, rank, 0), bool(m.ceil_mode),
            _size(dilation, rank),
        )  # fmt: skip

    return convert


def _pool_function(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        kernel = call.get(1, "kernel_size")
        stride = call.get(2, "stride") or kernel
        at = 5 if kind == "max" else 4
        dilation = call.get(4, "dilation", 1) if kind == "max" else 1
        ceil = bool(call.get(at, "ceil_mode", False))
        return ops.Pool(
            kind, _size(kernel), _size(stride), _size(call.get(3, "padding", 0)), ceil, _size(dilation), True
        )

    return convert


def _adaptive(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        m: Any = call.module
        if getattr(m, "return_indices", False):
            return None
        size = m.output_size if m is not None else call.get(1, "output_size")
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        return ops.AdaptivePool(kind, height, width, m is None)

    return convert


def _upsample(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    m: Any = call.module
    if m is not None:
        size, scale, mode, smooth = m.size, m.scale_factor, m.mode, False
    else:
        size, scale = call.get(1, "size"), call.get(2, "scale_factor")
        mode, smooth = call.get(3, "mode", "nearest"), call.get(6, "antialias", False)
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        return None
    mode = f"{mode}-antialias" if smooth else mode
    factors = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * 2
    if size is None and scale is not None and factors[0] == factors[1] and float(factors[0]).is_integer():
        return ops.Upsample(int(factors[0]), mode, m is None)
    given = None if size is not None else tuple(scale) if isinstance(scale, (tuple, list)) else scale
    return ops.Upsample(0, mode, m is None, (output.height, output.width), given)


def _exported_upsample(mode: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        return ops.Upsample(0, mode, True, (output.height, output.width))

    return convert


def _flatten(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    m: Any = call.module
    start = m.start_dim if m is not None else call.get(1, "start_dim", 0)
    end = m.end_dim if m is not None else call.get(2, "end_dim", -1)
    x = call.get(0, "input")
    return ops.Flatten() if start == 1 and end in (-1, x.ndim - 1) and x.shape[0] == 1 else None


def _concat(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    dim = call.get(1, "dim", 0)
    return ops.Concat() if dim in (1, 1 - call.result.ndim) and call.result.ndim == 4 else None


def _mean(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    x, dim = call.get(0, "input"), call.get(1, "dim")
    if not isinstance(dim, (tuple, list)) or x.ndim != 4 or x.shape[0] != 1:
        return None
    return ops.GlobalPool("mean") if sorted(int(d) % 4 for d in dim) == [2, 3] else None


def _arithmetic(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        called = call.spelling == "method" and not call.mutates
        operands = [x for x in (call.get(0, "input"), call.get(1, "other")) if isinstance(x, Tensor)]
        plain = not called and len(operands) == len(inputs) == 2 and all(x.ndim == 4 for x in operands)
        if plain and kind == "add" and inputs[0] == inputs[1]:
            return ops.Add()
        gates = [shape == Shape(output.channels, 1, 1) for shape in inputs]
        if plain and kind == "mul" and output in inputs and any(gates) and output[1:] != (1, 1):
            return ops.Gate()
        op = ops.Elementwise(kind, called)
        fits = len(operands) == len(inputs) and len({x.ndim for x in operands}) == 1
        if fits and all(len({*sizes} - {1}) < 2 for sizes in zip(*inputs, strict=True)) and op.shape(*inputs) == output:
            return op
        return ops.FixedElementwise(kind, inputs, output, functional=called)

    return convert


def _matmul(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    first, second = call.get(0, "input"), call.get(1, "other", call.get(1, "mat2"))
    if first.ndim < 2 or second.ndim < 2:
        return None
    if first.shape[:-2] != second.shape[:-2] and second.ndim != 2:
        return None
    columns = int(second.shape[-1])
    if len(inputs) == 1 and inputs[0] != shape_of(first):
        # The first is a parameter: each element of the second meets its rows.
        if first.ndim != 2 or inputs[0] != shape_of(second):
            return None
        columns = int(first.shape[0])
    elif len(inputs) > 2:
        return None
    return ops.MatMul(
        "bmm" if call.name == "bmm" else "matmul", inputs, output, columns=columns,
        functional=call.spelling != "operator",
    )  # fmt: skip


def _taken_channels(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    return ops.Fixed("narrow" if call.get(3, "groups") == 1 else "take_channels", inputs, output)


def _free_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    if isinstance(call.module, (nn.Identity, nn.modules.dropout._DropoutNd)):
        return ops.Activation("identity" if isinstance(call.module, nn.Identity) else "dropout")
    return ops.Fixed(type(call.module).__name__, inputs, output)


_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU, "gelu": nn.GELU,
    "silu": nn.SiLU, "mish": nn.Mish, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
    "hardtanh": nn.Hardtanh, "tanh": nn.Tanh, "softplus": nn.Softplus, "softsign": nn.Softsign,
    "logsigmoid": nn.LogSigmoid, "log_softmax": nn.LogSoftmax, "prelu": nn.PReLU, "hardshrink": nn.Hardshrink,
    "softshrink": nn.Softshrink, "tanhshrink": nn.Tanhshrink, "threshold": nn.Threshold,
}  # fmt: skip

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
    nn.ReLU: lambda call, inputs, output: ops.Relu(),
    nn.Sigmoid: lambda call, inputs, output: ops.Sigmoid(),
    nn.Softmax: _softmax,
    nn.Softmax2d: _softmax,
    nn.MaxPool1d: _pool_module("max"),
    nn.MaxPool2d: _pool_module("max"),
    nn.AvgPool1d: _pool_module("avg"),
    nn.AvgPool2d: _pool_module("avg"),
    nn.AdaptiveAvgPool2d: _adaptive("avg"),
    nn.AdaptiveMaxPool2d: _adaptive("max"),
    nn.Upsample: _upsample,
    nn.Flatten: _flatten,
    **{kind: _activation(name) for name, kind in _ACTIVATIONS.items()},
    **dict.fromkeys(
        (
            nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
            nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.ZeroPad2d, nn.ConstantPad2d,
            nn.ReflectionPad2d, nn.ReplicationPad2d, nn.Fold, nn.Unfold,
        ),
        _free_module,
    ),
}  # fmt: skip
"""By exact class, as the tools look modules up."""

FUNCTIONS: dict[str, Converter] = {
    **dict.fromkeys(("conv1d", "conv2d"), _conv_function),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d"), _transposed_function),
    "linear": _linear_function,
    "batch_norm": _batch_norm_function,
    "group_norm": _norm_function("group", 2),
    "layer_norm": _norm_function("layer", 2),
    "instance_norm": _norm_function("instance", 3),
    "relu": _relu_function,
    "sigmoid": lambda call, inputs, output: ops.Sigmoid(),
    "softmax": _softmax,
    "max_pool2d": _pool_function("max"),
    "avg_pool2d": _pool_function("avg"),
    "adaptive_avg_pool2d": _adaptive("avg"),
    "adaptive_max_pool2d": _adaptive("max"),
    "interpolate": _upsample,
    "upsample_bilinear2d": _exported_upsample("bilinear"),
    "upsample_nearest2d": _exported_upsample("nearest"),
    "upsample_bicubic2d": _exported_upsample("bicubic"),
    "flatten": _flatten,
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    "mean": _mean,
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    **{name: _arithmetic(kind) for name, kind in _ARITHMETIC.items()},
    **{name: _activation(name) for name in _ACTIVATIONS},
    **{
        name: lambda call, inputs, output: ops.Activation("dropout")
        for name in ("dropout", "dropout2d", "feature_dropout", "alpha_dropout", "stochastic_depth", "drop_block2d")
    },
    # What an Elastic convolution does beside its layers.
    "elastic_search.nn.elastic_conv.take_channels": _taken_channels,
    "elastic_search.nn.elastic_conv.pad_to_multiple": lambda call, inputs, output: ops.Pad(int(call.args[1])),
    "elastic_search.nn.elastic_conv.crop_like": lambda call, inputs, output: ops.Crop(),
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VIEWS = _words(
    """
    broadcast_to chunk contiguous expand expand_as flatten getitem moveaxis movedim narrow permute ravel reshape
    reshape_as select slice split split_with_sizes squeeze swapaxes swapdims t tensor_split transpose unbind unflatten
    unsqueeze view view_as
    """
)
"""Functions whose result may share its memory with what they read: to write there is to write here."""

FREE_FUNCTIONS = VIEWS | _words(
    """
    _assert_tensor_metadata _to_copy _weight_norm abs alias amax amin and_ arange argmax argmin bitwise_and bitwise_not
    bitwise_or bool cat ceil channel_shuffle clamp clamp_max clamp_min clip clone concat concatenate
    constant_pad_nd copy cos cumsum detach dim empty empty_like eq exp expm1 eye fill finfo flip float floor
    floor_divide floordiv fold full full_like gather ge getattr getitem gt half index_select int invert
    is_floating_point item le len lift_fresh_copy linspace log log1p logical_and logical_not logical_or lshift
    lt masked_fill max maximum mean min minimum mod ndimension ne neg nelement new_empty new_full new_ones
    new_zeros norm normalize not_ numel ones ones_like or_ pad pixel_shuffle pixel_unshuffle pos pow prod
    reciprocal reflection_pad2d remainder repeat repeat_interleave replication_pad2d roll round rshift rsqrt
    rsub setitem sign sin size sqrt square stack std stride sum sym_size tile to to_copy tril triu type
    type_as unfold var var_mean where xor zero zeros zeros_like
    """
)
"""Functions that every tool counts as nothing."""

OF_WEIGHTS = FREE_FUNCTIONS | {*_ARITHMETIC, *_ACTIVATIONS, "relu", "sigmoid", "softmax"}
"""Functions of weights alone that are no node: whoever reads their result has the weights."""
