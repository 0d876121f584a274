"""The moving average of a network's weights over the steps: steadier than the last ones."""

import copy

import torch
from torch import nn


class Average:
    """Exponential moving average of weights and batch statistics, `module`, in the network's own layout.

    decay: share of the old average that a step keeps, below 1. At the start less is kept, (1 + step) / (10 +
    step), so that the untrained weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the network after `step` (0, 1, ...)."""
        kept = min(self.decay, (1 + step) / (10 + step))
        mine, other = self.module.state_dict(), network.state_dict()
        floats = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in floats], [other[name] for name in floats], 1 - kept)
        for name in mine.keys() - set(floats):
            mine[name].copy_(other[name])
