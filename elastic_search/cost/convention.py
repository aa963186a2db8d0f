"""What a counting convention is (a table from op type to rule), and how rules are made and combined.

Symbols of the formulas: k kernel, g groups, C_in and C_out channels, E elements; H and W are the output's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.frozen import Frozen
from elastic_search.arch.ops import Op, Shape

Namer = str | Callable[[Any], str]
"""A tool's name of an operator, or op -> name."""


class Call(NamedTuple):
    """An op applied to one image: what a rule counts.

    ``spelling`` is how the call is written: "module", "function", "method" or "operator". ``recorded`` are the counts
    that hold instead of a convention's rule, by the convention's name.
    """

    op: Any
    inputs: tuple[Shape, ...]
    output: Shape
    spelling: str = "module"
    recorded: tuple[tuple[str, int], ...] = ()


class Rule(Frozen):
    """What a tool counts for an op type: the formula for people, and the count of a call."""

    formula: str
    count: Callable[[Call], int]


class Convention(Frozen):
    """A counting convention.

    Attributes:
        name: its name for users.
        unit: of the totals, "MACs" or "FLOPs".
        meaning: one line for people.
        rules: op type to (the tool's name of the operator, rule); an op type without a rule is an error.
        counts_dead: whether nodes whose result is never read are counted.
    """

    name: str
    unit: str
    meaning: str
    rules: dict[type[Op], tuple[Namer, Rule]]
    counts_dead: bool = True

    __eq__, __hash__ = object.__eq__, object.__hash__

    def __repr__(self) -> str:
        return f"<Convention {self.name}>"

    def rule(self, op: Op) -> tuple[Namer, Rule]:
        try:
            return self.rules[type(op)]
        except KeyError:
            raise NotImplementedError(f"convention {self.name} has no rule for {type(op).__name__}") from None

    def count(self, call: Call) -> int:
        """The tool's count of a call."""
        for name, count in call.recorded:
            if name == self.name:
                return count
        return self.rule(call.op)[1].count(call)

    def operator(self, op: Op) -> str:
        """The name under which the tool reports an op."""
        name, _ = self.rule(op)
        return name if isinstance(name, str) else name(op)


def activations(call: Call) -> int:
    """Output elements of convolutions and linear layers: fvcore's (and the RegNet authors') activations."""
    for name, count in call.recorded:
        if name == "activations":
            return count
    if isinstance(call.op, ops.Conv) and isinstance(call.op.padding, str):
        return 0
    counted = (ops.Conv, ops.ConvTranspose, ops.Linear, traced_ops.Product)
    return call.output.numel if isinstance(call.op, counted) else 0


def per_output(times: int) -> Rule:
    """A number for each element of the output."""
    return Rule(f"{times}·E_out".removeprefix("1·"), lambda call: times * call.output.numel)


def affine(with_weights: int, without: int) -> Rule:
    """A number for each element of the output, and another for ops without weights."""
    formula = f"{with_weights}·E_out, without weights {without}·E_out".replace(" 1·", " ")
    return Rule(formula, lambda call: (with_weights if call.op.params else without) * call.output.numel)


def by_mode(**times: int) -> Rule:
    """Output elements times a number that depends on the mode; other modes are free."""
    formula = ", ".join(f"{mode} {count}·E_out" for mode, count in times.items()).replace(" 1·", " ")
    return Rule(formula, lambda call: times.get(call.op.mode, 0) * call.output.numel)


def by_kind(times: dict[str, int]) -> Rule:
    """Elements times a number that depends on the kind; other kinds are free."""
    formula = ", ".join(f"{' and '.join(k for k in times if times[k] == n)} {n}·E" for n in sorted({*times.values()}))
    return Rule(formula.replace(" 1·", " "), lambda call: times.get(call.op.kind, 0) * call.output.numel)


def _per_output_element(call: Call) -> int:
    op: ops.Conv | ops.ConvTranspose = call.op
    return call.output.numel * (op.in_channels // op.groups) * ops.area(op.kernel)


def _per_input_element(call: Call) -> int:
    op: ops.ConvTranspose = call.op
    return call.inputs[0].numel * (op.out_channels // op.groups) * ops.area(op.kernel)


FREE = Rule("0", lambda call: 0)
CONV = Rule("H·W·C_out·(C_in/g)·k²", _per_output_element)
CONV_TRANSPOSE = Rule("H_in·W_in·C_in·(C_out/g)·k²", _per_input_element)
LINEAR = Rule("E_in·out", lambda call: call.inputs[0].numel * call.op.out_features)
PRODUCT = Rule("n·m·p", lambda call: call.op.macs)
CUSTOM = Rule("the user's own", lambda call: call.op.macs)
PER_INPUT = Rule("E_in", lambda call: call.inputs[0].numel)
WEIGHTS = Rule("weights", lambda call: call.op.params)


def twice(rule: Rule) -> Rule:
    """Twice a rule's count."""
    return Rule(f"2·{rule.formula}", lambda call: 2 * rule.count(call))


def with_bias(rule: Rule) -> Rule:
    """A rule's count, plus one for each addition of a bias."""
    return Rule(f"{rule.formula} + bias·E_out", lambda call: rule.count(call) + call.op.bias * call.output.numel)


def module(rule: Rule, function: int = 0) -> Rule:
    """A rule for modules only; a function counts ``function`` per input element."""
    return Rule(
        f"{rule.formula}; a function {'E_in' if function else '0'}",
        lambda call: rule.count(call) if call.spelling == "module" else function * call.inputs[0].numel,
    )


def by_spelling(module: Rule, function: Rule) -> Rule:
    """Rules for a module and for a function of torch.nn.functional; a tensor's method is free."""
    rules = {"module": module, "function": function}
    same = module.formula == function.formula
    return Rule(
        f"{module.formula}; a {'method 0' if same else f'function {function.formula}'}",
        lambda call: rules.get(call.spelling, FREE).count(call),
    )


def global_pool(adaptive: Rule, module: Rule, function: Rule) -> Rule:
    """Rules for an adaptive pool, and for a pool whose window is the map; a mean over the axes is always free."""
    formula = f"adaptive {adaptive.formula}, module {module.formula}, function {function.formula}"
    same = adaptive.formula == module.formula == function.formula

    def count(call: Call) -> int:
        window = module if call.spelling == "module" else function
        return {"adaptive": adaptive, "window": window, "mean": FREE}[call.op.kind].count(call)

    return Rule(adaptive.formula if same else formula, count)


def of_kind(**rules: Rule) -> Rule:
    """A rule for each kind of pool or norm."""
    names = {"max": "max", "avg": "average"}
    formulas = [f"{names.get(kind, f'{kind} norm')} {rule.formula}" for kind, rule in rules.items()]
    same = {rule.formula for rule in rules.values()}
    return Rule(same.pop() if len(same) == 1 else ", ".join(formulas), lambda call: rules[call.op.kind].count(call))
