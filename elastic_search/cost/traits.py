"""What operation counts leave out: memory traffic, peak memory, depth, receptive field, cost by part. No torch.

Every op reads its inputs and its weights and writes its output once, without fusion or cache: the bytes are those of an
eager run, and an upper bound for a run that fuses ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Any, NamedTuple

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Op, Shape
from elastic_search.arch.traced_ops import VIEWS
from elastic_search.cost.convention import Call
from elastic_search.cost.memory import peak_inference
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import MACS

MAX_PARTS = 12
"""A network with more parts than this has its cost divided by resolution instead."""


class Step(NamedTuple):
    """A live primitive of a flattened network; values are numbered, and the image is value 0."""

    op: Op
    inputs: tuple[int, ...]
    output: int
    shapes: tuple[Shape, ...]
    shape: Shape


class Flat(NamedTuple):
    """A network's live primitives in execution order, and the values that leave it."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


class Share(NamedTuple):
    """A part of a network and its multiply-adds."""

    path: str
    macs: int


@dataclass(frozen=True)
class Traits:
    """Properties of a network for one image.

    Attributes:
        bytes_moved: see the function ``bytes_moved``.
        peak_memory: peak bytes in inference.
        macs_live: multiply-adds of the live ops.
        depth: convolutions and linear layers on the longest path.
        receptive_field: see the function ``receptive_field``.
        shares: the network's parts and their multiply-adds, in order.
    """

    bytes_moved: int
    peak_memory: int
    macs_live: int
    depth: int
    receptive_field: tuple[int, int] | None
    shares: tuple[Share, ...]

    @property
    def intensity(self) -> float:
        """Arithmetic intensity: FLOPs (two per multiply-add) of the live ops per byte moved."""
        return 2 * self.macs_live / self.bytes_moved if self.bytes_moved else 0.0


def traits(graph: Graph, input: Shape, itemsize: int = 4) -> Traits:
    """Measure a network for one image whose elements and weights have ``itemsize`` bytes.

    Raises:
        ShapeError: if a node cannot take its input; names the node's path.
    """
    flat = flatten(graph, input)
    return Traits(
        bytes_moved=bytes_moved(flat, itemsize),
        peak_memory=peak_inference(graph, input, batch=1, itemsize=itemsize),
        macs_live=sum(MACS.count(Call(step.op, step.shapes, step.shape)) for step in flat.steps),
        depth=depth(flat),
        receptive_field=receptive_field(flat),
        shares=stage_macs(graph, input),
    )


def flatten(graph: Graph, input: Shape) -> Flat:
    """The live primitives of a network, without nesting."""
    shapes: list[Shape] = [input]
    steps: list[Step] = []

    def visit(node: Node, sources: tuple[int, ...]) -> tuple[int, ...]:
        if isinstance(node.op, Graph):
            return node.op.run(sources, visit, dead=False)
        before = tuple(shapes[source] for source in sources)
        shapes.append(node.op.shape(*before))
        steps.append(Step(node.op, sources, len(shapes) - 1, before, shapes[-1]))
        return (len(shapes) - 1,)

    outputs = graph.run((0,), visit, dead=False)
    return Flat(tuple(steps), outputs)


def bytes_moved(flat: Flat, itemsize: int = 4) -> int:
    """Bytes read and written by all live ops for one image.

    An op reads each of its inputs and its weights (a batch normalisation its running statistics too) and writes its
    output; an in-place ReLU does so as well. Views move nothing: flatten, crop, a pad that adds nothing, and VIEWS.
    """
    return itemsize * sum(_elements(step) for step in flat.steps)


def _elements(step: Step) -> int:
    op = step.op
    if isinstance(op, (ops.Flatten, ops.Crop)) or (isinstance(op, ops.Pad) and step.shape == step.shapes[0]):
        return 0
    if type(op) is traced_ops.Fixed and op.kind in VIEWS:
        return 0
    statistics = 2 * op.channels if isinstance(op, ops.BatchNorm) and op.tracked else 0
    return sum(shape.numel for shape in step.shapes) + step.shape.numel + op.params + statistics


def depth(flat: Flat) -> int:
    """Convolutions and linear layers on the longest path from the image to an output, those of a gate included."""
    longest = {0: 0}
    for step in flat.steps:
        layer = isinstance(step.op, (ops.Conv, ops.ConvTranspose, ops.Linear))
        longest[step.output] = max((longest[source] for source in step.inputs), default=0) + layer
    return max(longest[output] for output in flat.outputs)


def stage_macs(graph: Graph, input: Shape) -> tuple[Share, ...]:
    """Multiply-adds of the parts that have any: stem, stages, head; by output resolution if there are too many."""
    counted = tally(graph, input, MACS)
    counting = [row for row in counted.parts() if row.cost.total]
    if len(counting) <= MAX_PARTS:
        return tuple(Share(row.path, row.cost.total) for row in counting)
    found: dict[tuple[int, int], int] = {}
    for row in counted.rows:
        if row.cost.total:
            found[row.output[1:]] = found.get(row.output[1:], 0) + row.cost.total
    return tuple(Share(f"{height}x{width}", macs) for (height, width), macs in sorted(found.items(), reverse=True))


# Receptive field: which input positions an interval of output positions reads along one axis (0 is the height, 1 the
# width). The image has no border here.

Interval = tuple[int, int]
Reads = tuple[Callable[[Interval], Interval], Fraction]
"""The input interval that an output interval reads, and how many input positions lie between two outputs."""


def _window(step: Step, axis: int) -> Reads:
    op: Any = step.op
    kernel, stride, dilation = (ops.pair(size)[axis] for size in (op.kernel, op.stride, op.dilation))
    span = dilation * (kernel - 1)
    padding = span // 2 if isinstance(op.padding, str) else ops.pair(op.padding)[axis]
    return lambda at: (at[0] * stride - padding, at[1] * stride - padding + span), Fraction(stride)


def _transposed(step: Step, axis: int) -> Reads:
    op: Any = step.op
    kernel, stride, dilation, padding = (
        ops.pair(size)[axis] for size in (op.kernel, op.stride, op.dilation, op.padding)
    )
    span = dilation * (kernel - 1)
    return lambda at: (-((span - at[0] - padding) // stride), (at[1] + padding) // stride), Fraction(1, stride)


def _upsampled(step: Step, axis: int) -> Reads | None:
    op: Any = step.op
    factor = Fraction(step.shape[1 + axis], step.shapes[0][1 + axis])
    if op.mode == "nearest":
        return lambda at: (floor(at[0] / factor), floor(at[1] / factor)), 1 / factor
    if op.mode != "bilinear":
        return None
    # Half-pixel centres: output i lies at (i + 1/2) / r - 1/2 and reads its two neighbours, or one if it lies on it.
    half = Fraction(1, 2)
    return lambda at: (floor((at[0] + half) / factor - half), ceil((at[1] + half) / factor - half)), 1 / factor


def _adaptive(step: Step, axis: int) -> Reads | None:
    before, after = step.shapes[0][1 + axis], step.shape[1 + axis]
    stride = before // after
    return (lambda at: (at[0] * stride, (at[1] + 1) * stride - 1), Fraction(stride)) if before % after == 0 else None


def _same(step: Step, axis: int) -> Reads:
    return lambda at: at, Fraction(1)


def _unknown(step: Step, axis: int) -> None:
    """The op reads the whole map, or which positions it reads is not known."""


_READS: dict[type[Op], Callable[[Step, int], Reads | None]] = {
    ops.Conv: _window,
    ops.Pool: _window,
    ops.ConvTranspose: _transposed,
    ops.Upsample: _upsampled,
    traced_ops.AdaptivePool: _adaptive,
    **dict.fromkeys(
        (
            ops.BatchNorm, ops.Relu, ops.Sigmoid, ops.Pad, ops.Crop, ops.Add, ops.Gate, ops.Concat, ops.Flatten,
            ops.Linear, traced_ops.Norm, traced_ops.Activation, traced_ops.Elementwise,
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            ops.GlobalPool, traced_ops.Softmax, traced_ops.Fixed, traced_ops.FixedElementwise, traced_ops.Product,
            traced_ops.Custom, traced_ops.Opaque, traced_ops.Unused,
        ),
        _unknown,
    ),
}  # fmt: skip


def _read(step: Step) -> tuple[int, ...]:
    """The inputs whose positions an op's output depends on: not a gate, nor a map that only gives a crop its size."""
    return step.inputs[:1] if isinstance(step.op, (ops.Gate, ops.Crop, ops.Upsample)) else step.inputs


def _pools_all(step: Step) -> bool:
    """Whether an op makes one value of each map."""
    return isinstance(step.op, ops.GlobalPool) or (
        isinstance(step.op, traced_ops.AdaptivePool) and step.shape[1:] == (1, 1) != step.shapes[0][1:]
    )


def receptive_field(flat: Flat) -> tuple[int, int] | None:
    """Height and width, in pixels, of the region that one position of the last feature map depends on.

    The position is far from the borders. The last feature map is the one that the classifier's global pool (or
    flattening) reads, or the output of a network without one. Several paths give their hull; where the field differs
    between positions, as after up-sampling, the largest is taken. Squeeze-and-excite gates, other global pools before
    the last map and the statistics of normalisations see the whole image and do not count. None if an op is not known.
    """
    fields = [tuple(_field(flat, value, axis) for axis in (0, 1)) for value in _feature_maps(flat)]
    heights, widths = zip(*fields, strict=True)
    if None in heights or None in widths:
        return None
    return max(heights), max(widths)


def _feature_maps(flat: Flat) -> list[int]:
    """The last feature maps."""
    producers = {step.output: step for step in flat.steps}
    found: dict[int, None] = {}
    for output in flat.outputs:
        if output not in producers or producers[output].shape[1:] != (1, 1):
            found[output] = None
            continue
        ends: dict[int, None] = {}
        pending, seen = [output], set[int]()
        while pending:
            value = pending.pop()
            step = producers.get(value)
            if step is None or value in seen:
                continue
            seen.add(value)
            flattens = isinstance(step.op, ops.Flatten) and step.shapes[0][1:] != (1, 1)
            if _pools_all(step) or flattens:
                ends[step.inputs[0]] = None
            else:
                pending += _read(step)
        found |= ends or {output: None}
    return list(found)


def _field(flat: Flat, value: int, axis: int) -> int | None:
    """Largest extent over one period of the positions of ``value``."""
    jumps: dict[int, Fraction] = {0: Fraction(1)}
    reads: list[tuple[Step, Callable[[Interval], Interval]]] = []
    for step in _before(flat, value):
        found = _READS[type(step.op)](step, axis)
        if found is None:
            return None
        # Paths that meet have one jump; what comes from a global pool alone has none, and brings no position.
        before = [jumps[source] for source in _read(step) if source in jumps]
        if before:
            jumps[step.output] = before[0] * found[1]
            reads.append((step, found[0]))
    if value not in jumps:
        return None
    period = lcm(*((jumps[value] / jump).denominator for jump in jumps.values()))
    return max(_extent(reads, value, position) for position in range(period))


def _before(flat: Flat, value: int) -> Iterator[Step]:
    """The steps that a value depends on, in execution order, without global pools and the steps that only they read."""
    wanted, chosen = {value}, list[Step]()
    for step in reversed(flat.steps):
        if step.output in wanted and not _pools_all(step):
            wanted.update(_read(step))
            chosen.append(step)
    return reversed(chosen)


def _extent(reads: list[tuple[Step, Callable[[Interval], Interval]]], value: int, position: int) -> int:
    needed: dict[int, Interval] = {value: (position, position)}
    for step, reading in reversed(reads):
        if step.output not in needed:
            continue
        first, last = reading(needed[step.output])
        for source in _read(step):
            low, high = needed.get(source, (first, last))
            needed[source] = min(first, low), max(last, high)
    low, high = needed[0]
    return high - low + 1
