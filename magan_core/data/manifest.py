"""Manifests: the SHA-256 of every file of a real data set, so that everybody works on the same bytes.

python -m magan_core.data.manifest data/raw/cuhk data/manifests/cuhk.csv
"""

import argparse
import csv
import sys
from pathlib import Path

from magan_core.data.record import Record
from magan_core.data.sets import pairs, photographs
from magan_core.errors import MaganError
from magan_core.files import sha256, write_csv

COLUMNS = ("stem", "image_sha256", "mask_sha256")


def write_manifest(folder: str | Path, path: str | Path) -> list[Record]:
    """Write the manifest of a data set (`images/`, and `masks/` if there is one) as CSV: stem, image_sha256,
    mask_sha256 (empty without masks). Returns the records in it."""
    records = pairs(folder, "blur") if (Path(folder) / "masks").exists() else photographs(folder)
    write_csv(
        path,
        COLUMNS,
        [
            (record["stem"], sha256(record["image"]), sha256(record["mask"]) if record["mask"] else "")
            for record in records
        ],
    )
    return records


def read_manifest(path: str | Path) -> dict[str, dict[str, str]]:
    """Return the rows of a manifest by stem; MaganError for a file that is none."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        rows = []
    if not rows or any(tuple(row) != COLUMNS or None in row.values() for row in rows):
        raise MaganError(f"{path}: not a manifest; expected a CSV file with the columns {', '.join(COLUMNS)}")
    return {row["stem"]: row for row in rows}


def verify(record: Record, manifest: dict[str, dict[str, str]], name: str) -> None:
    """Raise MaganError unless the files of `record` are those of the manifest called `name`."""
    row = manifest.get(record["stem"])
    if row is None:
        raise MaganError(
            f"{record['image']} is not in the manifest {name}; take it away or write the manifest anew"
        )
    for what in ("image", "mask"):
        if record[what] is not None and sha256(record[what]) != row[f"{what}_sha256"]:
            raise MaganError(
                f"{record[what]} is not the file that the manifest {name} describes (its SHA-256 differs); "
                "fetch it again, or write the manifest anew if the change is meant"
            )


def main() -> None:
    """The command: a MaganError becomes one line on standard error and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m magan_core.data.manifest", description="Write the manifest of a data set."
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="with images/, and masks/ if any")
    parser.add_argument("path", metavar="MANIFEST", type=Path, help="the CSV file to write")
    options = parser.parse_args()
    try:
        written = write_manifest(options.folder, options.path)
    except MaganError as error:
        sys.exit(f"manifest: {error}")
    print(f"{len(written)} photographs, {sum(bool(record['mask']) for record in written)} masks")


if __name__ == "__main__":
    main()
