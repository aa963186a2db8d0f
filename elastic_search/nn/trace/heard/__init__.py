"""What every tool counts for a call as it ran: its own rule, on the tensors that went in and came out.

The rules of ``cost.tools`` are for ops on one image. These hold for tensors of any axes and batch, for subclasses and
own layer classes, and are asked of every call: of each function what fvcore counts, and of each module what the tools
count that hook modules. ptflops also replaces functions, and is heard where its replacements are called.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Container
from typing import Any

from torch import Tensor, nn

from elastic_search.cost.tools import FVCORE, PTFLOPS, THOP, TORCHINFO
from elastic_search.nn.trace.call import Call
from elastic_search.nn.trace.dispatched import Ran
from elastic_search.nn.trace.heard import fvcore, ptflops, thop, torchinfo

Counts = Counter[str]
"""A count by name of convention, and fvcore's "activations"."""


def of_function(call: Call) -> Counts:
    """What fvcore counts for a call of a function, a method or an operator."""
    counts = Counts()
    rule = fvcore.RULES.get(call.name)
    if call.mapped and call.name not in fvcore.RESIZED:
        rule = None  # torch.jit.trace records what a transform makes of it
    if call.name in fvcore.CELLS:
        counts[FVCORE.name], counts["activations"] = fvcore.of_cell(call)
    elif rule is not None and isinstance(call.result, Tensor) and not call.mutates:
        counts[FVCORE.name] = int(rule(call))
        if call.name in fvcore.ACTIVATIONS and not (call.name.startswith("conv") and fvcore.in_words(call)):
            counts["activations"] = call.result.numel()
    return +counts


def of_mapped(call: Call, ran: Ran) -> Counts:
    """What fvcore counts for a call that a transform ran: torch.jit.trace records the operators below it."""
    if not call.mapped:
        return Counts()
    count = ran.flops // 2
    if ran.flops and call.name in ("matmul", "mm", "bmm") and call.args[0].ndim <= call.result.ndim:
        count = call.args[0].numel() * call.result.shape[-1]  # the first operand may be the smaller one
    return +Counts({FVCORE.name: int(count), "activations": ran.outputs})


def of_module(module: nn.Module, args: tuple[Any, ...], result: Any, *, counted_by: Counter[str]) -> Counts:
    """What the tools that hook modules count for a call of one.

    Args:
        module: any module, a layer of torch or not.
        args: its positional inputs, which are all that hooks are given.
        result: what it returned.
        counted_by: how often each tool adds the module up: once for each parent.
    """
    counts, kind = Counts(), type(module)
    for name, rules in ((PTFLOPS.name, ptflops.layers()), (THOP.name, thop.RULES)):
        rule = rules.get(kind)
        if rule is not None and args and counted_by[name]:
            with contextlib.suppress(Exception):  # as the tool itself fails
                counts[name] = int(rule(module, args, result)) * counted_by[name]
    if not any(True for _ in module.children()):
        counts[TORCHINFO.name] = torchinfo.of_layer(module, result)
    return +counts


def parents(root: nn.Module) -> dict[int, Counter[str]]:
    """How often ptflops and thop add up the calls of each module, which may have several parents.

    Both add a module once for each way to it that ends at the first layer that they count. thop also hears each call
    once for each way there is.
    """
    found: dict[int, Counter[str]] = {}

    def visit(module: nn.Module, name: str, layers: Container[type]) -> None:
        found.setdefault(id(module), Counter())[name] += 1
        if module is root or type(module) not in layers:
            for child in module.children():
                visit(child, name, layers)

    visit(root, "hooks", ())
    visit(root, THOP.name, thop.RULES)
    if type(root) not in ptflops.layers():
        visit(root, PTFLOPS.name, ptflops.layers())
    else:
        found[id(root)][PTFLOPS.name] = 1
    for times in found.values():
        times[THOP.name] *= times.pop("hooks")
    return found
