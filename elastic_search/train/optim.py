"""The optimiser of a training, and its learning rate."""

from __future__ import annotations

import torch
from torch import nn

from elastic_search.recipes import Training


def make_optimizer(net: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW, without weight decay on batch normalisation and biases.

    Not the paper's SGD: in the few hundred steps of a proxy, SGD leaves these deep, narrow networks near chance.
    """
    weights = [p for p in net.parameters() if p.ndim > 1]
    others = [p for p in net.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": training.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=training.learning_rate, betas=training.betas, fused=True)


def learning_rate(step: int, steps: int, training: Training) -> float:
    """The rate of step ``step`` of ``steps``, which count from 0: up to the peak, then down to zero."""
    top = max(1.0, training.warm_up * steps)
    return training.learning_rate * min((step + 1) / top, (steps - step) / max(1.0, steps - top))
