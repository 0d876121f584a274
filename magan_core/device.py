"""Where the network runs: the GPU or the processor."""

import torch

from magan_core.errors import MaganError


def choose_device(name: str = "auto") -> torch.device:
    """`cpu`, `cuda`, or `auto`: the GPU where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise MaganError(f"device '{name}' is not one of auto, cpu, cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise MaganError("device 'cuda' was asked for, but this torch sees no GPU. Take --device cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
