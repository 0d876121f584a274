"""What a profile reads from elsewhere, listed with SHA-256: DVC sees only what lies in the repository under a
name that dvc.yaml knows, and its stages depend on these lists."""

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from magan_core import paths
from magan_core.data.sets import visible
from magan_core.data.state import OWN_MANIFEST
from magan_core.files import sha256, write_text

READ = ("images", "masks", "splits")  # of a data set's folder


def write(profile: dict[str, Any], folders: dict[str, str], out: Path) -> dict[str, int]:
    """Write OUT/photographs.csv, weights.csv and published.csv, with the columns file and sha256.

    profile: its `sets`, `weights` and `published` count; folders: of params.yaml. Photographs: images, masks,
    splits and manifest of the data sets that sets are made from, and the maps of `pseudo`. Weights: the file
    that training begins with. Published: maps of other methods, with the masks that they are scored against.
    What is not there is not listed: the stage that needs it says so.

    Returns how many files each list holds. MaganError for a file that cannot be read.
    """
    raw, published = paths.raw("", folders["data"]), paths.published(folders["published"])
    photographs, others, weights = {}, {}, {}
    for entry in profile["sets"].values():
        for one in (entry, entry.get("pseudo") or {}):
            if one.get("source", "synthetic") != "synthetic":
                for part in READ:
                    photographs |= _files(f"{one['source']}/{part}", raw / one["source"] / part)
                own = raw / one["source"] / OWN_MANIFEST
                photographs |= {f"{one['source']}/{OWN_MANIFEST}": own} if own.is_file() else {}
            if "maps" in one:
                photographs |= _files(one["maps"], Path(one["maps"]))
    for entry in profile["published"].values():
        others |= _files(f"maps/{entry['folder']}", published / entry["folder"])
        others |= _files(f"masks/{entry['masks']}", raw / entry["masks"])
    if profile["weights"]["pretrained"] and (name := profile["weights"]["file"]):
        file = paths.weights_file(name, paths.weights(folders["weights"]))
        weights |= {name: file} if file.is_file() else {}
    found = {"photographs": photographs, "weights": weights, "published": others}
    for kind, files in found.items():
        _write(out / f"{kind}.csv", files)
    return {kind: len(files) for kind, files in found.items()}


def _files(name: str, folder: Path) -> dict[str, Path]:
    """The visible files of a folder, if it is there, by the names that they are listed under, which say
    nothing of the machine."""
    files = visible(folder) if folder.is_dir() else []
    return {f"{name}/{file.name}": file for file in files if file.is_file()}


def _write(path: Path, files: dict[str, Path]) -> None:
    text, names = io.StringIO(), sorted(files)
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file", "sha256"))
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        hashes = pool.map(sha256, (files[name] for name in names))
        shown = tqdm(hashes, desc=path.stem, total=len(names), unit="file", delay=2)
        table.writerows(zip(names, shown, strict=True))
    write_text(path, text.getvalue())
