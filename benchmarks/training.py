"""A training step of this project beside that of a plain loop, in turn, in the same run; see README.md."""

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import machine
import numpy as np

from magan_core import params
from magan_core.data.images import write_map
from magan_core.data.synthetic import scene_file
from magan_core.files import write_json

SIDES = ("ours", "plain")
SHOWN = ("clock", "processor")


def write_scenes(folder: Path, count: int, side: int) -> None:
    """Synthetic scenes as the files that the plain loop reads, and as the arrays that ours does."""
    from PIL import Image

    (folder / "images").mkdir()
    pairs = []
    for index in range(count):
        jpeg, mask = scene_file(0, index, "clutter", side)
        (folder / f"images/{index:04}.jpg").write_bytes(jpeg)
        write_map(folder / f"masks/{index:04}.png", mask)
        pairs.append((np.array(Image.open(folder / f"images/{index:04}.jpg").convert("RGB")), mask))
    for name, arrays in zip(("images", "masks"), zip(*pairs, strict=True), strict=True):
        np.save(folder / f"train_{name}.npy", np.stack(arrays))
    np.save(folder / "train_sizes.npy", np.full((count, 2), side, np.int32))
    (folder / "train.csv").write_text("stem\n" + "".join(f"{index:04}\n" for index in range(count)))


def start(side: str, task: dict) -> subprocess.Popen:
    """A side's process; OpenMP's threads wait without spinning, unless it is the plain loop and it may."""
    script = Path(__file__).with_name("training_sides.py")
    root = str(Path(__file__).parent.parent)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    for name in ("GOMP_SPINCOUNT", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    if side == "ours" or not task["spin"]:
        environment["GOMP_SPINCOUNT"] = "0"
    return subprocess.Popen(
        [sys.executable, str(script), side, json.dumps(task)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def ask(process: subprocess.Popen, steps: int) -> dict:
    print(steps, file=process.stdin, flush=True)
    return answer(process)


def answer(process: subprocess.Popen) -> dict:
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a side ended with status {process.wait()}; its message is above")
    return json.loads(line)


def measure(task: dict, steps: int, warm_up: int, trials: int, busy: bool) -> dict:
    """Trials of both sides in turn."""
    with ExitStack() as stack:
        sides = {side: stack.enter_context(start(side, task)) for side in SIDES}
        first = {side: answer(process) for side, process in sides.items()}
        stack.enter_context(machine.neighbour(busy))
        for process in sides.values():
            ask(process, warm_up)
        found = {side: [] for side in SIDES}
        for trial in range(trials):
            for side, process in sides.items():
                found[side].append(ask(process, steps))
            print(f"trial {trial + 1} of {trials}", file=sys.stderr)
        for process in sides.values():
            process.stdin.close()
    seconds = {
        side: {kind: [one["seconds"][kind] / steps for one in trials] for kind in SHOWN}
        for side, trials in found.items()
    }
    batch = task["profile"]["training"]["batch"]
    result = {
        side: {
            "seconds a step": {kind: machine.spread(values) for kind, values in seconds[side].items()},
            "images a second": machine.spread([batch / value for value in seconds[side]["clock"]], 2),
            "memory, MiB": found[side][-1]["memory"],
            "multiply-adds a step": first[side]["operations"],
        }
        for side in SIDES
    }
    if "ceiling" in first["ours"]:
        for side in SIDES:
            rate = first[side]["operations"] / result[side]["seconds a step"]["clock"]["median"]
            result[side]["share of the bfloat16 ceiling"] = round(rate / first["ours"]["ceiling"], 4)
        result["ceiling, multiply-adds a second"] = first["ours"]["ceiling"]
    result["plain / ours"] = {
        kind: machine.ratio(seconds["plain"][kind], seconds["ours"][kind]) for kind in SHOWN
    }
    return result


def show(result: dict) -> None:
    hardware = result["hardware"]
    print(f"{hardware.get('gpu', hardware['processor'])}, {hardware['cores']} cores, load {hardware['load']}")
    print(f"{result['what']}; {result['trials']} trials of {result['steps']} steps: median (least to most)")
    for side in SIDES:
        for kind, value in result[side]["seconds a step"].items():
            print(
                f"{side:8}{kind:12}{value['median']:9.4f} s a step   ({value['min']:.4f} to {value['max']:.4f})"
            )
        print(
            f"{side:8}{result[side]['images a second']['median']:21.1f} images/s, {result[side]['memory, MiB']} MiB"
        )
        if "share of the bfloat16 ceiling" in result[side]:
            print(
                f"{side:8}{100 * result[side]['share of the bfloat16 ceiling']:21.1f} % of the bfloat16 ceiling"
            )
    for kind, value in result["plain / ours"].items():
        print(f"plain / ours, {kind:10}{value['median']:6.2f} x   ({value['min']:.2f} to {value['max']:.2f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--run", default="magan-dut", help="one without unlabelled photographs")
    parser.add_argument("--steps", type=int, default=20, help="of a trial")
    parser.add_argument("--trials", type=int, default=7)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument(
        "--spin", action="store_true", help="let the plain loop's threads spin, as torch does"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    profile = copy.deepcopy(params.get_profile(params.load(), options.profile))
    run = params.get_run(profile, options.run)
    if "unlabelled" in run:
        parser.error(f"run '{options.run}' needs unlabelled photographs; the plain loop has none")
    hardware = machine.hardware(options.device)
    with tempfile.TemporaryDirectory() as name:
        write_scenes(Path(name), options.scenes, profile["training_size"])
        task = {
            "data": name,
            "device": options.device,
            "run": run,
            "profile": profile | {"workers": options.workers},
        }
        measured = measure(task, options.steps, max(2, options.steps // 4), options.trials, options.busy)
    training = profile["training"]
    result = {
        "what": f"{options.run} of profile {options.profile}: {profile['model']['backbone']}, batch "
        f"{training['batch']}, {training['crop']} px, {training['precision']}"
        + (", the plain loop's threads spin" if options.spin else "")
        + (", beside a busy neighbour" if options.busy else ""),
        "trials": options.trials,
        "steps": options.steps,
        "threads": profile["threads"],
        "workers of the plain loop": options.workers,
        "hardware": hardware,
        "versions": machine.versions("torch", "torchvision", "numpy", "pillow"),
    } | measured
    ending = f"{options.profile}_{options.device}{'_spin' if options.spin else ''}{'_busy' if options.busy else ''}"
    write_json(options.out or machine.RESULTS / f"training_{ending}.json", result)
    show(result)


if __name__ == "__main__":
    main()
