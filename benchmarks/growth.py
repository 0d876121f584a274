"""What a training step costs with more photographs, larger crops and larger batches; see docs/performance.md.

Every row is a process of its own, so that its peak of memory is its own; the rows of one part train in turn.
That which reads its file anew trains alone, after the others, which would leave the file in memory.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import machine
import numpy as np
import table
import training
from tqdm import tqdm

from magan_core import params
from magan_core.data.prepare import prepare
from magan_core.files import write_json

PAPER = 604  # photographs that the paper trains on at most
CHUNK = 64


def write_noise(folder: Path, count: int, side: int) -> Path:
    """A prepared set of random photographs and masks, written piece by piece."""
    folder.mkdir()
    random = np.random.default_rng(0)
    shapes = {"images": (count, side, side, 3), "masks": (count, side, side)}
    arrays = {
        name: np.lib.format.open_memmap(folder / f"train_{name}.npy", "w+", np.uint8, shape)
        for name, shape in shapes.items()
    }
    for first in tqdm(range(0, count, CHUNK), desc=f"{count} photographs", file=sys.stderr, mininterval=5):
        rows = slice(first, first + CHUNK)
        arrays["images"][rows] = random.integers(0, 256, arrays["images"][rows].shape, np.uint8)
        arrays["masks"][rows] = random.integers(0, 2, arrays["masks"][rows].shape, np.uint8) * 255
    for array in arrays.values():
        array.flush()
    np.save(folder / "train_sizes.npy", np.full((count, 2), side, np.int32))
    return folder


def forget(folder: Path) -> None:
    """Ask the system to drop what it holds of the files in memory (Linux), but for pages that a process still
    maps: photographs that it has drawn before."""
    for path in folder.glob("*.npy"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(
    rows: list[dict], steps: int, trials: int, before: Callable[[], None] = lambda: None
) -> list[dict]:
    """Seconds a step and peak memory of each row, its trials in turn with those of the others. before: what
    is done before each trial."""
    with ExitStack() as stack:
        sides = [stack.enter_context(training.start("ours", row.pop("task"))) for row in rows]
        for process in sides:
            training.answer(process)
        for process in sides:
            training.ask([process], steps)
        found = [[] for _ in rows]
        for _ in tqdm(range(trials), desc="trials", file=sys.stderr):
            for process, answers in zip(sides, found, strict=True):
                before()
                answers.append(training.ask([process], steps))
        for process in sides:
            process.stdin.close()
    return [
        row
        | {
            "seconds a step": machine.spread([answer["seconds"]["clock"] for answer in answers]),
            "memory, MiB": answers[-1]["memory"],
        }
        for row, answers in zip(rows, found, strict=True)
    ]


def prepare_scenes(count: int, folder: str) -> tuple[float, float | None]:
    """Seconds to prepare so many synthetic scenes of 128 px, and the peak of memory of this process."""
    scenes = {"source": "synthetic", "character": "clutter", "train": count, "size": 128}
    start = time.perf_counter()
    settings = {"sets": {"dut": scenes}, "training_size": 128, "seed": 0}
    prepare(settings, Path(folder) / "raw", Path(folder) / f"prepared-{count}", progress=False)
    return time.perf_counter() - start, machine.peak_memory()


def preparation(counts: list[int]) -> list[dict]:
    """A row a number of scenes, each prepared once."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(prepare_scenes, (count, folder))
        rows.append({"scenes": count, "seconds": round(seconds, 1), "memory, MiB": memory})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--run", default="magan-dut")
    parser.add_argument("--photographs", type=int, nargs="+", default=[PAPER, 10 * PAPER])
    parser.add_argument("--side", type=int, default=384, help="of the photographs of that part, prepared")
    parser.add_argument("--crops", type=int, nargs="+", default=[96, 192, 384])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--steps", type=int, default=5, help="of a trial")
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import torch  # here: not in the processes whose memory is measured

    from magan_core.device import choose_precision

    settings = params.load()
    profile, run = params.get_profile(settings, options.profile), settings["runs"][options.run]
    usual = profile["training"]

    def row(part: str, data: Path, count: int, side: int, **changed) -> dict:
        own = profile | {"training": usual | changed}
        task = {"data": str(data), "device": "cpu", "run": run, "profile": own, "spin": False}
        shown = {name: own["training"][name] for name in ("crop", "batch")}
        told = {
            "part": part,
            "photographs": count,
            "side": side,
            "streamed": changed.get("memory_share") == 0,
        }
        return told | shown | {"task": task}

    hardware = machine.hardware()
    with tempfile.TemporaryDirectory() as name:
        size = max(options.batches), max(*options.crops, usual["crop"])
        few = write_noise(Path(name) / "few", *size)
        many = {
            count: write_noise(Path(name) / f"{count}", count, options.side) for count in options.photographs
        }
        parts = [
            [
                row("photographs", data, count, options.side, memory_share=share)
                for count, data in many.items()
                for share in (1.0, 0.0)
            ],
            [row("crop", few, *size, crop=crop) for crop in options.crops],
            [row("batch", few, *size, batch=batch) for batch in options.batches],
        ]
        rows = [found for part in parts for found in measure(part, options.steps, options.trials)]
        count = max(many)
        cold = row("photographs", many[count], count, options.side, memory_share=0.0) | {"read anew": True}
        if hasattr(os, "posix_fadvise"):
            rows += measure([cold], options.steps, options.trials, lambda: forget(many[count]))
    result = {
        "run": options.run,
        "profile": options.profile,
        "backbone": profile["model"]["backbone"],
        "threads": profile["threads"],
        "precision": choose_precision(usual["precision"], torch.device("cpu")),
        "steps": options.steps,
        "trials": options.trials,
        "rows": rows,
        "preparation": preparation(options.photographs),
        "hardware": hardware,
        "versions": machine.versions("torch", "numpy"),
    }
    write_json(options.out or machine.RESULTS / "growth.json", result)
    print(table.growth([result]))


if __name__ == "__main__":
    main()
