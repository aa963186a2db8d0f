"""What every tool counts for a call as it ran: its own rule, on the tensors that went in and came out.

The rules of ``cost.tools`` are for ops on one image. These hold for tensors of any axes and batch, for subclasses and
own layer classes, and are asked of every call: of each function what fvcore and ptflops count, and of each module what
the tools count that hook modules.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Container
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.cost.tools import FVCORE, PTFLOPS, THOP, TORCHINFO
from elastic_search.nn.trace.call import Call
from elastic_search.nn.trace.recurrent import cell_costs

Counts = Counter[str]
"""A count by name of convention, and fvcore's "activations"."""


def of_function(call: Call) -> Counts:
    """What fvcore and ptflops count for a call of a function, a method or an operator."""
    counts = Counts()
    rule = _FVCORE.get(call.name)
    if rule is not None and isinstance(call.result, Tensor) and not call.mutates:
        counts[FVCORE.name] = int(rule(call))
        if call.name in _ACTIVATIONS and not (call.name.startswith("conv") and _in_words(call)):
            counts["activations"] = call.result.numel()
    counts[PTFLOPS.name] = int(_ptflops_function(call))
    return +counts


def of_module(module: nn.Module, args: tuple[Any, ...], result: Any, *, counted_by: Counter[str]) -> Counts:
    """What the tools that hook modules count for a call of one.

    Args:
        module: any module, a layer of torch or not.
        args: its positional inputs, which are all that hooks are given.
        result: what it returned.
        counted_by: how often each tool adds the module up: once for each parent.
    """
    counts, kind = Counts(), type(module)
    for name, rules in ((PTFLOPS.name, _ptflops_layers()), (THOP.name, _THOP)):
        rule = rules.get(kind)
        if rule is not None and args and counted_by[name]:
            with contextlib.suppress(Exception):  # as the tool itself fails
                counts[name] = int(rule(module, args, result)) * counted_by[name]
    if not any(True for _ in module.children()):
        counts[TORCHINFO.name] = _torchinfo(module, result)
    return +counts


def parents(root: nn.Module) -> dict[int, Counter[str]]:
    """How often ptflops and thop add up the calls of each module, which may have several parents.

    Both add a module once for each way to it that ends at the first layer that they count. thop also hears each call
    once for each way there is.
    """
    found: dict[int, Counter[str]] = {}

    def visit(module: nn.Module, name: str, layers: Container[type]) -> None:
        found.setdefault(id(module), Counter())[name] += 1
        if module is root or type(module) not in layers:
            for child in module.children():
                visit(child, name, layers)

    visit(root, "hooks", ())
    visit(root, THOP.name, _THOP)
    if type(root) not in _ptflops_layers():
        visit(root, PTFLOPS.name, _ptflops_layers())
    else:
        found[id(root)][PTFLOPS.name] = 1
    for times in found.values():
        times[THOP.name] *= times.pop("hooks")
    return found


# fvcore, by the function that torch.jit.trace records.


def _in_words(call: Call) -> bool:
    return isinstance(call.get(4, "padding", 0), str)


def _convolution(call: Call) -> int:
    x, weight = call.get(0, "input"), call.get(1, "weight")
    if _in_words(call):
        return 0  # its table lacks the name under which such a convolution is traced
    batch = x.shape[0] if x.ndim == weight.ndim else 1
    positions = (x if "transpose" in call.name else call.result).shape[2 - weight.ndim :]
    return int(batch * weight.numel() * prod(positions))


def _norm(call: Call, weight: Any) -> int:
    return int(call.get(0, "input").numel() * (4 if weight is None else 5))


def _batch_norm(call: Call) -> int:
    # torch.batch_norm has the weights before the statistics, the function of torch.nn.functional after them.
    of_functional = call.label.startswith("torch.nn.functional")
    weight, training = call.get(3 if of_functional else 1, "weight"), call.get(5, "training", False)
    return _norm(call, weight) if training else int(call.get(0, "input").numel() * (1 if weight is None else 2))


def _instance_norm(call: Call) -> int:
    of_functional = call.label.startswith("torch.nn.functional")
    return _norm(call, call.get(3 if of_functional else 1, "weight"))


def _interpolate(call: Call) -> int:
    mode = call.get(3, "mode", "nearest")
    if call.result.ndim != 4 or call.get(6, "antialias", False):
        return 0
    return int({"bilinear": 4, "nearest": 1}.get(mode, 0) * call.result.numel())


def _einsum(call: Call) -> int:
    equation, *operands = call.args
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = list(operands[0])
    if not isinstance(equation, str):
        return 0
    return _einsum_flops(equation.replace(" ", ""), tuple(tuple(map(int, x.shape)) for x in operands))


@lru_cache(maxsize=1024)
def _einsum_flops(equation: str, shapes: tuple[tuple[int, ...], ...]) -> int:
    letters: dict[str, str] = {}
    for letter in filter(str.isalpha, equation):
        letters.setdefault(letter, chr(97 + len(letters)))
    plain = "".join(letters.get(letter, letter) for letter in equation)
    first, last = shapes[0], shapes[-1]
    if plain == "abc,abd->acd":
        return prod(first) * last[-1]
    if plain == "abc,adc->adb":
        return prod(first) * last[1]
    import numpy as np

    # The tool reads the count from the text that NumPy prints, which has four digits.
    said = np.einsum_path(plain, *(np.broadcast_to(0.0, shape) for shape in shapes), optimize="optimal")[1]
    line = next(line for line in said.split("\n") if "optimized flop" in line.lower())
    return int(float(line.split(":")[-1]) / 2)


def _matmul(call: Call) -> int:
    x, y = call.get(0, "input"), call.get(1, "other")
    y = call.get(1, "mat2") if y is None else y
    return int(x.numel() * y.shape[-1]) if y.ndim > 1 and x.ndim > 0 else 0


_FVCORE: dict[str, Callable[[Call], int]] = {
    **dict.fromkeys(
        ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), _convolution
    ),
    "linear": lambda call: call.get(0, "input").numel() * call.get(1, "weight").shape[0],
    "addmm": lambda call: call.get(1, "mat1").numel() * call.get(2, "mat2").shape[-1],
    **dict.fromkeys(("matmul", "mm", "bmm"), _matmul),
    "einsum": _einsum,
    "batch_norm": _batch_norm,
    "group_norm": lambda call: _norm(call, call.get(2, "weight")),
    "layer_norm": lambda call: _norm(call, call.get(2, "weight")),
    "instance_norm": _instance_norm,
    "interpolate": _interpolate,
    "upsample": _interpolate,
    "upsample_bilinear2d": lambda call: 4 * call.result.numel(),
    "upsample_nearest2d": lambda call: call.result.numel(),
    "adaptive_avg_pool2d": lambda call: call.get(0, "input").numel(),
    "grid_sample": lambda call: 4 * call.result.numel() * (call.result.ndim == 4),
    "grid_sampler": lambda call: 4 * call.result.numel(),
}
_ACTIVATIONS = frozenset((
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "addmm", "bmm", "einsum",
    "matmul", "linear",
))  # fmt: skip


# ptflops, backend pytorch: it replaces functions of torch.nn.functional, and functions and methods of tensors.

_PTFLOPS_NUMEL = frozenset((
    "relu", "prelu", "elu", "relu6", "gelu", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d",
    "max_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "softmax", "silu",
))  # fmt: skip
_PTFLOPS_PRODUCTS = frozenset(("matmul", "mm", "bmm"))


def _ptflops_function(call: Call) -> int:
    name = call.name
    if call.spelling == "function":
        name = name.removesuffix("_with_indices")
        if name in _PTFLOPS_NUMEL and not (call.label.endswith("_") and call.mutates):
            return int(call.get(0, "input").numel())
        return _ptflops_resized(call) if name in ("interpolate", "upsample") else 0
    if call.spelling != "method" or call.mutates:
        return 0
    of_tensor = call.label.startswith("torch.Tensor.")
    if name in _PTFLOPS_PRODUCTS:
        x, y = call.get(0, "input"), call.get(1, "other")
        return int(x.numel() * (call.get(1, "mat2") if y is None else y).shape[-1])
    if name == "addmm" or (name == "baddbmm" and not of_tensor):
        first = call.get(1, "mat1" if name == "addmm" else "batch1")
        second = call.get(2, "mat2" if name == "addmm" else "batch2")
        added = call.get(0, "input").numel() if call.kwargs.get("beta", 1) else 0
        return int(first.numel() * second.shape[-1] + added)
    if name in ("add", "mul"):
        operands = [x for x in (call.get(0, "input"), call.get(1, "other")) if isinstance(x, Tensor)]
        if len(operands) < 2:
            return int(operands[0].numel()) if operands else 1
        # It lines sizes up from the left, where torch broadcasts from the right.
        longest = max(x.ndim for x in operands)
        return prod(max(x.shape[i] if i < x.ndim else 1 for x in operands) for i in range(longest))
    return 0


def _ptflops_resized(call: Call) -> int:
    """It multiplies the input by the scale factor as given, but truncates each of several factors."""
    x, size, scale = call.get(0, "input"), call.get(1, "size"), call.get(2, "scale_factor")
    if size is not None:
        sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,) * (x.ndim - 2)
        return int(prod(map(int, sizes)) * prod(x.shape[:2]))
    if isinstance(scale, tuple) and len(scale) == x.ndim - 2:
        return int(x.numel() * prod(map(int, scale)))
    return int(x.numel() * scale ** (x.ndim - 2)) if isinstance(scale, (int, float)) else 0


ModuleRule = Callable[[Any, tuple[Any, ...], Any], float]


def _input(module: Any, args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel())


def _output(module: Any, args: tuple[Any, ...], result: Any) -> int:
    return int(result.numel())


def _free(module: Any, args: tuple[Any, ...], result: Any) -> int:
    return 0


def _ptflops_convolution(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    shape = args[0].shape if transposed else result.shape
    weights = (
        prod(map(int, module.kernel_size)) * int(module.in_channels) * (int(module.out_channels) // int(module.groups))
    )
    bias = result.shape[0] * prod(result.shape[1:]) if module.bias is not None else 0
    return int(weights * args[0].shape[0] * prod(shape[2:]) + bias)


def _ptflops_linear(module: nn.Linear, args: tuple[Any, ...], result: Tensor) -> int:
    x = args[0]
    bias = result.shape[-1] if module.bias is not None else 0
    return int((x.shape[-1] * result.shape[-1] + bias) * prod(x.shape[:-1]))


def _ptflops_norm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * (2 if getattr(module, "affine", False) else 1))


def _ptflops_recurrent(module: Any, args: tuple[Any, ...], result: Any) -> int:
    total = 0
    for layer in range(module.num_layers):
        shapes = getattr(module, f"weight_ih_l{layer}").shape, getattr(module, f"weight_hh_l{layer}").shape
        total += sum(map(prod, shapes)) + cell_costs(module).ptflops * module.hidden_size
        if module.bias:
            total += shapes[0][0] + shapes[1][0]
    return int(total * args[0].shape[0] * args[0].shape[1] * (2 if module.bidirectional else 1))


def _ptflops_cell(module: Any, args: tuple[Any, ...], result: Any) -> int:
    shapes = module.weight_ih.shape, module.weight_hh.shape
    total = sum(map(prod, shapes)) + cell_costs(module).ptflops * module.hidden_size
    return int((total + (shapes[0][0] + shapes[1][0] if module.bias else 0)) * args[0].shape[0])


def _ptflops_attention(module: nn.MultiheadAttention, args: tuple[Any, ...], result: Any) -> int:
    (q, k, v), at = args[:3], 1 if module.batch_first else 0
    lengths, widths = [x.shape[at] for x in (q, k, v)], [x.shape[2] for x in (q, k, v)]
    total = lengths[0] * widths[0] + sum(length * width**2 for length, width in zip(lengths, widths, strict=True))
    if module.in_proj_bias is not None:
        total += sum(lengths) * widths[0]
    heads, pairs = module.num_heads, lengths[0] * lengths[1]
    total += heads * (pairs * (widths[0] // heads) + pairs + pairs * (widths[2] // heads))
    total += lengths[0] * widths[2] * (widths[2] + 1)
    return int(total * q.shape[1 - at])


_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
_AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_ADAPTIVE_MAX = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
_ADAPTIVE_AVERAGE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)

_PTFLOPS_MODULES: dict[type, ModuleRule] = {
    **dict.fromkeys(_CONVOLUTIONS, _ptflops_convolution),
    **dict.fromkeys((nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.GELU), _output),
    **dict.fromkeys((*_MAX_POOLS, *_AVERAGE_POOLS, *_ADAPTIVE_MAX, *_ADAPTIVE_AVERAGE), _input),
    **dict.fromkeys((*_BATCH_NORMS, *_INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm), _ptflops_norm),
    nn.Linear: _ptflops_linear,
    # It counts the elements of the first image as often as the images.
    nn.Upsample: lambda module, args, result: result[0].shape[0] * prod(result[0].shape[1:]),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _ptflops_recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), _ptflops_cell),
    nn.MultiheadAttention: _ptflops_attention,
}


def _ptflops_attention_of_timm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    (batch, tokens, _), width = args[0].shape, module.head_dim * module.num_heads
    return int(batch * (tokens * width + 2 * tokens**2 * width + module.num_heads * tokens**2))


def _ptflops_layers() -> dict[type, ModuleRule]:
    """Its layers, with timm's attention if that is loaded."""
    timm = sys.modules.get("timm.models.vision_transformer")
    return _PTFLOPS_MODULES if timm is None else {**_PTFLOPS_MODULES, timm.Attention: _ptflops_attention_of_timm}


# thop, by exact class.


def _thop_convolution(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    return int(result.numel() * (args[0].shape[1] // int(module.groups)) * prod(module.weight.shape[2:]))


def _thop_norm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    affine = getattr(module, "affine", False) or getattr(module, "elementwise_affine", False)
    return int(args[0].numel() * (4 if affine else 2))


def _thop_softmax(module: nn.Softmax, args: tuple[Any, ...], result: Any) -> int:
    size = args[0].shape[module.dim]
    return int(args[0].numel() // size * (3 * size - 1))


def _thop_adaptive(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    window = prod(x / y for x, y in zip(args[0].shape[2:], result.shape[2:], strict=False))
    return int((window + 1) * result.numel())


_THOP_MODES = {"nearest": 1, "linear": 5, "bilinear": 11, "bicubic": 259}


def _thop_upsample(module: nn.Upsample, args: tuple[Any, ...], result: Tensor) -> int:
    return _THOP_MODES.get(module.mode, 0) * result.numel()


def _thop_recurrent(module: Any, args: tuple[Any, ...], result: Any) -> int:
    directions, layers = 2 if module.bidirectional else 1, module.num_layers
    widths = [module.input_size] + [directions * module.hidden_size] * (layers - 1)
    return int(directions * sum(_thop_step(module, width) for width in widths) * prod(args[0].shape[:2]))


def _thop_step(module: Any, width: int) -> int:
    gates, more = cell_costs(module).gates, cell_costs(module).thop
    of_gate = (width + module.hidden_size) * module.hidden_size + module.hidden_size
    return int(gates * (of_gate + (2 * module.hidden_size if module.bias else 0)) + more * module.hidden_size)


_THOP: dict[type, ModuleRule] = {
    **dict.fromkeys(_CONVOLUTIONS, _thop_convolution),
    **dict.fromkeys((*_BATCH_NORMS, *_INSTANCE_NORMS, nn.LayerNorm, nn.SyncBatchNorm), _thop_norm),
    nn.PReLU: _input,
    nn.Softmax: _thop_softmax,
    **dict.fromkeys(_AVERAGE_POOLS, _output),
    **dict.fromkeys(_ADAPTIVE_AVERAGE, _thop_adaptive),
    nn.Linear: lambda module, args, result: int(module.in_features) * result.numel(),
    **dict.fromkeys((nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d), _thop_upsample),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _thop_recurrent),
    **dict.fromkeys(
        (nn.RNNCell, nn.GRUCell, nn.LSTMCell),
        lambda module, args, result: _thop_step(module, module.input_size) * args[0].shape[0],
    ),
    **dict.fromkeys(
        (
            nn.ZeroPad2d, nn.ReLU, nn.ReLU6, nn.LeakyReLU, *_MAX_POOLS, *_ADAPTIVE_MAX, nn.Dropout, nn.PixelShuffle,
        ),
        _free,
    ),
}  # fmt: skip


# torchinfo: any module without children, by the names of its parameters.


def _torchinfo(module: nn.Module, result: Any) -> int:
    size = _size(result)
    if not size:
        return 0
    convolution, total = "Conv" in type(module).__name__, 0
    for path, parameter in module.named_parameters():
        name, count = path, parameter.numel()
        if path.endswith("_orig") and isinstance(mask := getattr(module, f"{path[:-5]}_mask", None), Tensor):
            name, count = path[:-5], int(mask.sum())
        if name in ("weight", "bias"):
            total += count * (prod(size[:1] + size[2:]) if convolution else size[0])
        elif "weight" in name or "bias" in name:
            total += count * prod(size[:2])
    return int(total)


def _size(result: Any) -> list[int]:
    """The size of a result as the tool finds it: of the first tensor in it, or of the last value of a dict."""
    if isinstance(result, dict):
        result = list(result.values())[-1] if result else None
    while isinstance(result, (tuple, list)) and result and not isinstance(result, torch.Size):
        result = result[0]
    return [int(size) for size in result.shape] if isinstance(result, Tensor) else []
