"""Sums over pixels as matrix products that occupy a GPU."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def pixels(features: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H W, C), without a copy where the features are channels_last."""
    return features.permute(0, 2, 3, 1).flatten(1, 2)


def bfloat16_on_gpu(features: Tensor) -> bool:
    """Whether torch can multiply these with float32 results, and products are the faster way."""
    return features.is_cuda and features.dtype == torch.bfloat16


def full_product(one: Tensor, other: Tensor) -> Tensor:
    """Batched matrix product, of bfloat16 on a GPU in float32."""
    if bfloat16_on_gpu(one):
        return torch.bmm(one, other, out_dtype=torch.float32)
    return torch.bmm(one, other)


def inner_products(one: Tensor, other: Tensor) -> Tensor:
    """Of channels, over the pixels: (B, N, C) and (B, N, D) -> (B, C, D), of bfloat16 on a GPU in float32.

    Where `one` has few channels they are taken in up to eight parts of the pixels, as many as divide them
    evenly: the result alone is too small to occupy a GPU.
    """
    batch, count, channels = one.shape
    parts = math.gcd(count, 8) if channels < 512 else 1
    rows, others = (pixel.reshape(batch * parts, count // parts, -1) for pixel in (one, other))
    found = full_product(rows.transpose(1, 2), others)
    return found.unflatten(0, (batch, parts)).sum(1) if parts > 1 else found


class ThinConv(nn.Conv2d):
    """A convolution of stride 1 with a square kernel, from many channels to few.

    For these cuDNN has slow kernels, above all for the gradient of the weights. With bfloat16 features on a
    GPU it is a `ShiftedProduct`; to one channel, of one pixel, a sum that the compiler joins with what is
    around it.
    """

    def __init__(
        self, inputs: int, outputs: int, side: int, padding: int = 0, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, side, padding=padding, dilation=dilation, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        if not bfloat16_on_gpu(features):
            return super().forward(features)
        if self.kernel_size == (1, 1) and self.out_channels == 1:
            out = (features.float() * self.weight).sum(1, keepdim=True)
            return out if self.bias is None else out + self.bias
        padding, dilation = self.padding[0], self.dilation[0]
        out = ShiftedProduct.apply(features, self.weight, self.bias, padding, dilation)
        return out.permute(0, 3, 1, 2)


class ShiftedProduct(torch.autograd.Function):
    """F.conv2d of features (B, C, H, W) with a square kernel (O, C, k, k), bias (O,) or none, padding and
    dilation, as (B, H', W', O): one product with all taps of the kernel, and a sum of what each gives,
    shifted. Of bfloat16 on a GPU it sums in float32."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx,
        features: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        padding: int,
        dilation: int,
    ) -> Tensor:
        context.save_for_backward(features, kernel)
        context.padding, context.dilation = padding, dilation
        x, side = pixels(features), kernel.shape[2]
        parts = full_product(x, _taps(kernel, x).transpose(1, 2))  # B, H W, k k O
        parts = parts.unflatten(1, features.shape[2:])
        parts = F.pad(parts, (0, 0, padding, padding, padding, padding))
        height, width = (size - dilation * (side - 1) for size in parts.shape[1:3])
        out = 0 if bias is None else bias
        for tap, part in enumerate(parts.unflatten(3, (side**2, -1)).unbind(3)):
            row, column = (dilation * place for place in divmod(tap, side))
            out = out + part[:, row : row + height, column : column + width]
        return out.to(x.dtype)

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        features, kernel = context.saved_tensors
        (height, width), side = features.shape[2:], kernel.shape[2]
        reach = context.dilation * (side - 1)
        margin = reach - context.padding
        padded = F.pad(gradient, (0, 0, margin, margin, margin, margin))
        shifted = []
        for tap in range(side**2):
            row, column = (reach - context.dilation * place for place in divmod(tap, side))
            shifted.append(padded[:, row : row + height, column : column + width])
        parts = torch.cat(shifted, dim=3).flatten(1, 2)  # B, H W, k k O
        by_features = by_kernel = by_bias = None
        if context.needs_input_grad[0]:
            found = torch.bmm(parts, _taps(kernel, parts))  # B, H W, C
            by_features = found.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        if context.needs_input_grad[1]:
            summed = inner_products(parts, pixels(features)).sum(0)  # k k O, C
            by_kernel = summed.unflatten(0, (side, side, -1)).permute(2, 3, 0, 1).to(kernel.dtype)
        if context.needs_input_grad[2]:
            by_bias = gradient.sum((0, 1, 2), dtype=kernel.dtype)
        return by_features, by_kernel, by_bias, None, None


def _taps(kernel: Tensor, like: Tensor) -> Tensor:
    """(O, C, k, k) -> (B, k k O, C), for the batch and of the type of `like`."""
    return kernel.permute(2, 3, 0, 1).flatten(0, 2).to(like.dtype).expand(len(like), -1, -1)
