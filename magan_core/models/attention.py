"""The two attention modules of MANet (sections III-A.1 and III-A.2)."""

import torch
from torch import Tensor, nn

from magan_core.errors import nearest

ENERGIES = ("mean", "raw")
AXES = ("sources", "printed")


class ChannelAttention(nn.Module):
    """Channel-wise attention with a residual connection (Eq. 1 and 2, Fig. 3).

    The scale alpha starts at zero, so that the module starts as the identity.

    energy: `raw` takes the inner products x_i . x_j as printed; `mean` divides them by N = H W. The raw ones
        reach 1e6 with VGG features, which makes the softmax one-hot.
    axis: `sources` normalises the weights over the channels that are summed, as the text and the transpose in
        section III-A.1 say (each output is a convex combination); `printed` takes the indices of Eq. 1 and 2
        to the letter, where the weights of one output channel need not sum to one.
    """

    def __init__(self, energy: str = "mean", axis: str = "sources") -> None:
        super().__init__()
        self.energy = nearest(energy, ENERGIES, "channel-attention energy")
        self.axis = nearest(axis, AXES, "channel-attention axis")
        self.alpha = nn.Parameter(torch.zeros(1))

    def weights(self, features: Tensor) -> Tensor:
        """Attention of every channel to every channel.

        features: float (B, C, H, W). Returns float32 (B, C, C); row j holds the weights of output channel j.
        """
        with torch.autocast(features.device.type, enabled=False):
            x = features.float().flatten(2)  # B, C, N
            if self.energy == "mean":
                x = x / x.shape[2] ** 0.5  # before the product, which could overflow otherwise
            energy = x @ x.transpose(1, 2)  # B, C, C; symmetric
            return energy.softmax(dim=2 if self.axis == "sources" else 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), Eq. 2."""
        attended = self.weights(features).to(features.dtype) @ features.flatten(2)  # B, C, N
        return self.alpha * attended.view_as(features) + features


class SpatialAttention(nn.Module):
    """Where to look in the low-level features, told by the high-level ones (Eq. 3, Fig. 4).

    Two consecutive atrous 3x3 convolutions and a sigmoid; the paper leaves width and dilation open.
    """

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, 1, 3, padding=dilation, dilation=dilation),
        )

    def forward(self, high: Tensor) -> Tensor:
        """High-level features (B, C, H, W) -> weight map Z in [0, 1], (B, 1, H, W)."""
        return self.layers(high).sigmoid()
