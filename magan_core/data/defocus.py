"""Defocus as an augmentation: crops, or what lies to one side of a line, blurred as a lens blurs. Not in the
paper."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from magan_core.device import send

LEAST, MOST = 1 / 128, 1 / 32  # radius of the disc, as a share of the crop's side
VISIBLE = 1.5  # pixels; a smaller disc hardly changes a crop
WHOLE = 1 / 3  # of the blurred crops
RAMP = 1 / 16  # of the crop's side: how far it is from sharp to blurred
GAMMA = 2.2  # a lens adds light, not the values of a photograph


def disc(radius: float) -> Tensor:
    """Weights of a disc of this radius in pixels, its rim softened over one pixel; they add up to 1."""
    reach = math.ceil(radius - 0.5)
    at = torch.arange(-reach, reach + 1.0)
    weights = (radius + 0.5 - torch.hypot(at[:, None], at)).clamp(0, 1)
    return weights / weights.sum()


def blur(image: Tensor, radius: float, amount: Tensor) -> Tensor:
    """Spread the light of each pixel of an image over a disc; mirrored at its edges.

    image: float (3, H, W) in [0, 1]; radius: in pixels, less than H and W by half a pixel and more; amount:
    float (1, H, W), 1 = blurred, 0 = left as it is. Returns the like of image.
    """
    kernel = send(disc(radius), image.device)
    light = image.clamp(0, 1).pow(GAMMA)[:, None]  # 3, 1, H, W
    padded = F.pad(light, (len(kernel) // 2,) * 4, mode="reflect")
    blurred = F.conv2d(padded, kernel[None, None])[:, 0].clamp(0, 1).pow(1 / GAMMA)
    return torch.lerp(image, blurred, amount)


def draw_blur(count: int, crop: int, share: float, generator: torch.Generator) -> tuple[list[float], Tensor]:
    """By what radius crops are blurred, and where: about this share of them, the others not at all.

    Returns radii in pixels, from 1/128 to 1/32 of the crop's side, each octave as likely, but 1.5 at least;
    and float (count, 1, crop, crop), 1 = blurred: a third of the blurred crops whole, the others on one side
    of a line through their middle half.
    """
    chosen, whole, size, turn, across = torch.rand(5, count, generator=generator)
    radii = (crop * LEAST * (MOST / LEAST) ** size).clamp_min(VISIBLE)
    middle = (torch.arange(crop) + 0.5) / crop - 0.5
    angle = (2 * math.pi * turn)[:, None, None]
    distance = angle.cos() * middle[:, None] + angle.sin() * middle  # count, crop, crop; from the middle
    amount = ((distance + 0.5 * across[:, None, None] - 0.25) / RAMP + 0.5).clamp(0, 1)
    amount = torch.where((whole < WHOLE)[:, None, None], 1.0, amount)
    return radii.tolist(), (amount * (chosen < share)[:, None, None])[:, None]
