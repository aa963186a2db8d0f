"""torchinfo: any module without children, by the names of its parameters."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor, nn


def of_layer(module: nn.Module, result: Any) -> int:
    """What it counts for a call of a module without children."""
    size = _size(result)
    if not size:
        return 0
    convolution, total = "Conv" in type(module).__name__, 0
    for path, parameter in module.named_parameters():
        name, count = path, parameter.numel()
        if path.endswith("_orig") and isinstance(mask := getattr(module, f"{path[:-5]}_mask", None), Tensor):
            name, count = path[:-5], int(mask.sum())
        if name in ("weight", "bias"):
            total += count * (prod(size[:1] + size[2:]) if convolution else size[0])
        elif "weight" in name or "bias" in name:
            total += count * prod(size[:2])
    return int(total)


def _size(result: Any) -> list[int]:
    """The size of a result as the tool finds it: of the first tensor in it, or of the last value of a dict."""
    if isinstance(result, dict):
        result = list(result.values())[-1] if result else None
    while isinstance(result, (tuple, list)) and result and not isinstance(result, torch.Size):
        result = result[0]
    return [int(size) for size in result.shape] if isinstance(result, Tensor) else []
