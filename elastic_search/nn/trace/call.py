"""A call of a torch module or function, and its names and shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

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


def unmapped(tensor: Tensor) -> Tensor:
    """The tensor inside those that ``torch.vmap`` and other transforms hand to the code that they run."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def dotted(target: Any) -> str:
    """The name of a class, a function, a method or an operator of torch."""
    if isinstance(target, torch._ops.OpOverload):
        return f"{target.namespace}.{target._opname}"
    if isinstance(target, torch._ops.OpOverloadPacket):
        return str(target)
    if getattr(target, "__name__", "") == "__get__":
        return f"torch.Tensor.{target.__self__.__name__}"
    name = getattr(target, "__qualname__", getattr(target, "__name__", type(target).__qualname__))
    if "<locals>" in name:
        name = target.__name__
    if name.startswith(("TensorBase.", "Tensor.")):
        return f"torch.Tensor.{name.partition('.')[2]}"
    home = getattr(target, "__module__", None) or "torch"
    return f"{home}.{name.removeprefix('_VariableFunctionsClass.')}"


def _plain(value: Any) -> Any:
    """A number of NumPy as Python's own, whose products do not overflow."""
    if isinstance(value, (tuple, list)) and not isinstance(value, torch.Size):
        return type(value)(map(_plain, value)) if type(value) in (tuple, list) else value
    return value.item() if hasattr(value, "item") and not isinstance(value, Tensor) else value


@dataclass(frozen=True)
class Call:
    """A call of a module or a function.

    Attributes:
        label: full name, for people and for registered rules.
        name: torch's short name of a function, without the underscore of an in-place one.
        module: None for a function.
        spelling: how it is written, as in ``Node``.
        mutates: whether a tensor is overwritten.
        written: the overwritten tensor, if it is not the first argument.
        mapped: whether a transform such as ``torch.vmap`` ran it on tensors that hold more than its code sees; the
            tensors here are whole.
    """

    label: str
    name: str
    module: nn.Module | None
    spelling: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Any
    mutates: bool
    written: Tensor | None = None
    mapped: bool = False

    @staticmethod
    def of_module(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> Call:
        kind = type(module)
        label = f"torch.nn.{kind.__name__}" if kind.__module__.startswith("torch.nn.modules") else dotted(kind)
        return Call(label, "", module, "module", args, kwargs, result, bool(getattr(module, "inplace", False)))

    @staticmethod
    def of_function(target: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any, written_as: str) -> Call:
        """A call of a function or a method; ``written_as`` is "operator", "function" (of torch.nn.functional) or ""."""
        label, written = dotted(target), kwargs.get("out")
        name = label.rpartition(".")[2]
        if name.startswith("__"):
            name, written_as = name.strip("_"), "operator"
        if name == "setitem":
            written, kwargs = args[0], {}
        elif isinstance(written, tuple):
            written = written[0]
        kwargs = {key: value for key, value in kwargs.items() if key != "out"}
        overwrites = (name.endswith("_") and name not in _NO_WRITES) or name in _IN_PLACE
        mutates = overwrites or written is not None
        mutates = mutates or kwargs.get("inplace") is True or (len(args) > 1 and args[1] is True)
        if overwrites:
            name = _IN_PLACE.get(name, name.rstrip("_"))
        function = getattr(torch.nn.functional, name, None)
        # A replaced function wraps the one that is called.
        of_functional = target in (function, getattr(function, "__wrapped__", None))
        spelling = written_as or ("function" if of_functional else "method")
        if mutates and name in ARITHMETIC:
            spelling = "operator"  # no tool listens to arithmetic in place
        return Call(label, name, None, spelling, args, kwargs, result, mutates, written)

    def whole(self) -> Call:
        """The call on the tensors inside those that a transform hands out, if one does."""
        if torch._C._functorch.peek_interpreter_stack() is None:
            return self
        args, kwargs, result, written = tree_map_only(
            Tensor, unmapped, (self.args, self.kwargs, self.result, self.written)
        )
        return replace(self, args=args, kwargs=kwargs, result=result, written=written, mapped=True)

    def get(self, position: int, name: str, default: Any = None) -> Any:
        """An argument by position or name; for a module, its attribute of that name, except for the input."""
        if self.module is not None and position:
            found = getattr(self.module, name, default)
        elif len(self.args) > position:
            found = self.args[position]
        else:
            found = self.kwargs.get(name, default)
        return _plain(found)


Converter = Callable[[Call, tuple[Shape, ...], Shape], Op | None]

_NO_WRITES = ("requires_grad_", "detach_", "rename_", "share_memory_")
_IN_PLACE = {"iadd": "add", "isub": "sub", "imul": "mul", "itruediv": "div", "setitem": "setitem"}
ARITHMETIC = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "div", "truediv": "div", "multiply": "mul", "subtract": "sub",
    "divide": "div", "true_divide": "div",
}  # fmt: skip
