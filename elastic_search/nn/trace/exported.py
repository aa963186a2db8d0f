"""A module read with ``torch.export``, which records one run."""

from __future__ import annotations

import contextlib
import io
import logging

import torch
from torch import fx, nn

from elastic_search.arch.ops import Shape
from elastic_search.nn.trace import rules
from elastic_search.nn.trace.call import Call, dotted
from elastic_search.nn.trace.nesting import IMAGE
from elastic_search.nn.trace.reader import Reader, Value, image, operands
from elastic_search.nn.trace.tables import MODULES


def by_export(module: nn.Module, input: Shape) -> Reader:
    """Read a module by one run of it."""
    # Without torch's log and the code that it prints when it gives up; its exception says why.
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stderr(io.StringIO()):
            program = torch.export.export(module, (image(module, input),), strict=False)
    finally:
        logging.disable(before)
    signature = program.graph_signature
    reader = Reader(module, input)
    nodes = list(program.graph.nodes)
    at = 0
    while at < len(nodes):
        node, at = nodes[at], at + 1
        if node.op == "placeholder":
            name = signature.inputs_to_parameters.get(node.name)
            is_image = node.name in signature.user_inputs
            reader.values[node] = Value((IMAGE,) if is_image else (), (reader.names[name],) if name else ())
        elif node.op == "output":
            returned = [n for n in node.all_input_nodes if n.name in signature.user_outputs]
            reader.outputs = reader.gathered(returned).sources
        else:
            stack, whole = _exported_stack(module, node)
            group = [node]
            while whole is not None and at < len(nodes) and _exported_stack(module, nodes[at]) == (stack, whole):
                group.append(nodes[at])
                at += 1
            reads = [read for member in group for read in operands(member) if read not in group]
            result = group[-1].meta.get("val")
            if whole is None:
                args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: n.meta.get("val"))
                call = Call.of(node.target, args, kwargs, result)
            else:
                # Parameters are the module's own.
                reads = [read for read in reads if reader.values[read].sources]
                call = Call.of(whole, tuple(read.meta.get("val") for read in reads), {}, result)
            reader.read(node, call, stack, reads)
            for member in group:
                reader.values[member] = reader.values[node]
    return reader


def _exported_stack(module: nn.Module, node: fx.Node) -> tuple[tuple[str, ...], nn.Module | None]:
    """The module calls around an exported node, and the innermost module where that is one operation."""
    keys: list[str] = []
    for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
        if path:
            path = path.partition("@")[0]
            _, at, call = key.partition("@")
            keys.append(path + at + call)
            found = module.get_submodule(path)
            if type(found) in MODULES or dotted(type(found)) in rules.RULES:
                return tuple(keys), found
    return tuple(keys), None
