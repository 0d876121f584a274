"""How long the classical detectors take for a photograph of about 640 x 427, one after another on one core.

Photographs of CUHK if MAGAN_DATA names a folder that has it, otherwise synthetic scenes. On a busy machine
the seconds of the processor (`cpu`: what this process used) say more than those of the clock.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read when numpy is imported

import argparse
import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import machine
import numpy as np

from magan_core import paths
from magan_core.classical import METHODS
from magan_core.data.images import read_photo
from magan_core.data.synthetic import scene
from magan_core.files import write_json, write_text

HEIGHT, WIDTH = 427, 640


def photographs(folder: Path) -> Iterator[np.ndarray]:
    """Those of the wanted size and one row more or less, in the order of their names, cut to 427 rows."""
    for path in sorted(folder.glob("*.jpg")):
        photo = read_photo(path)
        if HEIGHT <= photo.shape[0] <= HEIGHT + 1 and photo.shape[1] == WIDTH:
            yield photo[:HEIGHT]


def scenes() -> Iterator[np.ndarray]:
    index = 0
    while True:
        yield scene(0, index, "objects", WIDTH)[0][:HEIGHT]
        index += 1


def seconds(call: Callable, photo: np.ndarray) -> tuple[float, float]:
    """By the clock, and of the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    call(photo)
    return time.perf_counter() - clock, time.process_time() - processor


def measure(photos: list[np.ndarray]) -> dict:
    found = {}
    for name, call in METHODS.items():
        call(photos[0][:64, :64].copy())  # imports
        pairs = [seconds(call, photo) for photo in photos]
        found[name] = {
            "clock": machine.spread([clock for clock, _ in pairs], 2),
            "cpu": machine.spread([processor for _, processor in pairs], 2),
        }
        print(f"{name:16}{found[name]['clock']['median']:8.2f} s", flush=True)
    return found


def paper_seconds() -> dict[str, str]:
    with open(paths.PAPER_TABLES / "table_II.csv", encoding="utf-8", newline="") as file:
        return {row["method"]: row["value"] for row in csv.DictReader(file) if row["dataset"] == "Shi's"}


def table(result: dict) -> str:
    hardware, paper = result["hardware"], paper_seconds()
    lines = [
        f"{result['photographs']} {result['source']} photographs of {result['size']}, one core of "
        f"{hardware['cores']} ({hardware['processor']}, load {hardware['load']:.1f}); seconds an image: "
        "median (least to most)",
        "",
        "| method | what it is | cpu | clock | paper, Table II |",
        "|---|---|---|---|---|",
    ]
    for name, times in result["seconds"].items():
        cells = [
            f"{t['median']:.2f} ({t['min']:.2f} to {t['max']:.2f})" for t in (times["cpu"], times["clock"])
        ]
        cells.append(paper.get(name, ""))
        lines.append(f"| {name} | {METHODS[name].about} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=5)
    options = parser.parse_args()
    folder = paths.raw() / "cuhk" / "images"
    source = photographs(folder) if folder.is_dir() else scenes()
    photos = [photo for _, photo in zip(range(options.photographs), source, strict=False)]
    result = {
        "source": "CUHK" if folder.is_dir() else "synthetic",
        "photographs": len(photos),
        "size": f"{WIDTH} x {HEIGHT}",
        "hardware": machine.hardware(),
        "versions": machine.versions("numpy", "scipy", "scikit-image"),
        "seconds": measure(photos),
    }
    write_json(machine.RESULTS / "classical.json", result)
    write_text(machine.RESULTS / "classical.md", table(result))
    print(table(result))


if __name__ == "__main__":
    main()
