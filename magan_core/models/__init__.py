"""Generator (MANet) and discriminator (PatchGAN), built by name from plain settings."""

from magan_core.limits import PARTS
from magan_core.models.discriminator import PatchGAN, build_discriminator, patch_grid, receptive_field
from magan_core.models.generator import MANet, build_generator

__all__ = [
    "PARTS",
    "MANet",
    "PatchGAN",
    "build_discriminator",
    "build_generator",
    "patch_grid",
    "receptive_field",
]
