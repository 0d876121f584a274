"""How long scoring takes, beside PySODMetrics on the same decoded maps in the same run; see README.md."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # both sides; read when numpy is imported

import argparse
import json
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import machine
import numpy as np
from PIL import Image, ImageFilter

from magan_core import metrics, paths
from magan_core.data.images import read_map, read_mask, write_map
from magan_core.evaluation import evaluate
from magan_core.files import write_json

SAME = ("pysodmetrics", "pysodmetrics-adaptive")  # the protocols whose numbers PySODMetrics gives
TWO = "histograms, summary, curves: these 2 protocols"
ALL = f"histograms, summary, curves: all {len(metrics.PROTOCOLS)} protocols"
RIVALS = {"leanest": TWO, "class by class": TWO, "five mixtures": ALL}  # ways of pysodmetrics_side.py
Pairs = list[tuple[np.ndarray, np.ndarray]]
Seconds = dict[str, list[float]]


def real_masks(folder: Path) -> list[np.ndarray]:
    return [read_mask(path, "blur") for path in sorted(folder.iterdir())]


def synthetic_masks() -> list[np.ndarray]:
    """100 discs of several sizes and places, 480 x 640."""
    rows, columns = np.ogrid[:480, :640]
    return [
        np.where((rows - 3 * i) ** 2 + (columns - 5 * i) ** 2 < (90 + i) ** 2, np.uint8(255), np.uint8(0))
        for i in range(100)
    ]


def soft(mask: np.ndarray) -> np.ndarray:
    """A map: the mask with soft borders, as a network draws it."""
    return np.array(Image.fromarray(mask).filter(ImageFilter.GaussianBlur(12)))


def our_scores(stats: np.ndarray) -> dict[str, float]:
    best, adaptive = (metrics.summary(stats, metrics.PROTOCOLS[name]) for name in SAME)
    return {"mae": best["mae"], "f_beta": best["f_beta"], "adaptive": adaptive["f_beta"], "iou": best["iou"]}


def ours(pairs: Pairs) -> dict[str, float]:
    """Processor seconds for the counting, and with summaries and curves of two protocols and of all."""
    times = [time.process_time()]
    stats = np.stack([metrics.histograms(*pair) for pair in pairs])
    times.append(time.process_time())
    for names in (SAME, metrics.PROTOCOLS):
        for name in names:
            metrics.summary(stats, metrics.PROTOCOLS[name])
            metrics.curves(stats, metrics.PROTOCOLS[name])
        times.append(time.process_time())
    counting, two, everything = np.diff(times)
    return {"histograms": counting, TWO: counting + two, ALL: counting + everything}


def decoding(maps: Path, masks: Path, threads: int) -> float:
    """Seconds by the clock on the wall to read every map and mask."""
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(read_map, sorted(maps.iterdir())):
            pass
        for _ in pool.map(lambda path: read_mask(path, "focus"), sorted(masks.iterdir())):
            pass
    return time.perf_counter() - start


def peak_memory(maps: Path, masks: Path, split: Path | None) -> int | None:
    """`machine.peak_memory` after scoring the images of the split, if there is one."""
    if split:
        evaluate(maps, masks, split=split)
    return machine.peak_memory()


def in_fresh_process(function: Callable, *arguments):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def write_files(pairs: Pairs, folder: Path) -> list[str]:
    """maps/ and masks/ as PNG, and the same pixels decoded for the other interpreter. Returns the stems."""
    stems = [f"{number:04}" for number in range(len(pairs))]
    for stem, (focus_map, mask) in zip(stems, pairs, strict=True):
        write_map(folder / "maps" / f"{stem}.png", focus_map)
        write_map(folder / "masks" / f"{stem}.png", mask)
    for name, part in (("maps", 0), ("masks", 1)):
        np.save(folder / f"{name}.npy", np.concatenate([pair[part].ravel() for pair in pairs]))
    (folder / "shapes.json").write_text(json.dumps([mask.shape for _, mask in pairs]))
    return stems


def side_by_side(python: str, pairs: Pairs, folder: Path, trials: int) -> tuple[dict, Seconds, float]:
    """Trials of theirs and of ours in turn: their versions, seconds, the largest difference of a score."""
    expected = our_scores(np.stack([metrics.histograms(*pair) for pair in pairs]))
    command = [python, str(Path(__file__).with_name("pysodmetrics_side.py")), str(folder)]
    seconds, differences = defaultdict(list), []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        versions = json.loads(process.stdout.readline())
        for trial in range(trials):
            for way in RIVALS:
                print(way, file=process.stdin, flush=True)
                answer = json.loads(process.stdout.readline())
                seconds[f"PySODMetrics, {way}"].append(answer["seconds"])
                differences += [abs(answer["scores"][name] - expected[name]) for name in expected]
            for name, value in ours(pairs).items():
                seconds[name].append(value)
            print(f"trial {trial + 1} of {trials}", file=sys.stderr)
        process.stdin.close()
    return versions, seconds, max(differences)


def measure(python: str, pairs: Pairs, trials: int) -> dict:
    hardware = machine.hardware()  # its load before we add ours
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stems = write_files(pairs, folder)
        sources = folder / "maps", folder / "masks"
        memory = {"imports alone": in_fresh_process(peak_memory, *sources, None)}
        for images in sorted({min(100, len(stems)), len(stems)}):
            (folder / "split.txt").write_text("\n".join(stems[:images]))
            memory[f"{images} images"] = in_fresh_process(peak_memory, *sources, folder / "split.txt")
        theirs, seconds, difference = side_by_side(python, pairs, folder, trials)
        for _ in range(trials):
            for threads in (1, 2):
                seconds[f"decoding, {threads} thread(s)"].append(decoding(*sources, threads))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "trials": trials,
        "hardware": hardware,
        "versions": {"ours": machine.versions("numpy", "pillow"), "theirs": theirs},
        "seconds": {name: machine.spread(values, 3) for name, values in seconds.items()},
        "ratio": {
            f"PySODMetrics, {way} / {name}": round(median[f"PySODMetrics, {way}"] / median[name], 1)
            for way, name in RIVALS.items()
        },
        "largest difference of a score": difference,
        "peak memory, MiB": memory,
    }


def show(result: dict) -> None:
    data, hardware = result["data"], result["hardware"]
    print(f"{hardware['processor']}, {hardware['cores']} cores, load {hardware['load']}")
    print(f"{data['images']} images, {data['megapixels']} megapixels ({data['masks']})")
    print(f"{result['trials']} trials: median (least to most)")
    for name, value in result["seconds"].items():
        print(f"{name:52}{value['median']:8.3f} s   ({value['min']:.3f} to {value['max']:.3f})")
    for name, value in result["ratio"].items():
        print(f"{name:76}{value:6.1f} x")
    for name, value in result["peak memory, MiB"].items():
        print(f"peak memory, {name:39}{value:8} MiB")
    print(f"largest difference of a score: {result['largest difference of a score']:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--pysodmetrics", required=True, help="python of an environment that has PySODMetrics"
    )
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--images", type=int, help="so many at most (default: all)")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    folder, out = paths.raw() / "cuhk" / "masks", options.out or machine.RESULTS / "evaluation.json"
    if not options.out and (options.images or not folder.is_dir()):
        parser.error(f"{out.name} is of all photographs of CUHK; say --out FILE for this")
    masks = (real_masks(folder) if folder.is_dir() else synthetic_masks())[: options.images]
    data = {
        "masks": "CUHK" if folder.is_dir() else "synthetic",
        "images": len(masks),
        "megapixels": round(sum(mask.size for mask in masks) / 1e6, 1),
    }
    pairs = [(soft(mask), mask) for mask in masks]
    result = {"data": data} | measure(options.pysodmetrics, pairs, options.trials)
    write_json(out, result)
    show(result)


if __name__ == "__main__":
    main()
