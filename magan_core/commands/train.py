"""`magan train`: one run without a notebook, in as many processes as torchrun starts."""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from magan_core.commands.options import add_device
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
    add_device(command)
    command.add_argument(
        "--timeout", type=float, default=600.0, help="seconds to wait for another process (default 600)"
    )
    command.set_defaults(function=train)


def train(options: argparse.Namespace) -> None:
    """`magan train`: what the notebooks 02 and 03 do, in as many processes as torchrun starts."""
    from magan_core import params, paths
    from magan_core.device import choose_device
    from magan_core.files import locked
    from magan_core.training.distributed import joined
    from magan_core.training.stage import learn, map_test_sets

    settings = params.load()
    profile = params.get_profile(settings, options.profile or settings["profile"]["name"])
    params.get_run(profile, options.run)
    lock = paths.resume() / f".{profile['name']}-{options.run}.lock"
    first = os.environ.get("RANK", "0") == "0"  # of those that torchrun started
    with locked(lock, lambda: _refuse(lock)) if first else nullcontext():
        with joined(choose_device(options.device), options.timeout) as (team, device):
            learn(profile, options.run, paths.weights(settings["folders"]["weights"]), device, team)
        if team.writes:
            map_test_sets(profile, options.run, device)


def _refuse(lock: Path) -> None:
    raise MaganError(
        f"another process trains this run here ({lock} is locked). Wait for it, or stop it first."
    )
