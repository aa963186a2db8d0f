"""What a network costs under macs and one more convention, in total and by stage, block, op or module. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache

from elastic_search.arch import zoo
from elastic_search.arch.frozen import Frozen
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import Row, Tally, children, tally
from elastic_search.cost.tools import MACS


class Part(Frozen):
    """A stage, block or op of a network with its costs; ``blocks`` is None where it has none."""

    path: str
    kind: str
    blocks: int | None
    resolutions: tuple[tuple[int, int], ...]
    params: int
    macs: int
    count: int
    activations: int


class Costs(Frozen):
    """A network's costs under macs and one more convention, in total and by part."""

    network: Network
    role: str
    macs: Tally
    count: Tally
    parts: tuple[Part, ...]

    @property
    def whole(self) -> Part:
        """The network as one part."""
        depth = sum(part.blocks or 0 for part in self.parts) or None
        macs = self.macs
        return Part("total", "network", depth, (), macs.params, macs.total, self.count.total, macs.activations)


def measure(network: Network, role: str, input: Shape, convention: Convention, by: str, depth: int = 1) -> Costs:
    """Count a network and divide its costs by stage, block, op or module.

    Args:
        network: what to count.
        role: its part in a comparison, such as "base".
        input: shape of one image.
        convention: counted in addition to macs.
        by: "stage", "block", "op" or "module".
        depth: deepest nesting of modules that are counted separately; 1 is the network's children.
    """
    macs, count = (tally(network.graph, input, rules) for rules in (MACS, convention))
    pairs = zip(rows_by(macs, by, depth), rows_by(count, by, depth), strict=True)
    # Only what was read from a module may have the blocks of any family.
    kinds = zoo.BLOCK_KINDS if network.spec is None else frozenset({network.spec.BLOCK_KIND})
    return Costs(network, role, macs, count, tuple(_part(macs, a, b, kinds) for a, b in pairs))


def rows_by(tally: Tally, by: str, depth: int = 1) -> list[Row]:
    """Rows of a tally by "stage", "block", "op", or "module" nested up to ``depth``."""
    if by == "op":
        return tally.rows
    if by == "module":
        return list(_modules(tally, "", depth))
    stages = tally.parts()
    if by == "stage":
        return stages
    found = []
    for stage in stages:
        # In a network of ours stages hold blocks; of a user's module every child is opened once.
        opened = stage.kind == "stage" or tally.graph.kind != "network"
        found += (tally.parts(stage.path) if opened else []) or [stage]
    return found


def _modules(tally: Tally, path: str, depth: int) -> Iterator[Row]:
    for row in tally.parts(path):
        nested = list(_modules(tally, row.path, depth - 1)) if depth > 1 else []
        yield from nested or [row]


def counts_by(network: Network, input: Shape, convention: Convention, by: str, depth: int = 1) -> dict[str, int]:
    """Counts under one convention, by the path of a stage, block, op or module; "total" is the last."""
    counted = tally(network.graph, input, convention)
    return {row.path: row.cost.total for row in rows_by(counted, by, depth)} | {"total": counted.total}


def merged(orders: Iterable[Iterable[str]]) -> list[str]:
    """Several lists of names as one; a name that only a later list has stands after the name that precedes it."""
    order: list[str] = []
    for names in orders:
        known, new, last = set(order), dict[str, list[str]](), ""
        for name in names:
            if name in known:
                last = name
            else:
                new.setdefault(last, []).append(name)
        order = [*new.get("", []), *(n for name in order for n in (name, *new.get(name, [])))]
    return order


def trained_params(spec: Spec) -> int:
    """Parameters that learned resampling adds to a network; the other types have none."""
    return sum(op.params for path, op in spec.graph().walk() if path.endswith((".down", ".up")))


def _part(macs: Tally, row: Row, counted: Row, kinds: frozenset[str]) -> Part:
    op, inputs = macs.at(row.path)
    resolutions, blocks = {row.output[1:]}, None
    if isinstance(op, Graph):
        resolutions |= _resolutions(op, inputs, kinds)
        blocks = _blocks(op, kinds) if op.kind == "stage" else None
    params, activations = row.cost.params, row.cost.activations
    found = tuple(sorted(resolutions, reverse=True))
    return Part(row.path, row.kind, blocks, found, params, row.cost.total, counted.cost.total, activations)


def _blocks(graph: Graph, kinds: frozenset[str]) -> int:
    """Number of blocks in a stage, however deep they are nested."""
    inner = [node.op for node in graph.nodes if isinstance(node.op, Graph)]
    return sum(1 if graph.kind in kinds else _blocks(graph, kinds) for graph in inner if graph.kind in {"tree", *kinds})


@lru_cache(maxsize=4096)
def _resolutions(graph: Graph, inputs: tuple[Shape, ...], kinds: frozenset[str]) -> frozenset[tuple[int, int]]:
    """Resolutions at which the branches in a part work; equal blocks are looked through once."""
    found, _ = children(graph, inputs, MACS)
    if graph.kind == "branch":
        # Every branch ends at its block's resolution; where it works is the smallest map inside.
        return frozenset({min(child.outputs[0][1:] for child in found)})
    if graph.kind not in {"stage", "tree", *kinds}:
        return frozenset()
    inner = [(child.node.op, child.inputs) for child in found if isinstance(child.node.op, Graph)]
    wanted = [(op, shapes) for op, shapes in inner if op.kind in {"tree", "branch", *kinds}]
    return frozenset().union(*(_resolutions(op, shapes, kinds) for op, shapes in wanted))
