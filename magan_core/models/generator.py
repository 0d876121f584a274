"""MANet, the generator (section III-A, Fig. 2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from magan_core.limits import PARTS, check, check_parts
from magan_core.models.attention import ChannelAttention, SpatialAttention
from magan_core.models.backbone import build_backbone
from magan_core.models.products import ThinConv


class MANet(nn.Module):
    """Multi-Attention Network: RGB photograph -> logits of the in-focus map.

    parts: which of HL (levels 3-5), LL (levels 1-2), HCA, LCA (channel attention on them) and SA (spatial
        attention of the high-level on the low-level features) are there; all five make MANet, HL alone is the
        baseline of Table IV.
    """

    def __init__(
        self,
        backbone: nn.Module,
        *,
        parts: list[str],
        head_channels: int,
        head_norm: bool,
        dilation: int,
        dropout: float,
        energy: str,
        axis: str,
    ) -> None:
        super().__init__()
        check_parts(parts)
        check({"dilation": dilation})
        self.backbone = backbone
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1), persistent=False)
        low, high = sum(backbone.channels[:2]), sum(backbone.channels[2:])
        self.high_attention = ChannelAttention(energy, axis) if "HCA" in parts else None
        self.low_attention = ChannelAttention(energy, axis) if "LCA" in parts else None
        self.spatial_attention = SpatialAttention(high, head_channels, dilation) if "SA" in parts else None
        self.high_head = convolution(high, head_channels, head_norm, kind=ThinConv)
        self.low_head = convolution(low, head_channels, head_norm) if "LL" in parts else None
        fused = head_channels * (2 if "LL" in parts else 1)
        self.head = nn.Sequential(
            nn.Dropout2d(dropout),  # stands for the noise z of the cGAN (section III-B.1)
            convolution(fused, head_channels, head_norm),
            ThinConv(head_channels, 1, 1),
        )

    def forward(
        self, images: Tensor, *, attention: bool = False
    ) -> Tensor | tuple[Tensor, dict[str, Tensor]]:
        """Logits of "in focus" for every pixel.

        images: float (B, 3, H, W), RGB in [0, 1]. Returns (B, 1, H, W); sigmoid gives the map.
        attention: also return a dictionary with what the network has of: the attention itself,
            `high_channels` (B, Ch, Ch), `low_channels` (B, Cl, Cl) and `spatial` (B, 1, h, w); and the
            features on their way, `high` (B, Ch, h', w') and `low` (B, Cl, h, w) as the backbone gives them,
            `high_attended` and `low_attended` after channel attention, `low_passed` after the spatial one.
        """
        maps: dict[str, Tensor] = {}
        levels = self.backbone((images - self.mean) / self.std)
        high = concatenate(levels[2:])  # B, c3+c4+c5, H/s3, W/s3
        if attention:
            maps["high"] = high
        if self.high_attention is not None:
            if attention and hasattr(self.high_attention, "weights"):
                maps["high_channels"] = self.high_attention.weights(high)
            high = self.high_attention(high)
            if attention:
                maps["high_attended"] = high
        features = self.high_head(high)
        if self.low_head is not None:
            low = concatenate(levels[:2])  # B, c1+c2, H/s1, W/s1
            if attention:
                maps["low"] = low
            if self.low_attention is not None:
                if attention and hasattr(self.low_attention, "weights"):
                    maps["low_channels"] = self.low_attention.weights(low)
                low = self.low_attention(low)
                if attention:
                    maps["low_attended"] = low
            if self.spatial_attention is not None:
                z = upsample(self.spatial_attention(high), low.shape[2:])
                low = low * z
                if attention:
                    maps |= {"spatial": z, "low_passed": low}
            low = self.low_head(low)
            features = torch.cat([upsample(features, low.shape[2:]), low], dim=1)
        logits = upsample(self.head(features).float(), images.shape[2:])
        return (logits, maps) if attention else logits

    def alphas(self) -> dict[str, float]:
        """The learnt scales of the channel attention that the network has (Eq. 2): alpha_hca, alpha_lca."""
        modules = {"alpha_hca": self.high_attention, "alpha_lca": self.low_attention}
        return {name: module.alpha.item() for name, module in modules.items() if hasattr(module, "alpha")}


def convolution(inputs: int, outputs: int, norm: bool, kind: type[nn.Conv2d] = nn.Conv2d) -> nn.Sequential:
    """3x3 convolution, batch norm where asked for, ReLU."""
    layers: list[nn.Module] = [kind(inputs, outputs, 3, padding=1, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def upsample(features: Tensor, size: torch.Size) -> Tensor:
    """Bilinear to (height, width); nothing where the size is right."""
    if features.shape[2:] == size:
        return features
    if features.is_cuda:
        return upsample_by_products(features, size)
    return F.interpolate(features, size=size, mode="bilinear", align_corners=False)


def upsample_by_products(features: Tensor, size: torch.Size) -> Tensor:
    """The same as two matrix products, of rows and of columns; channels_last, in the features' own precision.

    On a GPU torch's way is slower, above all backwards, where it has no deterministic kernel, and under
    autocast it returns float32.
    """
    batch, _, height, width = features.shape
    with torch.autocast(features.device.type, enabled=False):
        rows, columns = (interpolation(*sides, features) for sides in ((height, size[0]), (width, size[1])))
        pixels = features.permute(0, 2, 3, 1)  # B, h, w, C
        tall = torch.bmm(rows.expand(batch, -1, -1), pixels.flatten(2))  # B, H, w C
        tall = tall.view(batch * size[0], width, -1)  # B H, w, C
        full = torch.bmm(columns.expand(batch * size[0], -1, -1), tall)  # B H, W, C
    return full.view(batch, *size, -1).permute(0, 3, 1, 2)


def interpolation(before: int, after: int, like: Tensor) -> Tensor:
    """The matrix (after, before) of a linear interpolation."""
    one = torch.eye(before, dtype=torch.float64, device=like.device)[None]
    matrix = F.interpolate(one, size=after, mode="linear", align_corners=False)[0]
    return matrix.T.to(like.dtype)


def concatenate(levels: list[Tensor]) -> Tensor:
    """Bring all levels to the size of the first and stack their channels."""
    return torch.cat([upsample(level, levels[0].shape[2:]) for level in levels], dim=1)


def build_generator(settings: dict, parts: list[str] | tuple[str, ...] = PARTS) -> MANet:
    """MANet from the `model` section of params.yaml, without pretrained weights (see models.weights).

    settings: backbone, head_channels, head_norm, dilation, dropout, energy, axis; width (1.0) and pooling
        (true) may be left out.
    parts: a subset of PARTS; all of them by default.
    Errors: MaganError for an unknown backbone or part, or a backbone without five levels; TypeError for a
        setting that is missing or unknown (magan_core.params finds these before).
    """
    settings = dict(settings)
    backbone = build_backbone(
        settings.pop("backbone"), width=settings.pop("width", 1.0), pooling=settings.pop("pooling", True)
    )
    return MANet(backbone, parts=list(parts), **settings)
