"""A graph as a torch module: what is counted is what runs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from elastic_search.arch import ops
from elastic_search.arch.graph import Graph
from elastic_search.nn import layers


class Net(nn.Module):
    """Runs a Graph. Each nested graph is a Net, and children are named as the graph's nodes.

    Inputs and outputs are batches: [N, C, H, W] (a classifier returns [N, classes]).

    Args:
        graph: what to build.
        dead: also build and run nodes whose result nobody reads.
    """

    def __init__(self, graph: Graph, *, dead: bool = False) -> None:
        super().__init__()
        self.graph = graph
        self._steps: list[tuple[str, Callable[..., Tensor] | str, tuple[str, ...]]] = []
        for node in graph.nodes:
            if node.name not in graph.live and not dead:
                continue
            child = Net(node.op, dead=dead) if isinstance(node.op, Graph) else layers.module(node.op)
            if child is None:
                assert not isinstance(node.op, Graph)
                self._steps.append((node.name, layers.function(node.op), node.inputs))
                continue
            if isinstance(child, nn.ReLU):
                child.inplace = _may_overwrite(graph, node.inputs[0])
            self.add_module(node.name, child)
            self._steps.append((node.name, node.name, node.inputs))

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        values = dict(zip(self.graph.inputs, inputs, strict=True))
        for name, step, sources in self._steps:
            call = self._modules[step] if isinstance(step, str) else step
            values[name] = call(*[values[source] for source in sources])  # type: ignore[misc]
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs if len(outputs) > 1 else outputs[0]


def _may_overwrite(graph: Graph, value: str) -> bool:
    """Whether a value has one reader and no gradient that needs it, so that a ReLU can run in place."""
    producers = [node.op for node in graph.nodes if node.name == value]
    return bool(producers) and isinstance(producers[0], (ops.BatchNorm, ops.Add)) and graph.readers(value) == 1
