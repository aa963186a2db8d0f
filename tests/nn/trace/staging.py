"""What tests of traced modules share: a module of one function, and the counts of the real tools."""

import torch
from torch import nn

from elastic_search.arch.ops import Shape
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import CONVENTIONS, FVCORE
from elastic_search.nn.tools import TOOLS, fvcore_counts
from elastic_search.nn.trace.tracing import trace

INPUT = Shape(12, 10, 14)


class Function(nn.Module):
    """Calls ``f(self, x)``; parameters are w0, w1, … . A child keeps tools from taking it for a layer."""

    def __init__(self, f, *shapes):
        super().__init__()
        self.f, self.child = f, nn.Identity()
        for i, shape in enumerate(shapes):
            setattr(self, f"w{i}", nn.Parameter(torch.zeros(shape)))

    def forward(self, x):
        return self.f(self, self.child(x))


def theirs(name, module, input):
    return sum(TOOLS[name][1](module, torch.zeros(1, *input)).values())


def installed():
    """Conventions whose tool can be imported."""
    names = {"ptflops": "ptflops", "ptflops-aten": "ptflops", "thop": "thop", "torchinfo": "torchinfo"}
    for name in TOOLS:
        try:
            __import__(names.get(name, "torch"))
        except Exception:
            continue
        yield name


def counted_as_tools_do(module, input=INPUT, conventions=None):
    module = module.eval()
    graph = trace(module, input)
    assert graph.params == sum(p.numel() for p in module.parameters())
    for name in installed() if conventions is None else conventions:
        assert (name, tally(graph, input, CONVENTIONS[name]).total) == (name, theirs(name, module, input))
    with torch.no_grad():
        assert tally(graph, input, FVCORE).activations == fvcore_counts(module, torch.zeros(1, *input))[1]
    return graph
