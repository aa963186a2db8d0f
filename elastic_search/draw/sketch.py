"""What a drawing of a network shows: panels of items, items of boxes, and who reads whom.

A panel is a stage (or a stem, a head, a run of layers); its items are blocks; the boxes of an item are convolutions,
resamplings and joins. Normalisations, activations, pads and crops are not drawn, as in the paper's Figure 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, NamedTuple

from elastic_search.arch import ops, traced_ops
from elastic_search.arch.graph import Graph, Node, output_shapes
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Op, Shape
from elastic_search.arch.zoo import BLOCK_KINDS
from elastic_search.cost.tally import count
from elastic_search.cost.tools import MACS

IN = -1
"""The source of edges that come from outside."""

Resolution = tuple[int, int]


@dataclass(frozen=True)
class Box:
    """A drawn op. ``form`` is "layer", "down", "up", "join" (add, concat, gate) or "unit" (squeeze-and-excite)."""

    form: str
    label: str
    resolution: Resolution


@dataclass(frozen=True)
class Detail:
    """The boxes of an item in execution order.

    Attributes:
        boxes: what is drawn.
        edges: (reading from, read by), as indices of ``boxes``; IN is the item's input.
        outputs: boxes (or IN) whose result leaves.
    """

    boxes: tuple[Box, ...]
    edges: tuple[tuple[int, int], ...]
    outputs: tuple[int, ...]

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Where its layers work, highest first."""
        layers = {box.resolution for box in self.boxes if box.form == "layer"}
        return tuple(sorted(layers or {box.resolution for box in self.boxes}, reverse=True))


@dataclass(frozen=True)
class Item:
    """A block, or the ops between blocks; ``repeat`` equal ones in a row are one item."""

    kind: str
    detail: Detail
    repeat: int = 1

    @property
    def caption(self) -> str:
        """What it is called: its kind, or the label of its only box."""
        if len(self.detail.boxes) == 1:
            return self.detail.boxes[0].label
        return self.kind or "layers"


@dataclass(frozen=True)
class Panel:
    """A stage or another top-level part.

    Attributes:
        name: of its node.
        kind: of its graph.
        output: shape that leaves it.
        share: of the network's multiply-adds.
        blocks: number of blocks, 0 where it has none.
        items: in execution order.
        edges: (reading from, read by), as indices of ``items``; IN is the panel's input.
    """

    name: str
    kind: str
    output: Shape
    share: float
    blocks: int
    items: tuple[Item, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def facts(self) -> list[str]:
        """The two lines below the name."""
        blocks = f"{self.blocks} {'block' if self.blocks == 1 else 'blocks'}, " if self.blocks else ""
        shape = self.output
        return [f"→ {shape.channels} × {shape.height} × {shape.width}", f"{blocks}{100 * self.share:.1f}% of MACs"]

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Where its items work, highest first."""
        found = {resolution for item in self.items for resolution in item.detail.resolutions}
        return tuple(sorted(found, reverse=True))

    @property
    def is_chain(self) -> bool:
        """Whether every item reads the one before it and nothing else."""
        return self.edges == tuple((i - 1, i) for i in range(len(self.items)))

    def folded(self) -> Panel:
        """Equal items in a row as one, unless items read more than the one before them."""
        if not self.is_chain:
            return self
        items = tuple(replace(item, repeat=len(list(equal))) for item, equal in groupby(self.items))
        return replace(self, items=items, edges=tuple((i - 1, i) for i in range(len(items))))


@dataclass(frozen=True)
class Sketch:
    """A network to draw; ``edges`` are between panels, IN is the image."""

    name: str
    input: Shape
    panels: tuple[Panel, ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def resolutions(self) -> tuple[Resolution, ...]:
        """Every resolution in the drawing, highest first."""
        boxes = (box for panel in self.panels for item in panel.items for box in item.detail.boxes)
        return tuple(sorted({box.resolution for box in boxes if box.form != "join"}, reverse=True))


RAMP = ((253, 231, 200), (250, 190, 140), (240, 135, 110), (205, 85, 125), (140, 58, 140), (72, 45, 130))
"""Colours from the highest resolution to the lowest."""

NEUTRAL = "#e8e9ee"
"""Colour of maps of 1 × 1."""

INK = "#22252b"
"""Colour of text on paper."""

MAX_PANELS = 24
"""Most parts of a network that are drawn one by one."""

LEVELS = ("stage", "block", "branch")
"""Levels of detail."""

JOINS = (ops.Add, ops.Concat, ops.Gate, traced_ops.Elementwise)
_SILENT = (
    ops.BatchNorm, ops.Relu, ops.Sigmoid, ops.Pad, ops.Crop, ops.Flatten, traced_ops.Norm, traced_ops.Activation,
    traced_ops.Softmax,
)  # fmt: skip
_JOINED: dict[type[Op], str] = {ops.Add: "+", ops.Concat: "concat", ops.Gate: "×"}
_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷"}


def size_text(resolution: Resolution) -> str:
    """A resolution as people write it: 56, or 57×49 where it is not square."""
    height, width = resolution
    return str(height) if height == width else f"{height}×{width}"


def colours(resolutions: Sequence[Resolution]) -> dict[Resolution, str]:
    """A colour for each resolution, light for the highest."""
    ranked = [resolution for resolution in resolutions if resolution != (1, 1)]
    found = {(1, 1): NEUTRAL}
    for i, resolution in enumerate(ranked):
        at = i * (len(RAMP) - 1) / max(1, len(ranked) - 1)
        low = min(int(at), len(RAMP) - 2)
        mixed = (round(a + (b - a) * (at - low)) for a, b in zip(RAMP[low], RAMP[low + 1], strict=True))
        found[resolution] = "#{:02x}{:02x}{:02x}".format(*mixed)
    return found


def text_colour(fill: str) -> str:
    """Black or white, whichever is read more easily on a colour."""
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    return INK if 299 * red + 587 * green + 114 * blue > 140_000 else "#ffffff"


def printable(text: str) -> str:
    """A text without the control characters that a name may contain."""
    return "".join(char if char.isprintable() else "?" for char in text)


def sketch(network: Network, input: Shape) -> Sketch:
    """The parts of a network that a drawing shows, for one image.

    Raises:
        ShapeError: if a node cannot take its input; names the node's path.
    """
    graph, found = network.graph, _Found(_block_kinds(network.graph))
    whole = count(graph, (input,), MACS)[0].total or 1
    nodes = _grouped(graph)
    if len(nodes) > MAX_PANELS:
        nodes = [Node(graph.outputs[0], replace(graph, kind="layers"), graph.inputs)]

    def visit(node: Node, values: tuple[_Value, ...]) -> tuple[_Value, ...]:
        assert isinstance(node.op, Graph)
        cost, outputs = count(node.op, _shapes(values), MACS)
        if len(nodes) > 1 and len(values) == len(outputs) == 1 and _is_quiet(node.op):
            return (_Value(outputs[0], values[0].source),)
        panel = _panel(node, _shapes(values), outputs[0], cost.total / whole, found.blocks)
        return found.add(panel, values, outputs)

    replace(graph, nodes=tuple(nodes)).run((_Value(input, IN),), visit)
    return Sketch(network.label, input, tuple(found.parts), tuple(found.edges))


class _Value(NamedTuple):
    """The shape of a value and the part that it comes from."""

    shape: Shape
    source: int


class _Found:
    """Parts in order, and the edges between them; graphs of the kinds ``blocks`` are drawn whole."""

    def __init__(self, blocks: frozenset[str] = frozenset()) -> None:
        self.blocks = blocks
        self.parts: list[Any] = []
        self.edges: list[tuple[int, int]] = []

    def add(self, part: Any, values: Sequence[_Value], outputs: tuple[Shape, ...]) -> tuple[_Value, ...]:
        """Add a part that reads ``values``; its outputs."""
        self.parts.append(part)
        self.edges += dict.fromkeys((value.source, len(self.parts) - 1) for value in values)
        return tuple(_Value(shape, len(self.parts) - 1) for shape in outputs)


def _shapes(values: tuple[_Value, ...]) -> tuple[Shape, ...]:
    return tuple(value.shape for value in values)


def _grouped(graph: Graph) -> list[Node]:
    """A network's live nodes, with the primitives in a row between its nested graphs as one graph."""
    live = [node for node in graph.nodes if node.name in graph.live]
    nodes: list[Node] = []
    while live:
        length = next((i for i, node in enumerate(live) if isinstance(node.op, Graph)), len(live))
        run, live = live[:length], live[length:]
        wanted = {name for node in live for name in node.inputs} | set(graph.outputs)
        while run:
            # A group has one result, so it ends where something outside reads it.
            end = next((i + 1 for i, node in enumerate(run) if node.name in wanted), len(run))
            group, run = run[:end], run[end:]
            names = {node.name for node in group}
            outside = tuple(dict.fromkeys(name for node in group for name in node.inputs if name not in names))
            nodes.append(Node(group[-1].name, Graph("layers", outside, tuple(group), (group[-1].name,)), outside))
        if live:
            nodes.append(live.pop(0))
    return nodes


def _panel(node: Node, inputs: tuple[Shape, ...], output: Shape, share: float, whole: frozenset[str]) -> Panel:
    assert isinstance(node.op, Graph)
    found = _Found(whole)
    entering = tuple(_Value(shape, IN) for shape in inputs)
    if node.op.kind == "layers" or _is_block(node.op, whole):
        found.add(Item(node.op.kind, _detail(node.op, inputs)), entering[:1], (output,))
    else:
        _items(node.op, entering, found)
    blocks = sum(item.kind in BLOCK_KINDS for item in found.parts)
    name = node.name if node.op.kind != "layers" else "layers"
    return Panel(name, node.op.kind, output, share, blocks, tuple(found.parts), tuple(found.edges))


def _is_block(graph: Graph, whole: frozenset[str]) -> bool:
    """Whether a graph is drawn as one item: it or another of its kind joins its own values, or it holds no graph."""
    return graph.kind in whole or _joins(graph) or not any(isinstance(node.op, Graph) for node in graph.nodes)


def _joins(graph: Graph) -> bool:
    return any(isinstance(node.op, JOINS) for node in graph.nodes if node.name in graph.live)


CONTAINERS = ("sequential", "modulelist", "moduledict", "")
"""Kinds of graphs that say nothing of what is inside."""


def _block_kinds(graph: Graph) -> frozenset[str]:
    """Kinds of the nested graphs that join their own values, as a residual block does."""
    nested = [node.op for node in graph.nodes if isinstance(node.op, Graph)]
    own = {inner.kind for inner in nested if _joins(inner) and inner.kind not in CONTAINERS}
    return frozenset(own).union(*map(_block_kinds, nested))


def _is_quiet(graph: Graph) -> bool:
    """Whether nothing of a graph is drawn: it normalises, or is a view."""
    return all(_silent(node.op, len(node.inputs)) for _, node in graph.leaves(dead=False))


def _items(graph: Graph, inputs: tuple[_Value, ...], found: _Found) -> tuple[_Value, ...]:
    """Add the items of a graph, opening nested stages and trees; returns the graph's outputs."""

    def visit(node: Node, values: tuple[_Value, ...]) -> tuple[_Value, ...]:
        nested = node.op if isinstance(node.op, Graph) else None
        outputs = output_shapes(node.op, _shapes(values))
        if nested and len(values) == len(outputs) == 1 and _is_quiet(nested):
            return (_Value(outputs[0], values[0].source),)
        if nested and not _is_block(nested, found.blocks):
            return _items(nested, values, found)
        if _silent(node.op, len(values)):
            return (_Value(outputs[0], values[0].source),)
        detail = _detail(nested or Graph("", node.inputs, (node,), (node.name,)), _shapes(values))
        return found.add(Item(nested.kind if nested else "", detail), values, outputs)

    return graph.run(inputs, visit, dead=False)


def _detail(graph: Graph, inputs: tuple[Shape, ...]) -> Detail:
    found = _Found()

    def visit(node: Node, values: tuple[_Value, ...]) -> tuple[_Value, ...]:
        outputs = output_shapes(node.op, _shapes(values))
        drawn = _box(node.op, len(values), outputs[0])
        if drawn is not None:
            return found.add(drawn, values or (_Value(outputs[0], IN),), outputs)
        if isinstance(node.op, Graph):
            return node.op.run(values, visit, dead=False)
        return (_Value(outputs[0], values[0].source),)

    outputs = graph.run([_Value(shape, IN) for shape in inputs], visit, dead=False)
    return Detail(tuple(found.parts), tuple(found.edges), tuple(dict.fromkeys(value.source for value in outputs)))


def _silent(op: Op | Graph, inputs: int) -> bool:
    """Whether an op is skipped, so that its only input stands for its output."""
    if isinstance(op, (traced_ops.Elementwise, traced_ops.FixedElementwise)):
        return inputs == 1
    view = type(op) is traced_ops.Fixed and op.kind in traced_ops.VIEWS and op.kind != "depends"
    return bool(inputs) and (isinstance(op, _SILENT) or view)


def _box(op: Op | Graph, inputs: int, output: Shape) -> Box | None:
    """How an op is drawn; None if it is opened or skipped."""
    # A linear layer on a map has the channels last.
    resolution = output[:2] if isinstance(op, ops.Linear) and op.last else output[1:]
    if isinstance(op, Graph):
        return Box("unit", "squeeze-excite", resolution) if op.kind == "squeeze-excite" else None
    if _silent(op, inputs):
        return None
    if type(op) in _JOINED:
        return Box("join", _JOINED[type(op)], resolution)
    if isinstance(op, (traced_ops.Elementwise, traced_ops.FixedElementwise)):
        return Box("join", _SIGNS.get(op.kind, op.kind), resolution)
    if isinstance(op, traced_ops.Fixed):
        return Box("join", "weights", resolution) if op.kind == "depends" else Box("layer", op.kind, resolution)
    return Box(*_FORMS.get(type(op), lambda op: ("layer", type(op).__name__))(op), resolution)


def _edges(size: ops.Size) -> str:
    return "×".join(map(str, ops.pair(size)))


def _factor(size: ops.Size) -> str:
    return size_text(ops.pair(size))


def _conv(op: ops.Conv) -> tuple[str, str]:
    stride = ops.pair(op.stride)
    if stride == ops.pair(op.kernel) != (1, 1) and op.groups == op.in_channels:
        return "down", f"↓{_factor(op.stride)} trained"
    label = f"{_edges(op.kernel)}, {op.out_channels}"
    if op.groups > 1:
        label += f", g{op.groups}"
    if ops.pair(op.dilation) != (1, 1):
        label += f", d{_factor(op.dilation)}"
    return "layer", label + (f", ↓{_factor(op.stride)}" if stride != (1, 1) else "")


def _pool(op: ops.Pool) -> tuple[str, str]:
    if ops.pair(op.kernel) == ops.pair(op.stride):
        return "down", f"↓{_factor(op.stride)} {op.kind}"
    label = f"{op.kind} {_edges(op.kernel)}"
    return ("layer", label) if ops.pair(op.stride) == (1, 1) else ("down", f"↓{_factor(op.stride)} {label}")


def _adaptive(op: traced_ops.AdaptivePool) -> tuple[str, str]:
    whole = op.height == op.width == 1
    return "down", f"global {op.kind}" if whole else f"{op.kind} to {op.height or 'H'}×{op.width or 'W'}"


_FORMS: dict[type[Op], Callable[[Any], tuple[str, str]]] = {
    ops.Conv: _conv,
    ops.ConvTranspose: lambda op: ("up", f"↑{_factor(op.stride)} trained"),
    ops.Pool: _pool,
    traced_ops.AdaptivePool: _adaptive,
    ops.Upsample: lambda op: ("up", f"{op.mode} to {_edges(op.size)}" if op.size else f"↑{op.factor} {op.mode}"),
    ops.GlobalPool: lambda op: ("down", "global avg"),
    ops.Linear: lambda op: ("layer", f"linear, {op.out_features}"),
}
