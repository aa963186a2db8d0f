"""A network to count, wherever it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from elastic_search.arch import traced_ops
from elastic_search.arch.frozen import Frozen
from elastic_search.arch.graph import Graph
from elastic_search.arch.spec import Spec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from elastic_search.nn.elastic.elasticize import Elasticized


class Network(Frozen):
    """A graph with its name.

    Attributes:
        label: what people call it.
        graph: what it computes.
        spec: what the graph was made from; None for a graph that was read from a module, which has no families'
            stages and holds at one input size only.
        module: the torch module that the graph was read from, if it was read from one.
        notes: what a reader of a module's counts should know, a sentence each.
        given: the tensors on which the module was read.
        elasticized: what ``elasticize`` did to it, if it was made Elastic.
    """

    label: str
    graph: Graph
    spec: Spec | None = None
    module: nn.Module | None = None
    notes: tuple[str, ...] = ()
    given: tuple[Tensor, ...] = ()
    elasticized: Elasticized | None = None

    @property
    def elastic_blocks(self) -> int | None:
        """Blocks with a branch at a lower resolution; None where there is no spec."""
        return None if self.spec is None else self.spec.elastic_blocks


def opaque_nodes(graph: Graph) -> dict[str, int]:
    """Operations of a graph without a rule, and how often each occurs."""
    found: dict[str, int] = {}
    for _, op in graph.walk():
        if isinstance(op, traced_ops.Opaque):
            found[op.kind] = found.get(op.kind, 0) + 1
    return found
