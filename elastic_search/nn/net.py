"""A graph as a torch module: what is counted is what runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from elastic_search.arch.graph import Graph, Node
from elastic_search.errors import SpecError
from elastic_search.nn import layers


def _forget(value: Tensor) -> None:
    """Free a value after its last reader."""


class Net(nn.Module):
    """Runs a Graph. Each nested graph is a Net, and children are named as the graph's nodes.

    Inputs and outputs are batches: [N, C, H, W] (a classifier returns [N, classes]); of several outputs, a tuple.

    Args:
        graph: what to build.
        dead: also build and run nodes whose result is never read.

    Raises:
        TypeError: if it is not a graph.
        SpecError: if the graph was read from a module.
    """

    def __init__(self, graph: Graph, *, dead: bool = False) -> None:
        super().__init__()
        if not isinstance(graph, Graph):
            raise TypeError(f"Net takes a graph, not {graph!r}: build(spec) makes a spec's network as published")
        self.graph = graph
        self.dead = dead
        for node in graph.nodes:
            if node.weights_of is not None:
                raise SpecError(f"{node.name} shares weights: this graph was read from a module", "run the module")
            if not dead and node.name not in graph.live:
                continue
            child = Net(node.op, dead=dead) if isinstance(node.op, Graph) else layers.module(node.op, node.spelling)
            if isinstance(child, nn.ReLU):
                child.inplace = graph.may_overwrite(node.inputs[0])
            if child is not None:
                self.add_module(node.name, child)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = self.graph.run(inputs, self._visit, dead=self.dead, drop=_forget)
        return outputs if len(outputs) > 1 else outputs[0]

    def _visit(self, node: Node, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        child = self._modules.get(node.name)
        if child is None:
            assert not isinstance(node.op, Graph)
            return (layers.call(node.op, *values),)
        found = child(*values)
        return found if isinstance(found, tuple) else (found,)


def on_meta(graph: Graph, *, dead: bool = False) -> Net:
    """The graph's module without storage: names and shapes only."""
    with torch.device("meta"):
        return Net(graph, dead=dead)
