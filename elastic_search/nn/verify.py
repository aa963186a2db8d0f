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
from elastic_search.cost.conventions import AUTHORS, FVCORE, MACS, TORCH
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
    fvcore, activations = fvcore_counts(net, image)
    flops = torch_counts(net, image)
    checks = [
        Check("params", graph.params, "torch", sum(p.numel() for p in net.parameters())),
        Check("params_live", graph.params_live, "torch", sum(p.numel() for p in live.parameters())),
        Check("activations", tally(graph, input, FVCORE).activations, "fvcore", activations),
        Check("macs", tally(graph, input, MACS).total, "FlopCounterMode / 2", sum(flops.values()) // 2),
    ]
    tools = (
        (FVCORE, "fvcore", fvcore),
        (TORCH, "FlopCounterMode", flops),
        (AUTHORS, "module hooks", authors_counts(net, image)),
    )
    for convention, tool, theirs in tools:
        ours = tally(graph, input, convention)
        checks.append(Check(convention.name, ours.total, tool, sum(theirs.values())))
        by_operator = ours.by_operator()
        for name in sorted(by_operator.keys() | theirs.keys()):
            checks.append(Check(f"{convention.name} {name}", by_operator.get(name, 0), tool, theirs.get(name, 0)))
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


def authors_counts(module: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """FLOPs by module class as the paper's own counter adds them up, from a forward pass of the built module.

    A second reading of the counter beside ``cost.conventions.AUTHORS``: it never sees the graph, only the module
    classes that run and the tensors that enter and leave them. Functions are invisible to it.
    """
    counts: dict[str, int] = {}

    def hear(leaf: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(leaf, nn.Conv2d):
            count = leaf.weight[0].numel() * output.numel() + (output.numel() if leaf.bias is not None else 0)
        elif isinstance(leaf, nn.Linear):
            count = leaf.weight.numel()
        elif isinstance(leaf, nn.BatchNorm2d):
            count = 2 * inputs[0].numel()
        elif isinstance(leaf, (nn.ReLU, nn.AvgPool2d, nn.MaxPool2d)):
            count = inputs[0].numel()
        elif isinstance(leaf, nn.Upsample):
            count = 8 * output.numel()
        else:
            count = 0
        counts[type(leaf).__name__] = counts.get(type(leaf).__name__, 0) + count

    leaves = [leaf for leaf in module.modules() if not any(True for _ in leaf.children())]
    hooks = [leaf.register_forward_hook(hear) for leaf in leaves]
    try:
        with torch.no_grad():
            module(image)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: count for name, count in counts.items() if count}


def torch_counts(module: nn.Module, image: torch.Tensor) -> dict[str, int]:
    """FlopCounterMode's FLOPs per aten operator of one forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image)
    return {str(name).rpartition(".")[2]: int(count) for name, count in counter.get_flop_counts()["Global"].items()}
