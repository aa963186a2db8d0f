"""Counting conventions: what one tool counts, as a table from op type to rule.

``macs``    multiply-adds of convolutions and linear layers.
``fvcore``  what fvcore's FlopCountAnalysis reports in eval mode: multiply-adds, plus batch
            normalisation (2 per element), adaptive pooling (1 per input element) and up-sampling
            (bilinear 4, nearest 1 per output element).
``torch``   what torch's FlopCounterMode reports: 2 FLOPs per multiply-add.
``authors`` the counter of the paper's DLA rows: multiply-adds with the bias, and the modules that it sees: ReLU (1 per
            element), batch normalisation (2), pooling (1 per input element), up-sampling (8 per output element).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import UnknownNameError

Rule = Callable[[Any, tuple[Shape, ...], Shape], int]
"""(op, input shapes, output shape) -> count for one image."""

Namer = str | Callable[[Any], str]
"""A tool's name of an operator, or op -> name."""


@dataclass(frozen=True, eq=False)
class Convention:
    """A counting convention.

    Attributes:
        name: how users call it.
        unit: what one unit of a total is, "MACs" or "FLOPs".
        rules: op type to (name the tool gives the operator, or a function of the op to it; rule); an op type without
            a rule is an error.
        counts_dead: whether nodes whose result nobody reads are counted.
        meaning: one line for people.
    """

    name: str
    unit: str
    rules: dict[type[Op], tuple[Namer, Rule]]
    counts_dead: bool
    meaning: str

    def rule(self, op: Op) -> tuple[Namer, Rule]:
        try:
            return self.rules[type(op)]
        except KeyError:
            raise NotImplementedError(f"convention {self.name} has no rule for {type(op).__name__}") from None


def _conv(op: ops.Conv, inputs: tuple[Shape, ...], output: Shape) -> int:
    return output.numel * (op.in_channels // op.groups) * op.kernel**2


def _conv_transpose(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel * (op.out_channels // op.groups) * op.kernel**2


def _linear(op: ops.Linear, inputs: tuple[Shape, ...], output: Shape) -> int:
    return op.in_features * op.out_features


def _free(op: Op, inputs: tuple[Shape, ...], output: Shape) -> int:
    return 0


def _twice(rule: Rule) -> Rule:
    return lambda op, inputs, output: 2 * rule(op, inputs, output)


def _batch_norm(op: ops.BatchNorm, inputs: tuple[Shape, ...], output: Shape) -> int:
    return 2 * output.numel


def _global_pool(op: ops.GlobalPool, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel if op.spelling == "adaptive" else 0


def _upsample(op: ops.Upsample, inputs: tuple[Shape, ...], output: Shape) -> int:
    return {"bilinear": 4, "nearest": 1}[op.mode] * output.numel


_FREE: dict[type[Op], tuple[Namer, Rule]] = {
    op: (op.__name__.lower(), _free)
    for op in (
        ops.BatchNorm,
        ops.Relu,
        ops.Sigmoid,
        ops.Pool,
        ops.GlobalPool,
        ops.Pad,
        ops.Upsample,
        ops.Crop,
        ops.Add,
        ops.Gate,
        ops.Concat,
        ops.Flatten,
    )  # fmt: skip
}

MACS = Convention(
    "macs",
    "MACs",
    {**_FREE, ops.Conv: ("conv", _conv), ops.ConvTranspose: ("conv", _conv_transpose), ops.Linear: ("linear", _linear)},
    counts_dead=True,
    meaning="multiply-adds of convolutions and linear layers",
)

FVCORE = Convention(
    "fvcore",
    "MACs",
    {
        **MACS.rules,
        ops.BatchNorm: ("batch_norm", _batch_norm),
        ops.GlobalPool: ("adaptive_avg_pool2d", _global_pool),
        ops.Upsample: (lambda op: f"upsample_{op.mode}2d", _upsample),
    },
    counts_dead=False,
    meaning="fvcore's FlopCountAnalysis in eval mode",
)

TORCH = Convention(
    "torch",
    "FLOPs",
    {
        **_FREE,
        ops.Conv: ("convolution", _twice(_conv)),
        ops.ConvTranspose: ("convolution", _twice(_conv_transpose)),
        ops.Linear: ("addmm", _twice(_linear)),
    },
    counts_dead=True,
    meaning="torch's FlopCounterMode, 2 FLOPs per multiply-add",
)


def _with_bias(rule: Rule) -> Rule:
    return lambda op, inputs, output: rule(op, inputs, output) + (output.numel if op.bias else 0)


def _relu_module(op: ops.Relu, inputs: tuple[Shape, ...], output: Shape) -> int:
    return 0 if op.functional else output.numel


def _pool_module(op: ops.Pool, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel


def _global_pool_module(op: ops.GlobalPool, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel if op.spelling == "module" else 0


def _upsample_module(op: ops.Upsample, inputs: tuple[Shape, ...], output: Shape) -> int:
    return 0 if op.functional else 8 * output.numel


AUTHORS = Convention(
    "authors",
    "FLOPs",
    {
        **_FREE,
        ops.Conv: ("Conv2d", _with_bias(_conv)),
        ops.ConvTranspose: ("ConvTranspose2d", _free),
        ops.Linear: ("Linear", _linear),
        ops.BatchNorm: ("BatchNorm2d", _batch_norm),
        ops.Relu: ("ReLU", _relu_module),
        ops.Pool: (lambda op: f"{op.kind.title()}Pool2d", _pool_module),
        ops.GlobalPool: ("AvgPool2d", _global_pool_module),
        ops.Upsample: ("Upsample", _upsample_module),
    },
    counts_dead=True,
    meaning="the counter of the paper's DLA rows",
)

CONVENTIONS: dict[str, Convention] = {c.name: c for c in (MACS, FVCORE, TORCH, AUTHORS)}


def convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        UnknownNameError: if there is none of that name.
    """
    if name not in CONVENTIONS:
        raise UnknownNameError("convention", name, list(CONVENTIONS))
    return CONVENTIONS[name]


def activations(op: Op, output: Shape) -> int:
    """Output elements of convolutions and linear layers: fvcore's (and the RegNet authors') activations."""
    return output.numel if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Linear)) else 0


def operator(convention: Convention, op: Op) -> str:
    """The name under which the convention's tool reports an op."""
    name, _ = convention.rule(op)
    return name if isinstance(name, str) else name(op)
