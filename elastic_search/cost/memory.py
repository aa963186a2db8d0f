"""Peak memory of a network from its graph alone: activations, gradients, parameters and an optimiser's state. No torch.

The bytes are those of tensors; a convolution's workspace, an allocator's rounding and a CUDA context come on top.
``cost.storages`` runs the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import DTYPES, BatchNorm, Shape
from elastic_search.cost.storages import INDEX_BYTES, Value, Walk, parameters
from elastic_search.errors import UnknownNameError

OPTIMIZERS = {"none": 0, "sgd": 1, "adamw": 2}
"""Copies of the parameters that an optimiser keeps, in their dtype; "sgd" is SGD with momentum."""


def itemsize(dtype: str) -> int:
    """Bytes of an element, by the name of its dtype.

    Raises:
        UnknownNameError: if there is no such dtype.
    """
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, list(DTYPES))
    return DTYPES[dtype]


@dataclass(frozen=True)
class Memory:
    """Bytes that a network needs.

    Attributes:
        parameters: of the live nodes.
        buffers: running statistics and batch counters of batch norms.
        gradients: of all parameters.
        optimizer: its state.
        inference: peak of the image, the output and the activations in inference.
        training: peak of these, of what is kept for the backward pass, and of the activations' gradients.
        total_inference: peak in inference, parameters and buffers included.
        total_training: peak up to the end of the backward pass, parameters, buffers, gradients and the optimiser's
            state included; gradients appear one by one, as after ``zero_grad()``.
    """

    parameters: int
    buffers: int
    gradients: int
    optimizer: int
    inference: int
    training: int
    total_inference: int
    total_training: int


def memory(graph: Graph, input: Shape, batch: int = 1, itemsize: int = 4, optimizer: str = "none") -> Memory:
    """Measure the memory that a network needs in inference and in training, in bytes.

    The module, its image and its optimiser's state have one dtype. Dead nodes are left out, as in the built module.
    The backward pass starts from a gradient of each output; what a loss keeps for itself is not counted.

    Args:
        graph: the network.
        input: shape of one image, which needs no gradient.
        batch: images.
        itemsize: bytes of an element: 4 for fp32, 2 for bf16 and fp16.
        optimizer: "sgd" (with momentum), "adamw" or "none".

    Raises:
        ShapeError: if a node cannot take its input.
        UnknownNameError: if there is no such optimiser.
    """
    if optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", optimizer, list(OPTIMIZERS))
    leaves = (node.op for _, node in graph.leaves(dead=False) if node.weights_of is None)
    own = [op for op in leaves if not isinstance(op, Graph)]
    sizes = [size for op in own for size in parameters(op)]
    norms = (op for op in own if isinstance(op, BatchNorm) and op.tracked)
    buffers = sum(2 * op.channels * itemsize + INDEX_BYTES for op in norms)
    gradients = sum(sizes) * itemsize
    # AdamW counts its steps for each parameter, in fp32 (four bytes) whatever the parameter's dtype.
    state = OPTIMIZERS[optimizer] * gradients + (4 * len(sizes) if optimizer == "adamw" else 0)
    inference = peak_inference(graph, input, batch, itemsize)
    training = peak_training(graph, input, batch, itemsize)
    constant = gradients + buffers
    return Memory(
        parameters=gradients,
        buffers=buffers,
        gradients=gradients,
        optimizer=state,
        inference=inference,
        training=training.activations,
        total_inference=constant + inference,
        total_training=constant + state + training.total,
    )


def peak_inference(graph: Graph, input: Shape, batch: int = 1, itemsize: int = 4) -> int:
    """Peak bytes of the image, the output and the activations in inference.

    Args:
        graph: the network; dead nodes do not run.
        input: shape of one image.
        batch: images.
        itemsize: bytes of an element.

    Raises:
        ShapeError: if a node cannot take its input.
    """
    return _walk(graph, input, Walk(batch, itemsize, training=False)).peak


class TrainingPeak(NamedTuple):
    """Peak bytes of a forward and a backward pass.

    Attributes:
        activations: without the parameters' gradients.
        total: with them, as they appear one by one.
    """

    activations: int
    total: int


def peak_training(
    graph: Graph, input: Shape, batch: int = 1, itemsize: int = 4, observed: bool = False
) -> TrainingPeak:
    """Peak bytes of activations and gradients in a forward and a backward pass.

    Args:
        graph: the network; dead nodes do not run.
        input: shape of one image, which needs no gradient.
        batch: images.
        itemsize: bytes of an element.
        observed: whether gradients are never added in place, as in torch while a tool listens to every operator.

    Raises:
        ShapeError: if a node cannot take its input.
    """
    walk = _walk(graph, input, Walk(batch, itemsize, training=True, observed=observed))
    return TrainingPeak(walk.peak_activations, walk.peak)


def _walk(graph: Graph, input: Shape, walk: Walk) -> Walk:
    image = Value(walk.new(walk.nbytes(input)), input, None)
    walk.back(walk.run(graph, [image]))
    return walk
