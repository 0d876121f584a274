"""EfficientNet-lite0 (Tan & Le, 2019; lite: no squeeze-and-excitation, ReLU6) as five levels of features.

The same network as timm's `tf_efficientnet_lite0`, tensor for tensor and bit for bit; but timm's import takes
longer than all else that `magan predict` does, so the backbone of the released model goes without.
"""

from math import sqrt

import torch.nn.functional as F
from torch import Tensor, nn

NAME = "tf_efficientnet_lite0"
STEM = 32
STAGES = (  # blocks, kernel, stride of the first block, expansion of channels, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
LEVELS = (0, 1, 2, 4, 6)  # the last stages at strides 2, 4, 8, 16 and 32


class SameConv2d(nn.Conv2d):
    """A convolution with stride, padded as TensorFlow does: on the right and below if the padding is odd."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        padding: list[int] = []
        for side in (x.shape[-1], x.shape[-2]):
            missing = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            padding += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(x, padding), self.weight, self.bias, self.stride, groups=self.groups)


class Block(nn.Sequential):
    """Inverted residual block: expand the channels (1 x 1; not in the first stage), filter each, project them
    (1 x 1). Layers have timm's names."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.shortcut = stride == 1 and channels == out
        inner = channels * expansion
        layers = {"conv_pw": _convolution(channels, inner, 1)} if expansion > 1 else {}
        layers["conv_dw"] = _convolution(inner, inner, kernel, stride, groups=inner)
        layers["conv_pwl" if expansion > 1 else "conv_pw"] = _convolution(inner, out, 1)
        for number, (name, layer) in enumerate(layers.items(), 1):
            self.add_module(name, layer)
            self.add_module(f"bn{number}", _norm(layer.out_channels))
            if number < len(layers):
                self.add_module(f"act{number}", nn.ReLU6(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""
        y = super().forward(x)
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The backbone of the released model, without weights (see models.weights)."""

    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    def __init__(self) -> None:
        super().__init__()
        self.channels = [STAGES[index][-1] for index in LEVELS]
        self.strides = [2, 4, 8, 16, 32]
        self.features = nn.ModuleDict({"conv_stem": _convolution(3, STEM, 3, 2), "bn1": _norm(STEM)})
        for _ in range(2):  # timm tries a layer of these and drops it: the same seed gives the same weights
            nn.Conv2d(8, 8, 1)
        self.features["blocks"] = nn.Sequential()
        channels = STEM
        for depth, kernel, stride, expansion, out in STAGES:
            blocks = [Block(channels, out, kernel, stride, expansion)]
            blocks += [Block(out, out, kernel, 1, expansion) for _ in range(depth - 1)]
            self.features["blocks"].append(nn.Sequential(*blocks))
            channels = out
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.out_channels * module.kernel_size[0] ** 2 // module.groups
                nn.init.normal_(module.weight, 0, sqrt(2 / fan_out))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised images (B, 3, H, W) -> levels of 16, 24, 40, 112 and 320 channels, strides 2 to 32."""
        x = F.relu6(self.features["bn1"](self.features["conv_stem"](images)), inplace=True)
        levels = []
        for index, stage in enumerate(self.features["blocks"]):
            x = stage(x)
            if index in LEVELS:
                levels.append(x)
        return levels


def _convolution(channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return SameConv2d(channels, out, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
