"""Long photographs seen whole and in windows by the released model: photographs of Zhao's test split, side by
side.

Needs CUHK where MAGAN_DATA says. The photographs, of one height, are drawn from the split by a seed; the mask
of each panorama is theirs side by side. Both ways map the same panoramas.
"""

import argparse
import math
import sys
from pathlib import Path
from unittest.mock import patch

import machine
import numpy as np
from robustness import opened
from tqdm import tqdm

from magan_core import metrics, paths, prediction
from magan_core.data.images import read_mask, read_photo, resize, resize_mask
from magan_core.data.sets import pairs, select
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.files import sha256, write_json

HEIGHT = 240
LENGTHS = (1, 2, 3, 4, 6)  # photographs side by side


def panoramas(records: list, length: int, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photographs uint8 (H, W, 3) and masks uint8 (H, W) of `length` records each."""
    random = np.random.default_rng([seed, length])
    found = []
    for _ in range(count):
        drawn = [records[index] for index in random.choice(len(records), length, replace=False)]
        photos = [read_photo(record["image"]) for record in drawn]
        masks = [read_mask(record["mask"], "blur") for record in drawn]
        widths = [round(HEIGHT * photo.shape[1] / photo.shape[0]) for photo in photos]
        found.append(
            (
                np.hstack([resize(one, HEIGHT, width) for one, width in zip(photos, widths, strict=True)]),
                np.hstack(
                    [resize_mask(one, HEIGHT, width) for one, width in zip(masks, widths, strict=True)]
                ),
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panoramas", type=int, default=24, help="of each length")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder = paths.raw() / "cuhk"
    records = select(pairs(folder, "blur"), split_file("cuhk", "zhao_test.txt", folder))
    mapped = opened(paths.RELEASED)
    paper, rows = metrics.get_protocol("paper"), []
    for length in LENGTHS:
        drawn = panoramas(records, length, options.panoramas, options.seed)
        statistics = {}
        for way, longest in (("whole", math.inf), ("windows", prediction.LONGEST)):
            with patch.object(prediction, "LONGEST", longest):
                statistics[way] = np.stack(
                    [
                        metrics.histograms(mapped(photo), mask)
                        for photo, mask in tqdm(drawn, desc=f"{length} {way}", leave=False, disable=None)
                    ]
                )
        difference = metrics.paired_difference(statistics["whole"], statistics["windows"], paper)
        rows.append(
            {
                "photographs": length,
                "ratio": round(float(np.mean([photo.shape[1] / HEIGHT for photo, _ in drawn])), 2),
                "in_windows": sum(photo.shape[1] > prediction.LONGEST * HEIGHT for photo, _ in drawn),
                **{way: scores(found, paper) for way, found in statistics.items()},
                "mae_difference": {key: round(value, 4) for key, value in vars(difference["mae"]).items()},
            }
        )
        told = [
            f"{way} MAE {rows[-1][way]['mae']:.4f} F_beta {rows[-1][way]['f_beta']:.4f}" for way in statistics
        ]
        print(f"{length} side by side, {rows[-1]['ratio']} : 1: {', '.join(told)}", flush=True)
    result = {
        "rows": rows,
        "panoramas": options.panoramas,
        "models": [sha256(paths.RELEASED)],
        "seed": options.seed,
        "protocol": "paper",
        "hardware": machine.hardware(),
        "versions": machine.versions("torch", "numpy", "pillow"),
    }
    write_json(options.out or machine.RESULTS / "panoramas.json", result)


def scores(statistics: np.ndarray, protocol: metrics.Protocol) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in metrics.summary(statistics, protocol).items()}


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
