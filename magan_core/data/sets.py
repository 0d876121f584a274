"""Data sets as folders: which mask belongs to which photograph, and which of them train and which test."""

import hashlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from magan_core.data.images import SUFFIXES, read_mask, read_photo
from magan_core.data.record import Record
from magan_core.errors import MaganError
from magan_core.wording import size_of

# What file managers leave behind, beside names that start with a dot.
LITTER = {"thumbs.db", "desktop.ini", "icon\r"}


def pairs(folder: str | Path, white: str, images: str = "images", masks: str = "masks") -> list[Record]:
    """Return the photographs of FOLDER/images with their masks of FOLDER/masks, matched and sorted by stem.

    Raises MaganError for a missing or empty folder, a file that is no picture, two files of one stem, a
    photograph without mask and the reverse. The pictures themselves are checked by `load`.
    """
    photo_files, mask_files = _pictures(Path(folder) / images), _pictures(Path(folder) / masks)
    for found, other, what in ((photo_files, mask_files, "mask"), (mask_files, photo_files, "photograph")):
        lonely = [file for key, file in found.items() if key not in other]
        if lonely:
            place = masks if what == "mask" else images
            raise MaganError(
                f"{lonely[0]} has no {what} of the same stem in {Path(folder) / place} ({len(lonely)} such "
                f"files); add the {what} or take the file away"
            )
    return [
        Record(stem=file.stem, image=file, mask=mask_files[key], white=white)
        for key, file in photo_files.items()
    ]


def photographs(folder: str | Path, images: str = "images") -> list[Record]:
    """Return the photographs of FOLDER/images without masks, sorted by stem; errors as in `pairs`."""
    found = _pictures(Path(folder) / images)
    return [Record(stem=file.stem, image=file, mask=None, white="focus") for file in found.values()]


def load(record: Record) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the photo, uint8 (H, W, 3), and its mask, uint8 (H, W) 0/255 with 255 = in focus, or None.

    Raises MaganError when either cannot be read, when their sizes differ, and when the mask is all one class.
    """
    photo = read_photo(record["image"])
    if record["mask"] is None:
        return photo, None
    mask = read_mask(record["mask"], record["white"])
    if photo.shape[:2] != mask.shape:
        raise MaganError(
            f"{record['image']} is {size_of(photo)} but {record['mask']} is {size_of(mask)} (width x height, "
            "upright); give them the same size"
        )
    if mask.min() == mask.max():
        raise MaganError(
            f"{record['mask']}: every pixel is {'in focus' if mask.max() else 'blurred'}; expected both "
            "classes: mend the mask or leave the photograph out of the set"
        )
    return photo, mask


def read_names(path: str | Path) -> list[str]:
    """Return the names in a split file, one a line. MaganError when it is missing or empty."""
    try:
        names = [
            line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines() if line.strip()
        ]
    except (OSError, UnicodeDecodeError) as error:
        raise MaganError(
            f"cannot read the split {path}: {error}; expected one file name or stem a line"
        ) from error
    if not names:
        raise MaganError(f"the split {path} is empty; expected one file name or stem a line")
    return names


def select(records: Sequence[Record], split: str | Path) -> list[Record]:
    """Return the records that a split file names (with or without extension), in its order.

    Raises MaganError for a name that is not in the set or stands there twice.
    """
    by_key = {stem_key(record["stem"]): record for record in records}
    chosen: dict[str, Record] = {}
    for name in read_names(split):
        key = _find(name, by_key)
        if key is None:
            raise MaganError(
                f"{split} names '{name}', which the set does not hold; correct the split or add the file"
            )
        if key in chosen:
            raise MaganError(f"{split} names '{name}' twice; remove one of them")
        chosen[key] = by_key[key]
    return list(chosen.values())


def exclude(records: Sequence[Record], listing: str | Path) -> list[Record]:
    """Return the records that a file does not list. A line is a name, or a name, a space and a remark.

    Raises MaganError for a line that names nothing in the set.
    """
    by_key = {stem_key(record["stem"]): record for record in records}
    listed = set()
    for line in read_names(listing):
        words = line.split(" ")
        names = (" ".join(words[:count]) for count in range(len(words), 0, -1))
        key = next((key for name in names if (key := _find(name, by_key)) is not None), None)
        if key is None:
            raise MaganError(f"{listing} names '{line}', which the set does not hold; correct the list")
        listed.add(key)
    return [record for key, record in by_key.items() if key not in listed]


def divide(records: Sequence[Record], share: float, seed: int) -> tuple[list[Record], list[Record]]:
    """Divide records at random, but always alike for one seed: the first part gets `share` (0 to 1) of them.

    The order is that of a hash of seed and stem: it depends on neither the machine nor the order of the
    files. A part gets at least one record unless its share is 0.
    """
    order = sorted(records, key=lambda r: hashlib.sha256(f"{seed}/{stem_key(r['stem'])}".encode()).digest())
    count = round(share * len(order))
    if 0 < share < 1 and len(order) > 1:
        count = min(max(count, 1), len(order) - 1)
    first, second = order[:count], order[count:]
    return sorted(first, key=_by_stem), sorted(second, key=_by_stem)


def stem_key(stem: str) -> str:
    """Return a stem in one Unicode form: macOS writes an umlaut as two characters, a split file as one."""
    return unicodedata.normalize("NFC", stem)


def meanings(name: str) -> list[str]:
    """Return what a name in a list may mean, in the form of `stem_key`: a stem, or a file whose extension is
    that of a picture."""
    as_file = Path(name)
    return [stem_key(name)] + ([stem_key(as_file.stem)] if as_file.suffix.lower() in SUFFIXES else [])


def visible(folder: Path) -> list[Path]:
    """Return what a folder holds, sorted, without what file managers leave behind."""
    return sorted(
        file for file in folder.iterdir() if not (file.name.startswith(".") or file.name.lower() in LITTER)
    )


def _pictures(folder: Path) -> dict[str, Path]:
    """Return the files of a folder by normalised stem."""
    if not folder.is_dir():
        raise MaganError(
            f"{folder}: no such folder; put the files there (see `magan data list`), or set MAGAN_DATA to "
            "the folder of the data sets"
        )
    found: dict[str, Path] = {}
    for file in visible(folder):
        if file.is_symlink() and not file.exists():
            raise MaganError(f"{file} leads to {os.readlink(file)}, which is not there; fetch or mount it")
        if file.suffix.lower() not in SUFFIXES or not file.is_file():
            raise MaganError(
                f"{file}: not a picture ({', '.join(sorted(SUFFIXES))}); take it out of the folder"
            )
        if os.fsencode(file.name).decode("utf-8", "replace") != file.name:
            raise MaganError(f"{file}: its name is not UTF-8, which lists of names are; rename it")
        if file.stem != file.stem.strip():
            raise MaganError(f"{file}: its name has a space at an end, which lists cannot say; rename it")
        if stem_key(file.stem) in found:
            raise MaganError(f"{found[stem_key(file.stem)]} and {file} have the same stem; keep one of them")
        found[stem_key(file.stem)] = file
    if not found:
        raise MaganError(
            f"{folder}: no pictures in it; expected files ending in {', '.join(sorted(SUFFIXES))}"
        )
    return found


def _find(name: str, keys: Iterable[str]) -> str | None:
    """Return the key that `name` means."""
    return next((key for key in meanings(name) if key in keys), None)


def _by_stem(record: Record) -> str:
    return stem_key(record["stem"])
