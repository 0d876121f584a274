"""Which values settings may have, where their type allows more than makes sense.

Without torch, so that `magan profile` and `make` can look at all profiles before anything is computed; the
code that a setting is for asks here, too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magan_core.errors import MaganError, nearest

TABLES = ("I", "II", "III", "IV", "V", "VI")  # of the paper; `rows` may stand in them
PARTS = ("HL", "LL", "HCA", "SA", "LCA")  # of the generator: Table IV
# Receptive field of Table VI -> least side of its pictures in pixels.
SMALLEST = {1: 1, 16: 6, 70: 24, 256: 96}
LARGEST = 100_000  # side in pixels to which a photograph may be brought
ENERGIES = ("mean", "raw")  # of channel attention: what they are is in models.attention
AXES = ("sources", "printed")
ADVERSARIAL = ("non_saturating", "minimax")  # losses.generator_adversarial_loss
SCHEDULES = ("constant", "polynomial", "cosine")  # training.schedule
PRECISIONS = ("auto", "float32", "bfloat16")  # device.choose_precision

CHOICES: dict[str, Sequence[str]] = {
    "energy": ENERGIES,
    "axis": AXES,
    "adversarial": ADVERSARIAL,
    "schedule": SCHEDULES,
    "precision": PRECISIONS,
}


def _from(least: float, most: float = math.inf) -> Callable[[float], bool]:
    """From least to most; infinity itself is never allowed."""
    return lambda value: least <= value <= most and value < math.inf


RATE = (_from(0), "0 (these weights stay) or more, such as 1.0e-3")
COUNT = (lambda value: type(value) is int and value >= 1, "a whole number from 1 on")
NUMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: type(value) is int and 0 <= value < 2**32, "a whole number from 0 to 4294967295"),
    "resamples": COUNT,
    "threads": COUNT,
    "training_size": COUNT,
    "file": (lambda value: value != "", "null (download timm's) or the name of a file"),
    "width": (lambda value: 0 < value < math.inf, "above 0, such as 0.125"),
    "head_channels": COUNT,
    "dilation": COUNT,
    "dropout": (lambda value: 0 <= value < 1, "0 (off) or a share below 1, such as 0.1"),
    "channels": COUNT,
    "steps": COUNT,
    "warmup_steps": (_from(0), "0 (none) or more"),
    "batch": COUNT,
    "crop": COUNT,
    "rotation": (_from(0, 1), "an angle from 0 to 1, in units of pi"),
    "jitter": (lambda value: 0 <= value < 1, "0 (off) or a share below 1, such as 0.25"),
    "cutmix": (_from(0, 1), "0 (off) or a share of the crops, up to 1"),
    "defocus": (_from(0, 1), "0 (off) or a share of the crops, up to 1"),
    "noise": (_from(0, 1), "0 (off) or a deviation, as a share of white, up to 1"),
    "lr": RATE,
    "backbone_lr": RATE,
    "discriminator_lr": RATE,
    "betas": (
        lambda value: len(value) == 2 and all(type(beta) in (int, float) and 0 <= beta < 1 for beta in value),
        "two numbers from 0 to below 1, such as [0.9, 0.999]",
    ),
    "weight_decay": (_from(0), "0 (none) or more"),
    "supervised_share": (_from(0, 1), "a share of the steps, from 0 to 1"),
    "log_every": COUNT,
    "average": (lambda value: 0 <= value < 1, "0 (off) or a decay below 1, such as 0.999"),
    "window": (_from(1), "1 (off) or more"),
    "mae_margin": (lambda value: value is None or 0 <= value < 1, "null (no check) or a margin from 0"),
    "save_seconds": (_from(0), "a finite number of seconds; 0: after every step"),
    "maps_every": (_from(0), "a number of steps, or 0 for no samples"),
    "memory_share": (_from(0, 1), "from 0 (stream always) to 1"),
}


def check(settings: Mapping[str, Any], where: str = "") -> None:
    """Raise a MaganError at the first of the settings, of the right type already, with a value that it cannot
    have; those without bounds pass. where: what they are settings of, for the message."""
    for key, value in settings.items():
        if key in CHOICES:
            nearest(value, CHOICES[key], f"{key} of {where}" if where else key)
        if key in NUMBERS and not NUMBERS[key][0](value):
            raise MaganError(f"{_of(where)}{key} is {value!r}; it must be {NUMBERS[key][1]}.")


def check_crops(crop: int, window: float, side: int, where: str = "") -> None:
    """Raise a MaganError unless windows of 1 to `window` times the crop fit into photographs of side x side
    pixels."""
    if crop > side:
        raise MaganError(
            f"{_of(where)}crop {crop} is larger than the prepared {side} px. Lower `crop`, or prepare a "
            "larger `training_size`."
        )
    if not 1 <= window <= side / crop:
        raise MaganError(
            f"{_of(where)}window is {window}; crops of {crop} px in a set of {side} px allow 1 (off) to "
            f"{math.floor(side / crop * 1000) / 1000:g}. Lower `window` to that, or prepare a larger "
            "`training_size`."
        )


def check_scales(size: Any, scales: Any, where: str = "") -> None:
    """Raise a MaganError unless size is a side in pixels and scales a list of multiples of it, each a pixel
    or more."""
    if (
        type(size) is not int
        or not 1 <= size < LARGEST
        or type(scales) is not list
        or not scales
        or not all(type(scale) in (int, float) and 0.5 < scale * size < LARGEST for scale in scales)
    ):
        raise MaganError(
            f"{_of(where)}test_size is {size!r} and test_scales {scales!r}; expected a side in pixels and "
            "multiples of it, such as 320 and [0.8, 1.2]."
        )


def check_same_as(sets: Mapping[str, Mapping[str, Any]], where: str = "") -> None:
    """Raise a MaganError unless every set that is the same as another says no more than that, and the other
    is there and no such set itself."""
    for name, entry in sets.items():
        if "same_as" in entry:
            others = [other for other in sets if other != name and "same_as" not in sets[other]]
            nearest(
                entry["same_as"], others, f"set that '{name}' is the same as{' in ' if where else ''}{where}"
            )
            if len(entry) > 1:
                raise MaganError(
                    f"{_of(where)}set '{name}' is the same as '{entry['same_as']}'; it can say nothing else. "
                    f"Remove {', '.join(key for key in entry if key != 'same_as')}."
                )


def check_loss(weights: Mapping[str, float], where: str = "") -> None:
    """Raise a MaganError unless every weight of the losses is 0 or more, and one of them above 0."""
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise MaganError(f"{_of(where)}the loss {name} has the weight {weight}; it must be 0 or more.")
    if not any(weights.values()):
        raise MaganError(f"{_of(where)}all losses have the weight 0, so that nothing is learnt. Raise one.")


def check_parts(parts: Sequence[str], where: str = "") -> None:
    """Raise a MaganError unless the parts make a generator."""
    for part in parts:
        nearest(part, PARTS, f"part of the generator{f' in {where}' if where else ''}")
    if "HL" not in parts or (set(parts) & {"SA", "LCA"} and "LL" not in parts):
        raise MaganError(
            f"{_of(where)}parts {list(parts)} do not make a network: HL is always needed, and SA and LCA "
            "need LL."
        )


def check_receptive_field(value: Any, where: str = "") -> None:
    """Raise a MaganError unless a discriminator of Table VI has this receptive field."""
    if value not in SMALLEST:
        raise MaganError(
            f"{_of(where)}receptive field {value!r} is not one of Table VI: {', '.join(map(str, SMALLEST))}. "
            "Set `receptive_field` to one of these."
        )


def check_share(supervised_share: float, steps: int, where: str = "") -> None:
    """Raise a MaganError unless some of the steps of a semi-supervised run are left for unlabelled ones."""
    if round(steps * supervised_share) >= steps:
        raise MaganError(
            f"{_of(where)}supervised_share {supervised_share} of {steps} steps leaves none for the "
            "unlabelled photographs. Lower `supervised_share`."
        )


def check_judged(crop: int, receptive_field: int, where: str = "") -> None:
    """Raise a MaganError unless a discriminator of this receptive field has a patch in crops of this side."""
    if crop < SMALLEST[receptive_field]:
        raise MaganError(
            f"{_of(where)}crops of {crop} px are too small for a discriminator of receptive field "
            f"{receptive_field}, which needs {SMALLEST[receptive_field]} px. Enlarge `crop`, or take a "
            "smaller `receptive_field`."
        )


def _of(where: str) -> str:
    return f"{where}: " if where else ""
