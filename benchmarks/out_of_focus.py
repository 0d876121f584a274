"""What a model, the released one if none is named, makes of photographs that are blurred all over: those of a
split of CUHK, each blurred by a disc, as a lens out of focus does it, or along a line, as a hand that moves.

Needs CUHK where MAGAN_DATA says. A radius, or half a line's length, is a share of the longer side; at 0 the
photographs are as they are. Values are averaged, not light. In focus is what the map has at 128 or above.
Differences are from another model on the same photographs (--than), with p over photographs (differences
change sign at random).
"""

import argparse
import math
import sys
from itertools import product

import machine
import numpy as np
import torch
from robustness import asked, opened
from scipy.stats import permutation_test
from torch.nn import functional as F
from tqdm import tqdm

from magan_core import paths
from magan_core.data.defocus import disc
from magan_core.data.images import CUT, read_photo
from magan_core.data.sets import pairs, select
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.files import sha256, write_json

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


def compared(shares: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """Mean difference of two models' shares of the same photographs, and its p-value."""
    found = permutation_test(
        (shares - others,), np.mean, permutation_type="samples", n_resamples=9999, vectorized=True, rng=1
    )
    return round(float(found.statistic), 4), round(float(found.pvalue), 4)


WAYS = {"disc": disc, "line": line}


def main() -> None:
    options = asked(argparse.ArgumentParser(description=__doc__), "out_of_focus.json")
    folder = paths.raw() / "cuhk"
    names = split_file("cuhk", options.split, folder)
    photos = [read_photo(record["image"]) for record in select(pairs(folder, "blur"), names)]
    files, rows = [path for path in (options.model, options.than) if path], []
    models = [opened(path) for path in files]
    for name, radius in [("none", 0.0), *product(WAYS, RADII)]:
        found = []  # per photograph and model
        for photo in tqdm(photos, desc=f"{name} {radius:g}", leave=False, disable=None):
            seen = blurred(photo, WAYS[name](radius * max(photo.shape[:2]))) if radius else photo
            found.append([float((model(seen) >= CUT).mean()) for model in models])
        shares, *others = np.transpose(found)
        rows.append(
            {
                "blur": name,
                "radius": radius,
                "share_in_focus": round(float(np.mean(shares)), 4),
                "median": round(float(np.median(shares)), 4),
                "largest": round(float(shares.max()), 4),
                "above_5_percent": int((shares > 0.05).sum()),
            }
        )
        if others:
            rows[-1]["difference"], rows[-1]["p"] = compared(shares, others[0])
        print(rows[-1], flush=True)
    result = {
        "rows": rows,
        "photographs": len(photos),
        "split": options.split,
        "models": [sha256(path) for path in files],
        "hardware": machine.hardware(),
        "versions": machine.versions("torch", "numpy", "pillow", "scipy"),
    }
    write_json(options.out, result)


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
