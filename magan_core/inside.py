"""What goes on inside a trained network while it maps one photograph, as plain arrays."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from magan_core.data.images import resize, resize_mask
from magan_core.errors import MaganError
from magan_core.limits import ENERGIES
from magan_core.models import MANet, PatchGAN, patch_grid, receptive_field
from magan_core.models.attention import ChannelAttention
from magan_core.prediction import network_input
from magan_core.wording import size_of


@dataclass(frozen=True)
class Group:
    """The features of one group of levels (high: 3 to 5, low: 1 and 2) and what the attention makes of them.

    levels: int (C,), the backbone's level of each channel, 1 to 5. before: float32 (C, h, w), as the backbone
    gives them. after: the same after channel attention, equal to `before` where the group has none. weights:
    float32 (C, C), row j says from which channels output channel j takes (Eq. 1), or None. alpha: their
    learnt scale (Eq. 2). taking_part: for each energy, `mean` and `raw` (attention.py), float32 (C,): how
    many channels take part in each output channel, exp(entropy) of its weights, from 1 to C.
    """

    levels: np.ndarray
    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray | None = None
    alpha: float = 0.0
    energy: str = ""
    taking_part: dict[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Patches:
    """What a discriminator says of the photograph with a map: the network's, or the true mask.

    on_map, on_mask: float32 (M, M), for every patch the probability that it belongs to a true mask. first,
    step: where the patches lie (models.patch_grid). field: side of a patch in pixels.
    """

    on_map: np.ndarray
    on_mask: np.ndarray
    first: float
    step: int
    field: int


@dataclass(frozen=True)
class Inside:
    """One photograph in a network; everything in the square that the network sees, S pixels a side.

    photo: uint8 (S, S, 3). mask: uint8 (S, S), 255 = in focus. focus_map: float32 (S, S) in [0, 1].
    groups: `high`, and `low` where the network has it. z: float32 (h, w) in [0, 1], the spatial attention
    (Eq. 3) on the low-level features, or None. patches: None without a discriminator.
    """

    photo: np.ndarray
    mask: np.ndarray
    focus_map: np.ndarray
    groups: dict[str, Group]
    z: np.ndarray | None
    patches: Patches | None


@torch.inference_mode()
def look_inside(
    generator: MANet, discriminator: PatchGAN | None, photo: np.ndarray, mask: np.ndarray, size: int
) -> Inside:
    """One forward pass, with everything kept.

    generator, discriminator: in evaluation mode, on the CPU. photo: uint8 (H, W, 3); mask: uint8 (H, W), 255
    = in focus; size: side of the square that the network sees, in pixels. Errors: MaganError for a mask of
    another size than the photograph, and for a square too small for the discriminator.
    """
    if mask.shape != photo.shape[:2]:
        raise MaganError(
            f"the mask is {size_of(mask)} px and the photograph {size_of(photo)}; they must agree. "
            "Prepare the data again."
        )
    images = network_input(photo, size, "cpu")
    logits, kept = generator(images, attention=True)
    maps = logits.sigmoid()
    small = resize_mask(mask, size, size)
    patches = None
    if discriminator is not None:
        masks = torch.from_numpy(small)[None, None].float() / 255
        scores = [discriminator(images, one).sigmoid()[0, 0].numpy() for one in (maps, masks)]
        patches = Patches(*scores, *patch_grid(discriminator), receptive_field(discriminator))
    channels = generator.backbone.channels
    groups = {"high": _group(kept, "high", generator.high_attention, channels[2:], 3)}
    if "low" in kept:
        groups["low"] = _group(kept, "low", generator.low_attention, channels[:2], 1)
    z = kept["spatial"][0, 0].numpy() if "spatial" in kept else None
    return Inside(resize(photo, size, size), small, maps[0, 0].numpy(), groups, z, patches)


def _group(
    kept: dict[str, torch.Tensor], name: str, module: nn.Module | None, channels: list[int], first: int
) -> Group:
    levels = np.repeat(np.arange(first, first + len(channels)), channels)
    before = kept[name]
    if not isinstance(module, ChannelAttention):
        return Group(levels, before[0].numpy(), kept.get(f"{name}_attended", before)[0].numpy())
    weights = {energy: ChannelAttention(energy, module.axis).weights(before)[0] for energy in ENERGIES}
    return Group(
        levels,
        before[0].numpy(),
        kept[f"{name}_attended"][0].numpy(),
        kept[f"{name}_channels"][0].numpy(),
        module.alpha.item(),
        module.energy,
        {energy: taking_part(matrix.numpy()) for energy, matrix in weights.items()},
    )


def taking_part(weights: np.ndarray) -> np.ndarray:
    """How many channels take part in each output channel: exp of the entropy of its weights.

    weights: float (C, C), one output channel a row, at least 0; rows are brought to the sum 1 first (with
    `axis: printed` they do not have it). Returns float (C,), 1 where a single channel takes all, C where all
    take part alike, 0 for a row of zeros.
    """
    total = weights.sum(axis=1, keepdims=True)
    share = np.divide(weights, total, where=total > 0, out=np.zeros_like(weights))
    logs = np.log(share, where=share > 0, out=np.zeros_like(share))
    return np.where(total[:, 0] > 0, np.exp(-(share * logs).sum(axis=1)), 0)
