"""The optimiser and the learning rate of a training."""

from __future__ import annotations

import torch
from torch import nn

from elastic_search.recipes import Training


def make_optimizer(net: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW, without weight decay on batch normalisation and biases.

    The paper uses SGD, but the few hundred steps of a proxy leave these deep, narrow networks near chance with it.
    """
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)


def learning_rate(step: int, steps: int, training: Training) -> float:
    """Learning rate at ``step``, counted from 0, of ``steps``: it rises to its peak, then falls to zero."""
    top = max(1.0, training.warm_up * steps)
    return training.learning_rate * min((step + 1) / top, (steps - step) / max(1.0, steps - top))
