"""A training as bytes, from which it goes on bit for bit."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import torch
from torch import nn


class DamagedError(Exception):
    """Bytes are not what ``to_bytes`` made."""


def to_bytes(net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> bytes:
    """The training after an epoch; ``state`` holds numbers, texts and lists of them."""
    content = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **state}, content)
    return content.getvalue()


def from_bytes(
    content: bytes, net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any], device: torch.device
) -> dict[str, Any]:
    """Go on from a checkpoint of the same training: its state; ``state`` itself if it is of another training.

    Args:
        content: what ``to_bytes`` gave.
        net: gets the weights.
        optimizer: gets what it remembers.
        state: of the beginning; its ``identity`` tells trainings apart.
        device: of the weights.

    Raises:
        DamagedError: if the content is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if file.testzip() is not None:  # torch does not look at the checksums that it writes
                raise ValueError("checksum")
        found = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        if found["identity"] != state["identity"]:
            return state
        net.load_state_dict(found["net"])
        optimizer.load_state_dict(found["optimizer"])
        return {key: found[key] for key in state}
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a damaged file makes the reader fail in any way
        raise DamagedError(type(error).__name__) from None
