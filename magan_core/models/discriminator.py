"""The discriminator: a conditional PatchGAN with spectral normalisation (section III-B, Table VI)."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from magan_core.errors import MaganError
from magan_core.limits import check_receptive_field
from magan_core.models.products import ThinConv

DEPTHS = {1: 0, 16: 1, 70: 3, 256: 5}  # nominal receptive field of Table VI -> strided convolutions


class PatchGAN(nn.Module):
    """Says for every patch of (image, map) whether the map is a real mask (positive logit) or a prediction.

    Spectral norm on every convolution (Eq. 8), weights from N(0, 0.02), LeakyReLU 0.2. The power iteration
    moves only on forwards in training mode: train with `.train()` for the discriminator's own step and
    `.eval()` for the generator's, so that only its own step moves it.
    """

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.smallest = 3 * 2**depth if depth else 1  # side in pixels below which no patch is left
        layers: list[nn.Module] = []
        inputs = 4
        if depth == 0:
            shapes = [(channels, 1, 1), (channels * 2, 1, 1), (1, 1, 1)]  # outputs, kernel, stride
        else:
            widths = [channels * min(2**level, 8) for level in range(depth + 1)]
            shapes = [(width, 4, 2) for width in widths[:-1]] + [(widths[-1], 4, 1), (1, 4, 1)]
        for outputs, kernel, stride in shapes:
            padding = (kernel - 1) // 2
            if outputs == stride == 1:
                layer = ThinConv(inputs, outputs, kernel, padding=padding)
            else:
                layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=padding)
            nn.init.normal_(layer.weight, 0.0, 0.02)
            nn.init.zeros_(layer.bias)
            layers += [spectral_norm(layer), nn.LeakyReLU(0.2, inplace=True)]
            inputs = outputs
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor, maps: Tensor) -> Tensor:
        """images (B, 3, H, W) in [0, 1] and maps (B, 1, H, W) in [0, 1] -> logits (B, 1, M, M).

        Errors: MaganError for pictures too small for one patch.
        """
        if min(images.shape[2:]) < self.smallest:
            raise MaganError(
                f"pictures of {images.shape[2]}x{images.shape[3]} px are too small for this discriminator, "
                f"which needs {self.smallest} px. Enlarge `crop` or take a smaller `receptive_field`."
            )
        return self.layers(torch.cat([images * 2 - 1, maps * 2 - 1], dim=1))


def receptive_field(discriminator: PatchGAN) -> int:
    """Side in pixels of the patch that one output of the discriminator sees."""
    field = 1
    for layer in reversed([layer for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]):
        field = (field - 1) * layer.stride[0] + layer.kernel_size[0]
    return field


def patch_grid(discriminator: PatchGAN) -> tuple[float, int]:
    """Where the patches lie: the pixel, counted from 0, on which the first one is centred, and how many
    pixels it is to the next, the same down and across. Patches at the rim reach beyond the picture.
    """
    first, step = 0.0, 1
    for layer in discriminator.layers:
        if isinstance(layer, nn.Conv2d):
            first += ((layer.kernel_size[0] - 1) / 2 - layer.padding[0]) * step
            step *= layer.stride[0]
    return first, step


def build_discriminator(receptive_field: int = 70, channels: int = 64) -> PatchGAN:
    """PatchGAN by the receptive field of Table VI: 1, 16, 70, or 256 (five strided layers; in truth 286)."""
    check_receptive_field(receptive_field)
    return PatchGAN(channels, DEPTHS[receptive_field])
