"""Exact FLOPs of a forward and a backward pass. No torch.

Two FLOPs per multiply-add, of convolutions, transposed convolutions and linear layers. A layer's backward pass is two
products, each of as many multiply-adds as its forward pass: one gives the gradient of its weights, the other that of
its input. The second is left out where it is not needed: the image has no gradient, so the stem has no such product.
"""

from __future__ import annotations

from functools import lru_cache
from operator import add
from typing import NamedTuple

from elastic_search.arch.graph import Graph, Node
from elastic_search.arch.ops import Conv, ConvTranspose, Op, Shape
from elastic_search.cost.convention import Call
from elastic_search.cost.tools import TORCH


class Passes(NamedTuple):
    """FLOPs of one image, dead nodes left out.

    Attributes:
        forward: of the forward pass, as the convention "torch" counts it.
        grad_input: for the gradients of activations.
        grad_weight: for the gradients of parameters.
        torch_backward: what torch's FlopCounterMode reports for the backward pass. It forgets to divide the weights'
            gradient of a grouped convolution by the number of groups.
    """

    forward: int = 0
    grad_input: int = 0
    grad_weight: int = 0
    torch_backward: int = 0

    @property
    def backward(self) -> int:
        return self.grad_input + self.grad_weight

    @property
    def total(self) -> int:
        return self.forward + self.backward

    @property
    def torch_total(self) -> int:
        return self.forward + self.torch_backward


class _Input(NamedTuple):
    shape: Shape
    needs_gradient: bool


def passes(graph: Graph, input: Shape) -> Passes:
    """FLOPs of one image in training.

    Args:
        graph: the network; dead nodes do not run.
        input: shape of the image, which needs no gradient.

    Raises:
        ShapeError: if a node cannot take its input; names the node's path.
    """
    found, _ = _count(graph, (_Input(input, False),))
    return found


@lru_cache(maxsize=1 << 14)
def _count(op: Op | Graph, inputs: tuple[_Input, ...]) -> tuple[Passes, tuple[_Input, ...]]:
    if isinstance(op, Graph):
        total = Passes()

        def visit(node: Node, values: tuple[_Input, ...]) -> tuple[_Input, ...]:
            nonlocal total
            found, outputs = _count(node.op, values)
            total = Passes(*map(add, total, found))
            return outputs

        outputs = op.run(inputs, visit, dead=False)
        return total, outputs
    shapes = tuple(value.shape for value in inputs)
    output = op.shape(*shapes)
    forward = TORCH.count(Call(op, shapes, output))
    needed = sum(value.needs_gradient for value in inputs)
    weights = forward if op.params else 0
    groups = op.groups if isinstance(op, (Conv, ConvTranspose)) else 1
    found = Passes(forward, needed * forward, weights, needed * forward + groups * weights)
    return found, (_Input(output, needed > 0 or op.params > 0),)
