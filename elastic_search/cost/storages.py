"""A graph run on tensors that are only numbers of bytes, forward and back. No torch.

The walk does what the built module does: it runs live nodes in their order, drops a value after its last reader, lets
a ReLU overwrite its input where the module does, and keeps for the backward pass what autograd keeps for each op. It
then runs that pass, in autograd's order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Relu, Shape
from elastic_search.arch.traced_ops import VIEWS

INDEX_BYTES = 8
"""Bytes of an integer: of a max-pool's indices, of a batch norm's counter."""

# What autograd keeps of an op, by the op's name. One that is not listed keeps its output, or its input where it is an
# activation; every op makes a new tensor, and a new gradient for each input, where ``Walk`` does not say otherwise.

_KEEPS_INPUTS = {"Conv", "ConvTranspose", "Linear", "BatchNorm", "Norm", "MatMul", "Gate", "Pool", "AdaptivePool"}
_KEEPS_NOTHING = {"Upsample", "Concat"}
_KEEP_THEIR_OUTPUT = {"relu", "sigmoid", "tanh"}


def _keeps(op: Any) -> tuple[bool, bool]:
    """Whether an op keeps its inputs, and its output."""
    name = type(op).__name__
    if name in _KEEPS_INPUTS:
        return True, False
    if name in _KEEPS_NOTHING:
        return False, False
    if name == "GlobalPool":
        # torch makes the adaptive pool a mean, whose gradient needs the size alone.
        return op.spelling != "adaptive", False
    if name == "Pad":
        return op.mode == "replicate", False
    if name in ("Elementwise", "FixedElementwise"):
        return op.kind not in ("add", "sub"), False
    if name == "Activation":
        return op.kind not in _KEEP_THEIR_OUTPUT | {"dropout"}, op.kind in _KEEP_THEIR_OUTPUT
    return False, True


def _is_view(op: Any, training: bool) -> bool:
    """Whether an op returns its input, or a view of it."""
    match type(op).__name__:
        case "Flatten":
            return True
        case "Fixed":
            return op.kind in VIEWS
        case "Activation":
            return op.kind == "identity" or (op.kind == "dropout" and not training)
    return False


def parameters(op: Any) -> tuple[int, ...]:
    """Elements of each of an op's parameter tensors."""
    match type(op).__name__:
        case "BatchNorm":
            sizes = (op.params // 2, op.params // 2)
        case "Conv" | "ConvTranspose" if op.bias:
            sizes = (op.params - op.out_channels, op.out_channels)
        case "Linear" if op.bias:
            sizes = (op.params - op.out_features, op.out_features)
        case _:
            sizes = (op.params, 0)
    return tuple(size for size in sizes if size)


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

    Attributes:
        kind: how gradients are made: "new", "same" (that of the output), "part" (a view of it) or "gate".
        nbytes: of the output.
        inputs: record of each input and its bytes; None for an input that needs no gradient.
        parameters: bytes of each parameter's gradient.
        shared: whether another node has the parameters, so that their gradients are added to that node's.
        saved: what is kept for the backward pass.
        gradient: of the output, as far as it has arrived.
    """

    kind: str
    nbytes: int
    inputs: tuple[tuple[_Record | None, int], ...]
    parameters: tuple[int, ...] = ()
    shared: bool = False
    saved: list[_Storage] = field(default_factory=list)
    gradient: _Gradient | None = None


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
        observed: whether gradients are never added in place: so torch does while a tool listens to every operator.
    """

    def __init__(self, batch: int, itemsize: int, training: bool, observed: bool = False) -> None:
        self.batch, self.itemsize, self.training, self.observed = batch, itemsize, training, observed
        self.now = self.gradients = 0
        self.peak = self.peak_activations = 0
        self.records: list[_Record] = []

    # Storages.

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

    # Forward.

    def run(self, graph: Graph, inputs: Sequence[Value]) -> tuple[Value, ...]:
        """The outputs of a graph, held for the caller, who holds the inputs all the while."""

        def visit(node: Node, sources: tuple[Value, ...]) -> tuple[Value, ...]:
            if isinstance(node.op, Graph):
                return self.run(node.op, sources)
            overwrites = isinstance(node.op, Relu) and graph.may_overwrite(node.inputs[0])
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
        """The output of one op, held for the caller; ``overwrites``: in the place of its input."""
        name = type(op).__name__
        shape = op.shape(*[value.shape for value in inputs])
        if name == "Crop":
            return self.crop(inputs[0], shape)
        if _is_view(op, self.training):
            kind = "same" if shape.numel == inputs[0].shape.numel else "new"
            return Value(self.keep(inputs[0].storage), shape, self.record(kind, shape, inputs))
        if name == "Pad" and shape == inputs[0].shape:
            return Value(self.keep(inputs[0].storage), shape, inputs[0].record)
        if name == "Add":
            return self.add(inputs[0], inputs[1:])
        overwrites = overwrites and not op.functional  # type: ignore[attr-defined]
        storage = self.keep(inputs[0].storage) if overwrites else self.new(self.nbytes(shape))
        extra = self.extra(op, shape)
        kind = {"Concat": "part", "Gate": "gate"}.get(name, "new")
        record = self.record(kind, shape, inputs, tuple(n * self.itemsize for n in parameters(op)))
        if record is not None:
            of_inputs, of_output = _keeps(op)
            record.saved += [self.keep(value.storage) for value in inputs if of_inputs]
            record.saved += [self.keep(storage)] if of_output else []
            record.saved += [self.keep(extra)] if extra else []
        if extra:
            self.drop(extra)
        return Value(storage, shape, record)

    def extra(self, op: Any, shape: Shape) -> _Storage | None:
        """What an op makes beside its output: indices, statistics of a batch, a mask."""
        if type(op).__name__ in ("Pool", "AdaptivePool") and op.kind == "max":
            return self.new(self.batch * shape.numel * INDEX_BYTES)
        if type(op).__name__ == "BatchNorm" and self.training:
            return self.new(2 * shape.channels * self.itemsize)
        if type(op).__name__ == "Activation" and op.kind == "dropout":
            return self.new(self.batch * shape.numel)
        return None

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

    # Backward.

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
        made = []
        for source, nbytes in record.inputs:
            if source is None:
                continue
            if record.kind in ("same", "part"):
                # A slice of channels has gaps between images.
                dense = gradient.dense and (record.kind == "same" or self.batch == 1)
                made.append((source, _Gradient(self.keep(gradient.storage), dense)))
            else:
                made.append((source, _Gradient(self.new(nbytes), True)))
        if record.kind == "gate":
            # The gate's gradient is first as large as the map.
            self.drop(self.new(record.nbytes))
        self.gradients += 0 if record.shared else sum(record.parameters)
        gradients = [self.new(nbytes) for nbytes in record.parameters]
        for storage in record.saved:
            self.drop(storage)
        record.saved, record.gradient = [], None
        self.drop(gradient.storage)
        if record.shared:
            for storage in gradients:
                self.drop(storage)
        for source, part in made:
            self.arrive(source, part)

    def arrive(self, record: _Record, gradient: _Gradient) -> None:
        """Add to what has arrived of a record's gradient, in place where nobody else holds it."""
        before = record.gradient
        if before is None:
            record.gradient = gradient
            return
        if before.dense and before.storage.holders == 1 and not self.observed:
            self.drop(gradient.storage)
            return
        record.gradient = _Gradient(self.new(record.nbytes), True)
        self.drop(before.storage)
        self.drop(gradient.storage)
