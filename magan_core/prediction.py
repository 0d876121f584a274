"""From photographs to maps of their own size, white = in focus."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from magan_core.data.images import check_bits, read_photo, resize, write_map
from magan_core.device import flushed
from magan_core.errors import MaganError

LONGEST = 2.5  # times as long as wide; every photograph of the data sets is shorter
MOST_WINDOWS = 24


@torch.inference_mode()
def predict(
    generator: nn.Module,
    photo: np.ndarray,
    size: int,
    device: torch.device | str = "cpu",
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    bits: int = 8,
) -> np.ndarray:
    """Map of one photograph.

    photo: uint8 (H, W, 3). size: side in pixels of the square that the network sees; the aspect ratio is
    given up, as in training. scales: one or more multiples of size; the photograph is mapped at each, and
    the map is that of the mean of their logits. flip: the same of the photograph and its mirror image.
    A photograph of more than LONGEST : 1 is mapped in windows that overlap, and their logits are blended.
    On a CPU `generator` is called in several threads at once where there are several such passes, and they
    share torch's threads: call this from one thread at a time.
    Returns uint8 (H, W), 255 = in focus, or, with `bits` 16, uint16 (H, W), 65535 = in focus. MaganError for
    another photograph or number of bits.
    """
    check_bits(bits)
    kind, shape = getattr(photo, "dtype", type(photo).__name__), getattr(photo, "shape", ())
    if kind != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise MaganError(
            f"a photograph is {kind} {tuple(shape)}; expected uint8 (height, width, 3), red, green and blue, "
            "as data.images.read_photo gives it"
        )
    parts = windows(*photo.shape[:2])
    if len(parts) == 1:
        return as_map(_logits(generator, photo, size, device, scales, flip), bits)
    blended = torch.zeros(photo.shape[:2], device=device)
    for part, share in parts:
        share = torch.from_numpy(share).to(device)
        blended[part] += _logits(generator, photo[part], size, device, scales, flip) * share
    return as_map(blended, bits)


def windows(height: int, width: int) -> list[tuple[tuple[slice, slice], np.ndarray]]:
    """Where the network looks, rows and columns, and how much each window counts there: float32 that
    broadcasts to it. The shares of a pixel sum to 1.

    The whole photograph, or windows of 3 : 2 along it of which neighbours share a third and more; at most
    MOST_WINDOWS, which then are longer.
    """
    short, long = sorted((height, width))
    if long <= LONGEST * short:
        return [((slice(None), slice(None)), np.ones((1, 1), np.float32))]
    side = max(round(1.5 * short), -(-3 * long // (2 * MOST_WINDOWS + 1)))
    starts = np.linspace(0, long - side, -(-3 * (long - side) // (2 * side)) + 1).round().astype(int)
    ramp = np.minimum(np.arange(1, side + 1), np.arange(side, 0, -1)).astype(np.float32)
    total = np.zeros(long, np.float32)
    for start in starts:
        total[start : start + side] += ramp
    found = []
    for start in starts:
        along, share = slice(start, start + side), ramp / total[start : start + side]
        found.append(
            ((slice(None), along), share) if width > height else ((along, slice(None)), share[:, None])
        )
    return found


def _logits(generator, photo, size, device, scales, flip) -> torch.Tensor:
    """Mean logits of all passes, enlarged to the photograph's size: (H, W)."""
    sides = [round(size * scale) for scale in scales]
    workers = min(len(sides), torch.get_num_threads())
    shrunk = _pool(workers).map if workers > 1 else map
    images = [as_input(small, device) for small in shrunk(lambda side: resize(photo, side, side), sides)]
    if not flip:
        return full_size(forwards(generator, images), photo)
    found = forwards(generator, [view for image in images for view in (image, image.flip(3))])
    pairs = zip(found[::2], found[1::2], strict=True)
    return full_size([(one + mirrored.flip(3)) / 2 for one, mirrored in pairs], photo)


def forwards(generator: nn.Module, images: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """The generator's output for each of the images (1, 3, side, side), which may differ in size.

    On a CPU the images are shared out among torch's threads, which then wait for each other less often than
    when each layer is.
    """
    threads = torch.get_num_threads()
    workers = min(len(images), threads)
    if workers == 1 or images[0].device.type != "cpu":
        with flushed():
            return [generator(image) for image in images]

    def forward(image: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(threads // workers)  # of this thread, as inference mode is
        with torch.inference_mode(), flushed():
            return generator(image)

    try:
        return list(_pool(workers).map(forward, images))
    finally:
        torch.set_num_threads(threads)  # else threads to come would begin with the share


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, "forward")


def passes(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`scales` and `flip` of `predict`, from a profile or from the header of a model."""
    return {"scales": settings["test_scales"], "flip": settings["test_flip"]}


def network_input(photo: np.ndarray, size: int, device: torch.device | str) -> torch.Tensor:
    """uint8 (H, W, 3) -> float (1, 3, size, size) in [0, 1], resized as the training arrays were."""
    return as_input(resize(photo, size, size), device)


def as_input(small: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """uint8 (S, S, 3) -> float (1, 3, S, S) in [0, 1]."""
    return torch.from_numpy(small).to(device).permute(2, 0, 1)[None].float().div_(255)


def full_size(found: Sequence[torch.Tensor], photo: np.ndarray) -> torch.Tensor:
    """Logits of one size of the network or several, each (1, 1, side, side) -> their mean at the photograph's
    size, (H, W).

    Logits, not the map, are enlarged: what lies between two pixels of the network is decided sooner.
    """
    enlarged = (
        F.interpolate(logits, size=photo.shape[:2], mode="bilinear", align_corners=False)[0, 0]  # H, W
        for logits in found
    )
    full = next(enlarged)
    for other in enlarged:
        full += other
    return full.div_(len(found))


def as_map(logits: torch.Tensor, bits: int = 8) -> np.ndarray:
    """Logits (H, W), which are overwritten -> map uint8 or, with `bits` 16, uint16 (H, W)."""
    values = logits.sigmoid_().mul_(2**bits - 1).round_()
    return values.byte().cpu().numpy() if bits == 8 else values.cpu().numpy().astype(np.uint16)


def predict_files(
    generator: nn.Module,
    photos: Iterable[Path],
    out: Path,
    *,
    size: int,
    device: torch.device | str = "cpu",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    bits: int = 8,
    progress: bool = True,
) -> float:
    """Write OUT/STEM.png for every photograph (scales, flip, bits: see `predict`). Returns the median
    seconds a photograph, reading and writing apart."""
    seconds = []
    for path in tqdm(
        list(photos), disable=not progress, mininterval=5, unit="image", desc=f"predict {Path(out).name}"
    ):
        photo = read_photo(path)
        start = time.perf_counter()
        values = predict(generator, photo, size, device, scales=scales, flip=flip, bits=bits)
        seconds.append(time.perf_counter() - start)
        write_map(Path(out) / f"{Path(path).stem}.png", values)
    return float(np.median(seconds))
