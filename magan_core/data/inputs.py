"""What a profile reads from elsewhere, listed with SHA-256: DVC sees only what lies in the repository under a
name that dvc.yaml knows, and its stages depend on these lists."""

from pathlib import Path
from typing import Any

from tqdm import tqdm

from magan_core import cores, paths
from magan_core.data.sets import visible
from magan_core.data.state import OWN_MANIFEST
from magan_core.errors import MaganError
from magan_core.files import as_text, sha256, write_csv

PARTS = ("images", "masks", "splits")  # of a data set's folder

Named = dict[str, Path]


def write(profile: dict[str, Any], folders: dict[str, str], out: Path) -> dict[str, int]:
    """Write OUT/photographs.csv, weights.csv and published.csv, with the columns file and sha256.

    profile: its `sets`, `weights` and `published` count; folders: of params.yaml. Photographs: images, masks,
    splits and manifest of the data sets that sets are made from, and the maps of `pseudo`. Weights: the file
    that training begins with. Published: maps of other methods, with the masks that they are scored against.
    Files are named by their place in these folders, wherever those lie. What is not there, or not written as
    it should be, is not listed: the stage that needs it says so.

    Returns how many files each list holds. MaganError for a file or folder that cannot be read.
    """
    raw, published = paths.raw(folders["data"]), paths.published(folders["published"])
    photographs, others, weights = {}, {}, {}
    for entry in profile["sets"].values():
        photographs |= _data_set(entry, raw) | _data_set(entry.get("pseudo"), raw)
    for entry in profile["published"].values():
        others |= _named(published / entry["folder"], f"maps/{entry['folder']}")
        others |= _named(raw / entry["masks"], f"masks/{entry['masks']}")
    if profile["weights"]["pretrained"] and (name := profile["weights"]["file"]):
        file = paths.weights_file(name, paths.weights(folders["weights"]))
        weights |= {name: file} if file.is_file() else {}
    found = {"photographs": photographs, "weights": weights, "published": others}
    for kind, files in found.items():
        _write(out / f"{kind}.csv", files)
    return {kind: len(files) for kind, files in found.items()}


def _data_set(entry: Any, raw: Path) -> Named:
    """What preparation reads for a set, or for its `pseudo`."""
    read = entry if isinstance(entry, dict) else {}
    found = {}
    if isinstance(source := read.get("source"), str) and source != "synthetic":
        for part in PARTS:
            found |= _named(raw / source / part, f"{source}/{part}")
        own = raw / source / OWN_MANIFEST
        found |= {f"{source}/{OWN_MANIFEST}": own} if own.is_file() else {}
    if isinstance(maps := read.get("maps"), str):
        found |= _named(Path(maps), f"maps/{maps}")
    return found


def _named(folder: Path, name: str) -> Named:
    """The visible files of a folder, and of those in it, if it is there, by their paths with `name` for the
    folder's. MaganError where it cannot be read."""
    found = {}
    try:
        for file in visible(folder) if folder.is_dir() else []:
            told = f"{name}/{file.name}"
            if file.is_file():
                found[told] = file
            elif not file.is_symlink():  # which may lead in a circle
                found |= _named(file, told)
    except OSError as error:
        raise MaganError(f"cannot read {folder}: {error.strerror}. Make it readable.") from error
    return found


def _write(path: Path, files: Named) -> None:
    names = sorted(files)
    with cores.pool() as pool:
        hashes = pool.map(sha256, (files[name] for name in names))
        shown = tqdm(hashes, desc=path.stem, total=len(names), unit="file", delay=2)
        write_csv(path, ("file", "sha256"), zip(map(as_text, names), shown, strict=True))
