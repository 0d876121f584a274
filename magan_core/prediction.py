"""From photographs to 8-bit maps of their own size, white = in focus."""

import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from magan_core.data.images import read_photo, write_map


@torch.inference_mode()
def predict(generator: nn.Module, photo: np.ndarray, size: int, device: torch.device | str = "cpu") -> np.ndarray:
    """Map of one photograph.

    photo: uint8 (H, W, 3). size: side in pixels of the square that the network sees; the aspect ratio is given up,
    as in training. Returns uint8 (H, W), 255 = in focus.
    """
    image = torch.from_numpy(photo).to(device).permute(2, 0, 1)[None].float().div_(255)  # 1, 3, H, W
    small = F.interpolate(image, size=(size, size), mode="bilinear", antialias=True, align_corners=False)
    probability = generator(small.clamp_(0, 1)).sigmoid()
    full = F.interpolate(probability, size=photo.shape[:2], mode="bilinear", align_corners=False)
    return full[0, 0].mul(255).round().byte().cpu().numpy()


def predict_files(
    generator: nn.Module,
    photos: Iterable[Path],
    out: Path,
    *,
    size: int,
    device: torch.device | str = "cpu",
    progress: bool = True,
) -> float:
    """Write OUT/STEM.png for every photograph. Returns the median seconds a photograph, reading and writing apart."""
    seconds = []
    for path in tqdm(list(photos), disable=not progress, mininterval=5, unit="image", desc=f"predict {Path(out).name}"):
        photo = read_photo(path)
        start = time.perf_counter()
        values = predict(generator, photo, size, device)
        seconds.append(time.perf_counter() - start)
        write_map(Path(out) / f"{Path(path).stem}.png", values)
    return float(np.median(seconds))
