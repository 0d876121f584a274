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


def products(one: Tensor, other: Tensor) -> Tensor:
    """Inner products over the pixels: (B, N, C) and (B, N, D) -> (B, C, D), of bfloat16 on a GPU in float32.

    With few channels it is taken in up to eight parts of the pixels, since the result alone is too small to
    occupy a GPU.
    """
    batch, count, channels = one.shape
    parts = math.gcd(count, 8) if channels < 512 else 1
    rows, others = (pixel.reshape(batch * parts, count // parts, -1) for pixel in (one, other))
    found = full_product(rows.transpose(1, 2), others)
    return found.unflatten(0, (batch, parts)).sum(1) if parts > 1 else found


class ThinConv(nn.Conv2d):
    """A convolution of stride 1 from many channels to few. For these cuDNN has slow kernels, above all for
    the gradient of the weights; on a GPU, with bfloat16 features, it is a product with all taps of the kernel
    at once and a sum of what each gives, shifted (`shifted_product`)."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, O, H', W')."""
        if not bfloat16_on_gpu(features):
            return super().forward(features)
        kernel = self.weight.to(features.dtype)
        if self.kernel_size == (1, 1) and self.out_channels == 1:
            out = (features * kernel).sum(1, keepdim=True)
        else:
            out = ShiftedProduct.apply(features, kernel, self.padding[0], self.dilation[0])
        return out if self.bias is None else out + self.bias.to(out.dtype)[:, None, None]


class ShiftedProduct(torch.autograd.Function):
    """What F.conv2d gives of features (B, C, H, W), a square kernel (O, C, k, k), padding and dilation; sums
    in float32 on a GPU. channels_last."""

    @staticmethod
    def forward(
        context: torch.autograd.function.FunctionCtx,
        features: Tensor,
        kernel: Tensor,
        padding: int,
        dilation: int,
    ) -> Tensor:
        context.save_for_backward(features, kernel)
        context.padding, context.dilation = padding, dilation
        x, side = pixels(features), kernel.shape[2]
        taps = _taps(kernel).T.expand(len(x), -1, -1)  # B, C, k k O
        parts = full_product(x, taps).unflatten(1, features.shape[2:])  # B, H, W, k k O
        parts = F.pad(parts, (0, 0, padding, padding, padding, padding))
        height, width = (size - dilation * (side - 1) for size in parts.shape[1:3])
        out = 0
        for tap, part in enumerate(parts.unflatten(3, (side**2, -1)).unbind(3)):
            row, column = (dilation * place for place in divmod(tap, side))
            out = out + part[:, row : row + height, column : column + width]
        return out.to(x.dtype).permute(0, 3, 1, 2)

    @staticmethod
    def backward(
        context: torch.autograd.function.FunctionCtx, gradient: Tensor
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        features, kernel = context.saved_tensors
        (height, width), side = features.shape[2:], kernel.shape[2]
        reach = context.dilation * (side - 1)
        margin = reach - context.padding
        padded = F.pad(gradient.permute(0, 2, 3, 1), (0, 0, margin, margin, margin, margin))
        shifted = []
        for tap in range(side**2):
            row, column = (reach - context.dilation * place for place in divmod(tap, side))
            shifted.append(padded[:, row : row + height, column : column + width])
        parts = torch.cat(shifted, dim=3).flatten(1, 2)  # B, H W, k k O
        by_features = by_kernel = None
        if context.needs_input_grad[0]:
            taps = _taps(kernel).expand(len(parts), -1, -1)
            by_features = torch.bmm(parts, taps).unflatten(1, (height, width)).permute(0, 3, 1, 2)
        if context.needs_input_grad[1]:
            summed = products(parts, pixels(features)).sum(0)  # k k O, C
            by_kernel = summed.unflatten(0, (side, side, -1)).permute(2, 3, 0, 1).to(kernel.dtype)
        return by_features, by_kernel, None, None


def _taps(kernel: Tensor) -> Tensor:
    """(O, C, k, k) -> (k k O, C)."""
    return kernel.permute(2, 3, 0, 1).flatten(0, 2)
