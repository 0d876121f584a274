"""`magan predict` with the released model: seconds a photograph, and of the whole command; see
docs/performance.md.

Each trial is a process of its own, as a person starts it: one photograph, then several.
"""

import argparse
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine
import table
from PIL import Image

from magan_core.data.synthetic import scene_file
from magan_core.files import write_json

WIDTH, HEIGHT = 640, 480
WAYS = {"as released": [], "--fast": ["--fast"]}


def photographs(folder: Path, count: int) -> Path:
    """Synthetic scenes, cut to 640 x 480, as JPEG."""
    folder.mkdir()
    for index in range(count):
        picture = Image.open(io.BytesIO(scene_file(0, index, "objects", WIDTH)[0]))
        picture.crop((0, 0, WIDTH, HEIGHT)).save(folder / f"{index:02}.jpg", quality=90)
    return folder


def command(photos: Path, out: Path, words: list[str]) -> tuple[float, list[float]]:
    """Seconds of `magan predict` from start to end, and those of each photograph."""
    line = [sys.executable, "-m", "magan_core", "predict", str(photos), "--out", str(out), "--json"]
    start = time.perf_counter()
    found = subprocess.run(
        [*line, "--device", "cpu", *words],
        env=machine.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    return seconds, [entry["seconds"] for entry in json.loads(found.stdout)["photographs"]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=12)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    hardware = machine.hardware()
    counts = sorted({1, options.photographs})
    found: dict[tuple[str, int], dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folders = {count: photographs(Path(name) / f"photos-{count}", count) for count in counts}
        for trial in range(options.trials + 1):  # the first one warms the file cache
            for way, words in WAYS.items():
                for count, photos in folders.items():
                    whole, each = command(photos, Path(name) / "maps", words)
                    if trial:
                        kept = found.setdefault((way, count), {"command": [], "photograph": []})
                        kept["command"].append(whole)
                        kept["photograph"].append(sum(each) / len(each))
            print(f"trial {trial} of {options.trials}", file=sys.stderr)
    result = {
        "size": [WIDTH, HEIGHT],
        "rows": [
            {"way": way, "photographs": count}
            | {what: machine.spread(values, 3) for what, values in seconds.items()}
            for (way, count), seconds in found.items()
        ],
        "trials": options.trials,
        "hardware": hardware,
        "versions": machine.versions("torch", "numpy", "pillow"),
    }
    write_json(options.out or machine.RESULTS / "predict.json", result)
    print(table.predict([result]))


if __name__ == "__main__":
    main()
