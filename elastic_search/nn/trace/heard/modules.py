"""Families of torch's layers, and what a rule for one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

ModuleRule = Callable[[Any, tuple[Any, ...], Any], float]


def of_input(module: Any, args: tuple[Any, ...], result: Any) -> int:
    """One for each element that goes in."""
    return int(args[0].numel())


def of_output(module: Any, args: tuple[Any, ...], result: Any) -> int:
    """One for each element that comes out."""
    return int(result.numel())


def free(module: Any, args: tuple[Any, ...], result: Any) -> int:
    """A layer that the tool knows and counts as 0."""
    return 0


CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
INSTANCE_NORMS = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
AVERAGE_POOLS = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
ADAPTIVE_MAX = (nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d)
ADAPTIVE_AVERAGE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
