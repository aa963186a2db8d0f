"""Counting conventions: what one tool counts, as a table from op type to rule.

A rule is the tool's own formula for one image, its mistakes included: the totals are what the tool prints for the built
module. Symbols of the formulas: k kernel, g groups, C_in and C_out channels, E elements; H and W are the output's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
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
    return output.numel * (op.in_channels // op.groups) * ops.area(op.kernel)


def _conv_transpose(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel * (op.out_channels // op.groups) * ops.area(op.kernel)


def _conv_transpose_by_output(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return output.numel * (op.in_channels // op.groups) * ops.area(op.kernel)


def _linear(op: ops.Linear, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel * op.out_features


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

    def count(op: Any, inputs: tuple[Shape, ...], output: Shape) -> int:
        return function * inputs[0].numel if op.functional else rule.count(op, inputs, output)

    return Rule(f"{rule.formula}; a function {'E_in' if function else '0'}", count)


def _by_mode(**times: int) -> Rule:
    formula = ", ".join(f"{mode} {count}·E_out" for mode, count in times.items()).replace(" 1·", " ")
    return Rule(formula, lambda op, inputs, output: times.get(op.mode, 0) * output.numel)


def _by_kind(times: dict[str, int]) -> Rule:
    """Elements times a number that depends on the kind; other kinds are free."""
    formula = ", ".join(f"{' and '.join(k for k in times if times[k] == n)} {n}·E" for n in sorted({*times.values()}))
    return Rule(formula.replace(" 1·", " "), lambda op, inputs, output: times.get(op.kind, 0) * output.numel)


def _affine(with_weights: int, without: int) -> Rule:
    def count(op: ops.BatchNorm | ops.Norm, inputs: tuple[Shape, ...], output: Shape) -> int:
        return (with_weights if op.params else without) * output.numel

    return Rule(f"{with_weights}·E_out, without weights {without}·E_out".replace(" 1·", " "), count)


FREE = Rule("0", lambda op, inputs, output: 0)
CONV = Rule("H·W·C_out·(C_in/g)·k²", _conv)
CONV_TRANSPOSE = Rule("H_in·W_in·C_in·(C_out/g)·k²", _conv_transpose)
CONV_TRANSPOSE_BY_OUTPUT = Rule("H·W·C_out·(C_in/g)·k²", _conv_transpose_by_output)
LINEAR = Rule("E_in·out", _linear)
LINEAR_BIAS = _with_bias(LINEAR)
MATMUL = Rule("E_in·columns", lambda op, inputs, output: inputs[0].numel * op.columns)
CUSTOM = Rule("the user's own", lambda op, inputs, output: op.macs)
PER_INPUT = Rule("E_in", lambda op, inputs, output: inputs[0].numel)


def _global_pool(adaptive: Rule, module: Rule, function: Rule) -> Rule:
    """Rules for the ways to write a pool over the whole map; a mean over its axes is free everywhere."""
    rules = {"adaptive": adaptive, "module": module, "function": function, "mean": FREE}
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
    ops.Upsample, ops.Crop, ops.Add, ops.Gate, ops.Concat, ops.Flatten, ops.Norm, ops.Activation, ops.Softmax,
    ops.AdaptivePool, ops.Elementwise, ops.Fixed, ops.FixedElementwise, ops.MatMul, ops.Custom, ops.Opaque, ops.Unused,
)  # fmt: skip


def _kind(op: Any) -> str:
    return str(op.kind)


_KINDS: dict[type[Op], Namer] = dict.fromkeys(
    (ops.Activation, ops.Elementwise, ops.Fixed, ops.FixedElementwise, ops.Custom, ops.Opaque), _kind
)
_CLASSES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "Conv2d",
    ops.ConvTranspose: "ConvTranspose2d",
    ops.BatchNorm: "BatchNorm2d",
    ops.Relu: "ReLU",
    ops.Pool: lambda op: f"{op.kind.title()}Pool2d",
    ops.GlobalPool: lambda op: "AdaptiveAvgPool2d" if op.spelling == "adaptive" else "AvgPool2d",
    ops.AdaptivePool: lambda op: f"Adaptive{op.kind.title()}Pool2d",
    ops.Norm: lambda op: {"group": "GroupNorm", "layer": "LayerNorm"}.get(op.kind, "InstanceNorm2d"),
}
"""Names of torch's module classes, where they are not the op's own."""


def _rules(counted: dict[type[Op], Rule], names: dict[type[Op], Namer]) -> dict[type[Op], tuple[Namer, Rule]]:
    return {op: (names.get(op, op.__name__), counted.get(op, FREE)) for op in _ALL}


_FVCORE_NAMES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "conv",
    ops.ConvTranspose: "conv",
    ops.Linear: "linear",
    ops.BatchNorm: "batch_norm",
    ops.GlobalPool: "adaptive_avg_pool2d",
    ops.AdaptivePool: lambda op: f"adaptive_{op.kind}_pool2d",
    ops.Norm: lambda op: f"{op.kind}_norm",
    ops.Upsample: lambda op: f"upsample_{op.mode}2d",
    ops.MatMul: _kind,
}
_ATEN_NAMES: dict[type[Op], Namer] = {
    **_KINDS,
    ops.Conv: "convolution",
    ops.ConvTranspose: "convolution",
    ops.Linear: lambda op: "addmm" if op.bias else "mm",
    ops.MatMul: lambda op: "bmm" if op.kind == "bmm" else "mm",
}
_MULTIPLY_ADDS: dict[type[Op], Rule] = {
    ops.Conv: CONV,
    ops.ConvTranspose: CONV_TRANSPOSE,
    ops.Linear: LINEAR,
    ops.MatMul: MATMUL,
    ops.Custom: CUSTOM,
}

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
            # The traced name of a convolution whose padding is a word is not in the tool's table.
            ops.Conv: Rule(
                f'{CONV.formula}; padding "same" or "valid" 0',
                lambda op, inputs, output: 0 if isinstance(op.padding, str) else _conv(op, inputs, output),
            ),
            ops.BatchNorm: Rule(
                "2·E_out; without weights E_out; by the batch's own statistics 3·E_out more",
                lambda op, inputs, output: (1 + op.affine + (0 if op.tracked else 3)) * output.numel,
            ),
            ops.Norm: _affine(5, 4),
            ops.GlobalPool: _global_pool(PER_INPUT, FREE, FREE),
            ops.AdaptivePool: _pool(FREE, PER_INPUT),
            ops.Upsample: _by_mode(bilinear=4, nearest=1),
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
            ops.Conv: _module(_with_bias(CONV)),
            ops.Linear: _module(Rule("in·out", lambda op, inputs, output: op.in_features * op.out_features)),
            ops.BatchNorm: _module(_per_output(2)),
            ops.Relu: _module(_per_output(1)),
            ops.Pool: _module(PER_INPUT),
            ops.GlobalPool: _global_pool(FREE, PER_INPUT, FREE),
            ops.Upsample: _module(_per_output(8)),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="the counter of the paper's DLA rows",
)

_WEIGHTS = Rule("weights", lambda op, inputs, output: op.params)


def _by_norm(**rules: Rule) -> Rule:
    return Rule(
        ", ".join(f"{kind} norm {rule.formula}" for kind, rule in rules.items()),
        lambda op, inputs, output: rules[op.kind].count(op, inputs, output),
    )


def _by_spelling(module: Rule, function: Rule) -> Rule:
    """Rules for a module and a function of torch.nn.functional; a method of tensors is free."""
    rules = {"module": module, "function": function, "method": FREE}
    same = module.formula == function.formula
    return Rule(
        f"{module.formula}; a {'method 0' if same else f'function {function.formula}'}",
        lambda op, inputs, output: rules[op.spelling].count(op, inputs, output),
    )


def _interpolate(op: ops.Upsample, inputs: tuple[Shape, ...], output: Shape) -> int:
    """ptflops multiplies the input by the factor as it was given, and drops the fraction of a pair's."""
    called = output.numel
    if isinstance(op.scale, tuple):
        called = inputs[0].numel * prod(map(int, op.scale))
    elif op.scale is not None:
        called = int(inputs[0].numel * op.scale**2)
    return called if op.functional else called + output.numel


def _called(op: ops.Elementwise | ops.FixedElementwise, inputs: tuple[Shape, ...], output: Shape) -> int:
    return output.numel if op.functional and op.kind in ("add", "mul") else 0


def _adaptive(op: ops.AdaptivePool, inputs: tuple[Shape, ...], output: Shape) -> int:
    """In floating point, as thop does: where sizes do not divide, it may lose one."""
    window = inputs[0].height / output.height * (inputs[0].width / output.width)
    return int((window + 1) * output.numel)


_TWICE_INPUT = Rule("2·E_in", lambda op, inputs, output: 2 * inputs[0].numel)

PTFLOPS = Convention(
    "ptflops",
    "MACs",
    _rules(
        {
            ops.Conv: _module(_with_bias(CONV)),
            ops.ConvTranspose: _module(_with_bias(CONV_TRANSPOSE)),
            ops.Linear: _module(LINEAR_BIAS),
            ops.BatchNorm: _module(_affine(2, 1)),
            # It asks whether a module is "affine", which a layer norm calls otherwise.
            ops.Norm: _module(_by_norm(layer=_per_output(1), group=_affine(2, 1), instance=_affine(2, 1))),
            # A module's own forward calls the function, which is counted too.
            ops.Relu: _module(_per_output(2), function=1),
            ops.Activation: _by_spelling(
                module=_by_kind({"relu": 2, "elu": 2, "gelu": 2, "prelu": 2, "silu": 1, "relu6": 1, "leaky_relu": 1}),
                function=_by_kind(dict.fromkeys(("relu", "elu", "gelu", "prelu", "silu", "relu6"), 1)),
            ),
            ops.Softmax: _by_spelling(module=_per_output(1), function=_per_output(1)),
            ops.Pool: _module(_TWICE_INPUT, function=1),
            ops.GlobalPool: _global_pool(_TWICE_INPUT, _TWICE_INPUT, PER_INPUT),
            ops.AdaptivePool: _module(_TWICE_INPUT, function=1),
            ops.Upsample: Rule("2·E_out; a function E_out", _interpolate),
            **dict.fromkeys(
                (ops.Elementwise, ops.FixedElementwise),
                Rule("torch.add and torch.mul E_out; an operator 0", _called),
            ),
            ops.MatMul: Rule(
                "torch.matmul E_in·columns; an operator 0",
                lambda op, inputs, output: MATMUL.count(op, inputs, output) if op.functional else 0,
            ),
            ops.Custom: CUSTOM,
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="backend pytorch; modules of ReLU, pooling and up-sampling count twice",
)

PTFLOPS_ATEN = Convention(
    "ptflops-aten",
    "MACs",
    _rules(
        {
            **_MULTIPLY_ADDS,
            ops.Conv: _with_bias(CONV),
            ops.ConvTranspose: _with_bias(CONV_TRANSPOSE),
            ops.Linear: LINEAR_BIAS,
        },
        _ATEN_NAMES,
    ),
    counts_dead=True,
    meaning="backend aten; multiply-adds with the bias",
)

THOP = Convention(
    "thop",
    "MACs",
    _rules(
        {
            ops.Conv: _module(CONV),
            ops.ConvTranspose: _module(CONV_TRANSPOSE_BY_OUTPUT),
            ops.Linear: _module(LINEAR),
            ops.BatchNorm: _module(_affine(4, 2)),
            ops.Norm: _module(_by_norm(layer=_affine(4, 2), instance=_affine(4, 2), group=FREE)),
            ops.Activation: _by_spelling(module=_by_kind({"prelu": 1}), function=FREE),
            ops.Softmax: _by_spelling(
                module=Rule(
                    "E_out/C·(3·C - 1)",
                    lambda op, inputs, output: output.numel // output[op.axis] * (3 * output[op.axis] - 1),
                ),
                function=FREE,
            ),
            ops.Pool: _module(_pool(FREE, _per_output(1))),
            ops.AdaptivePool: _module(_pool(FREE, Rule("E_in + E_out", _adaptive))),
            ops.Custom: CUSTOM,
            ops.GlobalPool: _global_pool(
                Rule("E_in + E_out", lambda op, inputs, output: inputs[0].numel + output.numel), _per_output(1), FREE
            ),
            ops.Upsample: _module(_by_mode(bilinear=11, nearest=1, bicubic=259)),
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="batch norm 4 per element, bilinear modules 11",
)

TORCHINFO = Convention(
    "torchinfo",
    "MACs",
    _rules(
        {
            ops.Conv: _module(_with_bias(CONV)),
            ops.ConvTranspose: _module(_with_bias(CONV_TRANSPOSE_BY_OUTPUT)),
            ops.Linear: _module(Rule("in·out + bias·out", _WEIGHTS.count)),
            ops.BatchNorm: _module(Rule("2·C", _WEIGHTS.count)),
            ops.Norm: _module(_WEIGHTS),
            ops.Activation: _by_spelling(module=_WEIGHTS, function=FREE),
            ops.Custom: CUSTOM,
        },
        _CLASSES,
    ),
    counts_dead=True,
    meaning="mult-adds with the bias, batch norm without its spatial size",
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
    if isinstance(op, ops.Conv) and isinstance(op.padding, str):
        return 0
    return output.numel if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Linear, ops.MatMul)) else 0


def operator(convention: Convention, op: Op) -> str:
    """The name under which the convention's tool reports an op."""
    name, _ = convention.rule(op)
    return name if isinstance(name, str) else name(op)
