"""What a counting convention is: a table from op type to rule; and how rules are made and combined.

Symbols of the formulas: k kernel, g groups, C_in and C_out channels, E elements; H and W are the output's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape

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


def activations(op: Op, output: Shape) -> int:
    """Output elements of convolutions and linear layers: fvcore's (and the RegNet authors') activations."""
    if isinstance(op, ops.Conv) and isinstance(op.padding, str):
        return 0
    return output.numel if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Linear, traced_ops.MatMul)) else 0


def operator(convention: Convention, op: Op) -> str:
    """The name under which the convention's tool reports an op."""
    name, _ = convention.rule(op)
    return name if isinstance(name, str) else name(op)


def conv(op: ops.Conv, inputs: tuple[Shape, ...], output: Shape) -> int:
    """Multiply-adds of a convolution."""
    return output.numel * (op.in_channels // op.groups) * ops.area(op.kernel)


def _conv_transpose(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel * (op.out_channels // op.groups) * ops.area(op.kernel)


def _conv_transpose_by_output(op: ops.ConvTranspose, inputs: tuple[Shape, ...], output: Shape) -> int:
    return output.numel * (op.in_channels // op.groups) * ops.area(op.kernel)


def _linear(op: ops.Linear, inputs: tuple[Shape, ...], output: Shape) -> int:
    return inputs[0].numel * op.out_features


def twice(rule: Rule) -> Rule:
    """A rule's count, two for each."""
    return Rule(f"2·{rule.formula}", lambda op, inputs, output: 2 * rule.count(op, inputs, output))


def with_bias(rule: Rule) -> Rule:
    """A rule's count, and one for each addition of a bias."""
    return Rule(
        f"{rule.formula} + bias·E_out",
        lambda op, inputs, output: rule.count(op, inputs, output) + (output.numel if op.bias else 0),
    )


def per_output(times: int) -> Rule:
    """A number for each element of the output."""
    return Rule(f"{times}·E_out".removeprefix("1·"), lambda op, inputs, output: times * output.numel)


def module(rule: Rule, function: int = 0) -> Rule:
    """A rule for modules alone; a function counts ``function`` per input element."""

    def count(op: Any, inputs: tuple[Shape, ...], output: Shape) -> int:
        return function * inputs[0].numel if op.functional else rule.count(op, inputs, output)

    return Rule(f"{rule.formula}; a function {'E_in' if function else '0'}", count)


def by_mode(**times: int) -> Rule:
    """Output elements times a number that depends on the mode; other modes are free."""
    formula = ", ".join(f"{mode} {count}·E_out" for mode, count in times.items()).replace(" 1·", " ")
    return Rule(formula, lambda op, inputs, output: times.get(op.mode, 0) * output.numel)


def by_kind(times: dict[str, int]) -> Rule:
    """Elements times a number that depends on the kind; other kinds are free."""
    formula = ", ".join(f"{' and '.join(k for k in times if times[k] == n)} {n}·E" for n in sorted({*times.values()}))
    return Rule(formula.replace(" 1·", " "), lambda op, inputs, output: times.get(op.kind, 0) * output.numel)


def affine(with_weights: int, without: int) -> Rule:
    """A number for each element of the output, another where the op has no weights."""

    def count(op: ops.BatchNorm | traced_ops.Norm, inputs: tuple[Shape, ...], output: Shape) -> int:
        return (with_weights if op.params else without) * output.numel

    return Rule(f"{with_weights}·E_out, without weights {without}·E_out".replace(" 1·", " "), count)


FREE = Rule("0", lambda op, inputs, output: 0)
CONV = Rule("H·W·C_out·(C_in/g)·k²", conv)
CONV_TRANSPOSE = Rule("H_in·W_in·C_in·(C_out/g)·k²", _conv_transpose)
CONV_TRANSPOSE_BY_OUTPUT = Rule("H·W·C_out·(C_in/g)·k²", _conv_transpose_by_output)
LINEAR = Rule("E_in·out", _linear)
LINEAR_BIAS = with_bias(LINEAR)
MATMUL = Rule("E_in·columns", lambda op, inputs, output: inputs[0].numel * op.columns)
CUSTOM = Rule("the user's own", lambda op, inputs, output: op.macs)
PER_INPUT = Rule("E_in", lambda op, inputs, output: inputs[0].numel)


def global_pool(adaptive: Rule, module: Rule, function: Rule) -> Rule:
    """Rules for the ways to write a pool over the whole map; a mean over its axes is free everywhere."""
    rules = {"adaptive": adaptive, "module": module, "function": function, "mean": FREE}
    formula = f"adaptive {adaptive.formula}, module {module.formula}, function {function.formula}"
    same = adaptive.formula == module.formula == function.formula
    return Rule(
        adaptive.formula if same else formula,
        lambda op, inputs, output: rules[op.spelling].count(op, inputs, output),
    )


def pool(maximum: Rule, average: Rule) -> Rule:
    """Rules for the kinds of a pool."""
    rules = {"max": maximum, "avg": average}
    same = maximum.formula == average.formula
    return Rule(
        maximum.formula if same else f"max {maximum.formula}, average {average.formula}",
        lambda op, inputs, output: rules[op.kind].count(op, inputs, output),
    )


WEIGHTS = Rule("weights", lambda op, inputs, output: op.params)


def by_norm(**rules: Rule) -> Rule:
    """Rules for the kinds of a norm."""
    return Rule(
        ", ".join(f"{kind} norm {rule.formula}" for kind, rule in rules.items()),
        lambda op, inputs, output: rules[op.kind].count(op, inputs, output),
    )


def by_spelling(module: Rule, function: Rule) -> Rule:
    """Rules for a module and a function of torch.nn.functional; a method of tensors is free."""
    rules = {"module": module, "function": function, "method": FREE}
    same = module.formula == function.formula
    return Rule(
        f"{module.formula}; a {'method 0' if same else f'function {function.formula}'}",
        lambda op, inputs, output: rules[op.spelling].count(op, inputs, output),
    )
