"""Where tensors come from and go to: weights and sizes that are computed, views, writes in place, unused results."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.nn.trace.cases import case


def routed(m, x):
    """Weights that a linear layer mixes for each image."""
    return torch.matmul(torch.sigmoid(F.linear(x.mean((2, 3)), m.w0)), m.w1).view(6, 12, 3, 3)


def cut(m, x):
    """Weights that are a part of what a convolution makes of the image."""
    return F.conv2d(x, m.w0)[:, :, :3, :3]


def written(m, x):
    y = torch.zeros_like(x)
    y[:, :, 2:] = F.conv2d(x, m.w0)[:, :, 2:]
    return y + 1


def ignored(m, x):
    y = F.conv2d(x, m.w0)
    y.add_(F.conv2d(x, m.w1))
    return y


def pooled_like(m, x):
    """A size that a convolution decides."""
    return F.adaptive_avg_pool2d(x, F.conv2d(x, m.w0, stride=2).shape[2:])


def shuffled(m, x):
    return x.view(-1, 3, 4, 8, 12).transpose(1, 2).reshape(-1, 12, 8, 12)


def gated(m, x):
    return x * torch.sigmoid(F.adaptive_avg_pool2d(x, 1))


class Own(torch.Tensor):
    """A kind of tensor of the user's."""


def _weights():
    one = (12, 12, 1, 1)
    case("convolution", "weights of the image", "2-D",
         lambda: (lambda m, x: F.conv2d(x, routed(m, x)), (4, 12), (4, 6 * 12 * 9)))  # fmt: skip
    case("convolution", "weights cut from the image", "2-D",
         lambda: (lambda m, x: F.conv2d(x, cut(m, x)), (12, 12, 3, 3)))  # fmt: skip
    case("convolution", "weights made of weights", "2-D",
         lambda: (lambda m, x: F.conv2d(x, m.w0 * m.w1), one, (12, 1, 1, 1)))  # fmt: skip
    case("convolution", "weight norm", "2-D",
         lambda: (nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Conv2d(12, 8, 3)), nn.ReLU()),))  # fmt: skip
    case("prelu", "slope of the image", "2-D",
         lambda: (lambda m, x: F.prelu(x, F.linear(x.mean((2, 3)), m.w0)[0]), (12, 12)))  # fmt: skip
    case("matmul", "a parameter first", "1-D", lambda: (lambda m, x: m.w0 @ x[0], (5, 12)))
    case("scale and shift", "operator", "2-D", lambda: (lambda m, x: x * m.w0 + m.w1, (12, 1, 1), (1, 12, 1, 1)))
    case("parameter", "unused", "2-D", lambda: (lambda m, x: x + 1, (3, 4)))
    case("pool to a size", "of a convolution", "2-D", lambda: (pooled_like, (4, 12, 3, 3)))


def _results():
    one = (12, 12, 1, 1)
    case("convolution", "written into a part", "2-D", lambda: (written, one))
    case("convolution", "a result ignored", "2-D", lambda: (ignored, one, one))
    case("relu and matmul", "of a class of tensors", "2-D",
         lambda: (lambda m, x: torch.relu(x.as_subclass(Own)) @ m.w0, (12, 5)))  # fmt: skip
    case("channel shuffle", "views", "2-D", lambda: (shuffled,))
    case("chunks", "in another order", "2-D", lambda: (lambda m, x: torch.cat(x.chunk(2, 1)[::-1], 1),))
    case("gate", "operator", "2-D", lambda: (gated,))
    case("linear", "on all elements", "2-D", lambda: (nn.Sequential(nn.Flatten(), nn.Linear(1152, 5, bias=False)),))


for collect in (_weights, _results):
    collect()
