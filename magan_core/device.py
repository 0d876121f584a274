"""Where the network runs: the GPU or the processor, and the way there."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from magan_core.errors import MaganError
from magan_core.limits import check


def choose_device(name: str = "auto") -> torch.device:
    """`cpu`, `cuda`, or `auto`: the GPU where there is one."""
    if name not in ("auto", "cpu", "cuda"):
        raise MaganError(f"device '{name}' is not one of auto, cpu, cuda.")
    if name == "cuda" and not torch.cuda.is_available():
        raise MaganError("device 'cuda' was asked for, but this torch sees no GPU. Take --device cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def choose_precision(name: str, device: torch.device) -> str:
    """`float32`, `bfloat16`, or for `auto` bfloat16 where the device multiplies it, a GPU from Ampere on or a
    processor with AVX512-BF16 or AMX, and float32 elsewhere."""
    check({"precision": name})
    if name != "auto":
        return name
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        found = getattr(torch.cpu, "get_capabilities", dict)()  # not in older versions of torch
        fast = found.get("avx512_bf16", False) or found.get("amx_bf16", False)
    return "bfloat16" if fast else "float32"


def send(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of main memory on the device. A GPU gets it from pinned memory when its queue comes to it: the
    host does not wait until what was asked for before is done, as it does for a plain copy."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


@contextmanager
def flushed() -> Iterator[None]:
    """On a CPU, numbers too small for float32's normal form are 0 in this thread, and for good in those that
    it starts; threads of torch that run already keep theirs.

    Weights of channel attention and their gradients fall that low, most of all where a photograph is noise,
    and some processors multiply such numbers many times slower.
    """
    before = not (torch.tensor(1e-39) * 1).item()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
