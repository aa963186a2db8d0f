"""A training as bytes, from which it continues bit for bit."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import torch
from torch import nn

State = dict[str, Any]
"""``identity``, a text that no other training has; ``curve``, the accuracy after each epoch; ``loss``, the mean of the
last epoch; ``seconds`` of training and testing, over all starts."""


class DamagedError(Exception):
    """The bytes are not what ``to_bytes`` made."""


def to_bytes(net: nn.Module, optimizer: torch.optim.Optimizer, state: State) -> bytes:
    """The training after an epoch."""
    content = io.BytesIO()
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **state}, content)
    return content.getvalue()


def from_bytes(
    content: bytes, net: nn.Module, optimizer: torch.optim.Optimizer, state: State, device: torch.device
) -> State:
    """Restore the network and the optimiser from what ``to_bytes`` gave, and return the state at that point.

    If the checkpoint belongs to another training, which has another ``identity``, nothing changes and ``state`` is
    returned.

    Raises:
        DamagedError: if the content is damaged.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if file.testzip() is not None:  # torch does not check the checksums that it writes
                raise ValueError("checksum")
        found = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        if found["identity"] != state["identity"]:
            return state
        net.load_state_dict(found["net"])
        optimizer.load_state_dict(found["optimizer"])
        return {key: found[key] for key in state}
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # a damaged file can make the reader fail in any way
        raise DamagedError(type(error).__name__) from None
