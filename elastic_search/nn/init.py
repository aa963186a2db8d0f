"""Initialisation as published, per family."""

from __future__ import annotations

import math

import torch
from torch import nn

from elastic_search.arch.graph import Graph
from elastic_search.arch.resnext import ResNeXt
from elastic_search.nn.net import Net


def build(spec: ResNeXt, seed: int = 0) -> Net:
    """The spec's network, initialised as published.

    Args:
        spec: the network.
        seed: of the initial weights; equal seeds give equal weights on the same device type.
    """
    net = Net(spec.graph())
    initialise_resnext(net, torch.Generator().manual_seed(seed))
    return net


@torch.no_grad()
def initialise_resnext(net: Net, generator: torch.Generator) -> None:
    """The authors' initialisation of ResNeXt.

    Convolutions are He normal by fan-in, the shortcut's keeps PyTorch's default; batch normalisation has
    weight 1, but 0 at the end of each block; the classifier is normal with deviation 0.01; biases are 0.
    The authors build each block as two halves. Where both halves are one branch here, the last 1 × 1 keeps
    the halves' deviation. Learned resampling starts as average pooling and bilinear interpolation.
    """
    for path, op in net.graph.walk():
        leaf = net.get_submodule(path) if op.params else None
        parent, _, name = path.rpartition(".")
        if isinstance(leaf, nn.ConvTranspose2d):
            leaf.weight.copy_(_bilinear_kernel(leaf.kernel_size[0], leaf.stride[0]))
        elif isinstance(leaf, nn.Conv2d):
            _initialise_conv(leaf, net.graph, parent, name, generator)
        elif isinstance(leaf, nn.BatchNorm2d):
            nn.init.constant_(leaf.weight, 0.0 if name == "bn3" else 1.0)
            nn.init.zeros_(leaf.bias)
        elif isinstance(leaf, nn.Linear):
            nn.init.normal_(leaf.weight, 0.0, 0.01, generator=generator)
            nn.init.zeros_(leaf.bias)


def _initialise_conv(conv: nn.Conv2d, graph: Graph, parent: str, name: str, generator: torch.Generator) -> None:
    fan_in: float = conv.weight[0].numel()
    if name == "down":
        nn.init.constant_(conv.weight, 1.0 / fan_in)
    elif parent.endswith("shortcut"):
        nn.init.kaiming_uniform_(conv.weight, math.sqrt(5), generator=generator)
    else:
        if name == "conv3" and _is_whole_block(graph, parent):
            fan_in /= 2
        nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / fan_in), generator=generator)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _is_whole_block(graph: Graph, branch: str) -> bool:
    """Whether a branch holds all paths of its block, that is, both of the authors' halves."""
    block = graph.at(branch.rpartition(".")[0])
    assert isinstance(block, Graph)
    return sum(isinstance(node.op, Graph) and node.op.kind == "branch" for node in block.nodes) == 1


def _bilinear_kernel(kernel: int, factor: int) -> torch.Tensor:
    """Weights with which a transposed convolution interpolates bilinearly by ``factor``."""
    offsets = torch.arange(kernel) - (kernel - 1) / 2
    line = (1 - offsets.abs() / factor).clamp(min=0)
    return line[:, None] * line[None, :]
