"""A call of a torch module or function, and its names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from elastic_search.arch.ops import Op, Shape


def shape_of(tensor: Tensor) -> Shape:
    """[1, C, H, W] as C×H×W, [1, C] as C×1×1, [1, A, B] as A×1×B; the first of more axes are merged."""
    sizes = [int(size) for size in tensor.shape]
    if len(sizes) > 1 and sizes[0] == 1:
        sizes = sizes[1:]
    if len(sizes) == 2:
        sizes.insert(1, 1)
    sizes += [1] * (3 - len(sizes))
    return Shape(prod(sizes[:-2]), sizes[-2], sizes[-1])


def dotted(target: Any) -> str:
    """The name of a class, a function or an operator of torch."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target._opname}"
    if isinstance(target, torch._ops.OpOverloadPacket):
        return str(target)
    name = getattr(target, "__qualname__", getattr(target, "__name__", type(target).__qualname__))
    if "<locals>" in name:
        name = target.__name__
    home = getattr(target, "__module__", None) or "torch"
    return f"{home}.{name}"


@dataclass(frozen=True)
class Call:
    """A call of a module or a function; tensors among the arguments hold no numbers.

    Attributes:
        label: full name, for people and for registered rules.
        name: torch's short name of a function, without the underscore of an in-place one.
        module: None for a function.
        spelling: how it is written, as in ``Node``.
        mutates: whether the first argument is overwritten.
    """

    label: str
    name: str
    module: nn.Module | None
    spelling: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    mutates: bool

    @staticmethod
    def of(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Call:
        if isinstance(target, nn.Module):
            mutates = bool(getattr(target, "inplace", False))
            kind = type(target)
            label = f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.modules") else dotted(kind)
            return Call(label, "", target, "module", args, kwargs, result, mutates)
        if isinstance(target, str):
            name, label, spelling = target, f"torch.Tensor.{target}", "method"
        else:
            label = dotted(target)
            name = label.rpartition(".")[2]
            if label.startswith("_operator."):
                spelling = "operator"
            elif isinstance(target, torch._ops.OpOverload):
                # Exporting loses the name by which an operator was called; these are the most common.
                spelling = "operator" if name.rstrip("_") in ARITHMETIC else "function"
            else:
                spelling = "function" if getattr(torch.nn.functional, name, None) is target else "method"
        overwrites = (name.endswith("_") and not name.endswith("__")) or name in _IN_PLACE
        mutates = overwrites or kwargs.get("inplace") is True or (len(args) > 1 and args[1] is True)
        if overwrites:
            name = _IN_PLACE.get(name, name.rstrip("_"))
        if mutates and name in ARITHMETIC:
            spelling = "operator"  # no tool listens to arithmetic in place
        return Call(label, name, None, spelling, args, kwargs, result, mutates)

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name; for a module, its attribute of that name, except for the input."""
        if self.module is not None and position:
            return getattr(self.module, name, default)
        if len(self.args) > position:
            return self.args[position]
        return self.kwargs.get(name, default)


Converter = Callable[[Call, tuple[Shape, ...], Shape], Op | None]

_IN_PLACE = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "setitem": "setitem"}
ARITHMETIC = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "truediv": "div", "multiply": "mul", "subtract": "sub",
    "divide": "div", "true_divide": "div",
}  # fmt: skip
