"""A graph run on tensors that are only numbers of bytes, forward and back. No torch.

The walk does what the built module does: it runs live nodes in their order, drops a value after its last reader, lets
a ReLU overwrite its input where the module does, and keeps for the backward pass what autograd keeps for each op. It
then runs that pass, in autograd's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Shape

INDEX_BYTES = 8
"""Bytes of an integer, as in a max pool's indices and a batch norm's counter."""

Test = Callable[[Any], bool]


def _always(op: Op) -> bool:
    return True


def _never(op: Op) -> bool:
    return False


class _Autograd(NamedTuple):
    """What torch does for an op type: whether the inputs and the output of an op are kept for the backward pass,
    whether it returns its input or a view of it, and the kind of its ``_Record``."""

    inputs: Test = _never
    output: Test = _never
    view: Test = _never
    gradients: str = "new"


_KEEPS_INPUTS, _KEEPS_OUTPUT = _Autograd(inputs=_always), _Autograd(output=_always)
_ARITHMETIC = _Autograd(inputs=lambda op: op.kind not in ("add", "sub"))
_OF_OUTPUT = frozenset(("relu", "sigmoid", "tanh"))
"""Activations whose gradient needs the output; the others' needs the input."""

AUTOGRAD: dict[type[Op], _Autograd] = {
    **dict.fromkeys((ops.Conv, ops.ConvTranspose, ops.Linear, ops.BatchNorm, ops.Pool), _KEEPS_INPUTS),
    **dict.fromkeys((traced_ops.Norm, traced_ops.Product, traced_ops.AdaptivePool), _KEEPS_INPUTS),
    **dict.fromkeys((ops.Relu, ops.Sigmoid, traced_ops.Softmax), _KEEPS_OUTPUT),
    **dict.fromkeys((traced_ops.Custom, traced_ops.Opaque, traced_ops.Unused), _KEEPS_OUTPUT),
    **dict.fromkeys((traced_ops.Elementwise, traced_ops.FixedElementwise), _ARITHMETIC),
    # torch turns the adaptive pool into a mean, whose gradient only needs the size.
    ops.GlobalPool: _Autograd(inputs=lambda op: op.kind != "adaptive"),
    ops.Pad: _Autograd(inputs=lambda op: op.mode == "replicate"),
    ops.Upsample: _Autograd(),
    ops.Crop: _Autograd(view=_always),
    ops.Flatten: _Autograd(view=_always),
    ops.Add: _Autograd(gradients="same"),
    ops.Gate: _Autograd(inputs=_always, gradients="gate"),
    ops.Concat: _Autograd(gradients="part"),
    traced_ops.Fixed: _Autograd(output=_always, view=lambda op: op.kind in traced_ops.VIEWS),
    traced_ops.Activation: _Autograd(
        inputs=lambda op: op.kind not in _OF_OUTPUT and op.kind != "dropout",
        output=lambda op: op.kind in _OF_OUTPUT,
        view=lambda op: op.kind == "identity",
    ),
}
"""By exact type: an op type without a row is an error."""


def parameters(op: Op) -> tuple[int, ...]:
    """Elements of each of an op's parameter tensors."""
    second = op.params // 2 if isinstance(op, ops.BatchNorm) else 0
    if isinstance(op, (ops.Conv, ops.ConvTranspose, ops.Linear)) and op.bias:
        second = op.out_features if isinstance(op, ops.Linear) else op.out_channels
    return tuple(size for size in (op.params - second, second) if size)


def _drops(op: Op) -> bool:
    return isinstance(op, traced_ops.Activation) and op.kind == "dropout"


class _Storage:
    """Bytes that several tensors may share."""

    __slots__ = ("holders", "nbytes")

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self.holders = 1


class _Gradient(NamedTuple):
    """A gradient on its way; ``dense`` where it fills its storage without gaps."""

    storage: _Storage
    dense: bool


@dataclass(eq=False, slots=True)
class _Record:
    """What autograd remembers of one operation.

    By kind, each input gets a "new" gradient, the "same" one as the output, "part" of that (a view), or that of a
    "gate".
    """

    kind: str
    nbytes: int  # of the output
    inputs: tuple[tuple[_Record | None, int], ...]  # None where an input needs no gradient; bytes of each
    parameters: tuple[int, ...] = ()  # bytes of each parameter's gradient
    shared: bool = False  # another node has the parameters: their gradients are added to that node's
    saved: list[_Storage] = field(default_factory=list)  # kept for the backward pass
    gradient: _Gradient | None = None  # of the output, as far as it has arrived


class Value(NamedTuple):
    """A tensor of the forward pass; ``record`` is None where it needs no gradient."""

    storage: _Storage
    shape: Shape
    record: _Record | None


class Walk:
    """Runs a graph on storages, and their gradients back.

    Args:
        batch: images.
        itemsize: bytes of an element.
        training: whether to keep what the backward pass needs.
        observed: whether gradients are never added in place, as in torch while a tool listens to every operator.
    """

    def __init__(self, batch: int, itemsize: int, training: bool, observed: bool = False) -> None:
        self.batch, self.itemsize, self.training, self.observed = batch, itemsize, training, observed
        self.now = self.gradients = 0
        self.peak = self.peak_activations = 0
        self.records: list[_Record] = []

    def new(self, nbytes: int) -> _Storage:
        self.now += nbytes
        self.peak = max(self.peak, self.now)
        self.peak_activations = max(self.peak_activations, self.now - self.gradients)
        return _Storage(nbytes)

    def keep(self, storage: _Storage) -> _Storage:
        storage.holders += 1
        return storage

    def drop(self, storage: _Storage) -> None:
        storage.holders -= 1
        if not storage.holders:
            self.now -= storage.nbytes

    def nbytes(self, shape: Shape) -> int:
        return self.batch * shape.numel * self.itemsize

    def run(self, graph: Graph, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """The outputs of a graph, held for the caller, who keeps holding the inputs."""

        def visit(node: Node, sources: tuple[Value, ...]) -> tuple[Value, ...]:
            if isinstance(node.op, Graph):
                return self.run(node.op, sources)
            called = node.spelling != "module"
            overwrites = isinstance(node.op, ops.Relu) and not called and graph.may_overwrite(node.inputs[0])
            value = self.apply(node.op, sources, overwrites)
            if value.record and node.weights_of is not None:
                value.record.shared = True
            return (value,)

        for value in inputs:
            self.keep(value.storage)
        outputs = graph.run(inputs, visit, dead=False, drop=lambda value: self.drop(value.storage))
        for i, name in enumerate(graph.outputs):
            if name in graph.outputs[:i]:
                self.keep(outputs[i].storage)
        return outputs

    def apply(self, op: Op, inputs: Sequence[Value], overwrites: bool) -> Value:
        """The output of one op, held for the caller; it ``overwrites`` the input if it is made in place."""
        rule = AUTOGRAD[type(op)]
        shape = op.shape(*[value.shape for value in inputs])
        if isinstance(op, ops.Crop):
            return self.crop(inputs[0], shape)
        if isinstance(op, ops.Add):
            return self.add(inputs[0], inputs[1:])
        if isinstance(op, ops.Pad) and shape == inputs[0].shape:
            return Value(self.keep(inputs[0].storage), shape, inputs[0].record)
        if rule.view(op) or (_drops(op) and not self.training):
            kind = "same" if shape.numel == inputs[0].shape.numel else "new"
            return Value(self.keep(inputs[0].storage), shape, self.record(kind, shape, inputs))
        storage = self.keep(inputs[0].storage) if overwrites else self.new(self.nbytes(shape))
        extra = self.extra(op, shape)
        record = self.record(rule.gradients, shape, inputs, tuple(n * self.itemsize for n in parameters(op)))
        if record is not None:
            record.saved += [self.keep(value.storage) for value in inputs if rule.inputs(op)]
            record.saved += [self.keep(storage)] if rule.output(op) else []
            record.saved += [self.keep(extra)] if extra else []
        if extra:
            self.drop(extra)
        return Value(storage, shape, record)

    def extra(self, op: Op, shape: Shape) -> _Storage | None:
        """What an op makes besides its output: indices, a batch's statistics, a mask."""
        if isinstance(op, (ops.Pool, traced_ops.AdaptivePool)) and op.kind == "max":
            return self.new(self.batch * shape.numel * INDEX_BYTES)
        if isinstance(op, ops.BatchNorm) and self.training:
            return self.new(2 * shape.channels * self.itemsize)
        return self.new(self.batch * shape.numel) if _drops(op) else None

    def add(self, first: Value, rest: Sequence[Value]) -> Value:
        """A sum of several is made pair by pair."""
        total = Value(self.keep(first.storage), first.shape, first.record)
        for value in rest:
            storage = self.new(self.nbytes(first.shape))
            self.drop(total.storage)
            total = Value(storage, first.shape, self.record("same", first.shape, (total, value)))
        return total

    def crop(self, value: Value, shape: Shape) -> Value:
        """A view; each dimension that is cut is an operation of its own."""
        storage = self.keep(value.storage)
        for height, width in ((shape.height, value.shape.width), (shape.height, shape.width)):
            cut = Shape(shape.channels, height, width)
            if cut != value.shape:
                value = Value(storage, cut, self.record("new", cut, (value,)))
        return Value(storage, shape, value.record)

    def record(
        self, kind: str, shape: Shape, inputs: Sequence[Value], parameters: tuple[int, ...] = ()
    ) -> _Record | None:
        """A new record, unless nothing here needs a gradient."""
        if not self.training or not (parameters or any(value.record for value in inputs)):
            return None
        edges = tuple((value.record, self.nbytes(value.shape)) for value in inputs)
        self.records.append(_Record(kind, self.nbytes(shape), edges, parameters))
        return self.records[-1]

    def back(self, outputs: Sequence[Value]) -> None:
        """The backward pass from a gradient of every output, which the caller holds."""
        for value in outputs:
            if value.record is not None:
                self.arrive(value.record, _Gradient(self.keep(self.new(value.record.nbytes)), True))
        for record in reversed(self.records):
            if record.gradient is not None:
                self.step(record, record.gradient)

    def step(self, record: _Record, gradient: _Gradient) -> None:
        """One operation's backward pass: make the gradients, free what was kept, hand the gradients on."""
        # A slice of channels has gaps between images.
        dense = gradient.dense and (record.kind == "same" or self.batch == 1)
        passed = record.kind in ("same", "part")
        made = [
            (source, _Gradient(self.keep(gradient.storage), dense) if passed else _Gradient(self.new(nbytes), True))
            for source, nbytes in record.inputs
            if source is not None
        ]
        if record.kind == "gate":
            # The gate's gradient is first as large as the map.
            self.drop(self.new(record.nbytes))
        self.gradients += 0 if record.shared else sum(record.parameters)
        gradients = [self.new(nbytes) for nbytes in record.parameters]
        for storage in (*record.saved, gradient.storage, *(gradients if record.shared else ())):
            self.drop(storage)
        record.saved, record.gradient = [], None
        for source, part in made:
            self.arrive(source, part)

    def arrive(self, record: _Record, gradient: _Gradient) -> None:
        """Add to what has arrived of a record's gradient, in place if nothing else holds it."""
        before = record.gradient
        if before is None:
            record.gradient = gradient
            return
        if not before.dense or before.storage.holders > 1 or self.observed:
            record.gradient = _Gradient(self.new(record.nbytes), True)
            self.drop(before.storage)
        self.drop(gradient.storage)
