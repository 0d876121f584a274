"""`magan train`: one run without a notebook, in as many processes as torchrun starts."""

import argparse

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
    with joined(choose_device(options.device), options.timeout) as (team, device):
        learn(profile, options.run, paths.weights(settings["folders"]["weights"]), device, team)
    if team.writes:
        map_test_sets(profile, options.run, device)
