"""Peak memory of a network from its graph alone: activations, gradients, parameters and an optimiser's state. No torch.

The bytes are those of tensors: what a convolution's workspace, an allocator's rounding or a CUDA context add is not in
them. ``cost.storages`` runs the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import BatchNorm, Shape
from elastic_search.cost.storages import INDEX_BYTES, Value, Walk, parameters
from elastic_search.errors import UnknownNameError

DTYPES = {"fp32": 4, "bf16": 2, "fp16": 2}
"""Bytes of an element."""

OPTIMIZERS = {"none": 0, "sgd": 1, "adamw": 2}
"""Copies of the parameters that an optimiser keeps, in their dtype; sgd is the one with momentum."""

STEP_BYTES = 4


def itemsize(dtype: str) -> int:
    """Bytes of an element by the name of its type.

    Raises:
        UnknownNameError: if there is no such type.
    """
    if dtype not in DTYPES:
        raise UnknownNameError("dtype", dtype, list(DTYPES))
    return DTYPES[dtype]


@dataclass(frozen=True)
class Memory:
    """Bytes that a network takes.

    Attributes:
        parameters: of the live nodes.
        buffers: running statistics and batch counters of batch norms.
        gradients: of all parameters.
        optimizer: its state.
        inference: most that the image, the output and the activations take at once in inference.
        training: most that they, what is kept for the backward pass and the activations' gradients take at once.
        total_inference: most at any time in inference, parameters and buffers included.
        total_training: most at any time up to the end of the backward pass, parameters, buffers, gradients and the
            optimiser's state included; gradients appear one after the other, as after ``zero_grad()``.
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
    """What a network takes in inference and in training, in bytes.

    The module, its image and its optimiser's state have one dtype. Dead nodes are left out, as the built module leaves
    them out. The backward pass starts from a gradient of each output: what a loss keeps for itself is not counted.

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
    sizes: list[int] = []
    buffers = 0
    for _, node in graph.leaves(dead=False):
        op = node.op
        if node.weights_of is not None or isinstance(op, Graph):
            continue
        sizes += parameters(op)
        if isinstance(op, BatchNorm) and op.tracked:
            buffers += 2 * op.channels * itemsize + INDEX_BYTES
    gradients = sum(sizes) * itemsize
    # Adam counts its steps for each parameter, in fp32 whatever the parameter's dtype.
    state = OPTIMIZERS[optimizer] * gradients + (STEP_BYTES * len(sizes) if optimizer == "adamw" else 0)
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
    """Most bytes that the image, the output and the activations take at once in inference.

    Args:
        graph: the network, of which dead nodes do not run.
        input: shape of one image.
        batch: images.
        itemsize: bytes of an element.

    Raises:
        ShapeError: if a node cannot take its input.
    """
    return _walk(graph, input, Walk(batch, itemsize, training=False)).peak


class TrainingPeak(NamedTuple):
    """Most bytes at once in a forward and a backward pass.

    Attributes:
        activations: without the parameters' gradients.
        total: with them, as they appear one after the other.
    """

    activations: int
    total: int


def peak_training(
    graph: Graph, input: Shape, batch: int = 1, itemsize: int = 4, observed: bool = False
) -> TrainingPeak:
    """Most bytes that activations and gradients take at once in a forward and a backward pass.

    Args:
        graph: the network, of which dead nodes do not run.
        input: shape of one image, which needs no gradient.
        batch: images.
        itemsize: bytes of an element.
        observed: whether gradients are never added in place: so torch does while a tool listens to every operator.

    Raises:
        ShapeError: if a node cannot take its input.
    """
    walk = _walk(graph, input, Walk(batch, itemsize, training=True, observed=observed))
    return TrainingPeak(walk.peak_activations, walk.peak)


def _walk(graph: Graph, input: Shape, walk: Walk) -> Walk:
    image = Value(walk.new(walk.nbytes(input)), input, None)
    walk.back(walk.run(graph, [image]))
    return walk
