"""What the stages `train` and `train-semi` do with a run: train it on its profile's prepared sets and map its
test photographs, all under results/PROFILE."""

import shutil
from pathlib import Path

import pandas as pd
import torch

from magan_core import paths, roles
from magan_core.data.prepared import check_settings, load_test
from magan_core.data.record import Record
from magan_core.models.weights import load_model
from magan_core.prediction import passes, predict_files
from magan_core.training.distributed import Team
from magan_core.training.run import add_timing, state_name, train_run
from magan_core.training.state import forget
from magan_core.wording import counted


def learn(
    profile: dict, name: str, weights_folder: Path, device: torch.device, team: Team | None = None
) -> pd.DataFrame:
    """Train the run `name` of a profile (of `params.get_profile`) and return its history; see `train_run`.

    Its sets must be prepared as the profile has them now, those that it is tested on, too: else a MaganError
    before the first step.
    """
    run, data = profile["runs"][name], paths.prepared(profile["name"])
    check_settings(data, profile)
    _tested(profile, run)
    return train_run(
        run,
        profile,
        labelled=data / roles.source_set(profile, run["set"]),
        unlabelled=data / roles.source_set(profile, run["unlabelled"]) if "unlabelled" in run else None,
        weights_folder=weights_folder,
        out=paths.runs(profile["name"]) / name,
        device=device,
        resume_folder=paths.resume(),
        live_folder=paths.live(profile["name"]),
        team=team,
    )


def map_test_sets(profile: dict, name: str, device: torch.device) -> dict[str, list[Record]]:
    """Write maps/RUN/SET/STEM.png for the test photographs of a trained run, in the place of older maps, and
    the seconds that a map takes into its provenance. Returns the photographs of each set (of `load_test`), in
    the order of mapping.

    The state that an unfinished run goes on from is removed: nothing is left to do.
    """
    run, out = profile["runs"][name], paths.runs(profile["name"]) / name
    tested = _tested(profile, run)
    generator, size = load_model(out / "model.safetensors", device)
    shutil.rmtree(paths.maps(profile["name"]) / name, ignore_errors=True)
    for role, records in tested.items():
        photos = [record["image"] for record in records]
        maps = paths.maps(profile["name"]) / name / role
        seconds = predict_files(generator, photos, maps, size=size, device=device, **passes(profile))
        add_timing(out, role, seconds)
        print(f"{role}: {counted(len(photos), 'map')} in {maps}, {seconds:.3f} s a photograph")
    forget(paths.resume(), state_name(profile, run))
    return tested


def _tested(profile: dict, run: dict) -> dict[str, list[Record]]:
    return {role: load_test(paths.prepared(profile["name"]) / role) for role in roles.test_sets(profile, run)}
