"""A moving average of a network's weights, which is tested in place of the weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Average:
    """Averages of all weights and of batch norms' statistics, updated after every step.

    After n steps the newest weights count 1 - min(decay, (1 + n) / (10 + n)), so that a short training does not end
    with the average of its first weights.

    Args:
        net: the network, on its device.
        decay: see ``Training.ema``.
    """

    def __init__(self, net: nn.Module, decay: float) -> None:
        self._decay = decay
        state = net.state_dict(keep_vars=True)
        # What is counted, such as batches, is not averaged.
        self._averaged = {key: value for key, value in state.items() if value.is_floating_point()}
        self.weights = {key: value.detach().clone() for key, value in self._averaged.items()}
        device = next(iter(self.weights.values())).device
        # A tensor, which a recorded step reads anew.
        self._newest = torch.zeros((), device=device)

    def before(self, steps: int) -> None:
        """Tell how many steps the training has made, before ``update`` follows the next one."""
        self._newest.fill_(1 - min(self._decay, (1 + steps) / (10 + steps)))

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the weights."""
        kept = list(self.weights.values())
        away = torch._foreach_sub([value.detach() for value in self._averaged.values()], kept)
        torch._foreach_mul_(away, self._newest)
        torch._foreach_add_(kept, away)

    @torch.no_grad()
    def load(self, weights: dict[str, Tensor]) -> None:
        """Go on with the averages of a checkpoint.

        Raises:
            KeyError: if one is missing.
        """
        for key, value in self.weights.items():
            value.copy_(weights[key])
