"""Algorithm 1: alternate steps of discriminator and generator; semi-supervised training (section III-C)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from magan_core import losses
from magan_core.data.augment import Sampler
from magan_core.errors import MaganError
from magan_core.models.generator import MANet
from magan_core.training.schedule import factor

COLUMNS = ("step", "epoch", "lr", "ce", "iou", "adv", "total", "d_real", "d_fake")


@dataclass(frozen=True)
class Weights:
    """Weights of the losses in Eq. 6 and 9."""

    ce: float
    iou: float
    adv: float


@dataclass(frozen=True)
class Recipe:
    """How to train: `training` of params.yaml. Rates are per step of Adam, `log_every` is in steps."""

    steps: int
    warmup_steps: int
    batch: int
    lr: float
    backbone_lr: float
    discriminator_lr: float
    schedule: str
    betas: tuple[float, float]
    weight_decay: float
    adversarial: str
    supervised_share: float
    log_every: int


def adam(groups: list[dict], recipe: Recipe) -> torch.optim.Adam:
    """Adam with the L2 weight decay of section IV-C."""
    return torch.optim.Adam(groups, betas=tuple(recipe.betas), weight_decay=recipe.weight_decay)


def train(
    generator: MANet,
    discriminator: nn.Module | None,
    labelled: Sampler,
    unlabelled: Sampler | None,
    weights: Weights,
    recipe: Recipe,
    *,
    device: torch.device,
    progress: bool = True,
) -> list[dict]:
    """Train in place; returns the history, one row every `log_every` steps (means over those steps).

    A row has the keys of COLUMNS, without adv, d_real and d_fake where there is no discriminator.

    discriminator: needed where weights.adv > 0. unlabelled: when given, the first `supervised_share` of the
    steps are the warm-up with labelled data only, then half of each batch is labelled and half unlabelled.
    Errors: MaganError at the first row whose losses are not all finite, or for settings that do not go
    together.
    """
    if (weights.adv > 0) != (discriminator is not None):
        raise MaganError("a discriminator goes with an adversarial weight above 0, and only with it.")
    if unlabelled is not None and discriminator is None:
        raise MaganError(
            "unlabelled photographs teach through the discriminator: set the adversarial weight above 0."
        )
    if labelled.masks is None:
        raise MaganError("the labelled set has no masks: name one with training masks as `set` of the run.")
    if unlabelled is not None and recipe.batch < 2:
        raise MaganError(
            f"batch {recipe.batch} cannot be half labelled and half unlabelled: set `batch` to 2 or more."
        )
    backbone = list(generator.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    heads = [parameter for parameter in generator.parameters() if id(parameter) not in known]
    g_optimiser = adam(
        [{"params": backbone, "lr": recipe.backbone_lr}, {"params": heads, "lr": recipe.lr}], recipe
    )
    optimisers = [g_optimiser]
    if discriminator is not None:
        optimisers.append(
            adam([{"params": discriminator.parameters(), "lr": recipe.discriminator_lr}], recipe)
        )
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]

    generator.train()
    full, half = recipe.batch, recipe.batch // 2
    supervised_steps = recipe.steps if unlabelled is None else round(recipe.steps * recipe.supervised_share)
    history: list[dict] = []
    sums = torch.zeros(6, device=device)
    logged = seen = 0
    bar = tqdm(total=recipe.steps, disable=not progress, mininterval=5, unit="step", desc="train")
    for step in range(recipe.steps):
        scale = factor(recipe.schedule, step, recipe.steps, recipe.warmup_steps)
        for optimiser, initial in zip(optimisers, rates, strict=True):
            for group, rate in zip(optimiser.param_groups, initial, strict=True):
                group["lr"] = rate * scale
        semi = step >= supervised_steps
        labelled.batch = half if semi else full
        images, masks = labelled.next()
        images, masks = images.to(device), masks.to(device)
        if semi:
            unlabelled.batch = full - half
            images = torch.cat([images, unlabelled.next()[0].to(device)])  # labelled first
        sums += step_once(generator, discriminator, optimisers, images, masks, weights, recipe.adversarial)
        seen += len(masks)
        bar.update()
        if (step + 1) % recipe.log_every == 0 or step + 1 == recipe.steps:
            ce, iou, adv, total, d_real, d_fake = (sums / (step + 1 - logged)).tolist()
            logged = step + 1
            sums.zero_()
            if not all(map(torch.isfinite, torch.tensor([ce, iou, adv, total, d_real, d_fake]))):
                raise MaganError(
                    f"training diverged before step {step + 1}: ce {ce}, iou {iou}, adv {adv}, D {d_real} "
                    f"{d_fake}. Lower `lr` or the adversarial weight, or use channel attention with `energy: "
                    "mean`."
                )
            epoch = seen / len(labelled.images)
            row = dict(step=step + 1, epoch=epoch, lr=recipe.lr * scale, ce=ce, iou=iou, total=total)
            shown = f"ce {ce:.3f} iou {iou:.3f}"
            if discriminator is not None:
                row |= dict(adv=adv, d_real=d_real, d_fake=d_fake)
                shown += f" adv {adv:.2f} D {d_real:.2f}/{d_fake:.2f}"
            history.append(row)
            speed = (bar.format_dict["rate"] or 0.0) * full
            bar.set_postfix_str(f"{shown} {speed:.1f} img/s", refresh=False)
    bar.close()
    return history


def step_once(
    generator: MANet,
    discriminator: nn.Module | None,
    optimisers: list[torch.optim.Adam],
    images: Tensor,
    masks: Tensor,
    weights: Weights,
    adversarial: str,
) -> Tensor:
    """One iteration of Algorithm 1; returns (ce, iou, adv, total, d_real, d_fake) as float (6,).

    images: (B, 3, H, W); masks: (L, 1, H, W) of the first L <= B images; the other B - L are unlabelled and
    make the step semi-supervised: gradients of both parts count one half.
    """
    count = len(masks)
    logits = generator(images)
    maps = logits.sigmoid()
    d_real = d_fake = adv = logits.new_zeros(())
    unlabelled_loss = logits.new_zeros(())

    if discriminator is not None:
        discriminator.train().requires_grad_(True)
        pairs = discriminator(
            torch.cat([images[:count], images[:count]]), torch.cat([masks, maps[:count].detach()])
        )
        d_real, d_fake = losses.discriminator_loss(pairs[:count], pairs[count:])
        optimisers[1].zero_grad(set_to_none=True)
        (d_real + d_fake).backward()
        optimisers[1].step()

        discriminator.eval().requires_grad_(False)
        patches = discriminator(images, maps)
        adv = losses.generator_adversarial_loss(patches[:count], adversarial)
        if count < len(images):
            unlabelled_loss = weights.adv * losses.generator_adversarial_loss(patches[count:], adversarial)

    ce = losses.cross_entropy(logits[:count], masks)
    iou = losses.iou_loss(maps[:count], masks)
    total = weights.ce * ce + weights.iou * iou + weights.adv * adv
    objective = 0.5 * total + 0.5 * unlabelled_loss if count < len(images) else total
    optimisers[0].zero_grad(set_to_none=True)
    objective.backward()
    optimisers[0].step()
    return torch.stack([ce, iou, adv, total, d_real, d_fake]).detach()
