"""Initialisation as published, per family."""

from __future__ import annotations

import math

import torch
from torch import nn

from elastic_search.arch.densenet import DenseNet
from elastic_search.arch.graph import Graph
from elastic_search.arch.resnext import ResNeXt
from elastic_search.arch.spec import Spec
from elastic_search.nn.net import Net


def build(spec: Spec, seed: int = 0) -> Net:
    """The spec's network, initialised as published.

    Args:
        spec: the network.
        seed: of the initial weights; equal seeds give equal weights on the same device type.
    """
    with torch.device("meta"):
        net = Net(spec.graph())
    net = net.to_empty(device="cpu")
    initialise(net, spec, torch.Generator().manual_seed(seed))
    return net


@torch.no_grad()
def initialise(net: Net, spec: Spec, generator: torch.Generator) -> None:
    """The authors' initialisation, per family.

    ResNeXt: convolutions are He normal by fan-in, the shortcut's keeps PyTorch's default; batch normalisation has
    weight 1, but 0 at the end of each block; the classifier is normal with deviation 0.01; biases are 0.
    DLA, DenseNet: convolutions are normal with deviation sqrt(2 / (k · k · C_out)); DenseNet's classifier keeps
    PyTorch's default but for a bias of 0, DLA's keeps the default bias.
    The authors build each block as two halves (DLA and DenseNet in their Elastic networks only, dilated ones
    included; a block of one path has none). Where both halves are one branch here, its convolutions keep the
    halves' deviation. Learned resampling starts as average pooling and bilinear interpolation.
    """
    resnext = isinstance(spec, ResNeXt)
    if isinstance(spec, ResNeXt):
        halves = spec.cardinality > 1
    else:
        halves = any(not split.is_plain for stage in spec.stages for split in stage.splits)
    for path, op in net.graph.walk():
        if not op.params:
            continue
        try:
            leaf = net.get_submodule(path)
        except AttributeError:
            continue  # a dead node, which the module leaves out
        parent, _, name = path.rpartition(".")
        if isinstance(leaf, nn.ConvTranspose2d):
            leaf.weight.copy_(_bilinear_kernel(leaf.kernel_size[0], leaf.stride[0]))
        elif isinstance(leaf, nn.Conv2d) and name == "down":
            nn.init.constant_(leaf.weight, 1.0 / leaf.weight[0].numel())
        elif isinstance(leaf, nn.Conv2d):
            merged = halves and _is_whole_block(net.graph, parent)
            if resnext:
                _he_fan_in(leaf, parent, name, merged, generator)
            else:
                last = name == ("conv2" if isinstance(spec, DenseNet) else "conv3")
                _he_outputs(leaf, last, merged, generator)
        elif isinstance(leaf, nn.BatchNorm2d):
            nn.init.constant_(leaf.weight, 0.0 if resnext and name == "bn3" else 1.0)
            nn.init.zeros_(leaf.bias)
            leaf.reset_running_stats()
        elif isinstance(leaf, nn.Linear):
            if resnext:
                nn.init.normal_(leaf.weight, 0.0, 0.01, generator=generator)
            else:
                nn.init.kaiming_uniform_(leaf.weight, math.sqrt(5), generator=generator)
            nn.init.zeros_(leaf.bias)


def _he_fan_in(conv: nn.Conv2d, parent: str, name: str, merged: bool, generator: torch.Generator) -> None:
    fan_in: float = conv.weight[0].numel()
    if parent.endswith("shortcut"):
        nn.init.kaiming_uniform_(conv.weight, math.sqrt(5), generator=generator)
    else:
        if name == "conv3" and merged:
            fan_in /= 2
        nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / fan_in), generator=generator)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def _he_outputs(conv: nn.Conv2d, last: bool, merged: bool, generator: torch.Generator) -> None:
    """Deviation by k · k · C_out; in the authors' halves all convolutions but a branch's last have half the outputs."""
    outputs: float = conv.kernel_size[0] * conv.kernel_size[1] * conv.out_channels
    if merged and not last:
        outputs /= 2
    nn.init.normal_(conv.weight, 0.0, math.sqrt(2.0 / outputs), generator=generator)
    if conv.bias is not None:
        bound = 1 / math.sqrt(conv.weight[0].numel())
        nn.init.uniform_(conv.bias, -bound, bound, generator=generator)


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
