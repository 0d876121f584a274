"""The files that an evaluation leaves in a folder, written and read back.

summary.json; curves.csv (`metrics.curves`); per_image.csv (`metrics.per_image` beside the stems and the
fingerprints of the masks); histogram.csv (`metrics.value_histogram`); statistics.npy, int32 (n, 2, 256),
or (n, 2, 65536) of 16-bit maps.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.files import atomic, check_writable, write_json, write_text
from magan_core.wording import more

READ = ("summary.json", "statistics.npy", "per_image.csv")
FILES = (*READ, "curves.csv", "histogram.csv")


def mask_fingerprint(mask: np.ndarray) -> str:
    """16 hexadecimal digits that change with the size of a mask, (H, W), and with where it is not 0."""
    shape = f"{mask.shape[0]} {mask.shape[1]} ".encode()
    return hashlib.sha256(shape + np.packbits(mask != 0).tobytes()).hexdigest()[:16]


def check_replaceable(out: Path) -> None:
    """MaganError for a folder that cannot be written to, or with a file that would be overwritten and is not
    of an evaluation: those of one have a summary.json, or, where it was stopped, a statistics.npy."""
    check_writable(out)
    there = [out / name for name in FILES if os.path.lexists(out / name)]
    if there and not (_read_summary(out / "summary.json") or _was_stopped(out)):
        raise MaganError(
            f"{there[0]} is there already and not of an evaluation, or damaged; remove it, or choose another "
            "folder for the scores"
        )


def _read_summary(path: Path) -> dict[str, Any] | None:
    """What an evaluation has written there, None for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    written = isinstance(found, dict) and {"protocol", "images", *metrics.SCORES} <= found.keys()
    return found if written else None


def _was_stopped(out: Path) -> bool:
    if os.path.lexists(out / "summary.json"):
        return False
    try:
        return read_statistics(out / "statistics.npy") is not None
    except MaganError:
        return False


def write_scores(
    out: Path,
    summary: Mapping[str, object],
    stems: Sequence[str],
    masks: Sequence[str],
    statistics: np.ndarray,
    rules: metrics.Protocol,
) -> None:
    """Write the files of an evaluation to OUT. masks: a fingerprint an image; statistics: int (n, 2, levels).

    The summary goes first and comes last, so that where it lies the other files are complete; the statistics
    come first (`check_replaceable`). MaganError when they cannot be written.
    """
    try:
        (out / "summary.json").unlink(missing_ok=True)
    except OSError as error:
        raise MaganError(
            f"cannot write {out}/summary.json: {error.strerror}; choose another folder for the scores"
        ) from error
    with atomic(out / "statistics.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, statistics.astype(np.int32), allow_pickle=False)
    images = {"stem": stems, **metrics.per_image(statistics, rules), "mask": masks}
    histogram = {"value": np.arange(statistics.shape[-1]), "count": metrics.value_histogram(statistics)}
    tables = {"curves": metrics.curves(statistics, rules), "per_image": images, "histogram": histogram}
    for name, columns in tables.items():
        text = pd.DataFrame(columns).to_csv(index=False, float_format="%.8g", lineterminator="\n")
        write_text(out / f"{name}.csv", text)
    write_json(out / "summary.json", summary)


def read_statistics(path: Path) -> np.ndarray:
    """Read statistics.npy: int64 (n, 2, 256 or 65536). MaganError for anything else, naming the file."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise MaganError(f"cannot read {path} ({error}); evaluate these maps again") from error
    if found.dtype.kind not in "iu" or found.ndim != 3 or found.shape[1:] not in [(2, 256), (2, 1 << 16)]:
        raise MaganError(
            f"{path} holds {found.dtype} {found.shape}; expected integers (n, 2, 256), or (n, 2, 65536) of "
            "16-bit maps: evaluate these maps again"
        )
    return found.astype(np.int64)


def read_pair(a: Path, b: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the statistics of two folders of scores of the same images, both in the order of the first.

    MaganError for a folder without scores and for images, or masks, of only one of the two.
    """
    (first, masks), (second, others) = _read(a), _read(b)
    if different := sorted(masks.keys() ^ others.keys()):
        raise MaganError(
            f"'{different[0]}'{more(different)} is in only one of {a} and {b}; score the same images in "
            "both, with a split file"
        )
    if different := [stem for stem in masks if masks[stem] != others[stem]]:
        raise MaganError(
            f"{len(different)} of {len(masks)} masks, such as that of '{different[0]}', are others in {a} "
            f"than in {b}; evaluate both against the same masks, and with the same --masks-white"
        )
    if first.shape != second.shape:
        deep, other = (a, b) if first.shape[-1] > second.shape[-1] else (b, a)
        raise MaganError(
            f"{deep} was scored with 16 bits and {other} with 8; evaluate both with the same --bits"
        )
    place = {stem: index for index, stem in enumerate(others)}
    return first, second[[place[stem] for stem in masks]]


def common_protocol(a: Path, b: Path) -> str:
    """The protocol by which two folders were scored. MaganError for two protocols, and for a folder without
    scores."""
    names = []
    for folder in (a, b):
        _check(folder)
        if not (found := _read_summary(folder / "summary.json")):
            raise MaganError(
                f"{folder}/summary.json is not of an evaluation, or damaged; evaluate these maps again"
            )
        names.append(found["protocol"])
    if names[0] != names[1]:
        raise MaganError(
            f"{a} was scored by protocol {names[0]}, {b} by {names[1]}; name the one to compare them by: "
            f"--protocol {names[0]}, or another of `magan protocols`"
        )
    return names[0]


def _check(folder: Path) -> None:
    """MaganError for a folder without scores."""
    where = "name the --out folder of `magan evaluate`"
    if not folder.is_dir():
        raise MaganError(f"{folder}: no such folder; {where}")
    for name in READ:
        if not (folder / name).is_file():
            raise MaganError(f"{folder} is no folder of scores: it has no {name}; {where}")


def _read(folder: Path) -> tuple[np.ndarray, dict[str, str]]:
    """Statistics, and the fingerprint of each image's mask by its stem."""
    _check(folder)
    statistics = read_statistics(folder / "statistics.npy")
    try:
        images = pd.read_csv(folder / "per_image.csv", dtype=str, keep_default_na=False)
        stems = list(images["stem"])
    except (OSError, ValueError, KeyError) as error:
        raise MaganError(
            f"{folder}/per_image.csv is no table of scores with a column 'stem'; evaluate these maps again"
        ) from error
    if len(statistics) != len(stems):
        raise MaganError(
            f"{folder}: statistics.npy {statistics.shape} does not go with the {len(stems)} images of "
            "per_image.csv; evaluate these maps again"
        )
    if "mask" not in images:
        raise MaganError(
            f"{folder}/per_image.csv has no column 'mask', which says what masks were used; it is of an "
            "older version: evaluate these maps again"
        )
    return statistics, dict(zip(stems, images["mask"], strict=True))
