"""Calls of torch, in execution order, turned into the items of a future graph."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.cost.convention import Call as Counted
from elastic_search.cost.convention import activations
from elastic_search.cost.tools import CONVENTIONS, FVCORE, PTFLOPS, PTFLOPS_ATEN, THOP, TORCH, TORCHINFO
from elastic_search.errors import ShapeError, UsageError
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.call import Call, shape_of
from elastic_search.nn.trace.dispatched import Ran
from elastic_search.nn.trace.factory import users_code
from elastic_search.nn.trace.heard import Counts
from elastic_search.nn.trace.nesting import IMAGE, Item, levels
from elastic_search.nn.trace.tables import FREE_FUNCTIONS, FUNCTIONS, MODULES, OF_WEIGHTS, VIEWS, known


class Value(NamedTuple):
    """The items and the parameters that a tensor was made from."""

    sources: tuple[int, ...] = ()
    weights: tuple[str, ...] = ()


class Reader:
    """Turns calls, in execution order, into items."""

    def __init__(self, module: nn.Module, input: Shape) -> None:
        self.module, self.input = module, input
        self.items: list[Item] = []
        self.values: dict[int, Value] = {}
        self.bases: dict[int, Tensor] = {}
        self.kept: list[Tensor] = []
        self.sizes: dict[int | torch.Size, dict[int, None]] = {}
        self.made_from: list[int] = []
        self.outputs: tuple[int, ...] = ()
        self.notes: dict[str, None] = {}
        self.unheard = Value()
        self.names: dict[str, str] = {}
        first: dict[int, str] = {}
        for name, parameter in module.named_parameters(remove_duplicate=False):
            self.names[name] = first.setdefault(id(parameter), name)
            self.values[id(parameter)] = Value((), (self.names[name],))

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """The inputs of the module; the first tensor is the image."""
        given = list(tensors((args, kwargs)))
        for i, tensor in enumerate(given):
            if i:
                shape = shape_of(tensor)
                op = traced_ops.Fixed("input", (self.input,), shape)
                self.set(tensor, Value((self.put(Item((), f"input_{i + 1}", op, (IMAGE,), shape)),)))
            else:
                self.set(tensor, Value((IMAGE,)))

    def end(self, result: Any) -> None:
        """What the module returned."""
        found = (source for tensor in tensors(result) for source in self.value(tensor).sources)
        self.outputs = tuple(dict.fromkeys(found))

    def set(self, tensor: Tensor, value: Value) -> None:
        self.values[id(tensor)] = value
        self.kept.append(tensor)

    def value(self, tensor: Tensor) -> Value:
        return self.values.get(id(tensor), self.unheard)

    def shape(self, source: int) -> Shape:
        return self.input if source == IMAGE else self.items[source].output

    def gathered(self, read: Iterable[Tensor]) -> Value:
        """Everything that some tensors were made from, in order."""
        values = [self.value(tensor) for tensor in read]
        # An operand that occurs twice is read twice.
        sources = tuple(source for value in values for source in value.sources)
        return Value(sources, tuple(dict.fromkeys(weight for value in values for weight in value.weights)))

    def unmapped(self, tensor: Tensor, whole: Tensor) -> None:
        """``tensor`` is what a transform took out of ``whole``, with its axes moved."""
        value = self.value(whole)
        if shape_of(tensor) != shape_of(whole) and value.sources:
            op = traced_ops.Fixed("movedim", (self.shape(value.sources[0]),), shape_of(tensor))
            value = Value((self.put(Item((), op.kind, op, value.sources[:1], op.output)),))
        self.set(tensor, value)

    def read(self, call: Call, stack: tuple[str, ...], ran: Ran, heard: Counts) -> None:
        """Add what a call does, and remember the tensors that it returns."""
        read, results = list(tensors((call.args, call.kwargs))), list(tensors(call.result))
        if call.written is not None:
            results = [call.written]
        if not results:
            self.measure(call, read)
            return
        if call.module is None and not call.mutates and not heard and any(results[0] is tensor for tensor in read):
            return  # one of its arguments, unchanged
        if call.mapped and torch._C._functorch.peek_interpreter_stack().key() != torch._C._functorch.TransformType.Vmap:
            self.notes[DIFFERENTIATED] = None
        value = self.gathered(read)
        value = value._replace(sources=(*value.sources, *self.sized(call, value)))
        if call.module is not None:
            path = stack[-1].partition("@")[0] if stack else ""
            prefix = f"{path}." if path else ""
            own = (self.names[f"{prefix}{name}"] for name, _ in call.module.named_parameters())
            value = value._replace(weights=(*value.weights, *own))
        elif not value.sources and not ran.macs and not heard and known(call) in OF_WEIGHTS:
            # Made of weights alone: its readers have the weights.
            for tensor in results:
                self.set(tensor, value)
            return
        output = shape_of(results[0])
        op, sources = self.op(call, value, output, ran)
        others = tuple(source for source in value.sources if source not in sources)
        around, name = levels(stack), call.name
        if others:
            # A view of the first source, whose readers also depend on the others: on weights or a size made of them.
            shapes = tuple(map(self.shape, (sources[0], *others)))
            depends = traced_ops.Fixed("depends", shapes, shapes[0])
            first = self.put(Item(around, "depends", depends, (sources[0], *others), shapes[0]))
            sources = (first, *sources[1:])
        if call.module is not None and stack:
            around, name = around[:-1], around[-1].partition("@")[0].rpartition(".")[2]
        elif call.module is not None:
            name = type(call.module).__name__.lower()
        spelling = _spelling(op, call)
        shapes = tuple(map(self.shape, sources))
        recorded = self.recorded(Counted(op, shapes, output, spelling), ran, heard)
        item = Item(around, name, op, sources, output, value.weights, None, spelling, recorded)
        at = self.put(item)
        is_view = known(call) in VIEWS
        for i, tensor in enumerate(results):
            shape = shape_of(tensor)
            if i and (is_view or shape != output):
                part = traced_ops.Fixed(name if is_view else "getitem", (shapes[0],) if is_view else (output,), shape)
                source = sources[0] if is_view else at
                self.set(tensor, Value((self.put(Item(around, part.kind, part, (source,), shape)),)))
            else:
                self.set(tensor, Value((at,)))
            if is_view and read:
                self.bases[id(tensor)] = read[0]
        if call.mutates:
            self.write(call.written if call.written is not None else read[0], at)

    @staticmethod
    def recorded(counted: Counted, ran: Ran, heard: Counts) -> tuple[tuple[str, int], ...]:
        """The counts of a call that ran that are not those of the conventions' rules."""
        if isinstance(counted.op, traced_ops.Custom):
            return ()
        found = {TORCH.name: ran.flops, PTFLOPS_ATEN.name: ran.aten}
        found |= {name: heard[name] for name in (FVCORE.name, PTFLOPS.name, THOP.name, TORCHINFO.name)}
        new = [(name, count) for name, count in found.items() if CONVENTIONS[name].count(counted) != count]
        if activations(counted) != heard["activations"]:
            new.append(("activations", heard["activations"]))
        return tuple(new)

    def missed(self, ran: Ran, stack: tuple[str, ...]) -> None:
        """Add operators that ran outside of any call; tensors that no call returned are theirs from here on."""
        source = len(self.items) - 1 if self.items else IMAGE
        shape = self.shape(source)
        op: Op = traced_ops.Product("compiled", (shape,), shape, macs=ran.macs)
        if ran.unknown:
            op = traced_ops.Opaque(ran.unknown[0], (shape,), shape)
        recorded = self.recorded(Counted(op, (shape,), shape), ran, Counts())
        item = Item(levels(stack), "compiled", op, (source,), shape, recorded=recorded)
        self.unheard = Value((self.put(item),))

    def layer(self, kind: str, result: Any, stack: tuple[str, ...], heard: Counts) -> None:
        """Add what some tools count for a module that they take for a layer, beside the calls that it makes."""
        tensor = next((tensor for tensor in tensors(result) if self.value(tensor).sources), None)
        if tensor is not None:
            source = self.value(tensor).sources[0]
            op = traced_ops.Fixed("layer", (self.shape(source),), self.shape(source))
            item = Item(levels(stack), kind.lower(), op, (source,), op.output, recorded=tuple(sorted(heard.items())))
            self.set(tensor, Value((self.put(item), *self.value(tensor).sources[1:])))

    def op(self, call: Call, value: Value, output: Shape, ran: Ran) -> tuple[Op, tuple[int, ...]]:
        """The op of a call and the sources it reads."""
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
        # The rules are for what the code of a call sees, which a transform may run on more at once.
        known_op = convert is not None and value.sources and not call.mapped
        op = convert(call, shapes, output) if convert is not None and known_op else None
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
        name = call.name or type(call.module).__name__
        if ran.macs:
            return traced_ops.Product(name, shapes, output, macs=ran.macs), reads
        if ran.unknown and (call.module is not None or known(call) not in FREE_FUNCTIONS):
            return traced_ops.Opaque(call.label, shapes, output), reads
        return traced_ops.Fixed(name, shapes, output), reads

    def measure(self, call: Call, read: list[Tensor]) -> None:
        """Remember which item a size was taken from; its numbers are like any other numbers to the code."""
        for source in self.gathered(read).sources if call.name in _SIZES else ():
            for number in _numbers(call.result):
                self.sizes.setdefault(number, {})[source] = None

    def sized(self, call: Call, value: Value) -> tuple[int, ...]:
        """Items that a call depends on only since it was given a number that is the size of theirs."""
        if not self.sizes or call.module is not None:
            return ()
        before = sum({1 << source for source in value.sources if source != IMAGE})
        for source in value.sources:
            before |= self.made_from[source] if source != IMAGE else 0
        found: dict[int, None] = {}
        for number in _numbers((call.args, tuple(call.kwargs.values()))):
            found |= {
                source: None for source in self.sizes.get(number, ()) if source != IMAGE and not before >> source & 1
            }
        return tuple(found)

    def put(self, item: Item) -> int:
        before = 0
        for source in item.sources:
            before |= 0 if source == IMAGE else self.made_from[source] | 1 << source
        self.made_from.append(before)
        self.items.append(item)
        return len(self.items) - 1

    def write(self, target: Tensor, new: int) -> None:
        """After an in-place operation, readers of its target, or of what the target is a view of, read its result."""
        while id(target) in self.bases:
            self.set(target, Value((new,)))
            target = self.bases[id(target)]
            old = self.value(target).sources
            if len(old) != 1:
                return
            shapes = (self.shape(old[0]), self.shape(new))
            op = traced_ops.Fixed("write", shapes, shapes[0])
            new = self.put(Item(self.items[new].stack, "write", op, (old[0], new), shapes[0]))
        self.set(target, Value((new,)))


DIFFERENTIATED = "the module differentiates: the operators that ran are counted, fvcore traces others"
"""What a reader of the counts should know of ``torch.func.jvp`` and its like."""

_TOLD_APART = (
    ops.Conv, ops.ConvTranspose, ops.BatchNorm, ops.Relu, ops.Pool, ops.Upsample, ops.Linear, traced_ops.Norm,
    traced_ops.Activation, traced_ops.Softmax, traced_ops.AdaptivePool, traced_ops.Elementwise,
    traced_ops.FixedElementwise, traced_ops.Product,
)  # fmt: skip


def _spelling(op: Op, call: Call) -> str:
    """How a call is written, if some tool counts by it; else "module", so that nodes of equal cost are equal."""
    if not isinstance(op, _TOLD_APART) or (isinstance(op, traced_ops.Activation) and op.kind == "dropout"):
        return "module"
    # A ReLU read as an activation is one that no tool sees.
    return "method" if isinstance(op, traced_ops.Activation) and op.kind == "relu" else call.spelling


_SIZES = frozenset(("shape", "size", "numel", "nelement", "len"))


def _numbers(value: Any) -> Iterator[int | torch.Size]:
    """What some arguments hold of a tensor's size: the sizes, and the numbers above 1.

    A 1 says nothing about where it comes from, but a part of a tensor's shape does.
    """
    if type(value) is int and value > 1:
        yield value
    elif isinstance(value, (tuple, list)):
        if isinstance(value, torch.Size):
            yield from (value[start:end] for start in range(len(value)) for end in range(start + 1, len(value) + 1))
        for part in value:
            yield from _numbers(part)


def tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in a value, in order: in tuples, lists, dicts, data classes and objects with such fields."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        for part in value:
            yield from tensors(part)
    elif hasattr(value, "__dict__") and not isinstance(value, (type, nn.Module)) and not callable(value):
        yield from tensors(vars(value))


def image(module: nn.Module, input: tuple[int, ...]) -> Tensor:
    """A batch of one image of zeros, of the module's dtype and device."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(1, *input, dtype=like.dtype, device=like.device)
