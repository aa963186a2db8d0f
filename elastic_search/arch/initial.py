"""How a network's tensors start, as values: families say it, ``nn.init`` does it."""

from __future__ import annotations

from math import sqrt

from elastic_search.arch.frozen import Frozen
from elastic_search.arch.ops import Conv, area


class Initial(Frozen):
    """How a tensor starts.

    Attributes:
        kind: "constant"; "normal", drawn around 0; or "default", as PyTorch starts the weight or bias of a layer.
        value: the constant, or the standard deviation.
    """

    kind: str
    value: float = 0.0


ZERO, ONE, DEFAULT = Initial("constant", 0.0), Initial("constant", 1.0), Initial("default")


def he_fan_in(conv: Conv, parts: int = 1) -> Initial:
    """He et al. 2015 by the inputs of a convolution that was ``parts`` convolutions, side by side in its inputs."""
    return Initial("normal", sqrt(2.0 / (conv.in_channels // conv.groups * area(conv.kernel) / parts)))


def he_fan_out(conv: Conv, parts: int = 1) -> Initial:
    """The same by its outputs; the ``parts`` lay side by side in them."""
    return Initial("normal", sqrt(2.0 / (area(conv.kernel) * conv.out_channels / parts)))
