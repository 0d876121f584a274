"""Training batches: augmentation as one resampling of the whole batch, on the training device."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from magan_core.data.defocus import blur, draw_blur
from magan_core.device import send
from magan_core.limits import check, check_crops


def transforms(
    count: int,
    sizes: Tensor,
    side: int,
    crop: int,
    rotation: float,
    generator: torch.Generator,
    window: float = 1.0,
) -> Tensor:
    """Random flip, rotation, and crop as affine matrices (section IV-C), on the CPU.

    sizes: int (count, 2), original height and width; the rotation happens at the photograph's own aspect
        ratio, before the resize to side x side. rotation: largest angle in units of pi. window: a crop shows
        a window of 1 to this many times its side, drawn evenly (not in the paper); 1: always of its side.
    Returns float (count, 2, 3) that takes output coordinates in [-1, 1] to input coordinates in [-1, 1] (as
    `affine_grid` wants them).
    """

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, generator=generator)

    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = uniform(-rotation, rotation) * math.pi
    scale = crop / side if window == 1 else uniform(1.0, window) * (crop / side)
    shift_x, shift_y = uniform(scale - 1, 1 - scale), uniform(scale - 1, 1 - scale)
    aspect = sizes[:, 1].float() / sizes[:, 0].float()  # width / height
    cos, sin = angle.cos(), angle.sin()
    # Columns: output x, output y, offset. The crop scales and shifts, then the rotation (in the photograph's
    # own aspect ratio), then the flip.
    a, b, c, d = cos, -sin / aspect, sin * aspect, cos
    rows = torch.stack(
        [
            torch.stack([flip * a * scale, flip * b * scale, flip * (a * shift_x + b * shift_y)], dim=1),
            torch.stack([c * scale, d * scale, c * shift_x + d * shift_y], dim=1),
        ],
        dim=1,
    )
    return rows


def augment(
    images: Tensor, masks: Tensor | None, matrices: Tensor, crop: int
) -> tuple[Tensor, Tensor | None]:
    """Apply the matrices with one bilinear resampling; what lies outside a photograph is mirrored.

    images: uint8 (B, S, S, 3). masks: uint8 (B, S, S), 0 or 255, or None.
    Returns float images (B, 3, crop, crop) in [0, 1] and float masks (B, 1, crop, crop) of 0 and 1, or None.
    """
    stacked = images.permute(0, 3, 1, 2)  # B, 3, S, S
    if masks is not None:
        stacked = torch.cat([stacked, masks.unsqueeze(1)], dim=1)  # B, 4, S, S
    stacked = stacked.float().div_(255)
    grid = F.affine_grid(send(matrices, stacked.device), [len(stacked), 1, crop, crop], align_corners=False)
    sampled = F.grid_sample(stacked, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    if masks is None:
        return sampled, None
    return sampled[:, :3].contiguous(), (sampled[:, 3:] >= 0.5).float()


def recolour(images: Tensor, factors: Tensor) -> Tensor:
    """Scale brightness, then contrast (distance from the image's mean), then saturation (distance from grey).

    images: float (B, 3, H, W) in [0, 1]; factors: float (B, 3), 1 = unchanged, 0 = nothing left of it.
    Returns the like of images, cut to [0, 1]. Not in the paper.
    """
    factors = send(factors, images.device)[:, :, None, None, None]
    brightness, contrast, saturation = factors.unbind(1)  # B, 1, 1, 1
    images = images * brightness
    mean = images.mean((1, 2, 3), keepdim=True)
    images = mean + (images - mean) * contrast
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp_(0, 1)


def add_noise(images: Tensor, deviations: Tensor, drawn: Tensor) -> Tensor:
    """Add noise, as a sensor at high sensitivity has it.

    images: float (B, 3, H, W) in [0, 1]; deviations: float (B,), of 1, 0 = none; drawn: normal float
    (B, 3, H, W) of deviation 1. Returns the like of images, cut to [0, 1]. Not in the paper.
    """
    noise = send(deviations[:, None, None, None] * drawn, images.device)
    return (images + noise).clamp_(0, 1)


def rectangles(count: int, crop: int, share: float, generator: torch.Generator) -> Tensor:
    """A rectangle for about this share of the crops, nothing for the others: bool (count, 1, crop, crop).

    Its height and width are a quarter to three quarters of the crop, drawn evenly and apart, and it lies
    anywhere within.
    """
    first, extent = [], []
    for _ in range(2):  # rows, columns
        length = 0.25 + 0.5 * torch.rand(count, generator=generator)
        extent.append(length * crop)
        first.append(torch.rand(count, generator=generator) * (1 - length) * crop)
    chosen = torch.rand(count, generator=generator) < share
    middle = torch.arange(crop) + 0.5
    rows, columns = (
        (middle >= start[:, None]) & (middle < (start + length)[:, None])  # count, crop
        for start, length in zip(first, extent, strict=True)
    )
    return (rows[:, :, None] & columns[:, None, :] & chosen[:, None, None])[:, None]


class Sampler:
    """Endless shuffled epochs of a prepared set, as augmented batches on the device.

    images: uint8 (N, S, S, 3); masks: uint8 (N, S, S) or None for an unlabelled set; sizes: int (N, 2).
    window: a crop shows a window of 1 to this many times its side. jitter: brightness, contrast and
    saturation of a photograph change by up to this share, 0 to below 1. cutmix: into this share of the
    crops a rectangle of a crop of a photograph drawn at random is pasted, mask and all (CutMix, Yun et
    al., 2019; what is in focus stays so whatever is beside it). defocus: this share of the crops is blurred,
    all of it or one side, and its mask with it (see data.defocus). noise: half of the crops get normal noise
    of a deviation of up to this share of white, drawn evenly. A discriminator sees these masks and
    photographs too. Every draw comes from `seed`. A batch may take the end of one epoch and the beginning
    of the next. part: the rows of each batch that are made here; the others are drawn only (see
    training.distributed).
    """

    def __init__(
        self,
        images: Tensor,
        masks: Tensor | None,
        sizes: Tensor,
        *,
        batch: int,
        crop: int,
        rotation: float,
        seed: int,
        window: float = 1.0,
        jitter: float = 0.0,
        cutmix: float = 0.0,
        defocus: float = 0.0,
        noise: float = 0.0,
        part: slice = slice(None),
    ) -> None:
        check({"batch": batch, "crop": crop, "rotation": rotation})
        check({"jitter": jitter, "cutmix": cutmix, "defocus": defocus, "noise": noise})
        check_crops(crop, window, images.shape[1])
        self.images, self.masks, self.sizes = images, masks, sizes
        self.batch, self.crop, self.rotation, self.jitter = batch, crop, rotation, jitter
        self.window, self.cutmix, self.defocus, self.noise, self.part = window, cutmix, defocus, noise, part
        self.random = torch.Generator().manual_seed(seed)
        self.order = torch.empty(0, dtype=torch.long)

    def next(self) -> tuple[Tensor, Tensor | None]:
        """This part of the next batch: float (B, 3, crop, crop) and float (B, 1, crop, crop) or None."""
        while len(self.order) < self.batch:
            self.order = torch.cat([self.order, torch.randperm(len(self.images), generator=self.random)])
        chosen, self.order = self.order[: self.batch], self.order[self.batch :]
        images, masks = self._crops(chosen)
        if self.cutmix:
            inside = rectangles(self.batch, self.crop, self.cutmix, self.random)[self.part]
            inside = send(inside, images.device)
            others = torch.randint(len(self.images), (self.batch,), generator=self.random)
            pasted, their_masks = self._crops(others)
            images = torch.where(inside, pasted, images)
            masks = None if masks is None else torch.where(inside, their_masks, masks)
        if self.defocus:
            images, masks = self._defocused(images, masks)
        if self.noise:
            first, second = torch.rand(2, self.batch, generator=self.random)
            drawn = torch.randn(self.batch, *images.shape[1:], generator=self.random)
            deviations = self.noise * first * (second < 0.5)
            images = add_noise(images, deviations[self.part], drawn[self.part])
        return images, masks

    def _defocused(self, images: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """This part of the batch with some of it blurred."""
        radii, amounts = draw_blur(self.batch, self.crop, self.defocus, self.random)
        radii, amounts = radii[self.part], amounts[self.part]
        images = images.clone()
        for row in amounts.any((1, 2, 3)).nonzero()[:, 0].tolist():
            images[row] = blur(images[row], radii[row], send(amounts[row], images.device))
        if masks is not None:
            masks = masks.masked_fill(send(amounts >= 0.5, images.device), 0)
        return images, masks

    def _crops(self, chosen: Tensor) -> tuple[Tensor, Tensor | None]:
        """This part of the chosen photographs, augmented."""
        matrices = transforms(
            self.batch,
            self.sizes[chosen],
            self.images.shape[1],
            self.crop,
            self.rotation,
            self.random,
            self.window,
        )
        chosen, matrices = send(chosen[self.part], self.images.device), matrices[self.part]
        masks = None if self.masks is None else self.masks[chosen]
        images, masks = augment(self.images[chosen], masks, matrices, self.crop)
        if self.jitter:
            factors = 1 + self.jitter * (2 * torch.rand(self.batch, 3, generator=self.random) - 1)
            images = recolour(images, factors[self.part])
        return images, masks
