"""A user's module is run, and afterwards is as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; afterwards modes, attributes, buffers and random number generators are restored.

    What the module holds in objects of its own, such as a list, is not looked at.
    """
    parts = [(part, dict(vars(part)), _registries(part)) for part in module.modules()]
    numbers = [(buffer, buffer.clone()) for buffer in module.buffers() if not buffer.is_meta]
    devices = sorted({parameter.device.index for parameter in module.parameters() if parameter.is_cuda})
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=devices):
            for part, _, _ in parts:
                part.training = False
            yield
    finally:
        for part, attributes, registries in parts:
            vars(part).clear()
            vars(part).update(attributes)
            for name, entries in registries.items():
                attributes[name].clear()
                attributes[name].update(entries)
        for buffer, saved in numbers:
            if not torch.equal(buffer, saved):
                buffer.copy_(saved)


def _registries(part: nn.Module) -> dict[str, dict[str, object]]:
    """Its buffers, hooks and the like, by the name of the dict that holds them."""
    return {name: dict(value) for name, value in vars(part).items() if name.startswith("_") and isinstance(value, dict)}
