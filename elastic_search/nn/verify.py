"""Count a built module with independent tools, and compare with our counts, to the integer."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass

import torch
from torch import nn

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape
from elastic_search.arch.spec import Spec
from elastic_search.cost.tally import Tally, tally
from elastic_search.cost.tools import AUTHORS, CONVENTIONS, FVCORE, MACS, TORCH
from elastic_search.errors import ElasticError, EnvironmentFault
from elastic_search.nn.net import Net, on_meta
from elastic_search.nn.tools import TOOLS, fvcore_counts
from elastic_search.nn.trace.factory import said


@dataclass(frozen=True)
class Check:
    """One quantity of a network: our count next to an independent tool's.

    ``theirs`` is None where the tool itself fails on the module, and ``failed`` then says how.
    """

    quantity: str
    ours: int
    tool: str
    theirs: int | None
    failed: str = ""

    @property
    def equal(self) -> bool:
        return self.ours == self.theirs


QUICK = ("fvcore", "torch", "authors")
"""Conventions whose tools come with the ``search`` extra."""


def verify(
    graph: Graph,
    input: Shape,
    conventions: tuple[str, ...] = QUICK,
    module: nn.Module | None = None,
    given: tuple[torch.Tensor, ...] = (),
) -> list[Check]:
    """Build ``graph`` and compare parameters, totals, activations and, where the tool reports them, operators' counts.

    Args:
        graph: the network.
        input: shape of one image; the tools run a real forward pass of it.
        conventions: names of the conventions to check.
        module: the module that the graph was read from, if any; the tools run it instead of the built network.
        given: the module's inputs, if it takes others than one image.

    Raises:
        ElasticError: if a tool is not installed.
    """
    net = empty_net(graph, dead=True) if module is None else module
    inputs = given or (torch.zeros(1, *input),)
    checks = [Check("params", graph.params, "torch", sum(p.numel() for p in net.parameters()))]
    if module is None:
        live = sum(p.numel() for p in on_meta(graph).parameters())
        checks.append(Check("params_live", graph.params_live, "torch", live))
    # The authors' counter is for the authors' modules: it sees few classes of others, and says nothing of the rest.
    for name in conventions if module is None else [name for name in conventions if name != AUTHORS.name]:
        ours = tally(graph, input, CONVENTIONS[name])
        try:
            with contextlib.redirect_stdout(sys.stderr):
                checks += _by_tool(net, inputs, name, ours, graph)
        except ElasticError:
            raise
        except Exception as error:
            checks.append(Check(name, ours.total, TOOLS[name][0], None, said(error)))
    return checks


def _by_tool(net: nn.Module, inputs: tuple[torch.Tensor, ...], name: str, ours: Tally, graph: Graph) -> list[Check]:
    """Everything that the tool of a convention reports."""
    tool, counts = TOOLS[name]
    checks = []
    if name == "fvcore":
        theirs, activations = fvcore_counts(net, *inputs)
        checks.append(Check("activations", ours.activations, tool, activations))
    else:
        theirs = counts(net, *inputs)
    total = sum(theirs.values())
    if name == "torch" and not _misses_products(graph):
        checks.append(Check("macs", tally(graph, ours.input, MACS).total, "FlopCounterMode / 2", total // 2))
    checks.append(Check(name, ours.total, tool, total))
    if "" not in theirs:
        by_operator = ours.by_operator()
        for operator in sorted(by_operator.keys() | theirs.keys()):
            mine, other = by_operator.get(operator, 0), theirs.get(operator, 0)
            checks.append(Check(f"{name} {operator}", mine, tool, other))
    return checks


def _misses_products(graph: Graph) -> bool:
    """Whether FlopCounterMode is known to miss products, of attention or recurrent layers, that were read."""
    return any(TORCH.name in dict(node.recorded) for _, node in graph.leaves())


def counted(spec: Spec, input: Shape, convention: str) -> tuple[str, int, int]:
    """Count a network with the convention's tool, or with fvcore if there is none or it is not installed.

    Returns:
        The tool's name, our count, its count.
    """

    def by(name: str) -> tuple[str, int, int]:
        check = next(check for check in verify(spec.graph(), input, (name,)) if check.quantity == name)
        if check.theirs is None:
            raise EnvironmentFault(f"{check.tool} fails: {check.failed}")
        return check.tool, check.ours, check.theirs

    try:
        return by(convention)
    except (KeyError, ElasticError):
        return by(FVCORE.name)


def empty_net(graph: Graph, *, dead: bool = False) -> Net:
    """The graph's module in eval mode, all weights zero: counts do not depend on weights."""
    net = on_meta(graph, dead=dead).to_empty(device="cpu").eval()
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            tensor.zero_()
    return net
