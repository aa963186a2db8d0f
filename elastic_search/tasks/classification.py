"""Classification of images into one class each: loss and accuracy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Mean cross-entropy with label smoothing; logits [N, classes], labels [N]."""
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


def hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the most likely class of each image is the right one: bool [N]."""
    return logits.argmax(1) == labels


def accuracy_by_group(right: Tensor, groups: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """Share of right answers in each group; groups without an image are left out.

    Args:
        right: bool [N].
        groups: int64 [N], indices into ``names``.
        names: names of the groups.
    """
    members = {name: right[groups == i] for i, name in enumerate(names)}
    return {name: found.double().mean().item() for name, found in members.items() if len(found)}
