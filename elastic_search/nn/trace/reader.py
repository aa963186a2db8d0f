"""Calls of torch, in execution order, turned into the items of a future graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import ShapeError, UsageError
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.call import Call, shape_of
from elastic_search.nn.trace.factory import users_code
from elastic_search.nn.trace.nesting import IMAGE, Item, levels
from elastic_search.nn.trace.tables import FREE_FUNCTIONS, FUNCTIONS, MODULES, OF_WEIGHTS, VIEWS, known


class Value(NamedTuple):
    """The items and the parameters that the value of a traced name was made from."""

    sources: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()


class Reader:
    """Turns calls, in execution order, into items."""

    def __init__(self, module: nn.Module, input: Shape) -> None:
        self.module, self.input = module, input
        self.items: list[Item] = []
        self.values: dict[fx.Node, Value] = {}
        self.bases: dict[fx.Node, fx.Node] = {}
        self.outputs: tuple[int, ...] = ()
        self.names: dict[str, str] = {}
        first: dict[int, str] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            self.names[name] = first.setdefault(id(parameter), name)

    def shape(self, source: int) -> Shape:
        return self.input if source == IMAGE else self.items[source].output

    def gathered(self, nodes: Iterable[fx.Node]) -> Value:
        """Everything that some names were made from, in order."""
        values = [self.values[node] for node in nodes]
        # An operand that occurs twice is read twice.
        sources = tuple(source for value in values for source in value.sources)
        return Value(sources, tuple(dict.fromkeys(weight for value in values for weight in value.weights)))

    def read(self, node: fx.Node, call: Call, stack: tuple[str, ...], reads: list[fx.Node]) -> None:
        """Add what a call does, and remember its value under ``node``."""
        value = self.gathered(reads)
        result = first_tensor(call.result)
        if call.module is not None:
            path = stack[-1].partition("@")[0]
            own = (self.names[f"{path}.{name}"] for name, _ in call.module.named_parameters())
            value = value._replace(weights=(*value.weights, *own))
        elif result is None or (known(call) in OF_WEIGHTS and not value.sources):
            # A size, or a number made of weights alone: its readers depend on what it was made from.
            self.values[node] = value._replace(sources=tuple(dict.fromkeys(value.sources)))
            return
        elif known(call) in VIEWS and not isinstance(call.result, Tensor):
            # The parts are taken out later, one by one.
            self.values[node] = value
            self.bases[node] = reads[0]
            return
        output = shape_of(result) if result is not None else Shape(0, 0, 0)
        op, sources = self.op(call, value, output)
        others = tuple(source for source in value.sources if source not in sources)
        around, name = levels(stack), call.name
        if others:
            # A view of the first source, whose readers also depend on the others: on weights or a size made of them.
            shapes = tuple(map(self.shape, (sources[0], *others)))
            depends = traced_ops.Fixed("depends", shapes, shapes[0])
            first = self.put(Item(around, "depends", depends, (sources[0], *others), shapes[0]))
            sources = (first, *sources[1:])
        if call.module is not None:
            around, name = around[:-1], around[-1].partition("@")[0].rpartition(".")[2]
        item = Item(around, name, op, sources, output, value.weights, spelling=_spelling(op, call))
        self.values[node] = Value((self.put(item),))
        if reads and known(call) in VIEWS:
            self.bases[node] = reads[0]
        if reads and call.mutates:
            self.write(reads[0], node)

    def op(self, call: Call, value: Value, output: Shape) -> tuple[Op, tuple[int, ...]]:
        """The op of a call and the sources it reads; an unknown call is opaque."""
        # A node of weights alone has no input of its own, and reads the image instead.
        sources = reads = value.sources or (IMAGE,)
        shapes = tuple(map(self.shape, sources))
        rule = rules.RULES.get(call.label)
        if rule is not None:
            with users_code(f"the rule for {call.label}"):
                macs = rule(shapes, output)
            if not isinstance(macs, int) or isinstance(macs, bool) or macs < 0:
                raise UsageError(f"the rule for {call.label} returned {macs!r}, not a count of multiply-adds")
            return traced_ops.Custom(call.label, shapes, output, macs=macs), sources
        convert = MODULES.get(type(call.module)) if call.module is not None else FUNCTIONS.get(known(call))
        op = convert(call, shapes, output) if convert is not None and value.sources else None
        if isinstance(op, (ops.Add, ops.Gate)) and shapes[0].numel < shapes[-1].numel:
            sources = sources[::-1]
        elif op is not None and not isinstance(
            op, (ops.Add, ops.Gate, ops.Concat, ops.Crop, traced_ops.Elementwise, traced_ops.Fixed, ops.Upsample)
        ):
            sources = sources[:1]
        if op is not None:
            with contextlib.suppress(ShapeError, ValueError):
                if op.shape(*map(self.shape, sources)) == output:
                    return op, sources
        if call.module is None and known(call) in FREE_FUNCTIONS:
            return traced_ops.Fixed(call.name, shapes, output), reads
        return traced_ops.Opaque(call.label, shapes, output), reads

    def put(self, item: Item) -> int:
        self.items.append(item)
        return len(self.items) - 1

    def write(self, target: fx.Node, node: fx.Node) -> None:
        """After an in-place operation, readers of its target, or of the target's views, read its result."""
        (new,) = self.values[node].sources
        while target in self.bases:
            self.values[target] = Value((new,))
            target = self.bases[target]
            old = self.values[target].sources
            if len(old) != 1:
                return
            shapes = (self.shape(old[0]), self.shape(new))
            op = traced_ops.Fixed("write", shapes, shapes[0])
            new = self.put(Item(self.items[new].stack, "write", op, (old[0], new), shapes[0]))
        self.values[target] = Value((new,))


_TOLD_APART = (
    ops.Conv, ops.ConvTranspose, ops.BatchNorm, ops.Relu, ops.Pool, ops.Upsample, ops.Linear, traced_ops.Norm,
    traced_ops.Activation, traced_ops.Softmax, traced_ops.AdaptivePool, traced_ops.Elementwise,
    traced_ops.FixedElementwise, traced_ops.MatMul,
)  # fmt: skip


def _spelling(op: Op, call: Call) -> str:
    """How a call is written, if some tool counts by it; else "module", so that nodes of equal cost are equal."""
    if not isinstance(op, _TOLD_APART) or (isinstance(op, traced_ops.Activation) and op.kind == "dropout"):
        return "module"
    # A ReLU read as an activation is one that no tool sees.
    return "method" if isinstance(op, traced_ops.Activation) and op.kind == "relu" else call.spelling


def first_tensor(result: Any) -> Tensor | None:
    """The result, or the first tensor in it."""
    if isinstance(result, Tensor):
        return result
    if isinstance(result, dict):
        result = tuple(result.values())
    if isinstance(result, (tuple, list)) and not isinstance(result, torch.Size):
        return next((found for part in result if (found := first_tensor(part)) is not None), None)
    return None


def operands(node: fx.Node) -> list[fx.Node]:
    """The nodes that a node reads, each as often as it is written."""
    reads: list[fx.Node] = []
    fx.map_arg((node.args, node.kwargs), reads.append)
    return reads


def image(module: nn.Module, input: Shape) -> Tensor:
    """A batch of one image of zeros, of the module's dtype and device."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *input, dtype=like.dtype, device=like.device)
