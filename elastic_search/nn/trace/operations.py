"""Operations without weights of their own as ops: pools, resizing, activations, arithmetic."""

from __future__ import annotations

from torch import Tensor, nn

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.nn.trace.call import ARITHMETIC, Call, Converter
from elastic_search.nn.trace.layers import line_of, size_of


def _activation(kind: str) -> Converter:
    slopes = kind == "prelu"
    return lambda call, *_: traced_ops.Activation(kind, call.get(1, "weight").numel() if slopes else 0)


def _relu_function(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    counted = call.spelling == "function" and not call.label.endswith("_")
    return ops.Relu() if counted else traced_ops.Activation("relu")


def _softmax(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    x, dim = call.get(0, "input"), 1 if isinstance(call.module, nn.Softmax2d) else call.get(1, "dim")
    if dim is None or x.shape[0] != 1:
        return None
    axes = {1: (0,), 2: (None, 0), 3: (None, 0, 2), 4: (None, 0, 1, 2)}.get(x.ndim)
    axis = axes[dim] if axes else None
    return None if axis is None else traced_ops.Softmax(axis)


def _pool(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        if getattr(call.module, "return_indices", False):
            return None
        rank = 1 if isinstance(call.module, (nn.MaxPool1d, nn.AvgPool1d)) else 2
        kernel = call.get(1, "kernel_size")
        dilation, at = (call.get(4, "dilation", 1), 5) if kind == "max" else (1, 4)
        return ops.Pool(
            kind, size_of(kernel, rank), size_of(call.get(2, "stride") or kernel, rank),
            line_of(call.get(3, "padding", 0), rank, 0), bool(call.get(at, "ceil_mode", False)),
            size_of(dilation, rank),
        )  # fmt: skip

    return convert


def _adaptive(kind: str) -> Converter:
    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
        size = call.get(1, "output_size")
        height, width = size if isinstance(size, (tuple, list)) else (size, size)
        indices = getattr(call.module, "return_indices", False)
        return None if indices else traced_ops.AdaptivePool(kind, height, width)

    return convert


def _upsample(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    size, scale, mode = call.get(1, "size"), call.get(2, "scale_factor"), call.get(3, "mode", "nearest")
    if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        return None
    mode = f"{mode}-antialias" if call.get(6, "antialias", False) else mode
    factors = tuple(scale) if isinstance(scale, (tuple, list)) else (scale,) * 2
    if size is None and scale is not None and factors[0] == factors[1] and float(factors[0]).is_integer():
        return ops.Upsample(int(factors[0]), mode)
    given = None if size is not None else tuple(scale) if isinstance(scale, (tuple, list)) else scale
    return ops.Upsample(0, mode, output[1:], given)


def _flatten(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op | None:
    x, start, end = call.get(0, "input"), call.get(1, "start_dim", 0), call.get(2, "end_dim", -1)
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
        operands = [x for x in (call.get(0, "input"), call.get(1, "other")) if isinstance(x, Tensor)]
        plain = call.spelling != "method" and len(operands) == len(inputs) == 2 and all(x.ndim == 4 for x in operands)
        if plain and kind == "add" and inputs[0] == inputs[1]:
            return ops.Add()
        gates = [shape == Shape(output.channels, 1, 1) for shape in inputs]
        if plain and kind == "mul" and output in inputs and any(gates) and output[1:] != (1, 1):
            return ops.Gate()
        op = traced_ops.Elementwise(kind)
        fits = len(operands) == len(inputs) and len({x.ndim for x in operands}) == 1
        if fits and all(len({*sizes} - {1}) < 2 for sizes in zip(*inputs, strict=True)) and op.shape(*inputs) == output:
            return op
        return traced_ops.FixedElementwise(kind, inputs, output)

    return convert


def _product(position: int, *names: str) -> Converter:
    """A product of matrices; the first of them is at a position among the arguments, or has one of some names."""

    def convert(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
        first = next(found for name in names if (found := call.get(position, name)) is not None)
        kind = "matmul" if call.name == "mm" else call.name
        return traced_ops.Product(kind, inputs, output, macs=call.result.numel() * int(first.shape[-1]))

    return convert


def _attention(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    """Each query meets every key, and the weights of that every value."""
    query, keys = call.get(0, "query"), int(call.get(1, "key").shape[-2])
    return traced_ops.Product(call.name, inputs, output, macs=(query.numel() + call.result.numel()) * keys)


def _free_module(call: Call, inputs: tuple[Shape, ...], output: Shape) -> Op:
    if isinstance(call.module, (nn.Identity, nn.modules.dropout._DropoutNd)):
        return traced_ops.Activation("identity" if isinstance(call.module, nn.Identity) else "dropout")
    return traced_ops.Fixed(type(call.module).__name__, inputs, output)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU, "selu": nn.SELU, "celu": nn.CELU, "gelu": nn.GELU,
    "silu": nn.SiLU, "mish": nn.Mish, "hardswish": nn.Hardswish, "hardsigmoid": nn.Hardsigmoid,
    "hardtanh": nn.Hardtanh, "tanh": nn.Tanh, "softplus": nn.Softplus, "softsign": nn.Softsign,
    "logsigmoid": nn.LogSigmoid, "log_softmax": nn.LogSoftmax, "prelu": nn.PReLU, "hardshrink": nn.Hardshrink,
    "softshrink": nn.Softshrink, "tanhshrink": nn.Tanhshrink, "threshold": nn.Threshold,
}  # fmt: skip

MODULES: dict[type[nn.Module], Converter] = {
    nn.ReLU: lambda call, inputs, output: ops.Relu(),
    nn.Sigmoid: lambda call, inputs, output: ops.Sigmoid(),
    **dict.fromkeys((nn.Softmax, nn.Softmax2d), _softmax),
    **dict.fromkeys((nn.MaxPool1d, nn.MaxPool2d), _pool("max")),
    **dict.fromkeys((nn.AvgPool1d, nn.AvgPool2d), _pool("avg")),
    nn.AdaptiveAvgPool2d: _adaptive("avg"),
    nn.AdaptiveMaxPool2d: _adaptive("max"),
    nn.Upsample: _upsample,
    nn.Flatten: _flatten,
    **{kind: _activation(name) for name, kind in ACTIVATIONS.items()},
    **dict.fromkeys(
        (
            nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout,
            nn.Unflatten, nn.PixelShuffle, nn.PixelUnshuffle, nn.ChannelShuffle, nn.ZeroPad2d, nn.ConstantPad2d,
            nn.ReflectionPad2d, nn.ReplicationPad2d, nn.Fold, nn.Unfold,
        ),
        _free_module,
    ),
}  # fmt: skip

FUNCTIONS: dict[str, Converter] = {
    "relu": _relu_function,
    "sigmoid": lambda call, inputs, output: ops.Sigmoid(),
    "softmax": _softmax,
    "max_pool2d": _pool("max"),
    "avg_pool2d": _pool("avg"),
    "adaptive_avg_pool2d": _adaptive("avg"),
    "adaptive_max_pool2d": _adaptive("max"),
    "interpolate": _upsample,
    "upsample_bilinear2d": lambda call, inputs, output: ops.Upsample(0, "bilinear", output[1:]),
    "upsample_nearest2d": lambda call, inputs, output: ops.Upsample(0, "nearest", output[1:]),
    "upsample_bicubic2d": lambda call, inputs, output: ops.Upsample(0, "bicubic", output[1:]),
    "flatten": _flatten,
    **dict.fromkeys(("cat", "concat", "concatenate"), _concat),
    "mean": _mean,
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "dot"), _product(0, "input")),
    "scaled_dot_product_attention": _attention,
    **dict.fromkeys(("addmm", "baddbmm"), _product(1, "mat1", "batch1")),
    **{name: _arithmetic(kind) for name, kind in ARITHMETIC.items()},
    **{name: _activation(name) for name in ACTIVATIONS},
    **dict.fromkeys(
        ("dropout", "dropout2d", "feature_dropout", "alpha_dropout", "stochastic_depth", "drop_block2d"),
        lambda call, inputs, output: traced_ops.Activation("dropout"),
    ),
    # What an Elastic convolution does besides its layers.
    "elastic_search.nn.elastic.elastic_conv.take_channels": lambda call, inputs, output: traced_ops.Fixed(
        "narrow" if call.get(3, "groups") == 1 else "take_channels", inputs, output
    ),
    "elastic_search.nn.elastic.elastic_conv.pad_to_multiple": lambda call, inputs, output: ops.Pad(int(call.args[1])),
    "elastic_search.nn.elastic.elastic_conv.crop_like": lambda call, inputs, output: ops.Crop(),
}
