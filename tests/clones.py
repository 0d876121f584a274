"""Throw-away clones of the repository, and commands inside them."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = (".git", ".venv", "build", "results", "prepared", "raw", "__pycache__", ".*_cache", "cache", "tmp")


def make(folder):
    """A repository with one commit of the working tree, without results and dvc.lock, which DVC writes whole
    after each stage, the longer the slower; returns the folder."""
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (folder / "dvc.lock").unlink(missing_ok=True)
    git(folder, "init", "-q")
    commit(folder, "clone")
    return folder


def git(folder, *arguments):
    """Output of a git command."""
    identity = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder, message):
    """Commit everything that is not ignored."""
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message)


def environment(folder):
    """As an activated virtual environment, with the clone's own magan_core, in which Python leaves what it
    compiles beside the sources."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }


def run(folder, *arguments, check=True):
    """python -m ... in the clone, with the clone's own magan_core."""
    result = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
    )
    if check and result.returncode:
        pytest.fail(f"{arguments} failed:\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}")
    return result


def stages_run(output):
    """Names of the stages that `dvc repro` ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


def processes(folder):
    """Command lines of the processes that work in the clone."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline"]):  # zombies and other users' do not say where
        if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(folder):
            found.append(process.info["cmdline"])
    return found


def wait_for(condition, seconds):
    """Fail unless the condition comes true in time."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.5)
    assert condition()
