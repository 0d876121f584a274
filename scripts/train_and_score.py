#!/usr/bin/env python3
"""Prepare, train and score runs of a profile on a machine that has PyTorch but neither DVC nor papermill, as
rented ones do (docs/scaling.md). From the repository's root:

    PYTHONPATH=. python scripts/train_and_score.py PROFILE OUT SECONDS RUN...

OUT gets runs/RUN (history and provenance) and scores/RUN/SET, a few hundred KB a run: what the tables are
made from. A run starts when the one before has done three quarters of its steps, so that it loads and
compiles beside it. After SECONDS no further run starts; a run that is in OUT is not trained again. A run that
fails leaves the others theirs, and is named at the end.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import time
from pathlib import Path

from magan_core import params, paths
from magan_core.data.prepare import prepare
from magan_core.data.prepared import load_test
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate

AHEAD = 0.75  # share of its steps that a run has done when the next one starts


def train_and_score(name: str, out: Path, seconds: float, runs: list[str]) -> list[str]:
    """All runs, at most two at a time; runs/RUN appears in `out` when all else of it is there. Returns those
    that failed."""
    begun, settings = time.monotonic(), params.load()
    profile = params.get_profile(settings, name)
    chosen = {run: params.get_run(profile, run) for run in runs}
    if not (paths.prepared(name) / "sets.json").exists():
        prepare(profile, lambda source: paths.raw(source, settings["folders"]["data"]), paths.prepared(name))
    waiting, failed = [], []
    for run in chosen:
        if (out / "runs" / run).exists():
            print(f"{run}: is in {out} already")
        else:
            waiting.append(run)
    started: dict[str, subprocess.Popen] = {}
    threshold, since = AHEAD * profile["training"]["steps"], time.time()
    try:
        while waiting or started:
            if waiting and all(_step(name, run, since) >= threshold for run in started) and len(started) < 2:
                run = waiting.pop(0)
                if time.monotonic() - begun > seconds:
                    print(f"{run}: not begun, {seconds:g} s are over")
                    continue
                # A process each, for one that failed may be unable to use the GPU again.
                command = [sys.executable, "-m", "magan_core", "train", run, "--profile", name]
                started[run] = subprocess.Popen(command)
            for run in [run for run, process in started.items() if process.poll() is not None]:
                code = started.pop(run).returncode
                if code == 1:
                    failed.append(run)
                elif code:  # a signal
                    sys.exit(code)
                else:
                    _score(profile, run, chosen[run], out)
                    print(f"{run}: scored {time.monotonic() - begun:.0f} s after the beginning", flush=True)
            time.sleep(0.2)
    finally:
        for process in started.values():
            process.terminate()  # saves its state
        for process in started.values():
            process.wait()
    return failed


def _step(name: str, run: str, since: float) -> int:
    """The last step that a run has shown since then."""
    shown = paths.live(name) / "losses" / f"{run}.csv"
    if not shown.exists() or shown.stat().st_mtime < since:
        return 0
    with shown.open(encoding="utf-8", newline="") as file:
        return max((int(row["step"]) for row in csv.DictReader(file)), default=0)


def _score(profile: dict, run: str, definition: dict, out: Path) -> None:
    name = profile["name"]
    for role in params.test_sets(profile, definition):
        maps = paths.maps(name) / run / role
        evaluate(maps, load_test(paths.prepared(name) / role), out=out / "scores" / run / role)
    growing = out / "runs" / f".{run}"
    growing.mkdir(parents=True, exist_ok=True)
    for file in ("history.csv", "provenance.json"):
        shutil.copy(paths.runs(name) / run / file, growing / file)
    growing.rename(out / "runs" / run)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("profile", metavar="PROFILE")
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("seconds", metavar="SECONDS", type=float)
    parser.add_argument("runs", metavar="RUN", nargs="+")
    options = parser.parse_args()
    try:
        failed = train_and_score(options.profile, options.out, options.seconds, options.runs)
    except MaganError as error:
        sys.exit(f"train_and_score.py: {error}")
    if failed:
        sys.exit(f"train_and_score.py: {', '.join(failed)} failed, for what is told above")
