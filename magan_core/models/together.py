"""Several networks that map as one."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from magan_core.errors import MaganError
from magan_core.models.weights import load_model


class Together(nn.Module):
    """The mean of the logits of several networks: where they fail on different photographs, it fails less."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, images: Tensor) -> Tensor:
        """RGB in [0, 1], float (B, 3, H, W) -> logits (B, 1, H, W)."""
        return sum(network(images) for network in self.networks) / len(self.networks)


def load_together(paths: Sequence[str | Path], device: torch.device | str = "cpu") -> tuple[nn.Module, int]:
    """As `load_model`, with one file or several, whose backbones and parts may differ.

    Errors: those of `load_model`, and MaganError when the models are tested at different sizes.
    """
    networks, sizes = zip(*(load_model(path, device) for path in paths), strict=True)
    if len(set(sizes)) > 1:
        told = ", ".join(f"{path} at {size} px" for path, size in zip(paths, sizes, strict=True))
        raise MaganError(f"models that map together need one test size, but have {told}. Train them alike.")
    return (networks[0] if len(networks) == 1 else Together(networks)), sizes[0]
