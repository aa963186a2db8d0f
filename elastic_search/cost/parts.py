"""What a network costs under macs and one more convention, in total and by stage, block or op. No torch."""

from __future__ import annotations

from collections.abc import Iterable

from elastic_search.arch.frozen import Frozen
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.arch.zoo import BLOCK_KINDS
from elastic_search.cost.convention import Convention
from elastic_search.cost.tally import Row, Tally, tally
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


def measure(network: Network, role: str, input: Shape, convention: Convention, by: str) -> Costs:
    """Count a network and divide its costs by stage, block or op.

    Args:
        network: what to count.
        role: its part in a comparison, such as "base".
        input: shape of one image.
        convention: counted in addition to macs.
        by: "stage", "block" or "op".
    """
    macs, count = (tally(network.graph, input, rules) for rules in (MACS, convention))
    pairs = zip(rows_by(macs, by), rows_by(count, by), strict=True)
    return Costs(network, role, macs, count, tuple(_part(macs, a, b) for a, b in pairs))


def rows_by(tally: Tally, by: str) -> list[Row]:
    """Rows of a tally by "stage", "block" or "op"."""
    if by == "op":
        return tally.rows
    stages = tally.parts()
    if by == "stage":
        return stages
    found = []
    for stage in stages:
        # In a network of ours stages hold blocks; of a user's module every child is opened once.
        opened = stage.kind == "stage" or tally.graph.kind != "network"
        found += (tally.parts(stage.path) if opened else []) or [stage]
    return found


def counts_by(network: Network, input: Shape, convention: Convention, by: str) -> dict[str, int]:
    """Counts under one convention, by the path of a stage, block or op; "total" is the last."""
    counted = tally(network.graph, input, convention)
    return {row.path: row.cost.total for row in rows_by(counted, by)} | {"total": counted.total}


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


def _part(macs: Tally, row: Row, counted: Row) -> Part:
    node = macs.graph.at(row.path)
    blocks = _blocks(node) if isinstance(node, Graph) and node.kind == "stage" else None
    params, activations = row.cost.params, row.cost.activations
    resolutions = _resolutions(macs, row)
    return Part(row.path, row.kind, blocks, resolutions, params, row.cost.total, counted.cost.total, activations)


def _blocks(graph: Graph) -> int:
    """Number of blocks in a stage, however deep they are nested."""
    inner = [node.op for node in graph.nodes if isinstance(node.op, Graph)]
    return sum(
        1 if graph.kind in BLOCK_KINDS else _blocks(graph) for graph in inner if graph.kind in ("tree", *BLOCK_KINDS)
    )


def _resolutions(tally: Tally, row: Row) -> tuple[tuple[int, int], ...]:
    """Resolutions at which a part works, highest first: the block's own and those of its low branches."""
    found = {row.output[1:]}
    pending = [row]
    while pending:
        part = pending.pop()
        if part.kind == "branch":
            # Every branch ends at its block's resolution; where it works is the smallest map inside.
            found.add(min(inner.output[1:] for inner in tally.parts(part.path)))
        elif part.kind in ("stage", "tree", *BLOCK_KINDS):
            pending += [inner for inner in tally.parts(part.path) if inner.kind in ("tree", "branch", *BLOCK_KINDS)]
    return tuple(sorted(found, reverse=True))
