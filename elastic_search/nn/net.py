"""A graph as a torch module: what is counted is what runs."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

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
        self._steps: list[tuple[str, Callable[..., Tensor] | str, tuple[str, ...], tuple[str, ...]]] = []
        for node, spent in graph.steps(dead):
            child = Net(node.op, dead=dead) if isinstance(node.op, Graph) else layers.module(node.op)
            if child is None:
                assert not isinstance(node.op, Graph)
                self._steps.append((node.name, layers.function(node.op), node.inputs, spent))
                continue
            if isinstance(child, nn.ReLU):
                child.inplace = graph.may_overwrite(node.inputs[0])
            self.add_module(node.name, child)
            self._steps.append((node.name, node.name, node.inputs, spent))

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        values = dict(zip(self.graph.inputs, inputs, strict=True))
        for name, step, sources, spent in self._steps:
            call = self._modules[step] if isinstance(step, str) else step
            values[name] = call(*[values[source] for source in sources])  # type: ignore[misc]
            for value in spent:
                del values[value]
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs if len(outputs) > 1 else outputs[0]
