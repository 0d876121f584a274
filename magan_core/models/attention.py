"""The two attention modules of MANet (sections III-A.1 and III-A.2)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from magan_core.limits import check

# What the softmax takes: from the inner products x_i . x_j of channels of N = H W pixels (B, C, C), and N.
# `raw` is as printed, and reaches 1e6 with VGG features, which makes the softmax one-hot.
ENERGIES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "mean": lambda products, count: products / count,
    "raw": lambda products, count: products,
}


class ChannelAttention(nn.Module):
    """Channel-wise attention with a residual connection (Eq. 1 and 2, Fig. 3).

    The scale alpha starts at zero, so that the module starts as the identity.

    energy: what the softmax takes, of ENERGIES.
    axis: `sources` normalises the weights over the channels that are summed, as the text and the transpose in
        section III-A.1 say (each output is a convex combination); `printed` takes the indices of Eq. 1 and 2
        to the letter, where the weights of one output channel need not sum to one.
    """

    def __init__(self, energy: str = "mean", axis: str = "sources") -> None:
        super().__init__()
        check({"energy": energy, "axis": axis})
        self.energy, self.axis = energy, axis
        self.alpha = nn.Parameter(torch.zeros(1))

    def weights(self, features: Tensor) -> Tensor:
        """Attention of every channel to every channel.

        features: float (B, C, H, W). Returns float32 (B, C, C); row j holds the weights of output channel j.
        """
        with torch.autocast(features.device.type, enabled=False):
            x = pixels(features)
            if x.is_cuda and x.dtype == torch.bfloat16:
                energy = Energies.apply(x)  # B, C, C
            else:
                x = x.float()
                # The energies are symmetric, so the gradient of one factor is that of the other, transposed:
                # one product instead of two. The bracket is zero but for its gradient.
                product = x.transpose(1, 2) @ x.detach()  # B, C, C
                energy = product + (product.transpose(1, 2) - product.detach())
            energy = ENERGIES[self.energy](energy, x.shape[1])
            return energy.softmax(dim=2 if self.axis == "sources" else 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) in channels_last format, Eq. 2.

        The scale goes into the small matrix and the residual into the product: nothing of the features' size
        is made but the result.
        """
        x = pixels(features)
        scaled = (self.alpha * self.weights(features)).to(x.dtype)  # B, C, C
        out = torch.baddbmm(x, x, scaled.transpose(1, 2))  # B, H W, C
        return out.unflatten(1, features.shape[2:]).permute(0, 3, 1, 2)


class Energies(torch.autograd.Function):
    """Inner products of the channels of bfloat16 pixels (B, N, C), summed in float32 on a GPU: (B, C, C).

    torch has this product, but not its gradient. It is taken in up to eight parts of the pixels, since the
    result alone is too small to occupy a GPU.
    """

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        batch, count, channels = x.shape
        parts = math.gcd(count, 8)
        rows = x.reshape(batch * parts, count // parts, channels)
        products = torch.bmm(rows.transpose(1, 2), rows, out_dtype=torch.float32)
        return products.unflatten(0, (batch, parts)).sum(1)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return x @ (gradient + gradient.transpose(1, 2)).to(x.dtype)


def pixels(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C), without a copy where the features are channels_last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


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
