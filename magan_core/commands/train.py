"""`magan train`: one run without a notebook, in as many processes as torchrun starts."""

import argparse

from magan_core.errors import MaganError
from magan_core.wording import counted


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
    from magan_core import params, paths, roles
    from magan_core.data.prepared import load_test
    from magan_core.device import choose_device
    from magan_core.models.weights import load_model
    from magan_core.prediction import passes, predict_files
    from magan_core.training.distributed import joined
    from magan_core.training.run import add_timing, state_name, train_run
    from magan_core.training.state import forget

    settings = params.load()
    profile = params.get_profile(settings, options.profile or settings["profile"]["name"])
    run = params.get_run(profile, options.run)
    if not (paths.prepared(profile["name"]) / "sets.json").exists():
        raise MaganError(
            f"the data of profile {profile['name']} are not prepared. `make repro PROFILE={profile['name']}` "
            f"does that and all else; `magan profile {profile['name']}`, then "
            f"`dvc repro prepare@{profile['name']}`, that alone."
        )
    data, out = paths.prepared(profile["name"]), paths.runs(profile["name"]) / options.run
    tested = {name: load_test(data / name) for name in roles.test_sets(profile, run)}
    unlabelled = data / roles.source_set(profile, run["unlabelled"]) if "unlabelled" in run else None
    with joined(choose_device(options.device), options.timeout) as (team, device):
        train_run(
            run,
            profile,
            labelled=data / roles.source_set(profile, run["set"]),
            unlabelled=unlabelled,
            weights_folder=paths.weights(settings["folders"]["weights"]),
            out=out,
            device=device,
            resume_folder=paths.resume(),
            live_folder=paths.live(profile["name"]),
            team=team,
        )
    if not team.writes:
        return
    model, size = load_model(out / "model.safetensors", device)
    for name, records in tested.items():
        photos = [record["image"] for record in records]
        maps = paths.maps(profile["name"]) / options.run / name
        seconds = predict_files(model, photos, maps, size=size, device=device, **passes(profile))
        add_timing(out, name, seconds)
        print(f"{name}: {counted(len(photos), 'map')} in {maps}, {seconds:.3f} s a photograph")
    forget(paths.resume(), state_name(profile, run))
