"""Tensors without numbers, which a module's code cannot tell from others.

A hollow tensor has its type, shape, strides and device. All of a run share one piece of memory that nobody reads or
writes, as large as the largest of them. What is computed from parameters and constants alone is computed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

_SMALL = 1 << 20
"""Elements up to which numbers are kept that do not depend on the image."""


class NumbersAsked(BaseException):
    """A number is asked for that a hollow tensor does not have; the text names what the module's code asks with.

    Code that catches every ``Exception`` must not catch this one: it would take another branch.
    """


class Hollow:
    """Runs operators on the shapes of their operands."""

    def __init__(self) -> None:
        self.memory: dict[torch.device, torch.UntypedStorage] = {}
        self.unknown: set[int] = set()
        self.kept: list[torch.UntypedStorage] = []
        self.metas: dict[int, tuple[Tensor, Tensor]] = {}

    def empty(self, like: Tensor, device: torch.device | None = None) -> Tensor:
        """A hollow tensor with the type, shape and strides of another."""
        device = like.device if device is None else device
        if device.type == "meta":
            return torch.empty_strided(like.size(), like.stride(), dtype=like.dtype, device=device)
        extent = 1 + sum((size - 1) * stride for size, stride in zip(like.size(), like.stride(), strict=True))
        size = extent * like.element_size() if like.numel() else 0
        memory = self.memory.get(device)
        if memory is None or memory.nbytes() < size:
            memory = self.memory[device] = torch.empty(max(size, 1), dtype=torch.uint8, device=device).untyped_storage()
            self._mark(memory)
        return torch.empty(0, dtype=like.dtype, device=device).set_(memory, 0, like.size(), like.stride())

    def _mark(self, storage: torch.UntypedStorage) -> None:
        self.unknown.add(storage._cdata)
        self.kept.append(storage)

    def is_hollow(self, tensor: Tensor) -> bool:
        return tensor.device.type != "meta" and tensor.untyped_storage()._cdata in self.unknown

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of an aten operator.

        Raises:
            NumbersAsked: if it depends on numbers that are not there.
        """
        operands = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        views = func.is_view or torch.Tag.inplace_view in func.tags
        if views or (all(tensor.device.type == "meta" for tensor in operands) and operands):
            return func(*args, **kwargs)
        if not any(map(self.is_hollow, operands)) and sum(tensor.numel() for tensor in operands) <= _SMALL:
            return func(*args, **kwargs)
        if _asks(func, operands):
            raise NumbersAsked(str(func).removesuffix(".default"))
        if func is torch.ops.aten.convolution.default and not operands[0].numel():
            raise RuntimeError("a convolution of nothing")  # the rule for shapes takes it; on zeros torch decides
        device = kwargs.get("device")
        if device is None:
            device = next((tensor.device for tensor in operands if tensor.ndim), operands[0].device)
        shadow = {**kwargs, "device": torch.device("meta")} if kwargs.get("device") is not None else kwargs
        try:
            result = func(*tree_map_only(Tensor, self._meta, args), **tree_map_only(Tensor, self._meta, shadow))
        except Exception:
            # The operator has no rule for shapes, or refuses these: on zeros it runs, or says so itself.
            raise NumbersAsked from None
        written = list(self._written(func, args, kwargs))
        if written:
            return self._write(written, result)
        return tree_map_only(Tensor, lambda tensor: self.empty(tensor, torch.device(device)), result)

    def _meta(self, tensor: Tensor) -> Tensor:
        if tensor.device.type == "meta":
            return tensor
        return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")

    @staticmethod
    def _written(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Tensor]:
        """The arguments that an operator overwrites."""
        for i, argument in enumerate(func._schema.arguments):
            if argument.alias_info is not None and argument.alias_info.is_write:
                found = args[i] if i < len(args) else kwargs.get(argument.name)
                yield from (leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor))

    def _write(self, written: list[Tensor], result: Any) -> Any:
        shapes = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        for tensor, new in zip(written, shapes, strict=False):
            if tensor.shape != new.shape:
                larger = self.empty(new, tensor.device)
                tensor.set_(larger.untyped_storage(), 0, larger.size(), larger.stride())
            self._mark(tensor.untyped_storage())
        return tuple(written) if isinstance(result, (tuple, list)) else written[0] if shapes else result


_ASKS = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)


def _asks(func: Any, operands: list[Tensor]) -> bool:
    """Whether an operator's result, or its shape, depends on numbers."""
    if func is torch.ops.aten.index.Tensor:
        return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in operands[1:])
    return any(tag in func.tags for tag in _ASKS)
