"""A training step of this project beside that of a plain loop, in turn; see docs/performance.md."""

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
import table

from magan_core import params, paths
from magan_core.data.images import read_photo, write_map
from magan_core.data.synthetic import scene_file
from magan_core.errors import nearest
from magan_core.files import read_json, write_json
from magan_core.limits import PRECISIONS

SIDES = ("ours", "plain")
SHOWN = ("clock", "processor")


def write_scenes(folder: Path, count: int, side: int) -> None:
    """Synthetic scenes as the files that the plain loop reads, and as the arrays that ours does."""
    (folder / "images").mkdir()
    pairs = []
    for index in range(count):
        jpeg, mask = scene_file(0, index, "clutter", side)
        (folder / f"images/{index:04}.jpg").write_bytes(jpeg)
        write_map(folder / f"masks/{index:04}.png", mask)
        pairs.append((read_photo(folder / f"images/{index:04}.jpg"), mask))
    for name, arrays in zip(("images", "masks"), zip(*pairs, strict=True), strict=True):
        np.save(folder / f"train_{name}.npy", np.stack(arrays))
    np.save(folder / "train_sizes.npy", np.full((count, 2), side, np.int32))


def start(side: str, task: dict) -> subprocess.Popen:
    """A side's process; OpenMP's threads wait without spinning, unless the task says that they may."""
    script = Path(__file__).with_name("training_sides.py")
    environment = machine.environment()
    for name in ("GOMP_SPINCOUNT", "OMP_NUM_THREADS"):
        environment.pop(name, None)
    if not task["spin"]:
        environment["GOMP_SPINCOUNT"] = "0"
    return subprocess.Popen(
        [sys.executable, str(script), side, json.dumps(task)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def ask(processes: list[subprocess.Popen], steps: int) -> dict:
    """What the processes of a side say of so many steps each, at once: seconds a step of all together."""
    for process in processes:
        print(steps, file=process.stdin, flush=True)
    answers = [answer(process) for process in processes]
    count = steps * len(answers)
    seconds = {kind: [one["seconds"][kind] for one in answers] for kind in SHOWN}
    memory = [one["memory"] for one in answers]
    return {
        "seconds": {"clock": max(seconds["clock"]) / count, "processor": sum(seconds["processor"]) / count},
        "memory": None if None in memory else sum(memory),
    }


def answer(process: subprocess.Popen) -> dict:
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"a side ended with status {process.wait()}; its message is above")
    return json.loads(line)


def measure(tasks: dict[str, dict], steps: int, trials: int, busy: bool, beside: int) -> dict:
    """Trials of both sides in turn, after as many steps to warm up as one trial has. beside: processes of
    ours that train at once."""
    with ExitStack() as stack:
        sides = {
            side: [stack.enter_context(start(side, tasks[side])) for _ in range(count)]
            for side, count in (("ours", beside), ("plain", 1))
        }
        begun = {side: [answer(process) for process in processes] for side, processes in sides.items()}
        first = {side: answers[0] for side, answers in begun.items()}
        stack.enter_context(machine.neighbour(busy))
        for processes in sides.values():
            ask(processes, steps)
        found = {side: [] for side in SIDES}
        for trial in range(trials):
            for side, processes in sides.items():
                found[side].append(ask(processes, steps))
            print(f"trial {trial + 1} of {trials}", file=sys.stderr)
        for process in (process for processes in sides.values() for process in processes):
            process.stdin.close()
    seconds = {
        side: {kind: [one["seconds"][kind] for one in trials] for kind in SHOWN}
        for side, trials in found.items()
    }
    batch = tasks["ours"]["profile"]["training"]["batch"]
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--run", default="magan-dut", help="one without unlabelled photographs")
    parser.add_argument("--steps", type=int, default=20, help="of a trial")
    parser.add_argument("--trials", type=int, default=7)
    parser.add_argument("--scenes", type=int, default=64)
    parser.add_argument("--threads", type=int, help="of each side (default: the profile's)")
    parser.add_argument("--workers", type=int, default=0, help="of the plain loop's DataLoader")
    parser.add_argument("--precision", choices=PRECISIONS, help="of our side (default: the profile's)")
    parser.add_argument("--compile", action="store_true", help="torch.compile on our side")
    parser.add_argument("--busy", action="store_true", help="beside a process that keeps one core busy")
    parser.add_argument(
        "--stock",
        action="store_true",
        help="the plain loop as torch comes: a thread a core, which spin while they wait",
    )
    parser.add_argument("--spin", action="store_true", help="the threads of both sides spin")
    parser.add_argument(
        "--pretrained", action="store_true", help="begin with the profile's weights, not with random ones"
    )
    parser.add_argument(
        "--beside", type=int, default=1, help="trainings of ours at once, as `make repro` has"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    import torch  # here: growth.py measures the memory of processes that import this module

    from magan_core.device import choose_precision

    settings = params.load()
    profile = copy.deepcopy(params.get_profile(settings, options.profile))
    run = settings["runs"][nearest(options.run, settings["runs"], "run")]
    if "unlabelled" in run:
        parser.error(f"run '{options.run}' needs unlabelled photographs; the plain loop has none")
    training = profile["training"]
    if options.spin and (options.stock or options.beside > 1):
        parser.error("--spin is for one training beside the plain loop with as many threads")
    if options.scenes < training["batch"]:
        parser.error(f"{options.scenes} scenes make no batch of {training['batch']}; give more with --scenes")
    training["compile"] = options.compile or training["compile"]
    precision = options.precision or training["precision"]
    training["precision"] = choose_precision(precision, torch.device(options.device))
    profile["threads"] = options.threads or profile["threads"]
    profile["workers"] = options.workers
    plain_threads = os.cpu_count() if options.stock else profile["threads"]
    names = [options.profile, options.device]
    names += [options.precision] * bool(options.precision)
    names += [f"{options.threads}threads"] * bool(options.threads)
    names += ["beside"] * (options.beside > 1)
    names += [name for name in ("compile", "stock", "spin", "pretrained", "busy") if getattr(options, name)]
    if options.pretrained:
        if not profile["weights"]["file"]:
            parser.error(f"profile '{options.profile}' names no file of weights")
        file = paths.weights_file(profile["weights"]["file"], paths.weights(settings["folders"]["weights"]))
        profile["begin with"] = str(file.resolve())
    how = {
        "run": options.run,
        "trainings of ours at once": options.beside,
        "workers of the plain loop": options.workers,
        "scenes": options.scenes,
    }
    out = options.out or machine.RESULTS / f"training_{'_'.join(names)}.json"
    kept = read_json(out) if out.exists() and not options.out else how
    if other := [key for key in how if kept.get(key, how[key]) != how[key]]:
        parser.error(f"{out.name} was measured otherwise ({', '.join(other)}); say --out FILE for this")
    hardware = machine.hardware(options.device)
    with tempfile.TemporaryDirectory() as name:
        write_scenes(Path(name), options.scenes, profile["training_size"])
        ours = {"data": name, "device": options.device, "run": run, "profile": profile, "spin": options.spin}
        spins = options.stock or options.spin
        plain = ours | {"profile": profile | {"threads": plain_threads}, "spin": spins}
        tasks = {"ours": ours, "plain": plain}
        measured = measure(tasks, options.steps, options.trials, options.busy, options.beside)
    result = how | measured
    result |= {
        "profile": options.profile,
        "device": options.device,
        "backbone": profile["model"]["backbone"],
        "batch": training["batch"],
        "crop": training["crop"],
        "precision": training["precision"],
        "compile": training["compile"],
        "threads": profile["threads"],
        "threads of the plain loop": plain_threads,
        "begins with": options.pretrained and profile["weights"]["file"],
        "our threads spin": options.spin,
        "the plain loop's threads spin": spins,
        "busy neighbour": options.busy,
        "trials": options.trials,
        "steps": options.steps,
        "hardware": hardware,
        "versions": machine.versions("torch", "torchvision", "numpy", "pillow"),
    }
    write_json(out, result)
    print(table.training([result]))


if __name__ == "__main__":
    main()
