"""The primitive operations of a network: hyper-parameters, output shape, parameter count.

An op is a frozen value. It knows nothing about counting conventions or torch; those rooms
hold a table from op type to rule. Shapes are those of one image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from elastic_search.errors import ShapeError


class Shape(NamedTuple):
    """Shape of one image's feature map: channels × height × width."""

    channels: int
    height: int
    width: int

    @property
    def numel(self) -> int:
        return self.channels * self.height * self.width

    def __str__(self) -> str:
        return f"{self.channels}x{self.height}x{self.width}"


def image(height: int, width: int) -> Shape:
    """Shape of an RGB image."""
    return Shape(3, height, width)


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, ceil: bool = False) -> int:
    """Output length of a sliding window, PyTorch's formula."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if ceil:
        out = -(-span // stride) + 1
        return out - 1 if (out - 1) * stride >= size + padding else out
    return span // stride + 1


class Op:
    """Base of all primitives."""

    __slots__ = ()

    @property
    def params(self) -> int:
        """Number of trainable parameters."""
        return 0

    def shape(self, *inputs: Shape) -> Shape:
        """Output shape for the given input shapes.

        Raises:
            ShapeError: if the op cannot take these inputs.
        """
        return inputs[0]


def _same_channels(op: Op, declared: int, x: Shape) -> None:
    if x.channels != declared:
        raise ShapeError(f"{type(op).__name__} takes {declared} channels, not the {x.channels} of {x}")


@dataclass(frozen=True)
class Conv(Op):
    """2-D convolution, ``kernel`` × ``kernel``."""

    in_channels: int
    out_channels: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    dilation: int = 1
    bias: bool = False

    @property
    def params(self) -> int:
        weights = self.out_channels * (self.in_channels // self.groups) * self.kernel**2
        return weights + self.out_channels if self.bias else weights

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _same_channels(self, self.in_channels, x)
        height, width = (
            _window(size, self.kernel, self.stride, self.padding, self.dilation) for size in (x.height, x.width)
        )
        if height < 1 or width < 1:
            raise ShapeError(f"a {self.kernel}x{self.kernel} convolution without room on an input of {x}")
        return Shape(self.out_channels, height, width)


@dataclass(frozen=True)
class ConvTranspose(Op):
    """2-D transposed convolution, ``kernel`` × ``kernel``."""

    in_channels: int
    out_channels: int
    kernel: int
    stride: int
    padding: int = 0
    groups: int = 1
    bias: bool = False

    @property
    def params(self) -> int:
        weights = self.in_channels * (self.out_channels // self.groups) * self.kernel**2
        return weights + self.out_channels if self.bias else weights

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _same_channels(self, self.in_channels, x)
        height, width = ((size - 1) * self.stride - 2 * self.padding + self.kernel for size in (x.height, x.width))
        return Shape(self.out_channels, height, width)


@dataclass(frozen=True)
class BatchNorm(Op):
    """Batch normalisation with scale and shift; ``momentum`` in PyTorch's sense."""

    channels: int
    momentum: float = 0.1
    eps: float = 1e-5

    @property
    def params(self) -> int:
        return 2 * self.channels

    def shape(self, *inputs: Shape) -> Shape:
        _same_channels(self, self.channels, inputs[0])
        return inputs[0]


@dataclass(frozen=True)
class Relu(Op):
    """max(x, 0); ``functional`` where the authors call a function, which tools that look at modules do not see."""

    functional: bool = False


@dataclass(frozen=True)
class Sigmoid(Op):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class Pool(Op):
    """Max- or average-pooling with a window; the average includes zero padding."""

    kind: str
    kernel: int
    stride: int
    padding: int = 0
    ceil: bool = False

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        height, width = (
            _window(size, self.kernel, self.stride, self.padding, ceil=self.ceil) for size in (x.height, x.width)
        )
        if height < 1 or width < 1:
            raise ShapeError(f"a {self.kernel}x{self.kernel} pool without room on an input of {x}")
        return Shape(x.channels, height, width)


@dataclass(frozen=True)
class GlobalPool(Op):
    """Mean over all positions.

    ``spelling`` decides what tools count: "adaptive" is the module AdaptiveAvgPool2d(1), "module" an AvgPool2d of the
    map's size, "function" the same as a function.
    """

    spelling: str = "adaptive"

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].channels, 1, 1)


@dataclass(frozen=True)
class Pad(Op):
    """Grow height and width at the bottom and the right.

    First by ``extra`` rows and columns, then up to the next multiple of ``multiple``; filled by
    replicating the edge (``mode="replicate"``) or with zeros (``mode="constant"``).
    """

    multiple: int = 1
    extra: int = 0
    mode: str = "replicate"

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        height, width = (-(-(size + self.extra) // self.multiple) * self.multiple for size in (x.height, x.width))
        return Shape(x.channels, height, width)


@dataclass(frozen=True)
class Upsample(Op):
    """Resize by a whole factor, ``mode`` bilinear (align_corners=False) or nearest, as a module or a function."""

    factor: int
    mode: str
    functional: bool = False

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return Shape(x.channels, x.height * self.factor, x.width * self.factor)


@dataclass(frozen=True)
class Crop(Op):
    """Cut the first input at the bottom and the right to the height and width of the second."""

    def shape(self, *inputs: Shape) -> Shape:
        x, like = inputs
        if x.height < like.height or x.width < like.width:
            raise ShapeError(f"cannot crop {x} to the size of {like}")
        return Shape(x.channels, like.height, like.width)


@dataclass(frozen=True)
class Add(Op):
    """Sum of two or more equal shapes."""

    def shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise ShapeError(f"cannot add {', '.join(map(str, inputs))}")
        return inputs[0]


@dataclass(frozen=True)
class Gate(Op):
    """First input times the second, which has one value per channel."""

    def shape(self, *inputs: Shape) -> Shape:
        x, gate = inputs
        if gate != Shape(x.channels, 1, 1):
            raise ShapeError(f"a gate of {gate} does not fit {x}")
        return x


@dataclass(frozen=True)
class Concat(Op):
    """Concatenation along the channels."""

    def shape(self, *inputs: Shape) -> Shape:
        if len({x[1:] for x in inputs}) != 1:
            raise ShapeError(f"cannot concatenate {', '.join(map(str, inputs))}")
        return Shape(sum(x.channels for x in inputs), inputs[0].height, inputs[0].width)


@dataclass(frozen=True)
class Flatten(Op):
    """To a vector, written as channels × 1 × 1."""

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].numel, 1, 1)


@dataclass(frozen=True)
class Linear(Op):
    """Fully connected layer with bias."""

    in_features: int
    out_features: int

    @property
    def params(self) -> int:
        return self.in_features * self.out_features + self.out_features

    def shape(self, *inputs: Shape) -> Shape:
        if inputs[0] != Shape(self.in_features, 1, 1):
            raise ShapeError(f"Linear takes a vector of {self.in_features}, not {inputs[0]}")
        return Shape(self.out_features, 1, 1)
