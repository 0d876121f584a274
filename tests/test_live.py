"""A run shows itself while it trains, and trains as if it did not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny import PROFILE, RUN, TRAINING, prepared

from magan_core.data.prepared import load_train
from magan_core.errors import MaganError
from magan_core.models.weights import load_model
from magan_core.training import live as module
from magan_core.training.live import Live
from magan_core.training.run import train_run

ROOT = Path(__file__).resolve().parent.parent
PLAIN = {key: value for key, value in RUN.items() if key not in ("receptive_field", "unlabelled")} | {
    "loss": {"ce": 1.0, "iou": 1.0, "adv": 0.0}
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepared(tmp_path_factory.mktemp("prepared"))


def go(data, out, live=None, run=RUN, resume=None, **training):
    train_run(
        run,
        PROFILE | {"training": TRAINING | {"maps_every": 2} | training},
        labelled=data / "shi",
        unlabelled=data / "frd" if "unlabelled" in run else None,
        weights_folder=data,
        out=out,
        device=torch.device("cpu"),
        live_folder=live,
        resume_folder=resume,
        progress=False,
    )
    return [(out / name).read_bytes() for name in ("model.safetensors", "history.csv")]


def test_the_view_changes_no_byte_of_the_run(data, tmp_path):
    """With dropout, batch norm and spectral norm in the networks, and a sample after every step."""
    plain = go(data, tmp_path / "plain/run")
    watched = go(data, tmp_path / "watched/run", tmp_path / "live", maps_every=1)
    assert watched == plain
    assert len(list((tmp_path / "live/maps/run").glob("*.png"))) == TRAINING["steps"]


def test_a_run_that_goes_on_shows_its_earlier_rows_at_once(data, tmp_path):
    """Here one that has nothing left to do."""
    live, resume = tmp_path / "live", tmp_path / "resume"
    go(data, tmp_path / "run", live, resume=resume)
    before = (live / "losses/run.csv").read_bytes()
    shutil.rmtree(live)
    go(data, tmp_path / "run", live, resume=resume)
    assert (live / "losses/run.csv").read_bytes() == before


def test_the_tables_are_columns_of_the_history(data, tmp_path):
    go(data, tmp_path / "run", tmp_path / "live")
    history = pd.read_csv(tmp_path / "run/history.csv")
    for name, columns in module.TABLES.items():
        found = pd.read_csv(tmp_path / f"live/{name}/run.csv")
        pd.testing.assert_frame_equal(found, history[["step", *columns]])


def test_a_run_without_a_discriminator_has_no_adversarial_table(data, tmp_path):
    go(data, tmp_path / "run", tmp_path / "live", run=PLAIN)
    assert sorted(path.parent.name for path in (tmp_path / "live").rglob("*.csv")) == ["losses", "lr"]
    assert (tmp_path / "live/adversarial").is_dir()  # dvc plots complains of a folder that is missing


def test_a_sample_shows_photographs_maps_and_masks(data, tmp_path):
    go(data, tmp_path / "run", tmp_path / "live", steps=4)
    assert sorted(path.name for path in (tmp_path / "live/maps/run").glob("*.png")) == [
        "000002.png",
        "000004.png",
    ]
    with Image.open(tmp_path / "live/maps/run/000004.png") as picture:
        found = np.array(picture)
    assert found.shape == (4 * 32, 3 * 32, 3)
    arrays = load_train(data / "shi")
    images, masks = (np.array(array[:4, 4:36, 4:36]) for array in (arrays.images, arrays.masks))
    assert np.array_equal(found[:, :32], images.reshape(4 * 32, 32, 3))
    assert np.array_equal(found[:, 64:, 0], masks.reshape(4 * 32, 32))
    model, _ = load_model(tmp_path / "run/model.safetensors")
    with torch.no_grad():
        maps = model(torch.from_numpy(images).permute(0, 3, 1, 2) / 255).sigmoid()
    expected = maps.reshape(4 * 32, 32).numpy() * 255
    assert np.abs(found[:, 32:64, 0] - expected).max() <= 0.5 + 1e-3
    assert np.ptp(expected) > 1


def test_a_negative_number_of_steps(data, tmp_path):
    with pytest.raises(MaganError, match="maps_every is -1"):
        go(data, tmp_path / "run", tmp_path / "live", maps_every=-1)


def test_a_file_where_the_view_belongs_is_named(data, tmp_path):
    (tmp_path / "live").write_text("in the way", encoding="utf-8")
    with pytest.raises(MaganError, match=r"cannot show the run in .*live: .*remove what is there"):
        go(data, tmp_path / "run", tmp_path / "live")


def test_a_labelled_set_without_masks_is_named_as_without_the_view(data, tmp_path):
    swapped = tmp_path / "data"
    shutil.copytree(data, swapped)
    (swapped / "shi/train_masks.npy").unlink()
    with pytest.raises(MaganError, match="the labelled set has no masks"):
        go(swapped, tmp_path / "run", tmp_path / "live")


def test_no_samples_where_none_are_wanted(data, tmp_path):
    go(data, tmp_path / "run", tmp_path / "live", maps_every=0)
    assert not list((tmp_path / "live").rglob("*.png"))
    assert (tmp_path / "live/losses/run.csv").exists()


def test_the_tables_grow_while_the_run_goes_on(data, tmp_path, monkeypatch):
    rows = []
    original = Live.sample

    def sample(self, step, *arguments):
        path = tmp_path / "live/losses/run.csv"
        rows.append(len(pd.read_csv(path)) if path.exists() else 0)
        original(self, step, *arguments)

    monkeypatch.setattr(Live, "sample", sample)
    go(data, tmp_path / "run", tmp_path / "live")
    assert rows == [0, 1, 1, 2, 3]
    assert not list((tmp_path / "live").rglob(".run*")), "nothing half-written is left"


@pytest.mark.parametrize(("step", "identity", "kept"), [(3, "a", True), (3, "b", False), (0, "a", False)])
def test_what_a_run_that_goes_on_has_shown_stays_and_nothing_else(data, tmp_path, step, identity, kept):
    def view(identity):
        return Live(tmp_path, "run", identity, 1, load_train(data / "shi"), 32)

    view("a").begin(0)
    view("a").write([{"step": 1, "lr": 0.1, "ce": 1.0, "iou": 1.0, "total": 2.0}])
    (tmp_path / "maps/run/000001.png").touch()
    (tmp_path / "lr/other.csv").touch()
    view(identity).begin(step)
    assert (tmp_path / "maps/run/000001.png").exists() == kept
    assert (tmp_path / "losses/run.csv").exists() == (tmp_path / "lr/run.csv").exists() == kept
    assert (tmp_path / "lr/other.csv").exists()


def test_dvc_plots_reads_the_view(data, tmp_path):
    """With the repository's own dvc.yaml, params.yaml and .dvcignore."""
    for name in ("dvc.yaml", "params.yaml", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    profile = (tmp_path / "params.yaml").read_text(encoding="utf-8").rsplit("profile: *", 1)[1].split()[0]
    live = tmp_path / f"results/{profile}/live"
    go(data, tmp_path / "magan-s-shi", live)
    go(data, tmp_path / "manet-shi", live, run=PLAIN)
    for command in (["init", "-q", "--no-scm"], ["plots", "show", "--json"]):
        result = subprocess.run(
            [sys.executable, "-m", "dvc", *command],
            cwd=tmp_path,
            env=os.environ | {"DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
    found = json.loads(result.stdout)
    here = f"results/{profile}/live/"
    assert not [error for error in found.get("errors", []) if error["name"].startswith(here)]
    kinds = {name.removeprefix(here): plots for name, plots in found["data"].items() if name.startswith(here)}
    runs = ("magan-s-shi", "manet-shi")
    tables = [f"{name}/{run}.csv" for name in ("losses", "lr") for run in runs]
    samples = [f"maps/{run}/{step:06d}.png" for run in runs for step in (2, 4)]
    assert sorted(kinds) == sorted([*tables, "adversarial/magan-s-shi.csv", *samples])
    (losses,) = kinds["losses/manet-shi.csv"]
    history = pd.read_csv(tmp_path / "manet-shi/history.csv")
    drawn = {
        (row["field"], int(row["step"])): float(row["dvc_inferred_y_value"])
        for row in losses["content"]["data"]["values"]
    }
    terms = ("ce", "iou", "total")
    assert drawn == {(term, row["step"]): row[term] for row in history.to_dict("records") for term in terms}
