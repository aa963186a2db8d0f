"""A module read with ``torch.fx``, which follows its Python code."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from elastic_search.arch.ops import Shape
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.call import Call, dotted
from elastic_search.nn.trace.nesting import IMAGE
from elastic_search.nn.trace.reader import Reader, Value, image, operands


class Tracer(fx.Tracer):
    """Stops at modules that are one operation, and at those that have a registered rule."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        containers = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
        torchs = type(m).__module__.startswith("torch.nn.modules") and not isinstance(m, containers)
        return torchs or dotted(type(m)) in rules.RULES


class _Sizes(fx.Interpreter):
    """Records what every node returns, without the numbers."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.results: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.results[n] = torch.utils._pytree.tree_map_only(
            Tensor, lambda tensor: torch.empty_like(tensor, device="meta"), result
        )
        return result


def _results(module: fx.GraphModule, image: Tensor) -> dict[fx.Node, Any]:
    """What every node returns; computed for real only if the size of a result depends on numbers."""
    sizes = _Sizes(module)
    try:
        with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True) as mode:
            sizes.run(mode.from_tensor(image))
    except Exception:
        sizes = _Sizes(module)
        sizes.run(image)
    return sizes.results


def by_fx(module: nn.Module, input: Shape) -> Reader:
    """Read a module by its Python code."""
    tracer = Tracer(autowrap_functions=tuple(rules.RULED.values()))
    graph = tracer.trace(module)
    results = _results(fx.GraphModule(tracer.root, graph), image(module, input))
    reader = Reader(module, input)
    for node in graph.nodes:
        if node.op == "placeholder":
            first = not any(IMAGE in value.sources for value in reader.values.values())
            reader.values[node] = Value((IMAGE,)) if first else Value()
        elif node.op == "get_attr":
            name = reader.names.get(str(node.target))
            reader.values[node] = Value((), (name,) if name else ())
        elif node.op == "output":
            reader.outputs = reader.gathered(node.all_input_nodes).sources
        else:
            args, kwargs = fx.map_arg((node.args, node.kwargs), results.get)
            stack = tuple(node.meta.get("nn_module_stack") or ())
            called = module.get_submodule(str(node.target)) if node.op == "call_module" else node.target
            reader.read(node, Call.of(called, args, kwargs, results[node]), stack, operands(node))
    return reader
