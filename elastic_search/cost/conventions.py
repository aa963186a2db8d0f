"""Counting conventions: what one tool counts, as a table from op type to rule.

A rule is the tool's own formula for one image, its mistakes included: the totals are what the tool prints for the built
module. Symbols of the formulas: k kernel, g groups, C_in and C_out channels, E elements; H and W are the output's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import UnknownNameError

Namer = str | Callable[[Any], str]
"""A tool's name of an operator, or op -> name."""


@dataclass(frozen=True, eq=False)
class Rule:
    """What a tool counts for an op type.

    Attributes:
        formula: for people.
        count: (op, input shapes, output shape) -> count for one image.
    """

    formula: str
    count: Callable[[Any, tuple[Shape, ...], Shape], int]


@dataclass(frozen=True, eq=False)
class Convention:
    """A counting convention.

    Attributes:
        name: how users call it.
        unit: what one unit of a total is, "MACs" or "FLOPs".
        rules: op type to (name the tool gives the operator, rule); an op type without a rule is an error.
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


def _conv_transpose_by_output(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return output.numel * (op.in_channels // op.groups) * op.kernel**2


def _linear(op: ops.Linear, inputs: tuple[Shape, ...], output: Shape) -> int:
    return op.in_features * op.out_features


def _twice(rule: Rule) -> Rule:
    return Rule(f"2·{rule.formula}", lambda op, inputs, output: 2 * rule.count(op, inputs, output))


def _with_bias(rule: Rule) -> Rule:
    return Rule(
        f"{rule.formula} + bias·E_out",
        lambda op, inputs, output: rule.count(op, inputs, output) + (output.numel if op.bias else 0),
    )


def _per_output(times: int) -> Rule:
    return Rule(f"{times}·E_out".removeprefix("1·"), lambda op, inputs, output: times * output.numel)


def _module(rule: Rule, function: int = 0) -> Rule:
    """A rule for modules alone; a function counts ``function`` per input element."""

    def count(op: ops.Relu | ops.Upsample, inputs: tuple[Shape, ...], output: Shape) -> int:
        return function * output.numel if op.functional else rule.count(op, inputs, output)

    return Rule(f"{rule.formula}; a function {'E_out' if function else '0'}", count)


def _by_mode(bilinear: int, nearest: int) -> Rule:
    def count(op: ops.Upsample, inputs: tuple[Shape, ...], output: Shape) -> int:
        return (bilinear if op.mode == "bilinear" else nearest) * output.numel

    return Rule(f"bilinear {bilinear}·E_out, nearest {nearest}·E_out".replace(" 1·", " "), count)


FREE = Rule("0", lambda op, inputs, output: 0)
CONV = Rule("H·W·C_out·(C_in/g)·k²", _conv)
CONV_TRANSPOSE = Rule("H_in·W_in·C_in·(C_out/g)·k²", _conv_transpose)
CONV_TRANSPOSE_BY_OUTPUT = Rule("H·W·C_out·(C_in/g)·k²", _conv_transpose_by_output)
LINEAR = Rule("in·out", _linear)
LINEAR_BIAS = Rule("in·out + out", lambda op, inputs, output: _linear(op, inputs, output) + op.out_features)
PER_INPUT = Rule("E_in", lambda op, inputs, output: inputs[0].numel)


def _global_pool(adaptive: Rule, module: Rule, function: Rule) -> Rule:
    """Rules for the three ways to write a pool over the whole map."""
    rules = {"adaptive": adaptive, "module": module, "function": function}
    formula = f"adaptive {adaptive.formula}, module {module.formula}, function {function.formula}"
    same = adaptive.formula == module.formula == function.formula
    return Rule(
        adaptive.formula if same else formula,
        lambda op, inputs, output: rules[op.spelling].count(op, inputs, output),
    )


def _pool(maximum: Rule, average: Rule) -> Rule:
    rules = {"max": maximum, "avg": average}
    same = maximum.formula == average.formula
    return Rule(
        maximum.formula if same else f"max {maximum.formula}, average {average.formula}",
        lambda op, inputs, output: rules[op.kind].count(op, inputs, output),
    )


_ALL = (
    ops.Conv, ops.ConvTranspose, ops.Linear, ops.BatchNorm, ops.Relu, ops.Sigmoid, ops.Pool, ops.GlobalPool, ops.Pad,
    ops.Upsample, ops.Crop, ops.Add, ops.Gate, ops.Concat, ops.Flatten,
)  # fmt: skip
_CLASSES: dict[type[Op], Namer] = {
    ops.Conv: "Conv2d",
    ops.ConvTranspose: "ConvTranspose2d",
    ops.BatchNorm: "BatchNorm2d",
    ops.Relu: "ReLU",
    ops.Pool: lambda op: f"{op.kind.title()}Pool2d",
    ops.GlobalPool: lambda op: "AdaptiveAvgPool2d" if op.spelling == "adaptive" else "AvgPool2d",
}
"""Names of torch's module classes, where they are not the op's own."""


def _rules(counted: dict[type[Op], Rule], names: dict[type[Op], Namer]) -> dict[type[Op], tuple[Namer, Rule]]:
    return {op: (names.get(op, op.__name__), counted.get(op, FREE)) for op in _ALL}


_FVCORE_NAMES: dict[type[Op], Namer] = {
    ops.Conv: "conv",
    ops.ConvTranspose: "conv",
    ops.Linear: "linear",
    ops.BatchNorm: "batch_norm",
    ops.GlobalPool: "adaptive_avg_pool2d",
    ops.Upsample: lambda op: f"upsample_{op.mode}2d",
}
_ATEN_NAMES: dict[type[Op], Namer] = {ops.Conv: "convolution", ops.ConvTranspose: "convolution", ops.Linear: "addmm"}
_MULTIPLY_ADDS: dict[type[Op], Rule] = {ops.Conv: CONV, ops.ConvTranspose: CONV_TRANSPOSE, ops.Linear: LINEAR}

MACS = Convention(
    "macs",
    "MACs",
    _rules(_MULTIPLY_ADDS, _FVCORE_NAMES),
    counts_dead=True,
    meaning="multiply-adds of convolutions and linear layers",
)

FVCORE = Convention(
    "fvcore",
    "MACs",
    _rules(
        {
            **_MULTIPLY_ADDS,
            ops.BatchNorm: _per_output(2),
            ops.GlobalPool: _global_pool(PER_INPUT, FREE, FREE),
            ops.Upsample: _by_mode(4, 1),
        },
        _FVCORE_NAMES,
    ),
    counts_dead=False,
    meaning="fvcore's FlopCountAnalysis in eval mode",
)

TORCH = Convention(
    "torch",
    "FLOPs",
    _rules({op: _twice(rule) for op, rule in _MULTIPLY_ADDS.items()}, _ATEN_NAMES),
    counts_dead=True,
    meaning="torch's FlopCounterMode, 2 FLOPs per multiply-add",
)

AUTHORS = Convention(
    "authors",
    "FLOPs",
    _rules(
        {
            ops.Conv: _with_bias(CONV),
            ops.Linear: LINEAR,
            ops.BatchNorm: _per_output(2),
            ops.Relu: _module(_per_output(1)),
            ops.Pool: PER_INPUT,
            ops.GlobalPool: _global_pool(FREE, PER_INPUT, FREE),
            ops.Upsample: _module(_per_output(8)),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="the counter of the paper's DLA rows",
)

_TWICE_INPUT = Rule("2·E_in", lambda op, inputs, output: 2 * inputs[0].numel)

PTFLOPS = Convention(
    "ptflops",
    "MACs",
    _rules(
        {
            ops.Conv: _with_bias(CONV),
            ops.ConvTranspose: _with_bias(CONV_TRANSPOSE),
            ops.Linear: LINEAR_BIAS,
            ops.BatchNorm: _per_output(2),
            # A module's own forward calls the function, which is counted too.
            ops.Relu: _module(_per_output(2), function=1),
            ops.Pool: _TWICE_INPUT,
            ops.GlobalPool: _global_pool(_TWICE_INPUT, _TWICE_INPUT, PER_INPUT),
            ops.Upsample: _module(_per_output(2), function=1),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="ptflops, backend pytorch: ReLU, pools and up-sampling modules count twice",
)

PTFLOPS_ATEN = Convention(
    "ptflops-aten",
    "MACs",
    _rules(
        {ops.Conv: _with_bias(CONV), ops.ConvTranspose: _with_bias(CONV_TRANSPOSE), ops.Linear: LINEAR_BIAS},
        _ATEN_NAMES,
    ),
    counts_dead=True,
    meaning="ptflops, backend aten: multiply-adds with the bias",
)

THOP = Convention(
    "thop",
    "MACs",
    _rules(
        {
            ops.Conv: CONV,
            ops.ConvTranspose: CONV_TRANSPOSE_BY_OUTPUT,
            ops.Linear: LINEAR,
            ops.BatchNorm: _per_output(4),
            ops.Pool: _pool(FREE, _per_output(1)),
            ops.GlobalPool: _global_pool(
                Rule("E_in + E_out", lambda op, inputs, output: inputs[0].numel + output.numel), _per_output(1), FREE
            ),
            ops.Upsample: _module(_by_mode(11, 1)),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="thop: batch norm 4 per element, bilinear modules 11",
)

TORCHINFO = Convention(
    "torchinfo",
    "MACs",
    _rules(
        {
            ops.Conv: _with_bias(CONV),
            ops.ConvTranspose: _with_bias(CONV_TRANSPOSE_BY_OUTPUT),
            ops.Linear: LINEAR_BIAS,
            ops.BatchNorm: Rule("2·C", lambda op, inputs, output: 2 * op.channels),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="torchinfo's mult-adds: batch norm without its spatial size",
)

CONVENTIONS: dict[str, Convention] = {
    c.name: c for c in (MACS, FVCORE, TORCH, PTFLOPS, PTFLOPS_ATEN, THOP, TORCHINFO, AUTHORS)
}


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
