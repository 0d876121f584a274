"""Batch norm and dropout that treat the parts of a batch in all processes as the one batch that it is."""

import torch
import torch.distributed as dist
from torch import Tensor, nn

from magan_core.training.distributed import Team


def share(network: nn.Module, team: Team, device: torch.device) -> nn.Module:
    """The network with layers that know of the other processes; names and weights stay.

    On a GPU batch norm becomes torch's SyncBatchNorm, which has no kernel for a CPU.
    """
    if team.size == 1:
        return network
    if device.type == "cuda":
        from timm.layers import convert_sync_batchnorm  # takes seconds to import

        network = convert_sync_batchnorm(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Dropout2d):
                setattr(parent, name, SharedDropout(child.p, team))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, SharedBatchNorm(child, team))
    return network


class SharedDropout(nn.Dropout2d):
    """Dropout of channels: every process draws for the whole batch, as one process would, and keeps its
    rows."""

    def __init__(self, p: float, team: Team) -> None:
        super().__init__(p)
        self.team = team

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if not self.training or self.p == 0:
            return features
        batch, channels = len(features) * self.team.size, features.shape[1]
        noise = features.new_empty(batch, channels, 1, 1).bernoulli_(1 - self.p).div_(1 - self.p)
        return features * noise[self.team.part]


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm over the parts of all processes, which are of one size, in place of `old`.

    timm's batch norm includes a dropout and an activation, which are kept.
    """

    def __init__(self, old: nn.BatchNorm2d, team: Team) -> None:
        super().__init__(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
        self.weight, self.bias = old.weight, old.bias
        self.running_mean, self.running_var = old.running_mean, old.running_var
        self.num_batches_tracked = old.num_batches_tracked
        self.drop, self.act = getattr(old, "drop", nn.Identity()), getattr(old, "act", nn.Identity())
        self.team = team
        self.train(old.training)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        if not self.training:
            return self.act(self.drop(super().forward(features)))
        mean = _Sum.apply(features.float().mean((0, 2, 3))) / self.team.size  # C
        centred = features.float() - mean[:, None, None]
        variance = _Sum.apply(centred.square().mean((0, 2, 3))) / self.team.size  # C
        with torch.no_grad():
            count = features.numel() / features.shape[1] * self.team.size
            self.num_batches_tracked += 1
            share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean, share)
            self.running_var.lerp_(variance * count / (count - 1), share)
        scale = self.weight * (variance + self.eps).rsqrt()
        normal = centred * scale[:, None, None] + self.bias[:, None, None]
        return self.act(self.drop(normal.to(features.dtype)))


class _Sum(torch.autograd.Function):
    """Sum over the processes, whose gradient is the sum over the processes."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, values: Tensor) -> Tensor:
        values = values.clone()
        dist.all_reduce(values)
        return values

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        dist.all_reduce(gradient)
        return gradient
