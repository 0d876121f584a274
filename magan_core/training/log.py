"""The losses of a run as rows, and the ways in which they say that training has failed."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from magan_core.errors import MaganError
from magan_core.training.columns import TERMS

COLLAPSED = 0.01  # a discriminator with a smaller loss in HOPELESS rows in a row has nothing left to teach
HOPELESS = 5
CHANCE = 2 * math.log(2)  # the loss of a discriminator that cannot tell a map from a mask


class Log:
    """Means of the losses over the steps since the last row; the sums stay on the device in between.

    adversarial: whether there is a discriminator; without one its terms are left out. images: number of
    labelled photographs, for the epoch. further: names of the losses beside the paper's.
    """

    def __init__(
        self, adversarial: bool, images: int, device: torch.device, further: tuple[str, ...] = ()
    ) -> None:
        self.adversarial, self.images = adversarial, images
        self.rows: list[dict[str, float]] = []
        self.further = further
        self.sums = torch.zeros(len(TERMS) + len(further), device=device)
        self.steps = self.seen = 0

    def add(self, losses: Tensor, labelled: int) -> None:
        """Add one step: the TERMS and further losses, float (6 + F,), and how many labelled photographs it
        saw."""
        self.sums += losses
        self.steps += 1
        self.seen += labelled

    def finite(self) -> bool:
        """Whether every loss since the last row is a number."""
        return bool(self.sums.isfinite().all())

    def trouble(self) -> str:
        """Why weights from before the last step should not take the place of older ones; "" if they may."""
        if not self.finite():
            return "the losses were not finite (lower `lr`)"
        if self.adversarial and self.rows and _won(self.rows[-1]):
            return "the discriminator told every map from every mask (lower `discriminator_lr`)"
        return ""

    def row(self, step: int, lr: float, alphas: dict[str, float]) -> str:
        """End a row after `step` steps; returns it as text for a progress bar.

        alphas: those of columns.ALPHAS that the generator has, as they stand after the step.
        MaganError for losses that are not finite, and for a discriminator that has won for good.
        """
        means = dict(zip((*TERMS, *self.further), (self.sums / self.steps).tolist(), strict=True))
        if not self.finite():
            raise MaganError(
                f"training diverged before step {step}: "
                + ", ".join(f"{name} {value:.4g}" for name, value in means.items())
                + ". Lower `lr` or the adversarial weight, or use channel attention with `energy: mean`, "
                "and train anew."
            )
        self.sums.zero_()
        self.steps = 0
        if not self.adversarial:
            means = {name: means[name] for name in ("ce", "iou", "total", *self.further)}
        self.rows.append({"step": step, "epoch": self.seen / self.images, "lr": lr} | means | alphas)
        text = f"ce {means['ce']:.3f} iou {means['iou']:.3f}"
        if not self.adversarial:
            return text
        if len(self.rows) >= HOPELESS and all(_won(row) for row in self.rows[-HOPELESS:]):
            raise MaganError(
                f"the discriminator has collapsed before step {step}: it tells every map from every mask "
                f"(loss {means['d_real'] + means['d_fake']:.4f}), which teaches the generator nothing. Lower "
                "`discriminator_lr`, or take a smaller receptive_field, and train anew."
            )
        return f"{text} adv {means['adv']:.2f} D {means['d_real']:.2f}/{means['d_fake']:.2f}"

    def state(self) -> dict[str, Any]:
        """All but the sums, for JSON."""
        return {"rows": self.rows, "steps": self.steps, "seen": self.seen}

    def restore(self, state: dict[str, Any], sums: Tensor) -> None:
        """Put back what `state` gave, and the sums."""
        self.rows, self.steps, self.seen = state["rows"], state["steps"], state["seen"]
        self.sums.copy_(sums)


def at_chance(rows: Sequence[dict[str, float]]) -> bool:
    """Whether the loss of a run's discriminator stayed within three per cent of that of chance, or above,
    from the first row to the last: then it has taught next to nothing. Others leave it within some rows."""
    return len(rows) >= HOPELESS and all(row["d_real"] + row["d_fake"] > 0.97 * CHANCE for row in rows)


def _won(row: dict[str, float]) -> bool:
    return row["d_real"] + row["d_fake"] < COLLAPSED
