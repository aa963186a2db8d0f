"""ptflops, backend pytorch: it hooks modules by class, and replaces functions of torch and methods of tensors."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import wraps
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

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

_NUMEL = (
    "relu", "prelu", "elu", "relu6", "gelu", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d",
    "max_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d",
    "adaptive_max_pool2d", "adaptive_max_pool3d", "softmax", "silu",
)  # fmt: skip
FUNCTIONS = frozenset((*_NUMEL, *(f"{n}_with_indices" for n in _NUMEL if "max_pool" in n), "interpolate", "upsample"))
"""Functions of torch.nn.functional that it replaces, and the forms of theirs that return indices, too."""


def _numel(input: Tensor, *args: Any, **kwargs: Any) -> int:
    return input.numel()


def _resized(input: Tensor, size: Any = None, scale_factor: Any = None, *args: Any, **kwargs: Any) -> int:
    """It multiplies the input by the scale factor as given, but truncates each of several factors."""
    if size is not None:
        sizes = tuple(size) if isinstance(size, (tuple, list)) else (size,) * (input.ndim - 2)
        return int(prod(map(int, sizes)) * prod(input.shape[:2]))
    if isinstance(scale_factor, tuple) and len(scale_factor) == input.ndim - 2:
        return int(input.numel() * prod(map(int, scale_factor)))
    return int(input.numel() * scale_factor ** (input.ndim - 2))


def _product(input: Tensor, other: Tensor, *args: Any, **kwargs: Any) -> int:
    return int(input.numel() * other.shape[-1])


def _added(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: float = 1, **kwargs: Any) -> int:
    return int(mat1.numel() * mat2.shape[-1] + (input.numel() if beta else 0))


def _arithmetic(input: Any, other: Any, *args: Any, **kwargs: Any) -> int:
    operands = [x for x in (input, other) if isinstance(x, Tensor)]
    if len(operands) < 2:
        return int(operands[0].numel()) if operands else 1
    # It lines sizes up from the left, where torch broadcasts from the right.
    longest = max(x.ndim for x in operands)
    return prod(max(x.shape[i] if i < x.ndim else 1 for x in operands) for i in range(longest))


_OF_TENSORS: dict[str, Callable[..., int]] = {
    "matmul": _product, "mm": _product, "bmm": _product, "addmm": _added, "mul": _arithmetic, "add": _arithmetic,
}  # fmt: skip
_REPLACED: dict[Any, dict[str, Callable[..., int]]] = {
    torch.nn.functional: dict.fromkeys(_NUMEL, _numel) | dict.fromkeys(("interpolate", "upsample"), _resized),
    torch: {**_OF_TENSORS, "baddbmm": _added},
    Tensor: _OF_TENSORS,
}


class Replaced:
    """Functions of torch that are replaced as the tool replaces them, and what it counts when they are called.

    Only a call that looks the function up while it is replaced is counted: not one of a function that the module, or
    its file, has held since before, nor one by another name of it.
    """

    def __init__(self) -> None:
        self.count = 0
        self.originals: dict[Any, Any] = {}

    def take(self) -> int:
        """The count since the last time."""
        count, self.count = self.count, 0
        return count

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Replace the functions."""
        with contextlib.ExitStack() as stack:
            for home, rules in _REPLACED.items():
                for name, rule in rules.items():
                    stack.callback(
                        *((setattr, home, name, vars(home)[name]) if name in vars(home) else (delattr, home, name))
                    )
                    setattr(home, name, self._replacement(getattr(home, name), rule))
            yield

    def _replacement(self, function: Callable[..., Any], rule: Callable[..., int]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            # Torch calls these too, to find the shape of a result, while nothing is heard.
            if not torch._C._is_torch_function_all_disabled():
                # Where the rule fails the tool itself does.
                with torch._C.DisableTorchFunction(), contextlib.suppress(Exception):
                    self.count += int(rule(*args, **kwargs))
            return function(*args, **kwargs)

        self.originals[called] = function
        return called


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
