"""What the released model makes of photographs that are blurred all over: those of Zhao's test split, each
blurred by a disc, as a lens out of focus does it, or along a line, as a hand that moves.

Needs CUHK where MAGAN_DATA says. A radius, or half a line's length, is a share of the longer side; at 0 the
photographs are as they are. In focus is what the map has at 128 or above.
"""

import argparse
import math
import sys
from itertools import product
from pathlib import Path

import machine
import numpy as np
import torch
from robustness import opened
from torch.nn import functional as F
from tqdm import tqdm

from magan_core import paths
from magan_core.data.defocus import disc
from magan_core.data.images import CUT, read_photo
from magan_core.data.sets import pairs, select
from magan_core.errors import MaganError
from magan_core.files import write_json

RADII = (0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02)  # of the longer side


def line(radius: float) -> torch.Tensor:
    """Weights of a level line that reaches this far in pixels to both sides; they add up to 1."""
    reach = math.ceil(radius)
    weights = torch.zeros(2 * reach + 1, 2 * reach + 1)
    weights[reach] = (radius + 0.5 - torch.arange(-reach, reach + 1.0).abs()).clamp(0, 1)
    return weights / weights.sum()


def blurred(photo: np.ndarray, kernel: torch.Tensor) -> np.ndarray:
    """The photograph, uint8 (H, W, 3), averaged with a kernel's weights; mirrored at its edges."""
    planes = torch.tensor(photo).permute(2, 0, 1).float()[:, None]  # 3, 1, H, W
    padded = F.pad(planes, (kernel.shape[0] // 2,) * 4, mode="reflect")
    return F.conv2d(padded, kernel[None, None])[:, 0].round().byte().permute(1, 2, 0).numpy()


WAYS = {"disc": disc, "line": line}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = paths.raw("cuhk")
    photos = [
        read_photo(record["image"])
        for record in select(pairs(folder, "blur"), folder / "splits/zhao_test.txt")
    ]
    model, rows = opened(paths.RELEASED), []
    for name, radius in [("none", 0.0), *product(WAYS, RADII)]:
        shares = []
        for photo in tqdm(photos, desc=f"{name} {radius:g}", leave=False, disable=None):
            seen = blurred(photo, WAYS[name](radius * max(photo.shape[:2]))) if radius else photo
            shares.append(float((model(seen) >= CUT).mean()))
        rows.append(
            {
                "blur": name,
                "radius": radius,
                "share_in_focus": round(float(np.mean(shares)), 4),
                "median": round(float(np.median(shares)), 4),
                "largest": round(max(shares), 4),
                "above_5_percent": sum(share > 0.05 for share in shares),
            }
        )
        print(rows[-1], flush=True)
    result = {
        "rows": rows,
        "photographs": len(photos),
        "hardware": machine.hardware(),
        "versions": machine.versions("torch", "numpy", "pillow"),
    }
    write_json(options.out or machine.RESULTS / "out_of_focus.json", result)


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
