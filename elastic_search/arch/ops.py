"""The primitive operations of a network: hyper-parameters, output shape, parameter count.

An op is a frozen value. It knows nothing about counting conventions or torch; those rooms
hold a table from op type to rule. Shapes are those of one image.

Families of networks are written with these ops, which take any size; ``arch.traced_ops`` has those that only a network
read from a module may hold.
"""

from __future__ import annotations

from typing import NamedTuple

from elastic_search.arch.frozen import Frozen
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


DTYPES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of an element, by the name of its type."""

Size = int | tuple[int, int]
"""A length along both axes, or (height, width)."""


def pair(size: Size) -> tuple[int, int]:
    """(height, width) of a size."""
    return (size, size) if isinstance(size, int) else size


def area(size: Size) -> int:
    """Positions of a window."""
    return size * size if isinstance(size, int) else size[0] * size[1]


def _by(size: Size) -> str:
    height, width = pair(size)
    return f"{height}x{width}"


def image(height: int, width: int) -> Shape:
    """Shape of an RGB image."""
    return Shape(3, height, width)


def _window(size: int, kernel: int, stride: int, padding: int, dilation: int = 1, *, ceil: bool = False) -> int:
    """Output length of a sliding window, PyTorch's formula."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    if ceil:
        out = -(-span // stride) + 1
        return out - 1 if (out - 1) * stride >= size + padding else out
    return span // stride + 1


def _slide(
    what: str, x: Shape, kernel: Size, stride: Size, padding: Size, dilation: Size, *, ceil: bool = False
) -> tuple[int, int]:
    """Height and width of the output of a window that slides over a map.

    Raises:
        ShapeError: if the map is too small for the window.
    """
    windows = zip(x[1:], *map(pair, (kernel, stride, padding, dilation)), strict=True)
    height, width = (_window(*window, ceil=ceil) for window in windows)
    if height < 1 or width < 1:
        raise ShapeError(f"a {_by(kernel)} {what} does not fit into an input of {x}")
    return height, width


class Op(Frozen):
    """Base of all primitives: frozen values, written like dataclasses."""

    @property
    def params(self) -> int:
        """Number of trainable parameters: ``weights``, if the op has such a field."""
        return int(self.__dict__.get("weights", 0))

    def shape(self, *inputs: Shape) -> Shape:
        """Output shape for the given input shapes.

        Raises:
            ShapeError: if the op cannot take these inputs.
        """
        return inputs[0]


def _same_channels(op: Op, declared: int, x: Shape) -> None:
    if x.channels != declared:
        raise ShapeError(f"{type(op).__name__} takes {declared} channels, not the {x.channels} of {x}")


class Conv(Op):
    """2-D convolution.

    ``padding`` may be torch's "same" or "valid": one tool overlooks such convolutions.
    """

    in_channels: int
    out_channels: int
    kernel: Size = 1
    stride: Size = 1
    padding: Size | str = 0
    groups: int = 1
    dilation: Size = 1
    bias: bool = False

    @property
    def params(self) -> int:
        weights = self.out_channels * (self.in_channels // self.groups) * area(self.kernel)
        return weights + self.out_channels if self.bias else weights

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _same_channels(self, self.in_channels, x)
        if self.padding == "same":
            return Shape(self.out_channels, x.height, x.width)
        padding = 0 if isinstance(self.padding, str) else self.padding
        return Shape(self.out_channels, *_slide("convolution", x, self.kernel, self.stride, padding, self.dilation))


class ConvTranspose(Op):
    """2-D transposed convolution."""

    in_channels: int
    out_channels: int
    kernel: Size
    stride: Size
    padding: Size = 0
    groups: int = 1
    bias: bool = False
    output_padding: Size = 0
    dilation: Size = 1

    @property
    def params(self) -> int:
        weights = self.in_channels * (self.out_channels // self.groups) * area(self.kernel)
        return weights + self.out_channels if self.bias else weights

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        _same_channels(self, self.in_channels, x)
        settings = (self.kernel, self.stride, self.padding, self.output_padding, self.dilation)
        height, width = (
            (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1
            for size, kernel, stride, padding, extra, dilation in zip(x[1:], *map(pair, settings), strict=True)
        )
        if height < 1 or width < 1:
            raise ShapeError(f"a {_by(self.kernel)} transposed convolution does not fit into an input of {x}")
        return Shape(self.out_channels, height, width)


class BatchNorm(Op):
    """Batch normalisation; ``momentum`` in PyTorch's sense.

    ``affine``: with scale and shift. ``tracked``: by the statistics of training, not those of the batch.
    """

    channels: int
    momentum: float = 0.1
    eps: float = 1e-5
    affine: bool = True
    tracked: bool = True

    @property
    def params(self) -> int:
        return 2 * self.channels if self.affine else 0

    def shape(self, *inputs: Shape) -> Shape:
        _same_channels(self, self.channels, inputs[0])
        return inputs[0]


class Relu(Op):
    """max(x, 0)."""


class Sigmoid(Op):
    """1 / (1 + exp(-x))."""


class Pool(Op):
    """Max- or average-pooling with a window; the average includes zero padding."""

    kind: str
    kernel: Size
    stride: Size
    padding: Size = 0
    ceil: bool = False
    dilation: Size = 1

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        size = _slide("pool", x, self.kernel, self.stride, self.padding, self.dilation, ceil=self.ceil)
        return Shape(x.channels, *size)


class GlobalPool(Op):
    """Mean over all positions.

    ``kind`` is how it is made: an "adaptive" pool to 1 × 1, a "window" of the map's size, a "mean" over the two axes.
    """

    kind: str = "adaptive"

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].channels, 1, 1)


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


class Upsample(Op):
    """Resize by a whole factor, ``mode`` bilinear (align_corners=False) or nearest.

    Or to a ``size`` that was read from a module; ``scale`` is then the broken factor that led to it, if any.
    """

    factor: int
    mode: str
    size: tuple[int, int] | None = None
    scale: float | tuple[float, ...] | None = None

    def shape(self, *inputs: Shape) -> Shape:
        x = inputs[0]
        if self.size is not None:
            return Shape(x.channels, *self.size)
        return Shape(x.channels, x.height * self.factor, x.width * self.factor)


class Crop(Op):
    """Cut the first input at the bottom and the right to the height and width of the second."""

    def shape(self, *inputs: Shape) -> Shape:
        x, like = inputs
        if x.height < like.height or x.width < like.width:
            raise ShapeError(f"cannot crop {x} to the size of {like}")
        return Shape(x.channels, like.height, like.width)


class Add(Op):
    """Sum of two or more equal shapes."""

    def shape(self, *inputs: Shape) -> Shape:
        if len(set(inputs)) != 1:
            raise ShapeError(f"cannot add {', '.join(map(str, inputs))}")
        return inputs[0]


class Gate(Op):
    """First input times the second, which has one value per channel."""

    def shape(self, *inputs: Shape) -> Shape:
        x, gate = inputs
        if gate != Shape(x.channels, 1, 1):
            raise ShapeError(f"a gate of {gate} does not fit {x}")
        return x


class Concat(Op):
    """Concatenation along the channels."""

    def shape(self, *inputs: Shape) -> Shape:
        if len({x[1:] for x in inputs}) != 1:
            raise ShapeError(f"cannot concatenate {', '.join(map(str, inputs))}")
        return Shape(sum(x.channels for x in inputs), inputs[0].height, inputs[0].width)


class Flatten(Op):
    """To a vector, written as channels × 1 × 1."""

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(inputs[0].numel, 1, 1)


class Linear(Op):
    """Fully connected layer on a vector, or on every position along the ``last`` axis of a map."""

    in_features: int
    out_features: int
    bias: bool = True
    last: bool = False

    @property
    def params(self) -> int:
        return self.in_features * self.out_features + (self.out_features if self.bias else 0)

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        if self.last and x.width == self.in_features:
            return Shape(x.channels, x.height, self.out_features)
        if self.last or x != Shape(self.in_features, 1, 1):
            where = f"{self.in_features} features in the last axis" if self.last else f"a vector of {self.in_features}"
            raise ShapeError(f"Linear takes {where}, not {x}")
        return Shape(self.out_features, 1, 1)
