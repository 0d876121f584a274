"""The two attention modules of MANet (sections III-A.1 and III-A.2)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from magan_core.limits import check
from magan_core.models.products import ThinConv, bfloat16_on_gpu, inner_products, pixels

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
            if bfloat16_on_gpu(x):
                energy = InnerProducts.apply(x)  # B, C, C
            else:
                x = x.float()
                # The energies are symmetric, so the gradient of one factor is that of the other, transposed:
                # one product instead of two. The bracket is zero but for its gradient.
                product = x.detach().transpose(1, 2) @ x  # B, C, C
                energy = product + (product.transpose(1, 2) - product.detach())
            energy = ENERGIES[self.energy](energy, x.shape[1])
            return energy.softmax(dim=2 if self.axis == "sources" else 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W) in channels_last format, Eq. 2.

        The scale goes into the small matrix: nothing of the features' size is made but the result, which on
        the CPU holds the residual before the product is added to it.
        """
        x = pixels(features)
        scaled = self.alpha * self.weights(features)  # B, C, C
        if bfloat16_on_gpu(x):
            out = Mixture.apply(x, scaled)  # B, H W, C
        else:
            out = torch.baddbmm(x, x, scaled.to(x.dtype).transpose(1, 2))
        return out.unflatten(1, features.shape[2:]).permute(0, 3, 1, 2)


class InnerProducts(torch.autograd.Function):
    """Inner products of the channels of pixels (B, N, C) with each other: (B, C, C), of bfloat16 on a GPU in
    float32, a product of which torch has no gradient."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        context.save_for_backward(x)
        return inner_products(x, x)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (x,) = context.saved_tensors
        return x @ (gradient + gradient.transpose(1, 2)).to(x.dtype)


class Mixture(torch.autograd.Function):
    """Pixels (B, N, C) and their channels mixed by (B, C, C), added: (B, N, C).

    The gradient of the matrix is summed as the energies are; torch by itself takes it in one product.
    """

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, x: Tensor, matrix: Tensor) -> Tensor:
        context.save_for_backward(x, matrix)
        return x + x @ matrix.to(x.dtype).transpose(1, 2)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, matrix = context.saved_tensors
        return gradient + gradient @ matrix.to(x.dtype), inner_products(gradient, x)


class SpatialAttention(nn.Module):
    """Where to look in the low-level features, told by the high-level ones (Eq. 3, Fig. 4).

    Two consecutive atrous 3x3 convolutions and a sigmoid; the paper leaves width and dilation open.
    """

    def __init__(self, channels: int, hidden: int, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            ThinConv(channels, hidden, 3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
            ThinConv(hidden, 1, 3, padding=dilation, dilation=dilation),
        )

    def forward(self, high: Tensor) -> Tensor:
        """High-level features (B, C, H, W) -> weight map Z in [0, 1], (B, 1, H, W)."""
        return self.layers(high).sigmoid()
