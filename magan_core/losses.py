"""The losses of MA-GANet (Eq. 4, 5 and 7). `in focus` is the positive class of all of them."""

import torch
from torch import Tensor
from torch.nn import functional as F

from magan_core.errors import nearest
from magan_core.limits import ADVERSARIAL


def cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Pixel-wise cross entropy (Eq. 5), averaged over pixels and images.

    logits: float (B, 1, H, W). masks: float (B, 1, H, W), 1 = in focus.
    """
    return F.binary_cross_entropy_with_logits(logits, masks)


def iou_loss(maps: Tensor, masks: Tensor) -> Tensor:
    """1 - soft intersection over union (Eq. 4) of each image, averaged over images.

    maps, masks: float (B, 1, H, W) in [0, 1]. Where both are empty the union is 0 and the loss is 0.
    """
    intersection = (maps * masks).sum(dim=(1, 2, 3))
    union = maps.sum(dim=(1, 2, 3)) + masks.sum(dim=(1, 2, 3)) - intersection
    tiny = torch.finfo(union.dtype).tiny
    return torch.where(union > 0, 1 - intersection / union.clamp_min(tiny), 0.0).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The two terms of -L_cGAN (Eq. 7), each averaged over patches: -log D(X, Y) and -log(1 - D(X, G(X))).

    real, fake: logits (B, 1, M, M). The discriminator minimises their sum, that is, maximises L_cGAN.
    """
    return F.softplus(-real).mean(), F.softplus(fake).mean()


def generator_adversarial_loss(fake: Tensor, kind: str = "non_saturating") -> Tensor:
    """What the generator minimises of L_cGAN, averaged over patches.

    `minimax` is log(1 - D(X, G(X))) of Eq. 7 as printed; `non_saturating` is -log D(X, G(X)), which has the
    same fixed points and a gradient where the discriminator is sure.
    """
    nearest(kind, ADVERSARIAL, "adversarial loss")
    return F.softplus(-fake).mean() if kind == "non_saturating" else -F.softplus(fake).mean()
