"""How well the released model maps photographs that are noisy, compressed, dark or bright: those of Zhao's
test split, disturbed, against the same masks.

Needs CUHK where MAGAN_DATA says. Levels: the deviation of the noise, of 255; the quality of the JPEG, of
100; what all values are multiplied by. Differences in MAE are from the photographs as they are, or from
another model on the same photographs (--than), with 95 % intervals and p over photographs; what is wrongly in
focus or blurred, shares of the pixels.
"""

import argparse
import io
import sys
from collections.abc import Callable
from pathlib import Path

import machine
import numpy as np
from PIL import Image
from tqdm import tqdm

from magan_core import metrics, paths
from magan_core.data.images import CUT
from magan_core.data.sets import load, pairs, select
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.files import sha256, write_json
from magan_core.models.folding import fold_batch_norm
from magan_core.models.weights import load_model, read_header
from magan_core.prediction import passes, predict


def noisy(photo: np.ndarray, deviation: float, seed: int) -> np.ndarray:
    """Independent noise in every channel of every pixel, as a sensor at high sensitivity has it."""
    noise = np.random.default_rng(seed).normal(0, deviation, photo.shape)
    return np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)


def compressed(photo: np.ndarray, quality: int, seed: int) -> np.ndarray:
    """Written as a JPEG and read again."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def exposed(photo: np.ndarray, factor: float, seed: int) -> np.ndarray:
    """All values times a factor, cut at white."""
    return np.clip(np.rint(photo * float(factor)), 0, 255).astype(np.uint8)


def as_it_is(photo: np.ndarray, level: None, seed: int) -> np.ndarray:
    return photo


DISTURBED: dict[str, tuple[Callable, tuple[float, ...]]] = {
    "noise": (noisy, (2, 5, 10, 20)),
    "jpeg": (compressed, (75, 50, 25, 10)),
    "brightness": (exposed, (0.25, 0.5, 1.5, 2)),
}


def opened(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What a model makes of a photograph: its map, as `magan predict` draws it."""
    network, size = load_model(path)
    fold_batch_norm(network)
    how = passes(read_header(path))
    return lambda photo: predict(network, photo, size, **how)


def asked(parser: argparse.ArgumentParser, result: str) -> argparse.Namespace:
    """Which model, beside which other, maps which photographs of CUHK, and where to write the result.

    result: its name in benchmarks/results, where only what comes out without options may be written.
    """
    parser.add_argument("--model", type=Path, default=paths.RELEASED, help="default: the released one")
    parser.add_argument("--than", type=Path, metavar="MODEL", help="to hold the model against")
    parser.add_argument("--split", default="zhao_test.txt", help="list of data/splits/cuhk, or of CUHK's own")
    parser.add_argument("--out", type=Path, help="needed with any of the other options")
    options = parser.parse_args()
    if options.out is None:
        if any(value != parser.get_default(name) for name, value in vars(options).items()):
            parser.error(f"{result} is what this gives without options; say --out FILE for anything else")
        options.out = machine.RESULTS / result
    return options


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the noise")
    options = asked(parser, "robustness.json")
    folder = paths.raw() / "cuhk"
    names = split_file("cuhk", options.split, folder)
    loaded = [load(record) for record in select(pairs(folder, "blur"), names)]
    files = [path for path in (options.model, options.than) if path]
    models = [opened(path) for path in files]
    paper, rows = metrics.get_protocol("paper"), []
    disturbances = [("none", as_it_is, None)]
    for kind, (disturb, levels) in DISTURBED.items():
        disturbances += [(kind, disturb, level) for level in levels]
    for kind, disturb, level in disturbances:
        counted = []  # per photograph and model
        for index, (photo, mask) in enumerate(tqdm(loaded, desc=f"{kind} {level or ''}", disable=None)):
            seen = disturb(photo, level, options.seed + index)
            counted.append([metrics.histograms(model(seen), mask) for model in models])
        found, *others = np.stack(counted, axis=1)
        if others or kind == "none":
            reference = others[0] if others else found
        difference = metrics.paired_difference(reference, found, paper)["mae"]
        blurred, focus = (found / found.sum((1, 2), keepdims=True)).mean(0)  # shares of the pixels, by value
        scores = metrics.summary(found, paper)
        scores |= {"wrongly_in_focus": blurred[CUT:].sum(), "wrongly_blurred": focus[:CUT].sum()}
        rows.append(
            {
                "disturbed": kind,
                "level": level,
                **{name: round(float(value), 4) for name, value in scores.items()},
                "mae_difference": {key: round(value, 4) for key, value in vars(difference).items()},
            }
        )
        print({key: value for key, value in rows[-1].items() if key != "mae_difference"}, flush=True)
    result = {
        "rows": rows,
        "photographs": len(loaded),
        "split": options.split,
        "models": [sha256(path) for path in files],
        "seed": options.seed,
        "protocol": "paper",
        "hardware": machine.hardware(),
        "versions": machine.versions("torch", "numpy", "pillow"),
    }
    write_json(options.out, result)


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
