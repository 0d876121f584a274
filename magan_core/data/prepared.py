"""Prepared data, read again: the arrays of a set that trains, the list of photographs that test."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magan_core.data.record import Record
from magan_core.errors import MaganError
from magan_core.files import read_json, require

SETTINGS = ("sets", "seed", "training_size")  # of a profile: what its prepared data depend on


@dataclass(frozen=True)
class Training:
    """Memory-mapped arrays of a prepared set.

    images: uint8 (N, S, S, 3). masks: uint8 (N, S, S) 0/255, 255 = in focus, or None for an unlabelled set.
    sizes: int32 (N, 2), the original height and width.
    """

    images: np.ndarray
    masks: np.ndarray | None
    sizes: np.ndarray


def check_settings(folder: str | Path, profile: Mapping[str, Any]) -> None:
    """MaganError unless a profile's data are prepared in this folder, with the settings that it has now."""
    file, name = Path(folder) / "settings.json", profile["name"]
    how = (
        f"`make repro PROFILE={name}` prepares them and does all else; `magan profile {name}`, then "
        f"`dvc repro prepare@{name}`, prepares them alone."
    )
    if not file.exists():
        raise MaganError(f"the data of profile {name} are not prepared. {how}")
    found = read_json(file)
    require(found, SETTINGS, file)
    if other := [key for key in SETTINGS if found[key] != profile[key]]:
        raise MaganError(
            f"the data of profile {name} were prepared with other values of {' and '.join(other)} than "
            f"params.yaml has now. {how}"
        )


def load_train(folder: str | Path) -> Training:
    """Return the training arrays of a prepared set. MaganError when it has none or they are damaged."""
    folder = Path(folder)
    if (folder / "test.csv").exists() and not (folder / "train_images.npy").exists():
        raise MaganError(
            f"{folder}: this set only tests, as its entry under `sets` in params.yaml says; give it a "
            "`train_split` or a `train_share` to train on it"
        )
    try:
        images, sizes = (np.load(folder / f"train_{what}.npy", mmap_mode="r") for what in ("images", "sizes"))
        masks = (
            np.load(folder / "train_masks.npy", mmap_mode="r")
            if (folder / "train_masks.npy").exists()
            else None
        )
        counts = {"train_images.npy": len(images), "train_sizes.npy": len(sizes)}
        counts |= {} if masks is None else {"train_masks.npy": len(masks)}
        if len(set(counts.values())) > 1:
            told = ", ".join(f"{count} in {name}" for name, count in counts.items())
            raise ValueError(f"expected as many photographs in each file, found {told}")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise MaganError(
            f"{folder}: cannot read its training arrays ({error}); prepare the data again (`make repro`)"
        ) from error
    return Training(images, masks, sizes)


def training_hash(folder: str | Path) -> str:
    """Return the SHA-256 of the training arrays of a prepared set. MaganError when sets.json does not know
    the set."""
    folder = Path(folder)
    try:
        return str(read_json(folder.parent / "sets.json")[folder.name]["sha256"])
    except (KeyError, TypeError) as error:
        raise MaganError(
            f"{folder.parent / 'sets.json'} says nothing of the set {folder.name}; prepare the data again"
        ) from error


def load_test(folder: str | Path) -> list[Record]:
    """Return the test photographs of a prepared set as dictionaries: stem, image and mask (paths), white.
    MaganError when it has none or their list is damaged."""
    root, path = Path(folder).parent, Path(folder) / "test.csv"
    if not path.exists() and path.with_name("train_images.npy").exists():
        raise MaganError(
            f"{folder}: this set has no photographs to test on; test on another, or let its entry under "
            "`sets` in params.yaml leave some"
        )
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        if not rows:
            raise ValueError("no photograph is listed; expected one or more")
        if any(None in row or None in row.values() for row in rows):
            raise ValueError("a line has more or fewer fields than the first; expected as many")
        return [
            Record(stem=r["stem"], image=root / r["image"], mask=root / r["mask"], white=r["white"])
            for r in rows
        ]
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise MaganError(
            f"{path}: cannot read the list of test photographs ({error}); prepare the data again "
            "(`make repro`)"
        ) from error
