"""One operation in every spelling: counted as the real tools count it."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from elastic_search.arch.network import opaque_nodes
from elastic_search.cost.tally import tally
from elastic_search.cost.tools import FVCORE, TORCH
from tests.nn.trace.staging import INPUT, Function, counted_as_tools_do

# The integers are those of one image; every tool was asked in its own process when they were written down.
GOLDEN = {
    "conv": (nn.Conv2d(12, 18, 3, 2, 1, bias=False), 68040, 136080),
    "conv with bias": (nn.Conv2d(12, 18, 3, 2, 1), 68040, 136080),
    "grouped conv": (nn.Conv2d(12, 18, 3, 1, 1, groups=6, bias=False), 45360, 90720),
    "depthwise conv": (nn.Conv2d(12, 12, 3, 1, 1, groups=12, bias=False), 15120, 30240),
    "dilated conv": (nn.Conv2d(12, 18, 3, 1, 2, dilation=2, bias=False), 272160, 544320),
    "conv of a function": (Function(lambda m, x: F.conv2d(x, m.w0, None, 2, 1), (18, 12, 3, 3)), 68040, 136080),
    "transposed conv": (nn.ConvTranspose2d(12, 18, 4, 2, 1, bias=False), 483840, 967680),
    "transposed conv with bias": (nn.ConvTranspose2d(12, 18, 4, 2, 1), 483840, 967680),
    "grouped transposed conv": (nn.ConvTranspose2d(12, 18, 4, 2, 1, groups=6, bias=False), 80640, 161280),
    "batch norm": (nn.BatchNorm2d(12), 3360, 0),
    "adaptive pool": (nn.AdaptiveAvgPool2d(1), 1680, 0),
    "average pool": (nn.AvgPool2d(2), 0, 0),
    "max pool": (nn.MaxPool2d(3, 2, 1), 0, 0),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), 26880, 0),
    "bilinear to a size": (Function(lambda m, x: F.interpolate(x, (20, 28), mode="bilinear")), 26880, 0),
    "nearest": (nn.Upsample(scale_factor=2), 6720, 0),
    "relu": (nn.ReLU(), 0, 0),
    "product": (Function(lambda m, x: x * x), 0, 0),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_golden_integers(case):
    module, fvcore, flops = GOLDEN[case]
    graph = counted_as_tools_do(module)
    assert not opaque_nodes(graph)
    assert tally(graph, INPUT, FVCORE).total == fvcore
    assert tally(graph, INPUT, TORCH).total == flops


def written(m, x):
    y = torch.zeros_like(x)
    y[:, :, 2:] = F.conv2d(x, m.w0)[:, :, 2:]
    return y + 1


def ignored_result(m, x):
    y = F.conv2d(x, m.w0)
    y.add_(F.conv2d(x, m.w1))
    return y


def convolved_with(weight, *options):
    """Convolves with what ``weight(m, x)`` makes."""
    return lambda m, x: F.conv2d(x, weight(m, x), *options)


def routed(m, x):
    """Weights that a linear layer mixes for each image."""
    return torch.matmul(torch.sigmoid(F.linear(x.mean((2, 3)), m.w0)), m.w1).view(6, 12, 3, 3)


def pooled_like(m, x):
    """A size that a convolution decides."""
    return F.adaptive_avg_pool2d(x, F.conv2d(x, m.w0, stride=2).shape[2:])


SPELLINGS = {
    "weights of the image": Function(convolved_with(routed), (4, 12), (4, 6 * 12 * 9)),
    "weights cut from the image": Function(
        convolved_with(lambda m, x: F.conv2d(x, m.w0)[:, :, :3, :3]), (12, 12, 3, 3)
    ),
    "slope of the image": Function(lambda m, x: F.prelu(x, F.linear(x.mean((2, 3)), m.w0)[0]), (12, 12)),
    "size of a convolution": Function(pooled_like, (4, 12, 3, 3)),
    "weight norm": nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(12, 8, 3)), nn.ReLU()),
    "x @ parameter": Function(lambda m, x: x @ m.w0, (14, 5)),
    "matmul with a parameter": Function(lambda m, x: torch.matmul(m.w0, x.flatten(1).t()), (5, 1680)),
    "rectangles": nn.Conv2d(12, 18, (3, 5), (2, 1), (1, 2)),
    "padding same": nn.Conv2d(12, 18, 3, padding="same"),
    "padding valid": nn.Conv2d(12, 18, 3, padding="valid"),
    "output padding": nn.ConvTranspose2d(12, 12, 3, (2, 3), 1, output_padding=(1, 2), dilation=2),
    "norm without weights": nn.BatchNorm2d(12, affine=False),
    "norm of the batch": nn.BatchNorm2d(12, track_running_stats=False),
    "group norm": nn.GroupNorm(3, 12),
    "group norm without weights": nn.GroupNorm(3, 12, affine=False),
    "layer norm": nn.LayerNorm([10, 14]),
    "instance norm": nn.InstanceNorm2d(12, affine=True),
    "F.group_norm": Function(lambda m, x: F.group_norm(x, 3, m.w0, m.w1), (12,), (12,)),
    "F.layer_norm": Function(lambda m, x: F.layer_norm(x, [14], m.w0, m.w1), (14,), (14,)),
    "adaptive 3x5": nn.AdaptiveAvgPool2d((3, 5)),
    "adaptive max": nn.AdaptiveMaxPool2d(2),
    "ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
    "dilated pool": nn.MaxPool2d((3, 2), 2, (1, 0), dilation=2),
    "functional pools": Function(lambda m, x: F.adaptive_max_pool2d(F.max_pool2d(F.avg_pool2d(x, 2), 2, stride=1), 2)),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "broken factor": nn.Upsample(scale_factor=1.5, mode="bilinear"),
    "two factors": nn.Upsample(scale_factor=(1.5, 2.5), mode="bilinear"),
    "torch.mul": Function(lambda m, x: torch.mul(x, x)),
    "x.mul": Function(lambda m, x: x.mul(2)),
    "torch.add": Function(lambda m, x: torch.add(x, 1)),
    "mean": Function(lambda m, x: x.mean((2, 3))),
    "gate": Function(lambda m, x: x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))),
    "linear": nn.Sequential(nn.Flatten(), nn.Linear(1680, 5, bias=False)),
    "linear on rows": nn.Linear(14, 5),
    "F.linear": Function(lambda m, x: F.linear(x.flatten(1), m.w0, m.w1), (4, 1680), (4,)),
    "scale": Function(lambda m, x: x * m.w0 + m.w1, (12, 1, 1), (1, 12, 1, 1)),
    "channel shuffle": Function(lambda m, x: x.view(-1, 3, 4, 10, 14).transpose(1, 2).reshape(-1, 12, 10, 14)),
    "chunks": Function(lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1)),
    "softmax": nn.Softmax(1),
    "matmul": Function(lambda m, x: torch.matmul(x, x.transpose(-1, -2))),
    "@": Function(lambda m, x: x @ x.transpose(-1, -2)),
    "unused parameter": Function(lambda m, x: x + 1, (3, 4)),
    "written in place": Function(written, (12, 12, 1, 1)),
    "result ignored": Function(ignored_result, (12, 12, 1, 1), (12, 12, 1, 1)),
    "1-D": Function(lambda m, x: F.conv1d(x.flatten(2), m.w0, padding=1, stride=2, groups=3), (12, 4, 3)),
    "torch.relu": Function(lambda m, x: torch.relu(x)),
    "weights made of weights": Function(lambda m, x: F.conv2d(x, m.w0 * m.w1), (12, 12, 1, 1), (12, 1, 1, 1)),
    **{
        name: getattr(nn, name)()
        for name in ("ReLU6", "LeakyReLU", "ELU", "GELU", "SiLU", "Hardswish", "Sigmoid", "Tanh", "PReLU", "Mish")
    },
    **{
        f"F.{name}": Function(lambda m, x, name=name: getattr(F, name)(x))
        for name in ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "hardswish", "sigmoid", "softplus")
    },
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_every_spelling_counts_as_the_tools_do(case):
    assert not opaque_nodes(counted_as_tools_do(SPELLINGS[case]))
