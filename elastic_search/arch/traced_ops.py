"""The ops that only a network read from a module has.

``Fixed`` and its kin hold at the input size at which they were read.
"""

from __future__ import annotations

from elastic_search.arch.ops import Op, Shape
from elastic_search.errors import ShapeError


class Norm(Op):
    """Normalisation over groups of channels, over the last axes or over each map: ``kind`` group, layer or instance."""

    kind: str
    weights: int = 0


class Activation(Op):
    """A function of each element, named as in torch: ``kind`` silu, gelu, hardswish …"""

    kind: str
    weights: int = 0


class Softmax(Op):
    """Softmax over one axis: 0 the channels, 1 the height, 2 the width."""

    axis: int = 0


class AdaptivePool(Op):
    """Max- or average-pooling to ``height`` × ``width``; None keeps the input's."""

    kind: str
    height: int | None
    width: int | None

    def shape(self, *inputs: Shape) -> Shape:
        (x,) = inputs
        return Shape(x.channels, self.height or x.height, self.width or x.width)


class Elementwise(Op):
    """Arithmetic of tensors and numbers, ``kind`` add, sub, mul or div, broadcast to the largest."""

    kind: str
    weights: int = 0

    def shape(self, *inputs: Shape) -> Shape:
        output = Shape(*(max(sizes) for sizes in zip(*inputs, strict=True)))
        if any(size not in (1, largest) for x in inputs for size, largest in zip(x, output, strict=True)):
            raise ShapeError(f"cannot {self.kind} {', '.join(map(str, inputs))}")
        return output


class Fixed(Op):
    """An operation that no tool counts, with the shapes at which it was read: a view, a slice, a mean …

    ``weights`` are the parameters that it alone reads.
    """

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape
    weights: int = 0

    def shape(self, *inputs: Shape) -> Shape:
        if inputs != self.inputs:
            shapes = [" and ".join(map(str, found)) or "nothing" for found in (self.inputs, inputs)]
            raise ShapeError(
                f"{self.kind} was read on {shapes[0]}, not {shapes[1]}: a traced graph holds for one input size"
            )
        return self.output


VIEWS = frozenset((
    "broadcast_to", "chunk", "depends", "detach", "expand", "expand_as", "flatten", "getitem", "layer", "moveaxis",
    "movedim", "narrow", "permute", "ravel", "reshape", "reshape_as", "select", "slice", "split", "split_with_sizes",
    "squeeze", "swapaxes", "swapdims", "t", "tensor_split", "transpose", "unbind", "unflatten", "unsqueeze", "view",
    "view_as",
))  # fmt: skip
"""Kinds of a ``Fixed`` that give another view of the same elements. "depends" is its first input unchanged: its reader
has weights, or a size, computed from the other inputs; so is "layer", which holds what tools count for a module beside
the calls that it makes."""


class FixedElementwise(Fixed):
    """Arithmetic as in ``Elementwise``, where shapes of more axes meet."""


class Product(Fixed):
    """An operation of ``macs`` multiply-adds on tensors of any axes.

    A product of matrices, attention, a recurrent layer, a convolution of three dimensions or on many maps at once.
    """

    macs: int = 0


class Custom(Fixed):
    """An operation whose ``macs`` the user's own rule has given."""

    macs: int = 0


class Opaque(Fixed):
    """An operation without a rule: it adds nothing to any count and is listed separately."""


class Unused(Op):
    """Parameters that no operation reads."""

    weights: int

    def shape(self, *inputs: Shape) -> Shape:
        return Shape(0, 0, 0)
