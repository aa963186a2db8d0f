"""The optimiser and the learning rate of a training."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from elastic_search.recipes import Training

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the odd quintic of Jordan et al. 2024, which takes singular values from (0, 1] to about 1."""


def make_optimizer(net: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The recipe's optimiser, without weight decay on batch normalisation and biases.

    The paper uses SGD; in the few hundred steps of a proxy these deep, narrow networks learn less with it.
    """
    found = _matrices(net) if training.optimizer == "muon" else []
    matrices = {id(p) for p in found}
    rest = [p for p in net.parameters() if id(p) not in matrices]
    weights, others = [p for p in rest if p.ndim > 1], [p for p in rest if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": training.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    # On CUDA the learning rate is read from the device, where a recorded step finds it.
    on_cuda = next(net.parameters()).device.type == "cuda"
    if training.optimizer == "adamw":
        made: torch.optim.Optimizer = torch.optim.AdamW(
            groups, lr=training.learning_rate, betas=training.betas, fused=True, capturable=on_cuda
        )
    elif training.optimizer == "sgd":
        momentum = training.momentum
        # torch has no Nesterov step without momentum.
        made = torch.optim.SGD(groups, lr=training.learning_rate, momentum=momentum, nesterov=momentum > 0, fused=True)
    else:
        made = Muon(found, groups, training.learning_rate, training.adamw_lr, training)
    for group in made.param_groups if on_cuda else ():
        group["lr"] = torch.tensor(float(group["lr"]), device=group["params"][0].device)
    return made


def schedule(step: int, steps: int, training: Training) -> float:
    """Factor of the peak at ``step``, counted from 0, of ``steps``: it rises to 1, then falls to zero."""
    top = max(1.0, training.pct_start * steps)
    left = (steps - step) / max(1.0, steps - top)
    falling = left if training.schedule == "triangular" else (1 - math.cos(math.pi * min(1.0, left))) / 2
    return min((step + 1) / top, falling)


def set_learning_rate(optimizer: torch.optim.Optimizer, step: int, steps: int, training: Training) -> None:
    """Set the learning rate of every group for ``step`` of ``steps``."""
    factor, muon = schedule(step, steps, training), training.optimizer == "muon"
    for group in optimizer.param_groups:
        rate = (training.adamw_lr if muon and "betas" in group else training.learning_rate) * factor
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go on with the state of an optimiser of the same recipe, on this one's device and with its settings."""
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(state)
    for group, own in zip(optimizer.param_groups, settings, strict=True):
        group.update(own)


def _matrices(net: nn.Module) -> list[Tensor]:
    """Weights of the 1 × 1 convolutions: the only layers here whose weight is one matrix over all channels."""
    convs = (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.groups == 1)
    return [conv.weight for conv in convs if min(conv.weight.shape[:2]) > 1]


class Muon(torch.optim.Optimizer):
    """Muon for 1 × 1 convolutions, AdamW for everything else: one optimiser with one ``state_dict``.

    Muon ("momentum orthogonalised by Newton–Schulz") moves a matrix by the nearest orthogonal matrix to its momentum,
    so that all directions move equally far. ``torch.optim.Muon`` takes matrices only, one at a time; here all of one
    shape are orthogonalised as one batch, because the layers of a proxy are many and small.

    Args:
        matrices: weights of 1 × 1 convolutions, [out, in, 1, 1].
        groups: groups of the other parameters, each with its ``weight_decay``.
        lr: of the matrices.
        adamw_lr: of the others.
        training: gives momentum, Newton–Schulz steps and AdamW's betas.

    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks",
    https://kellerjordan.github.io/posts/muon.
    """

    def __init__(
        self, matrices: list[Tensor], groups: list[dict[str, Any]], lr: float, adamw_lr: float, training: Training
    ) -> None:
        muon = {"params": matrices, "lr": lr, "momentum": training.momentum, "ns_steps": training.ns_steps}
        # "fused" also tells load_state_dict that a parameter's step stays a float on its device.
        common = {"lr": adamw_lr, "betas": training.betas, "eps": 1e-8, "fused": True}
        super().__init__([muon] * bool(matrices) + [{**group, **common} for group in groups if group["params"]], {})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            (self._adamw if "betas" in group else self._muon)(group, params)
        return loss

    def _muon(self, group: dict[str, Any], params: list[Tensor]) -> None:
        shapes: dict[torch.Size, list[Tensor]] = {}
        for p in params:
            shapes.setdefault(p.shape, []).append(p)
        for shape, alike in shapes.items():
            for p in alike:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            kept, gradients = (
                [self.state[p]["momentum_buffer"] for p in alike],
                [p.grad for p in alike if p.grad is not None],
            )
            torch._foreach_mul_(kept, group["momentum"])
            torch._foreach_add_(kept, gradients)
            updates = torch._foreach_add(gradients, kept, alpha=group["momentum"])  # Nesterov's momentum
            steps = orthogonal(torch.stack(updates).flatten(2), group["ns_steps"])
            # A tall matrix has fewer directions than outputs: a longer step moves each output as far.
            steps = steps * (group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5)
            torch._foreach_sub_(alike, list(steps.view(-1, *shape).unbind()))

    def _adamw(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if not params:
            return
        states = [self.state[p] for p in params]
        for p, state in zip(params, states, strict=True):
            if not state:
                state["step"] = torch.zeros((), device=p.device)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
        averages, squares, steps = ([s[key] for s in states] for key in ("exp_avg", "exp_avg_sq", "step"))
        beta1, beta2 = group["betas"]
        adamw(
            params, [p.grad for p in params if p.grad is not None], averages, squares, [], steps, fused=True,
            amsgrad=False, beta1=beta1, beta2=beta2, lr=group["lr"], weight_decay=group["weight_decay"],
            eps=group["eps"], maximize=False,
        )  # fmt: skip


def orthogonal(matrices: Tensor, steps: int) -> Tensor:
    """Matrices with the singular vectors of the given ones and singular values near 1: [N, rows, columns].

    After five steps all singular values that were at least 1 % of the norm are between about 0.7 and 1.2.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices  # the products below are of the shorter side
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square: Tensor = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    found: Tensor = x.mT if tall else x
    return found
