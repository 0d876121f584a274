"""Learns the filters and the densities of DBDF from photographs with masks, and writes them.

    python -m magan_core.classical.dbdf_fit

learns them from 40 photographs of CUHK that lie in both of its training splits (Tables I and III), without
out_of_focus0001 to 0104: the authors published their maps of these, and the two can be compared. The same
photographs give the same bytes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from scipy.linalg import eigh

from magan_core import paths
from magan_core.classical import planes
from magan_core.classical.dbdf import LEARNT, PATCHES, Learnt
from magan_core.classical.dbdf_features import features
from magan_core.data.record import Record
from magan_core.data.sets import load, pairs, select
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.files import write_bytes

SPLITS = ("first604_train.txt", "zhao_train.txt")
PUBLISHED = 104
FILTERS = 2
RIDGE = 1e-3  # of the mean variance: no direction may win because blurred patches have nothing there
LEAST = 1e-6  # deviation of a feature that never changes

Places = tuple[np.ndarray, np.ndarray]  # rows and columns on the grid of patches


def fit(
    photographs: Sequence[tuple[np.ndarray, np.ndarray]],
    patches: Sequence[int] = PATCHES,
    pixels: int = 600,
    seed: int = 1,
) -> dict[int, Learnt]:
    """Learn from photographs uint8 (H, W, 3) and masks uint8 (H, W), 255 = in focus; by side of the patch.

    `pixels` random pixels of each class and photograph count. The filters are the directions in which patches
    in focus have the most energy for that of blurred patches (generalised eigenvectors of the covariances),
    made zero-mean and of norm 1; then the five features have a mean and a deviation in each class.
    Errors: MaganError for a photograph that is too small, and when no pixel is in focus or none is blurred.
    """
    for photo, _ in photographs:
        planes.check(photo, max(patches))
    greys = [planes.grey(photo) for photo, _ in photographs]
    learnt = {}
    for patch in patches:
        places = [
            [_choose(mask, white, patch, pixels, [seed, patch, white, number]) for white in (255, 0)]
            for number, (_, mask) in enumerate(photographs)
        ]
        for name, of_class in zip(("in focus", "blurred"), zip(*places, strict=True), strict=True):
            if sum(len(rows) for rows, _ in of_class) < 2:
                raise MaganError(f"no pixel of the {len(greys)} photographs is {name}; expected both classes")
        filters = _filters(greys, places, patch)
        values: list[list[np.ndarray]] = [[], []]
        for grey, both in zip(greys, places, strict=True):
            found = features(grey, patch, filters)
            for number, (rows, columns) in enumerate(both):
                values[number].append(found[:, rows, columns])
        joined = [np.concatenate(of_class, axis=1) for of_class in values]
        learnt[patch] = Learnt(
            filters,
            np.stack([one.mean(axis=1) for one in joined]).astype(np.float32),
            np.stack([one.std(axis=1) for one in joined]).clip(LEAST).astype(np.float32),
        )
    return learnt


def write(learnt: dict[int, Learnt], path: Path, fitted_on: str) -> None:
    """Write what `fit` returns as safetensors, with a line on what it was fitted on."""
    tensors = {f"{side}.{part}": value for side, one in learnt.items() for part, value in vars(one).items()}
    write_bytes(path, save(tensors, {"fitted_on": fitted_on}))


def training_records(count: int = 40, seed: int = 1) -> list[Record]:
    """Return the photographs of CUHK that the repository's filters and densities were fitted on."""
    records = pairs(paths.raw() / "cuhk", white="blur")
    files = [split_file("cuhk", split, paths.raw() / "cuhk") for split in SPLITS]
    stems = [{record["stem"] for record in select(records, file)} for file in files]
    allowed = [
        record
        for record in records
        if record["stem"] in set.intersection(*stems)
        and int(record["stem"].removeprefix("out_of_focus")) > PUBLISHED
    ]
    chosen = np.random.default_rng(seed).choice(len(allowed), count, replace=False)
    return [allowed[number] for number in sorted(chosen)]


def main() -> None:
    """Fit on `training_records` and write the repository's file."""
    try:
        records = training_records()
        splits = " and ".join(SPLITS)
        fitted_on = f"{len(records)} photographs of CUHK in {splits}, none of its first {PUBLISHED}"
        write(fit([load(record) for record in records]), LEARNT, fitted_on)
    except MaganError as error:
        sys.exit(f"dbdf_fit: {error}")


def _choose(mask: np.ndarray, white: int, patch: int, pixels: int, seed: list[int]) -> Places:
    """Return the places of up to `pixels` patches whose centre has the value `white` in the mask."""
    edge = patch // 2
    rows, columns = np.nonzero(mask[edge:-edge, edge:-edge] == white)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:pixels]
    return rows[chosen], columns[chosen]


def _filters(greys: list[np.ndarray], places: list[list[Places]], patch: int) -> np.ndarray:
    """Return the filters as float32 (2, p, p); the largest weight of each is positive."""
    size = patch * patch
    covariances = np.zeros((2, size, size))
    counts = np.zeros(2)
    for grey, both in zip(greys, places, strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(grey / 255, (patch, patch))
        for number, where in enumerate(both):
            found = windows[where].reshape(-1, size)
            found = found - found.mean(axis=1, keepdims=True)
            covariances[number] += found.T @ found
            counts[number] += len(found)
    sharp, blurred = covariances / counts[:, None, None]
    ridge = RIDGE * np.trace(blurred) / size * np.eye(size)
    _, vectors = eigh(sharp, blurred + ridge, subset_by_index=(size - FILTERS, size - 1))
    filters = vectors[:, ::-1].T
    filters = filters - filters.mean(axis=1, keepdims=True)
    filters /= np.linalg.norm(filters, axis=1, keepdims=True)
    largest = np.take_along_axis(filters, np.abs(filters).argmax(axis=1)[:, None], axis=1)
    return (filters * np.sign(largest)).reshape(FILTERS, patch, patch).astype(np.float32)


if __name__ == "__main__":
    main()
