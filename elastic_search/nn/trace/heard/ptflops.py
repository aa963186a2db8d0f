"""ptflops, backend pytorch: it hooks modules by class, and replaces functions of torch and methods of tensors."""

from __future__ import annotations

import sys
from math import prod
from typing import Any

from torch import Tensor, nn

from elastic_search.nn.trace.call import Call
from elastic_search.nn.trace.heard.modules import (
    ADAPTIVE_AVERAGE,
    ADAPTIVE_MAX,
    AVERAGE_POOLS,
    BATCH_NORMS,
    CONVOLUTIONS,
    INSTANCE_NORMS,
    MAX_POOLS,
    ModuleRule,
    of_input,
    of_output,
)
from elastic_search.nn.trace.recurrent import cell_costs

_NUMEL = frozenset((
    "relu", "prelu", "elu", "relu6", "gelu", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d",
    "max_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "softmax", "silu",
))  # fmt: skip
FUNCTIONS = _NUMEL | {f"{name}_with_indices" for name in _NUMEL if "max_pool" in name} | {"interpolate", "upsample"}
"""Functions of torch.nn.functional that it replaces, and the forms of theirs that return indices, too."""

_PRODUCTS = frozenset(("matmul", "mm", "bmm"))


def of_function(call: Call) -> int:
    """What it counts for a function or a method."""
    name = call.name
    if call.spelling == "function":
        name = name.removesuffix("_with_indices")
        if name in _NUMEL and not (call.label.endswith("_") and call.mutates):
            return int(call.get(0, "input").numel())
        return _resized(call) if name in ("interpolate", "upsample") else 0
    if call.spelling != "method" or call.mutates:
        return 0
    of_tensor = call.label.startswith("torch.Tensor.")
    if name in _PRODUCTS:
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


def _resized(call: Call) -> int:
    """It multiplies the input by the scale factor as given, but truncates each of several factors."""
    x, size, scale = call.get(0, "input"), call.get(1, "size"), call.get(2, "scale_factor")
    if size is not None:
        sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,) * (x.ndim - 2)
        return int(prod(map(int, sizes)) * prod(x.shape[:2]))
    if isinstance(scale, tuple) and len(scale) == x.ndim - 2:
        return int(x.numel() * prod(map(int, scale)))
    return int(x.numel() * scale ** (x.ndim - 2)) if isinstance(scale, (int, float)) else 0


def _convolution(module: Any, args: tuple[Any, ...], result: Tensor) -> int:
    transposed = isinstance(module, nn.modules.conv._ConvTransposeNd)
    shape = args[0].shape if transposed else result.shape
    weights = (
        prod(map(int, module.kernel_size)) * int(module.in_channels) * (int(module.out_channels) // int(module.groups))
    )
    # It takes the first axis for the batch, which an image without one lacks.
    bias = args[0].shape[0] * prod(result.shape[1:]) if module.bias is not None else 0
    return int(weights * args[0].shape[0] * prod(shape[2:]) + bias)


def _linear(module: nn.Linear, args: tuple[Any, ...], result: Tensor) -> int:
    x = args[0]
    bias = result.shape[-1] if module.bias is not None else 0
    return int((x.shape[-1] * result.shape[-1] + bias) * prod(x.shape[:-1]))


def _norm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    return int(args[0].numel() * (2 if getattr(module, "affine", False) else 1))


def _recurrent(module: Any, args: tuple[Any, ...], result: Any) -> int:
    total = 0
    for layer in range(module.num_layers):
        shapes = getattr(module, f"weight_ih_l{layer}").shape, getattr(module, f"weight_hh_l{layer}").shape
        total += sum(map(prod, shapes)) + cell_costs(module).ptflops * module.hidden_size
        if module.bias:
            total += shapes[0][0] + shapes[1][0]
    return int(total * args[0].shape[0] * args[0].shape[1] * (2 if module.bidirectional else 1))


def _cell(module: Any, args: tuple[Any, ...], result: Any) -> int:
    shapes = module.weight_ih.shape, module.weight_hh.shape
    total = sum(map(prod, shapes)) + cell_costs(module).ptflops * module.hidden_size
    return int((total + (shapes[0][0] + shapes[1][0] if module.bias else 0)) * args[0].shape[0])


def _attention(module: nn.MultiheadAttention, args: tuple[Any, ...], result: Any) -> int:
    (q, k, v), at = args[:3], 1 if module.batch_first else 0
    lengths, widths = [x.shape[at] for x in (q, k, v)], [x.shape[2] for x in (q, k, v)]
    total = lengths[0] * widths[0] + sum(length * width**2 for length, width in zip(lengths, widths, strict=True))
    if module.in_proj_bias is not None:
        total += sum(lengths) * widths[0]
    heads, pairs = module.num_heads, lengths[0] * lengths[1]
    total += heads * (pairs * (widths[0] // heads) + pairs + pairs * (widths[2] // heads))
    total += lengths[0] * widths[2] * (widths[2] + 1)
    return int(total * q.shape[1 - at])


_MODULES: dict[type, ModuleRule] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys((nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6, nn.GELU), of_output),
    **dict.fromkeys((*MAX_POOLS, *AVERAGE_POOLS, *ADAPTIVE_MAX, *ADAPTIVE_AVERAGE), of_input),
    **dict.fromkeys((*BATCH_NORMS, *INSTANCE_NORMS, nn.GroupNorm, nn.LayerNorm), _norm),
    nn.Linear: _linear,
    # It counts the elements of the first image as often as the images.
    nn.Upsample: lambda module, args, result: result[0].shape[0] * prod(result[0].shape[1:]),
    **dict.fromkeys((nn.RNN, nn.GRU, nn.LSTM), _recurrent),
    **dict.fromkeys((nn.RNNCell, nn.GRUCell, nn.LSTMCell), _cell),
    nn.MultiheadAttention: _attention,
}


def _attention_of_timm(module: Any, args: tuple[Any, ...], result: Any) -> int:
    (batch, tokens, _), width = args[0].shape, module.head_dim * module.num_heads
    return int(batch * (tokens * width + 2 * tokens**2 * width + module.num_heads * tokens**2))


def layers() -> dict[type, ModuleRule]:
    """Its layers, with timm's attention if that is loaded."""
    timm = sys.modules.get("timm.models.vision_transformer")
    return _MODULES if timm is None else {**_MODULES, timm.Attention: _attention_of_timm}
