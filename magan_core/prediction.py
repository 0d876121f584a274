"""From photographs to 8-bit maps of their own size, white = in focus."""

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

from magan_core.data.images import read_photo, resize, write_map
from magan_core.models.generator import MANet


@torch.inference_mode()
def predict(
    generator: nn.Module,
    photo: np.ndarray,
    size: int,
    device: torch.device | str = "cpu",
    *,
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
) -> np.ndarray:
    """Map of one photograph.

    photo: uint8 (H, W, 3). size: side in pixels of the square that the network sees; the aspect ratio is
    given up, as in training. scales: one or more multiples of size; the photograph is mapped at each, and
    the map is that of the mean of their logits. flip: the same of the photograph and its mirror image.
    On a CPU `generator` is called in several threads at once where there are several such passes.
    Returns uint8 (H, W), 255 = in focus.
    """
    images = [network_input(photo, round(size * scale), device) for scale in scales]
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
        return [generator(image) for image in images]

    def forward(image: torch.Tensor) -> torch.Tensor:
        torch.set_num_threads(threads // workers)  # of this thread, as inference mode is
        with torch.inference_mode():
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


@torch.inference_mode()
def attention_maps(
    generator: MANet, photo: np.ndarray, size: int, device: torch.device | str = "cpu"
) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """As `predict` at one size, with the attention of the forward pass on the CPU (see MANet.forward)."""
    logits, attention = generator(network_input(photo, size, device), attention=True)
    return full_size([logits], photo), {name: values.cpu() for name, values in attention.items()}


def network_input(photo: np.ndarray, size: int, device: torch.device | str) -> torch.Tensor:
    """uint8 (H, W, 3) -> float (1, 3, size, size) in [0, 1], resized as the training arrays were."""
    small = torch.from_numpy(resize(photo, size, size)).to(device)  # size, size, 3
    return small.permute(2, 0, 1)[None].float().div_(255)


def full_size(found: Sequence[torch.Tensor], photo: np.ndarray) -> np.ndarray:
    """Logits of one size of the network or several, each (1, 1, side, side) -> the map of their mean, of the
    photograph's size, uint8 (H, W).

    Logits, not the map, are enlarged: what lies between two pixels of the network is decided sooner.
    """
    enlarged = (
        F.interpolate(logits, size=photo.shape[:2], mode="bilinear", align_corners=False)[0, 0]  # H, W
        for logits in found
    )
    full = next(enlarged)
    for other in enlarged:
        full += other
    return full.div_(len(found)).sigmoid_().mul_(255).round_().byte().cpu().numpy()


def predict_files(
    generator: nn.Module,
    photos: Iterable[Path],
    out: Path,
    *,
    size: int,
    device: torch.device | str = "cpu",
    scales: Sequence[float] = (1.0,),
    flip: bool = False,
    progress: bool = True,
) -> float:
    """Write OUT/STEM.png for every photograph (scales, flip: see `predict`). Returns the median seconds a
    photograph, reading and writing apart."""
    seconds = []
    for path in tqdm(
        list(photos), disable=not progress, mininterval=5, unit="image", desc=f"predict {Path(out).name}"
    ):
        photo = read_photo(path)
        start = time.perf_counter()
        values = predict(generator, photo, size, device, scales=scales, flip=flip)
        seconds.append(time.perf_counter() - start)
        write_map(Path(out) / f"{Path(path).stem}.png", values)
    return float(np.median(seconds))
