"""Photographs prepared a second, by one thread and by two, in turn; see docs/performance.md.

A synthetic set is made, encoded, decoded and packed; a set of files is decoded, resized and packed. Files are
those of CUHK if MAGAN_DATA names a folder that has it, otherwise synthetic scenes of 640 px.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import machine
import table

from magan_core import paths
from magan_core.data.images import write_map
from magan_core.data.prepare import prepare
from magan_core.data.synthetic import scene_file
from magan_core.files import write_json

THREADS = (1, 2)
SIDE = 384


def synthetic(folder: Path, count: int) -> None:
    """Photographs and masks of 640 px as files."""
    (folder / "images").mkdir(parents=True)
    for index in range(count):
        jpeg, mask = scene_file(0, index, "objects", 640)
        (folder / f"images/{index:04}.jpg").write_bytes(jpeg)
        write_map(folder / f"masks/{index:04}.png", mask)


def taken_from(source: Path, folder: Path, count: int) -> int:
    """The first photographs of a set, with their masks; returns how many."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
        for path in sorted((source / part).iterdir())[:count]:
            shutil.copy(path, folder / part)
    return len(list((folder / "images").iterdir()))


def seconds(profile: dict, raw: Path, out: Path, threads: int) -> float:
    """To prepare a profile with so many threads."""
    shutil.rmtree(out, ignore_errors=True)
    with patch("magan_core.cores.available", return_value=threads):  # what `prepare` goes by
        start = time.perf_counter()
        prepare(profile, raw, out, progress=False)
        return time.perf_counter() - start


def measure(what: str, profile: dict, count: int, folder: Path, trials: int) -> dict:
    found = {threads: [] for threads in THREADS}
    for trial in range(trials):
        for threads in THREADS:
            found[threads].append(seconds(profile, folder / "raw", folder / "prepared", threads))
        print(f"{what}: trial {trial + 1} of {trials}", file=sys.stderr)
    return {
        "what": what,
        "images": count,
        "images a second": {
            str(threads): machine.spread([count / one for one in values], 2)
            for threads, values in found.items()
        },
        "gain": machine.ratio(found[1], found[2]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    count, hardware = options.images, machine.hardware()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cuhk = paths.raw() / "cuhk"
        real = (cuhk / "images").is_dir()
        files = {"source": "files", "white": "blur" if real else "focus", "train_share": 1}
        if real:
            count = taken_from(cuhk, folder / "raw/files", count)
        else:
            synthetic(folder / "raw/files", count)
        scenes = {"source": "synthetic", "character": "clutter", "train": count, "size": 128}
        data = [
            measure(
                what,
                {"sets": {"dut": entry}, "training_size": side, "seed": 0},
                count,
                folder,
                options.trials,
            )
            for what, entry, side in (
                ("synthetic scenes of 128 px, made", scenes, 128),
                (
                    f"{'CUHK photographs' if real else 'synthetic files of 640 px'}, read, to {SIDE} px",
                    files,
                    SIDE,
                ),
            )
        ]
    result = {
        "data": data,
        "trials": options.trials,
        "hardware": hardware,
        "versions": machine.versions("numpy", "pillow", "scipy"),
    }
    write_json(options.out or machine.RESULTS / "preparation.json", result)
    print(table.preparation([result]))


if __name__ == "__main__":
    main()
