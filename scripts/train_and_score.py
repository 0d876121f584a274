#!/usr/bin/env python3
"""Prepare, train and score runs of a profile on a machine that has PyTorch but neither DVC nor papermill, as
rented ones do (docs/scaling.md). From the repository's root:

    PYTHONPATH=. python scripts/train_and_score.py PROFILE OUT SECONDS RUN...

OUT gets runs/RUN (history and provenance) and scores/RUN/SET, a few hundred KB a run: what the tables are
made from. A run starts half a minute before the training of the one before ends, so that it loads and
compiles beside it; at most two are there at a time. After SECONDS no further run starts; a run that is in OUT
is not trained again. A run that fails leaves the others theirs, and is named at the end.
"""

import argparse
import csv
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from magan_core import params, paths, roles
from magan_core.data.prepare import prepare
from magan_core.data.prepared import check_settings, load_test
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.files import check_writable

AHEAD = 30  # seconds of training that a run has left when the next one starts
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # status of a training that a signal has ended


def train_and_score(name: str, out: Path, seconds: float, runs: list[str]) -> list[str]:
    """All runs, at most two at a time; runs/RUN appears in `out` when all else of it is there. Returns those
    that failed."""
    begun, settings = time.monotonic(), params.load()
    profile = params.get_profile(settings, name)
    chosen = {run: params.get_run(profile, run) for run in runs}
    check_writable(out)
    try:
        check_settings(paths.prepared(name), profile)
    except MaganError:
        prepare(profile, paths.raw(settings["folders"]["data"]), paths.prepared(name))
    waiting, failed, stopped = [], [], 0
    for run in chosen:
        if (out / "runs" / run).exists():
            print(f"{run}: is in {out} already")
        else:
            waiting.append(run)
    going: dict[str, subprocess.Popen] = {}
    since: dict[str, float] = {}
    seen: dict[str, tuple[float, int]] = {}
    try:
        while (waiting or going) and not stopped:
            if (
                waiting
                and len(going) < 2
                and all(_left(profile, run, since[run], seen) < AHEAD for run in going)
            ):
                run = waiting.pop(0)
                if time.monotonic() - begun > seconds:
                    print(f"{run}: not begun, {seconds:g} s are over")
                    continue
                # A process each, for one that failed may be unable to use the GPU again.
                command = [sys.executable, "-m", "magan_core", "train", run, "--profile", name]
                since[run] = time.time()
                going[run] = subprocess.Popen(command)
            for run in [run for run, process in going.items() if process.poll() is not None]:
                code = going.pop(run).returncode
                if code in STOPPED:
                    stopped = code
                elif code or not _scored(profile, run, chosen[run], out):
                    failed.append(run)
                else:
                    print(f"{run}: scored {time.monotonic() - begun:.0f} s after the beginning", flush=True)
            time.sleep(0.2)
    finally:
        for process in going.values():
            process.terminate()  # saves its state
        for process in going.values():
            process.wait()
    if stopped:
        sys.exit(stopped)
    return failed


def _left(profile: dict, run: str, since: float, seen: dict[str, tuple[float, int]]) -> float:
    """Seconds that a training has left, by its speed since `seen`: when it was first seen to have gone on
    after its start, and its step then. Infinite until then and a step more."""
    shown = paths.live(profile["name"]) / "losses" / f"{run}.csv"
    try:
        stale = shown.stat().st_mtime < since  # of a training before
        with shown.open(encoding="utf-8", newline="") as file:
            steps = [int(row["step"]) for row in csv.DictReader(file)]
    except FileNotFoundError:
        return float("inf")
    if stale or not steps:
        return float("inf")
    begun, first = seen.setdefault(run, (time.time(), steps[-1]))
    left = profile["training"]["steps"] - steps[-1]
    if left and steps[-1] == first:
        return float("inf")
    return left and (time.time() - begun) / (steps[-1] - first) * left


def _scored(profile: dict, run: str, definition: dict, out: Path) -> bool:
    """Score the maps of a run and put it into `out`; False, and said why, where that cannot be done."""
    name, growing = profile["name"], out / "runs" / f".{run}"
    try:
        for role in roles.test_sets(profile, definition):
            maps = paths.maps(name) / run / role
            evaluate(maps, load_test(paths.prepared(name) / role), out=out / "scores" / run / role)
        growing.mkdir(parents=True, exist_ok=True)
        for file in ("history.csv", "provenance.json"):
            shutil.copy(paths.runs(name) / run / file, growing / file)
        growing.rename(out / "runs" / run)
    except (MaganError, OSError) as error:
        print(f"{run}: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("seconds", metavar="SECONDS", type=float)
    parser.add_argument("runs", metavar="RUN", nargs="+")
    options = parser.parse_args()
    # As Ctrl-C: trainings end in order, with their states saved.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        failed = train_and_score(options.profile, options.out, options.seconds, options.runs)
    except MaganError as error:
        sys.exit(f"train_and_score.py: {error}")
    if failed:
        sys.exit(f"train_and_score.py: {', '.join(failed)} failed, for what is told above")
