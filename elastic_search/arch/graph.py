"""Graphs of named ops: the one description of a network that every reader shares.

A ``Graph`` is a frozen value; a node of it holds a primitive op or another Graph. Paths such as
``layer2.0.at1.conv2`` name nodes across nesting, and are the names of the torch modules too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import chain, repeat
from typing import NamedTuple, TypeVar

from elastic_search.arch import ops
from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import ShapeError, SpecError

V = TypeVar("V")
"""What flows between nodes in a walk."""


class Node(NamedTuple):
    """An op (or a nested graph) applied to values named by ``inputs``.

    ``weights_of`` is the path of the node whose weights this one uses: its own count no parameters. ``spelling`` is how
    the call is written, which some tools tell apart: as a "module", a "function" of torch.nn.functional, a "method" of
    tensors (or a function of torch), or an "operator". ``recorded`` holds counts of this call, by convention's name,
    that hold instead of the convention's rule for the op: what a tool does with a call that it meets in an unusual way.
    """

    name: str
    op: Op | Graph
    inputs: tuple[str, ...]
    weights_of: str | None = None
    spelling: str = "module"
    recorded: tuple[tuple[str, int], ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        """Names of its values: its own, then "name:1", "name:2", … for further outputs of a nested graph."""
        if isinstance(self.op, Graph) and len(self.op.outputs) > 1:
            return (self.name, *(f"{self.name}:{i}" for i in range(1, len(self.op.outputs))))
        return (self.name,)


@dataclass(frozen=True, repr=False)
class Graph:
    """Nodes in execution order.

    Attributes:
        kind: what this is, for people ("stage", "bottleneck", "branch", …).
        inputs: names of the values that come from outside.
        nodes: each reads inputs or results of earlier nodes.
        outputs: names of the values that leave, any number of them.
    """

    kind: str
    inputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]

    @cached_property
    def _hash(self) -> int:
        # Ops tell graphs apart well enough: those that differ only in names and wiring are rare.
        return hash((self.kind, self.inputs, tuple([node.op for node in self.nodes]), self.outputs))

    def __hash__(self) -> int:
        # Graphs nest and are keys of caches: without this, every look-up would hash a whole network.
        return self._hash

    def __repr__(self) -> str:
        return f"<Graph {self.kind}: {len(self.nodes)} nodes, {self.params:,} parameters>"

    def __reduce__(self) -> tuple[type[Graph], tuple[object, ...]]:
        # Another process hashes strings in its own way: what is cached here stays here.
        return Graph, (self.kind, self.inputs, self.nodes, self.outputs)

    def run(self, inputs: Iterable[V], apply: Callable[[Node, tuple[V, ...]], tuple[V, ...]], *,
            dead: bool = True, drop: Callable[[V], object] | None = None) -> tuple[V, ...]:  # fmt: skip
        """Visit the nodes in order, each with the values that it reads: the one walk of a graph.

        Args:
            inputs: a value (a shape, a tensor, bytes: the caller's choice) for each of the graph's inputs.
            apply: (node, its input values) -> its output values: one for an op, one per output for a nested graph.
            dead: also visit the nodes whose result is never read.
            drop: called with every value but the outputs, after its last reader; without it all are kept until the end.

        Returns:
            The values of the graph's outputs.

        Raises:
            ShapeError: the one that ``apply`` raised, with the node's path.
        """
        values = dict(zip(self.inputs, inputs, strict=True))
        spent = (self._spent if dead else self._live_spent) if drop else repeat(())
        # Unpacked, and one input told from several: this loop is most of the time that counting takes.
        for node, last_read in zip(self.nodes if dead else self._live_nodes, spent, strict=False):
            name, _, reads, _, _, _ = node
            try:
                found = apply(node, (values[reads[0]],) if len(reads) == 1 else tuple([values[read] for read in reads]))
            except ShapeError as error:
                raise error.inside(name) from None
            if len(found) == 1:
                values[name] = found[0]
            else:
                values.update(zip(node.results, found, strict=True))
            del found  # so that a tensor is freed after its last reader
            if drop:
                for read in last_read:
                    drop(values.pop(read))
        return tuple([values[name] for name in self.outputs])

    @cached_property
    def _live_nodes(self) -> tuple[Node, ...]:
        return tuple([node for node in self.nodes if node.name in self.live])

    @cached_property
    def _spent(self) -> tuple[tuple[str, ...], ...]:
        return self._last_reads(self.nodes)

    @cached_property
    def _live_spent(self) -> tuple[tuple[str, ...], ...]:
        return self._last_reads(self._live_nodes)

    def _last_reads(self, nodes: tuple[Node, ...]) -> tuple[tuple[str, ...], ...]:
        """For each node the values that it is the last to read, or that nothing reads after it."""
        spent, needed = [], set(self.outputs)
        for node in reversed(nodes):
            spent.append(tuple([n for n in dict.fromkeys((*node.inputs, *node.results)) if n not in needed]))
            needed.update(spent[-1])
        return tuple(reversed(spent))

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
        """Paths of the nodes whose result is never read; for a dead graph, only its own path."""
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
        found = dict(zip(self.inputs, inputs, strict=True))

        def apply(node: Node, shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
            outputs = output_shapes(node.op, shapes)
            found.update(zip(node.results, outputs, strict=True))
            return outputs

        self.run(inputs, apply)
        return found

    def shape(self, *inputs: Shape) -> Shape:
        """Output shape of a graph with one output."""
        (output,) = output_shapes(self, inputs)
        return output

    @cached_property
    def live(self) -> frozenset[str]:
        """Names of the nodes whose result can reach an output."""
        wanted = {*self.outputs, *chain.from_iterable([node.inputs for node in self.nodes])}
        names = frozenset([node.name for node in self.nodes])
        if names <= wanted:
            return names  # the last one is an output, and each of the others is read by one that is live
        wanted = set(self.outputs)
        live = []
        for node in reversed(self.nodes):
            if not wanted.isdisjoint(node.results):
                wanted.update(node.inputs)
                live.append(node.name)
        return frozenset(live)

    def readers(self, value: str) -> int:
        """How often a value is read, counting a graph output as a reader."""
        return sum(node.inputs.count(value) for node in self.nodes) + self.outputs.count(value)

    def may_overwrite(self, value: str) -> bool:
        """Whether a value has one reader and no gradient that needs it, so that a ReLU can run in place."""
        producers = [node.op for node in self.nodes if node.name == value]
        return bool(producers) and isinstance(producers[0], (ops.BatchNorm, ops.Add)) and self.readers(value) == 1

    def leaves(self, prefix: str = "", *, dead: bool = True) -> Iterator[tuple[str, Node]]:
        """Every node that holds a primitive op, with its path, in execution order; ``dead`` as in ``run``."""
        for node in self.nodes:
            if not dead and node.name not in self.live:
                continue
            if isinstance(node.op, Graph):
                yield from node.op.leaves(f"{prefix}{node.name}.", dead=dead)
            else:
                yield f"{prefix}{node.name}", node

    def walk(self) -> Iterator[tuple[str, Op]]:
        """Every primitive op with its path, in execution order."""
        for path, node in self.leaves():
            assert not isinstance(node.op, Graph)
            yield path, node.op

    def at(self, path: str) -> Op | Graph:
        """The op or graph at a path such as ``layer1.0.at1``; the empty path is the graph itself."""
        found: Op | Graph = self
        for part in path.split(".") if path else ():
            nodes = found.nodes if isinstance(found, Graph) else ()
            named = [node.op for node in nodes if node.name == part]
            if not named:
                raise SpecError(f"no node {path!r}: it has no part {part!r}")
            found = named[0]
        return found


def output_shapes(op: Op | Graph, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Shapes of all outputs of an op or a graph.

    Raises:
        ShapeError: if it cannot take these inputs.
    """
    if isinstance(op, Graph):
        return op.run(inputs, lambda node, shapes: output_shapes(node.op, shapes))
    return (op.shape(*inputs),)


@lru_cache
def _numbers(bits: int) -> tuple[tuple[str, ...], tuple[tuple[str], ...]]:
    """Names of as many nodes of a chain as ``bits`` bits can count, and what the nodes that follow them read."""
    names = tuple(map(str, range(1 << bits)))
    return names, tuple(zip(names, strict=True))


class Builder:
    """Collects nodes so that family code reads like a ``forward()``.

    Every method adds a node called ``name`` and returns that name, which later nodes take as input.
    """

    def __init__(self, kind: str, *inputs: str) -> None:
        self.kind = kind
        self.inputs = inputs or ("x",)
        self.nodes: list[Node] = []
        self._names = set(self.inputs)
        self._several = False  # whether a nested graph has several outputs

    def add(self, name: str, op: Op | Graph, *inputs: str, spelling: str = "module") -> str:
        if name in self._names:
            raise SpecError(f"two values of one {self.kind} are called {name!r}")
        self._names.add(name)
        self._several |= isinstance(op, Graph) and len(op.outputs) > 1
        self.nodes.append(Node(name, op, inputs, None, spelling))
        return name

    def chain(self, graphs: list[Graph], x: str) -> str:
        """Graphs of one output, each of which takes the one before; their names are 0, 1, 2, …

        Long chains are made fast: nothing is looked at twice that is the same object.
        """
        names, reads = _numbers(len(graphs).bit_length())
        names = names[: len(graphs)]
        if twice := self._names.intersection(names):
            raise SpecError(f"two values of one {self.kind} are called {min(twice)!r}")
        self._names.update(names)
        fields = zip(names, graphs, chain([(x,)], reads), repeat(None), repeat("module"), repeat(()), strict=False)
        self.nodes += map(partial(tuple.__new__, Node), fields)  # what Node(*fields) does, twice as fast
        return names[-1] if names else x

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
        """The graph of all nodes so far.

        Raises:
            SpecError: if some outputs of a nested graph are read and others are not: what only those need would be
                neither live nor dead.
        """
        if self._several:
            several = [node.results for node in self.nodes if len(node.results) > 1]
            read = {name for node in self.nodes for name in node.inputs} | set(outputs)
            unread = {name for results in several if read.intersection(results) for name in results if name not in read}
            if unread:
                raise SpecError(
                    f"never read: {', '.join(sorted(unread))}", "leave it out of the nested graph's outputs"
                )
        return Graph(self.kind, self.inputs, tuple(self.nodes), outputs)
