"""Taking in a data set that a person has downloaded, under the names that the project uses."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from magan_core.data import sets
from magan_core.data.catalogue import DataSet, Part
from magan_core.data.fetch import Wanted
from magan_core.data.images import SUFFIXES, other_class
from magan_core.data.manifest import write_manifest
from magan_core.data.polarity import check_polarity
from magan_core.data.record import Record
from magan_core.data.state import OWN_MANIFEST, OWN_WHITE
from magan_core.errors import MaganError
from magan_core.files import sha256, write_text


def add_known(files: Sequence[Wanted], download: str | Path, folder: str | Path) -> int:
    """Copy the files of a set whose manifest is in Git from wherever they lie below `download`, by content.

    `folder` appears whole or not at all. Returns their number. Raises MaganError when it is there already or
    a file is not found.
    """
    found = {
        sha256(file): file
        for file in tqdm(_pictures(Path(download)), desc="looking", unit="file", disable=None)
    }
    missing = [file.file for file in files if file.sha256 not in found]
    if missing:
        raise MaganError(
            f"{len(missing)} of {len(files)} files are nowhere below {download} with the content that the "
            f"manifest describes (first: {missing[0]}); download the set again"
        )
    with _new(Path(folder)) as growing:
        for file in files:
            _copy(found[file.sha256], growing / file.file)
    return len(files)


def add_parts(
    data_set: DataSet,
    download: str | Path,
    folder: str | Path,
    white: str | None = None,
    partial: bool = False,
) -> dict[str, int]:
    """Copy a set that its authors give as folders (`data_set.parts`), found by name below `download`.

    Files keep their names; of a set with several parts they get the part's name in front (train-3.bmp), and
    splits/PART.txt lists each part. manifest.csv holds what was taken in. white: focus or blur, the class
    stored as white in the masks (default: as the catalogue says); white.txt keeps it. partial: another number
    of photographs than the paper's will do. `folder` appears whole or not at all. Returns the number of
    photographs of each part.

    Raises MaganError for a folder that is not found, found twice, or there already, another number of
    photographs, whatever `sets.load` finds wrong with a pair, and masks that look as if white meant the
    other class.
    """
    white, counts, download = white or data_set.white, {}, Path(download)
    with _new(Path(folder)) as growing:
        for part in data_set.parts:
            records = _records(part, download, white or "focus")
            if len(records) != part.count and not partial:
                raise MaganError(
                    f"{records[0]['image'].parent} holds {len(records)} photographs; expected {part.count}: "
                    "complete the download, or say --partial to take what is there"
                )
            prefix = f"{part.name}-" if len(data_set.parts) > 1 else ""
            for record in tqdm(records, desc=part.name, unit="image", mininterval=1, disable=None):
                sets.load(record)
                for kind, file in (("images", record["image"]), ("masks", record["mask"])):
                    if file:
                        _copy(file, growing / kind / f"{prefix}{file.name}")
            names = "".join(f"{prefix}{record['stem']}\n" for record in records)
            write_text(growing / "splits" / f"{part.name}.txt", names)
            counts[part.name] = len(records)
        if data_set.white:
            other = other_class(white)
            check_polarity(
                sets.pairs(growing, white),
                f"white should be {white} in these masks",
                f"say --white {other} here, and `white: {other}` for the set in params.yaml",
            )
            write_text(growing / OWN_WHITE, f"{white}\n")
        write_manifest(growing, growing / OWN_MANIFEST)
    return counts


def _records(part: Part, download: Path, white: str) -> list[Record]:
    images = _find(download, part.images)
    if not part.masks:
        return sets.photographs(images.parent, images.name)
    masks = _find(download, part.masks)
    return sets.pairs(download, white, str(images.relative_to(download)), str(masks.relative_to(download)))


def _find(download: Path, names: tuple[str, ...]) -> Path:
    """The one folder below `download` with one of these names, or `download` itself."""
    if not download.is_dir():
        raise MaganError(f"{download}: no such folder; name the one that the download was unpacked to")
    below = (path for path in sorted(download.rglob("*")) if path.is_dir() and not _is_left_by_a_mac(path))
    folders = [download, *below]
    found = [path for path in folders if path.name.lower() in names]
    if len(found) != 1:
        what = f"{len(found)} folders ({', '.join(map(str, found))})" if found else "no folder"
        raise MaganError(
            f"{what} below {download} named {' or '.join(names)}; expected one: unpack the download there"
        )
    return found[0]


def _is_left_by_a_mac(path: Path) -> bool:
    """Whether it lies in the folder of attributes that archives made on a Mac unpack to."""
    return "__MACOSX" in path.parts


def _pictures(download: Path) -> list[Path]:
    if not download.is_dir():
        raise MaganError(f"{download}: no such folder; name the one that holds the download")
    return [
        file for file in sorted(download.rglob("*")) if file.suffix.lower() in SUFFIXES and file.is_file()
    ]


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        source.open("rb").close()
    except OSError as error:
        raise MaganError(f"cannot read {source}: {error.strerror or error}; make it readable") from error
    shutil.copyfile(source, target)


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Yield an empty folder beside `folder` that takes its name on success and is removed on failure."""
    if (folder / "images").exists():
        raise MaganError(
            f"{folder} is there already; look at it with `magan data verify`, or remove it first"
        )
    if folder.exists():
        raise MaganError(
            f"{folder}, where the set is to lie, is there and no set yet: move what is in it to another "
            "folder, and name that one"
        )
    growing = folder.with_name(f".{folder.name}.adding")
    try:
        shutil.rmtree(growing, ignore_errors=True)
        growing.mkdir(parents=True)
        yield growing
        growing.rename(folder)
    except OSError as error:
        raise MaganError(
            f"cannot write {folder}: {error.strerror or error}; make room, or set MAGAN_DATA elsewhere"
        ) from error
    finally:
        shutil.rmtree(growing, ignore_errors=True)
