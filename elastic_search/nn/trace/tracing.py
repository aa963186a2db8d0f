"""From a module to its graph: read it, give each parameter to one node, nest."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn

from elastic_search.arch import traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.network import Network
from elastic_search.arch.ops import Shape
from elastic_search.cost.tally import count, tally
from elastic_search.cost.tools import FVCORE
from elastic_search.errors import ElasticError, SpecError
from elastic_search.nn.trace.call import shape_of
from elastic_search.nn.trace.factory import said
from elastic_search.nn.trace.nesting import IMAGE, Item, Nesting, levels, live
from elastic_search.nn.trace.reader import Reader, image, tensors
from elastic_search.nn.trace.recorder import record
from elastic_search.nn.unchanged import unchanged

Input = tuple[int, ...] | Tensor
"""A shape without the batch, or a tensor with it."""


@dataclass(frozen=True)
class Reading:
    """What was read from a module.

    Attributes:
        graph: what it ran, nested like the modules; valid at this size only.
        input: shape of the image, the first input.
        given: the tensors on which it ran, by position.
        notes: what a reader of its counts should know, a sentence each.
    """

    graph: Graph
    input: Shape
    given: tuple[Tensor, ...]
    notes: tuple[str, ...] = ()


def network(label: str, module: nn.Module, input: Input | Sequence[Input]) -> Network:
    """A module under its name, read as ``read`` does."""
    found = read(module, input)
    return Network(label, found.graph, module=module, notes=found.notes, given=found.given)


def trace(module: nn.Module, input: Input | Sequence[Input], **keywords: Input) -> Graph:
    """The graph of ``read``: what a module runs on one image."""
    return read(module, input, **keywords).graph


def read(module: nn.Module, input: Input | Sequence[Input], **keywords: Input) -> Reading:
    """Run a module once, in eval mode, and read what it does; the module itself is not changed.

    Args:
        module: takes a batch of one image, and whatever else is given, and returns tensors.
        input: (channels, height, width) of the image; a tensor that is passed as it is; or several of both, for a
            module of several inputs, where a shape is that of one image's part of the batch.
        keywords: inputs that the module takes by name, written as ``input`` is.

    Raises:
        SpecError: if the module does not run on these inputs; says why.
    """
    if any(nn.parameter.is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise SpecError("the module has lazy layers that have no shape yet", "run it once on an image first")
    args, named = inputs(module, input), {name: one_input(module, value) for name, value in keywords.items()}
    first = next(tensors((args, named)), None)
    if first is None:
        raise SpecError(
            f"{type(module).__name__} is given no tensor", "give the shape of an image, such as (3, 224, 224)"
        )
    shape = shape_of(first)
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), unchanged(module):
        warnings.simplefilter("ignore")
        try:
            reader, ran = record(module, args, named, lambda: Reader(module, shape))
        except ElasticError:
            raise
        except Exception as error:
            vector = (
                args[0].flatten(1) if shape[1:] == (1, 1) and isinstance(first, Tensor) and first.ndim == 4 else None
            )
            if vector is not None and len(args) == 1 and not named:
                with contextlib.suppress(Exception):
                    return read(module, vector)
            raise SpecError(*_refusal(module, args, named, error)) from error
        notes = (
            [f"counted as it ran on an image of zeros: its code reads numbers ({ran.numbers})"] if ran.numbers else []
        )
        notes += reader.notes
        graph = _graph(reader, module)
        if ran.asked_tracing:
            traced, _ = record(module, args, named, lambda: Reader(module, shape), tracing=True)
            graph, note = _while_traced(graph, _graph(traced, module), shape, reader, module)
            notes += note
    return Reading(graph, shape, args, tuple(notes))


def inputs(module: nn.Module, input: Input | Sequence[Input]) -> tuple[Tensor, ...]:
    """The tensors that ``read`` gives a module by position."""
    if isinstance(input, Tensor):
        return (input,)
    if all(isinstance(size, int) for size in input):
        shapes: list[Any] = [input, *getattr(input, "more", ())]
        return tuple(one_input(module, shape) for shape in shapes)
    return tuple(one_input(module, cast("Input", one)) for one in input)


def one_input(module: nn.Module, value: Input) -> Tensor:
    """A tensor as it is, or a batch of one of a shape."""
    return value if isinstance(value, Tensor) else image(module, value)


def _refusal(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any], error: Exception) -> tuple[str, str]:
    """Why a module does not run, and what to do."""
    given = ", ".join("x".join(map(str, tensor.shape[1:])) for tensor in tensors((args, named)))
    text, hint = f"{type(module).__name__} does not run at {given}: {said(error)}", "give the size that it takes"
    if isinstance(error, TypeError) and "missing" in str(error) and "argument" in str(error):
        hint = "give a shape for every input, such as 3x224x224+1x64; in Python (3, 224, 224), (1, 64) in a list"
    return text, hint


def _while_traced(
    graph: Graph, traced: Graph, input: Shape, reader: Reader, module: nn.Module
) -> tuple[Graph, list[str]]:
    """The graph with fvcore's count of what runs while torch.jit.trace runs the module, as fvcore has it."""
    ours, theirs = tally(graph, input, FVCORE), tally(traced, input, FVCORE)
    if (ours.total, ours.activations) == (theirs.total, theirs.activations):
        return graph, []
    item = reader.items[reader.outputs[0]]
    own = count(item.op, tuple(map(reader.shape, item.sources)), FVCORE, item.spelling, item.recorded)[0]
    kept = dict(item.recorded) | {
        FVCORE.name: own.total + theirs.total - ours.total,
        "activations": own.activations + theirs.activations - ours.activations,
    }
    item.recorded = tuple(kept.items())
    graph = Nesting(reader.items, reader.outputs, module).graph()
    return graph, [
        f"fvcore traces the module, whose code then does something else: {theirs.total - ours.total:+,} by fvcore"
    ]


def _graph(reader: Reader, module: nn.Module) -> Graph:
    """The items as a graph, nested as the modules are, in which each parameter is counted by one node."""
    if not reader.outputs:
        raise SpecError(f"{type(module).__name__} returns no tensor that depends on the image")
    numel = {name: p.numel() for name, p in module.named_parameters()}
    items, outputs = _own(reader, numel)
    owned = {name for item in items for name in item.weights}
    for name in numel:
        if name not in owned:
            path = ("unused", *(f"unused.{level}" for level in levels((name,))))
            op, leaf = traced_ops.Unused(numel[name]), name.rpartition(".")[2]
            items.append(Item(path[:-1], leaf, op, (), Shape(0, 0, 0), (name,)))
    return Nesting(items, outputs, module).graph()


def _own(reader: Reader, numel: dict[str, int]) -> tuple[list[Item], tuple[int, ...]]:
    """The items and outputs; every parameter belongs to the first node that reads it, a live one if possible."""
    items, outputs = reader.items, reader.outputs
    read = live(items, outputs)
    owner: dict[str, int] = {}
    carried: dict[int, int] = {}
    for i in sorted(range(len(items)), key=lambda i: i not in read):
        item = items[i]
        new = tuple(name for name in item.weights if name not in owner)
        others = [owner[name] for name in item.weights if name in owner]
        owner.update(dict.fromkeys(new, i))
        count = sum(numel[name] for name in new)
        if isinstance(item.op, (traced_ops.Fixed, traced_ops.Elementwise)):
            item.op = item.op.edited(weights=count)
        elif item.op.params != count:
            # Weights of another node, or computed from others: the remainder travels in a node before this one.
            item.weights_of = others[0] if others else i
            if count:
                carried[i] = count
        item.weights = new
    if not carried:
        return items, outputs
    moved: dict[int, int] = {IMAGE: IMAGE}
    found: list[Item] = []
    for i, item in enumerate(items):
        item.sources = tuple(moved[source] for source in item.sources)
        if i in carried:
            first = item.sources[0]
            shape = found[first].output if first != IMAGE else reader.input
            op = traced_ops.Fixed("weights", (shape,), shape, carried[i])
            found.append(Item(item.stack, "weights", op, (first,), shape))
            item.sources = (len(found) - 1, *item.sources[1:])
        moved[i] = len(found)
        found.append(item)
    for item in found:
        if item.weights_of is not None:
            item.weights_of = moved[item.weights_of]
    return found, tuple(moved[output] for output in outputs)
