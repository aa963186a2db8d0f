"""fvcore: rules by the function that ``torch.jit.trace`` records, under torch's name of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

from elastic_search.nn.trace.call import Call


def in_words(call: Call) -> bool:
    """Whether the padding of a convolution is a word."""
    return isinstance(call.get(4, "padding", 0), str)


def _convolution(call: Call) -> int:
    x, weight = call.get(0, "input"), call.get(1, "weight")
    if in_words(call):
        return 0  # its table lacks the name under which such a convolution is traced
    batch = x.shape[0] if x.ndim == weight.ndim else 1
    transposed = "transpose" in call.name or call.get(6, "transposed") is True
    positions = (x if transposed else call.result).shape[2 - weight.ndim :]
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
    if (call.result.ndim != 4 and not call.mapped) or call.get(6, "antialias", False):
        return 0
    if mode == "area":
        return int(call.get(0, "input").numel())  # an adaptive pool
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
    x, y = (y, x) if call.name == "rmatmul" else (x, y)
    return int(x.numel() * y.shape[-1]) if y.ndim > 1 and x.ndim > 0 else 0


CELLS = frozenset(("rnn_tanh_cell", "rnn_relu_cell", "gru_cell", "lstm_cell"))


def of_cell(call: Call) -> tuple[int, int]:
    """Count and activations of a recurrent cell, which is traced as the two linear layers that it is made of."""
    x, weights = call.args[0], call.args[2:4]
    batch = x.numel() // x.shape[-1]
    return batch * sum(weight.numel() for weight in weights), batch * sum(weight.shape[0] for weight in weights)


RULES: dict[str, Callable[[Call], int]] = {
    **dict.fromkeys(
        (
            "conv1d",
            "conv2d",
            "conv3d",
            "conv_transpose1d",
            "conv_transpose2d",
            "conv_transpose3d",
            "convolution",
            "_convolution",
        ),
        _convolution,
    ),
    "linear": lambda call: call.get(0, "input").numel() * call.get(1, "weight").shape[0],
    "addmm": lambda call: call.get(1, "mat1").numel() * call.get(2, "mat2").shape[-1],
    **dict.fromkeys(("matmul", "linalg_matmul", "rmatmul", "mm", "bmm"), _matmul),
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
RESIZED = frozenset(("interpolate", "upsample", "upsample_bilinear2d", "upsample_nearest2d"))
ACTIVATIONS = frozenset((
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
    "_convolution", "addmm", "bmm", "einsum", "matmul", "linalg_matmul", "rmatmul", "linear",
))  # fmt: skip
