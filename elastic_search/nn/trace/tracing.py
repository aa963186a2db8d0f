"""From a module to its graph: read it, give each parameter to one node, nest."""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator

from torch import nn

from elastic_search.arch import traced_ops
from elastic_search.arch.graph import Graph
from elastic_search.arch.ops import Shape
from elastic_search.errors import ElasticError, SpecError
from elastic_search.nn.trace.factory import said
from elastic_search.nn.trace.nesting import IMAGE, Item, Nesting, levels, live
from elastic_search.nn.trace.reader import Reader, image
from elastic_search.nn.trace.recorder import record


def trace(module: nn.Module, input: tuple[int, int, int]) -> Graph:
    """Read a module in eval mode on one image; the module itself is not changed.

    Args:
        module: takes one batch of images and returns a tensor, or several in a tuple, list or dict.
        input: (channels, height, width) of the image; the graph is valid for this size only.

    Raises:
        SpecError: if neither torch.fx nor torch.export can read it; says why.
    """
    if any(nn.parameter.is_lazy(tensor) for tensor in (*module.parameters(), *module.buffers())):
        raise SpecError("the module has lazy layers that have no shape yet", "run it once on an image first")
    try:
        with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings(), evaluating(module):
            warnings.simplefilter("ignore")
            reader, _ = record(module, (image(module, Shape(*input)),), {}, lambda: Reader(module, Shape(*input)))
    except ElasticError:
        raise
    except Exception as error:
        raise SpecError(
            f"cannot read {type(module).__name__} at {input}: {said(error)}",
            "it must run on one image of this size",
        ) from error
    return _graph(reader, module)


@contextlib.contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """The module in eval mode; each of its parts is as it was afterwards."""
    before = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in before:
            part.training = training


def own_layers(module: nn.Module) -> tuple[str, ...]:
    """Names of a user's own classes that some counters take for layers; a graph holds the functions that they call."""
    found = set()
    for part in module.modules():
        kind = type(part)
        layer = any(_is_torchs(base) and base.__name__ != "Module" for base in kind.__mro__[1:])
        weights = any(True for _ in part.parameters(recurse=False))
        if not _is_torchs(kind) and (layer or weights) and not any(True for _ in part.children()):
            found.add(kind.__name__)
    return tuple(sorted(found))


def _is_torchs(kind: type) -> bool:
    return kind.__module__.startswith("torch.nn.modules.")


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
