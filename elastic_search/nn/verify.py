"""Count a built module with fvcore and with torch's own counter, and compare with ours, to the integer."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape
from elastic_search.cost.conventions import FVCORE, MACS, TORCH
from elastic_search.cost.tally import tally
from elastic_search.errors import missing_extra
from elastic_search.nn.net import Net


@dataclass(frozen=True)
class Check:
    """One quantity of a network: ours beside an independent tool's."""

    quantity: str
    ours: int
    tool: str
    theirs: int

    @property
    def equal(self) -> bool:
        return self.ours == self.theirs


def verify(graph: Graph, input: Shape) -> list[Check]:
    """Build ``graph`` and compare parameters, totals, activations and every operator's count.

    Args:
        graph: the network.
        input: shape of one image; the tools run a real forward pass of it.
    """
    net = empty_net(graph, dead=True)
    with torch.device("meta"):
        live = Net(graph)
    image = torch.zeros(1, *input)
    theirs, their_activations = fvcore_counts(net, image)
    ours = tally(graph, input, FVCORE)
    our_operators = ours.by_operator()
    checks = [
        Check("params", graph.params, "torch", sum(p.numel() for p in net.parameters())),
        Check("params_live", graph.params_live, "torch", sum(p.numel() for p in live.parameters())),
        Check("fvcore", ours.total, "fvcore", sum(theirs.values())),
        Check("activations", ours.activations, "fvcore", their_activations),
    ]
    for name in sorted(our_operators.keys() | theirs.keys()):
        checks.append(Check(f"fvcore {name}", our_operators.get(name, 0), "fvcore", theirs.get(name, 0)))
    flops = torch_counts(net, image)
    checks.append(Check("macs", tally(graph, input, MACS).total, "FlopCounterMode / 2", sum(flops.values()) // 2))
    ours = tally(graph, input, TORCH)
    checks.append(Check("torch", ours.total, "FlopCounterMode", sum(flops.values())))
    our_operators = ours.by_operator()
    for name in sorted(our_operators.keys() | flops.keys()):
        checks.append(Check(f"torch {name}", our_operators.get(name, 0), "FlopCounterMode", flops.get(name, 0)))
    return checks


def empty_net(graph: Graph, *, dead: bool = False) -> Net:
    """The graph's module in eval mode, all weights zero: counts do not depend on weights."""
    with torch.device("meta"):
        net = Net(graph, dead=dead)
    net = net.to_empty(device="cpu").eval()
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.zero_()
    return net


def fvcore_counts(module: nn.Module, image: torch.Tensor) -> tuple[dict[str, int], int]:
    """fvcore's count per operator, and its activations."""
    logging.getLogger("fvcore.nn.jit_analysis").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        # fvcore stands on torch.jit, which torch has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
        except ImportError:
            raise missing_extra("fvcore", "search") from None
        flops, activations = FlopCountAnalysis(module, image), ActivationCountAnalysis(module, image)
        for analysis in (flops, activations):
            analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return {name: int(count) for name, count in flops.by_operator().items() if count}, int(activations.total())


def torch_counts(module: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """FlopCounterMode's FLOPs per aten operator of one forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return {str(name).rpartition(".")[2]: int(count) for name, count in counter.get_flop_counts()["Global"].items()}
