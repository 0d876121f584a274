"""`magan train`: one run without a notebook, in as many processes as torchrun starts."""

import argparse
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from magan_core.errors import MaganError


def add_parser(commands) -> None:
    """Add `train` to the sub-commands."""
    command = commands.add_parser(
        "train",
        help="train one run, in one process or several",
        description="Train a run of a profile and map its test photographs, as notebooks 02 and 03 do; under "
        "torchrun in several processes. Stopped, the same command goes on where it was.",
    )
    command.add_argument("run", metavar="RUN", help="a run of params.yaml, such as manet-dut")
    command.add_argument("--profile", help="see `magan profile` (default: the current one)")
    command.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: a GPU if there is one"
    )
    command.add_argument(
        "--timeout", type=float, default=600.0, help="seconds to wait for another process (default 600)"
    )
    command.set_defaults(function=train)


def train(options: argparse.Namespace) -> None:
    """`magan train`: what the notebooks 02 and 03 do, in as many processes as torchrun starts."""
    from magan_core import params, paths
    from magan_core.device import choose_device
    from magan_core.training.distributed import joined
    from magan_core.training.stage import learn, map_test_sets

    settings = params.load()
    profile = params.get_profile(settings, options.profile or settings["profile"]["name"])
    params.get_run(profile, options.run)
    if not (paths.prepared(profile["name"]) / "sets.json").exists():
        raise MaganError(
            f"the data of profile {profile['name']} are not prepared. `make repro PROFILE={profile['name']}` "
            f"does that and all else; `magan profile {profile['name']}`, then "
            f"`dvc repro prepare@{profile['name']}`, that alone."
        )
    lock = paths.resume() / f".{profile['name']}-{options.run}.lock"
    first = os.environ.get("RANK", "0") == "0"  # of those that torchrun started
    with only(lock) if first else nullcontext():
        with joined(choose_device(options.device), options.timeout) as (team, device):
            learn(profile, options.run, paths.weights(settings["folders"]["weights"]), device, team)
        if team.writes:
            map_test_sets(profile, options.run, device)


@contextmanager
def only(lock: Path) -> Iterator[None]:
    """MaganError where another process is within this for the same file; one that was killed is not. A file
    system without locks keeps nobody out."""
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(lock, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise MaganError(
            f"cannot write {lock}: {error.strerror}. Make the folder writable, or free disk space."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MaganError(
                f"another process trains this run here ({lock} is locked). Wait for it, or stop it first."
            ) from None
        except OSError:
            pass
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
    finally:
        os.close(handle)
