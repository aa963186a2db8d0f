"""Graphs of named ops: the one description of a network that every reader shares.

A ``Graph`` is a frozen value; a node of it holds a primitive op or another Graph. Paths such as
``layer2.0.at1.conv2`` name nodes across nesting, and are the names of the torch modules too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import ShapeError, SpecError


@dataclass(frozen=True)
class Node:
    """An op (or a nested graph) applied to values named by ``inputs``.

    ``weights_of`` is the path of the node whose weights this one uses: its own count no parameters.
    """

    name: str
    op: Op | Graph
    inputs: tuple[str, ...]
    weights_of: str | None = None


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order.

    Attributes:
        kind: what this is, for people ("stage", "bottleneck", "branch", …).
        inputs: names of the values that come from outside.
        nodes: each reads inputs or earlier nodes.
        outputs: names of the values that leave.
    """

    kind: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _hash(self) -> int:
        return hash((self.kind, self.inputs, self.nodes, self.outputs))

    def __hash__(self) -> int:
        # Graphs nest and are keys of caches: without this, every look-up would hash a whole network.
        return self._hash

    @cached_property
    def params(self) -> int:
        """Trainable parameters, those of dead nodes included."""
        return sum(node.op.params for node in self.nodes if node.weights_of is None)

    @cached_property
    def params_live(self) -> int:
        """Trainable parameters of the nodes whose result can reach an output."""
        live = (node.op for node in self.nodes if node.name in self.live and node.weights_of is None)
        return sum(op.params_live if isinstance(op, Graph) else op.params for op in live)

    def dead(self, prefix: str = "") -> Iterator[str]:
        """Paths of the nodes whose result nobody reads; of a dead graph, its own path alone."""
        for node in self.nodes:
            if node.name not in self.live:
                yield f"{prefix}{node.name}"
            elif isinstance(node.op, Graph):
                yield from node.op.dead(f"{prefix}{node.name}.")

    def shapes(self, *inputs: Shape) -> dict[str, Shape]:
        """Shape of every named value of this graph for one image.

        Raises:
            ShapeError: if a node cannot take its input; names the node's path.
        """
        values = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            try:
                values[node.name] = node.op.shape(*[values[name] for name in node.inputs])
            except ShapeError as error:
                inner = str(error) if isinstance(node.op, Graph) else f": {error}"
                raise ShapeError(f"{node.name}{'.' if isinstance(node.op, Graph) else ''}{inner}") from None
        return values

    def shape(self, *inputs: Shape) -> Shape:
        """Output shape of a graph with one output."""
        (output,) = self.outputs
        return self.shapes(*inputs)[output]

    @cached_property
    def live(self) -> frozenset[str]:
        """Names of the nodes whose result can reach an output."""
        wanted = set(self.outputs)
        for node in reversed(self.nodes):
            if node.name in wanted:
                wanted.update(node.inputs)
        return frozenset(node.name for node in self.nodes if node.name in wanted)

    def readers(self, value: str) -> int:
        """How often a value is read, counting a graph output as a reader."""
        return sum(node.inputs.count(value) for node in self.nodes) + self.outputs.count(value)

    def may_overwrite(self, value: str) -> bool:
        """Whether a value has one reader and no gradient that needs it, so that a ReLU can run in place."""
        producers = [node.op for node in self.nodes if node.name == value]
        return bool(producers) and isinstance(producers[0], (ops.BatchNorm, ops.Add)) and self.readers(value) == 1

    def steps(self, dead: bool = False) -> tuple[tuple[Node, tuple[str, ...]], ...]:
        """The nodes that run, in order, each with the values that nobody reads after it.

        Args:
            dead: also the nodes whose result nobody reads.
        """
        steps = []
        needed = set(self.outputs)
        for node in reversed(self.nodes):
            if dead or node.name in self.live:
                spent = tuple(name for name in dict.fromkeys((*node.inputs, node.name)) if name not in needed)
                needed.update(spent)
                steps.append((node, spent))
        return tuple(reversed(steps))

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Op]]:
        """Every primitive op with its path, in execution order."""
        for node in self.nodes:
            path = f"{prefix}{node.name}"
            if isinstance(node.op, Graph):
                yield from node.op.walk(f"{path}.")
            else:
                yield path, node.op

    def at(self, path: str) -> Op | Graph:
        """The op or graph at a path such as ``layer1.0.at1``; the empty path is the graph itself."""
        found: Op | Graph = self
        for part in path.split(".") if path else ():
            nodes = found.nodes if isinstance(found, Graph) else ()
            named = [node.op for node in nodes if node.name == part]
            if not named:
                raise SpecError(f"no node {path!r}: nothing is named {part!r} there")
            found = named[0]
        return found


class Builder:
    """Collects nodes so that family code reads like a ``forward()``.

    Every method adds a node called ``name`` and returns that name, which later nodes take as input.
    """

    def __init__(self, kind: str, *inputs: str) -> None:
        self.kind = kind
        self.inputs = inputs or ("x",)
        self.nodes: list[Node] = []

    def add(self, name: str, op: Op | Graph, *inputs: str) -> str:
        if name in self.inputs or any(node.name == name for node in self.nodes):
            raise SpecError(f"two values of one {self.kind} are called {name!r}")
        self.nodes.append(Node(name, op, inputs))
        return name

    def conv(
        self, name: str, x: str, in_channels: int, out_channels: int, kernel: int = 1, *,
        stride: int = 1, groups: int = 1, dilation: int = 1, bias: bool = False,
    ) -> str:  # fmt: skip
        """A convolution padded to keep the size at stride 1 (odd kernels)."""
        padding = dilation * (kernel - 1) // 2
        return self.add(name, ops.Conv(in_channels, out_channels, kernel, stride, padding, groups, dilation, bias), x)

    def bn(self, name: str, x: str, channels: int) -> str:
        return self.add(name, ops.BatchNorm(channels), x)

    def relu(self, name: str, x: str) -> str:
        return self.add(name, ops.Relu(), x)

    def conv_bn_relu(
        self, index: int | str, x: str, in_channels: int, out_channels: int, kernel: int = 1, *,
        stride: int = 1, groups: int = 1, dilation: int = 1,
    ) -> str:  # fmt: skip
        """Nodes conv<index>, bn<index> and relu<index>."""
        x = self.conv(
            f"conv{index}", x, in_channels, out_channels, kernel, stride=stride, groups=groups, dilation=dilation
        )
        return self.relu(f"relu{index}", self.bn(f"bn{index}", x, out_channels))

    def done(self, *outputs: str) -> Graph:
        return Graph(self.kind, self.inputs, tuple(self.nodes), outputs)
