"""Initialisation as published, per family."""

from __future__ import annotations

import math

import torch
from torch import nn

from elastic_search.arch.graph import Graph
from elastic_search.arch.initial import ONE, ZERO, Initial
from elastic_search.arch.spec import Spec
from elastic_search.nn.net import Net, on_meta


def build(spec: Spec, seed: int = 0, *, zero_init_last: bool = True) -> Net:
    """The spec's network, initialised as published.

    Args:
        spec: the network.
        seed: of the initial weights; equal seeds give equal weights.
        zero_init_last: whether batch norms that are published to start at 0 (the last of a ResNeXt block) do so; they
            start at 1 otherwise.

    Raises:
        TypeError: if it is not a spec.
    """
    if not isinstance(spec, Spec):
        raise TypeError(f"build takes a spec, not {spec!r}: published(name) or load_spec(file)")
    net = on_meta(spec.graph()).to_empty(device="cpu")
    initialise(net, spec, torch.Generator().manual_seed(seed), zero_init_last)
    return net


@torch.no_grad()
def initialise(net: Net, spec: Spec, generator: torch.Generator, zero_init_last: bool = True) -> None:
    """Initialise a network by the rule of the spec's family (``Spec.initial``).

    Learned resampling starts as average pooling and bilinear interpolation. The authors build each block as two halves
    (in DLA and DenseNet only for Elastic networks, including dilated ones; a block of one path has none). Where both
    halves are one branch here, its convolutions keep the halves' standard deviation.
    """
    leaves = dict(net.named_modules())
    for path, op in net.graph.walk():
        leaf = leaves.get(path)  # None for a dead node, which the module leaves out
        parent, _, name = path.rpartition(".")
        if isinstance(leaf, nn.ConvTranspose2d):
            leaf.weight.copy_(_bilinear_kernel(leaf.kernel_size[0], leaf.stride[0]))
        elif isinstance(leaf, nn.Conv2d) and name == "down":
            nn.init.constant_(leaf.weight, 1.0 / leaf.weight[0].numel())
        elif isinstance(leaf, (nn.Conv2d, nn.BatchNorm2d, nn.Linear)):
            weight, bias = spec.initial(path, op, 2 if spec.halved and _is_whole_block(net.graph, parent) else 1)
            if weight == ZERO and isinstance(leaf, nn.BatchNorm2d) and not zero_init_last:
                weight = ONE
            _start(weight, leaf.weight, leaf.weight, generator)
            if leaf.bias is not None:
                _start(bias, leaf.bias, leaf.weight, generator)
        if isinstance(leaf, nn.BatchNorm2d):
            leaf.reset_running_stats()


def _start(initial: Initial, tensor: torch.Tensor, weight: torch.Tensor, generator: torch.Generator) -> None:
    """Fill the weight, or the bias, of the layer that has ``weight``."""
    if initial.kind == "constant":
        nn.init.constant_(tensor, initial.value)
    elif initial.kind == "normal":
        nn.init.normal_(tensor, 0.0, initial.value, generator=generator)
    elif tensor is weight:
        nn.init.kaiming_uniform_(tensor, math.sqrt(5), generator=generator)
    else:
        bound = 1 / math.sqrt(weight[0].numel())
        nn.init.uniform_(tensor, -bound, bound, generator=generator)


def _is_whole_block(graph: Graph, branch: str) -> bool:
    """Whether a branch holds all paths of its block, that is, both of the authors' halves."""
    at = graph.at(branch)
    if not isinstance(at, Graph) or at.kind != "branch":
        return False
    block = graph.at(branch.rpartition(".")[0])
    assert isinstance(block, Graph)
    return sum(isinstance(node.op, Graph) and node.op.kind == "branch" for node in block.nodes) == 1


def _bilinear_kernel(kernel: int, factor: int) -> torch.Tensor:
    """Weights with which a transposed convolution interpolates bilinearly by ``factor``."""
    offsets = torch.arange(kernel) - (kernel - 1) / 2
    line = (1 - offsets.abs() / factor).clamp(min=0)
    return line[:, None] * line[None, :]
