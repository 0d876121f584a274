"""The released model is the one whose scores are told; `make released-model`: its order, with a stand-in for
whatever takes long, and what it refuses at once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import clones
import pytest

from magan_core import params
from magan_core.files import sha256

MODEL = clones.ROOT / "magan_core/released/model.safetensors"
TOLD = json.loads((clones.ROOT / "results/released/mean.json").read_text(encoding="utf-8"))

# Instead of training, packing, mapping and scoring: looks for what that needs, and writes empty files.
STAND_IN = """
import json, os, sys
from pathlib import Path

said = sys.argv[1:]
def needs(*files):
    missing = [file for file in files if not Path(file).is_file()]
    if missing:
        sys.exit(f"stand-in: {' '.join(said)}: missing {missing}")
def make(file):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(b"")
    with open("log", "a") as log:
        log.write(f"{file}\\n")
if said[:2] == ["-m", "dvc"] and "repro" in said:
    from magan_core import params
    profile = params.load()["profile"]
    weights = profile["weights"]["file"]
    for stage in (part for part in said if part.startswith("train@")):
        needs(*[weights] * weights.startswith("build/"))
        if any("pseudo" in entry for entry in profile["sets"].values()):
            needs("build/pseudo/a.png")
        run = stage.removeprefix(f"train@{profile['name']}-")
        model = f"results/{profile['name']}/runs/{run}/model.safetensors"
        if not Path(model).exists():
            make(model)
elif said[:2] == ["-m", "dvc"]:
    from magan_core import params
    print(json.dumps({stage: ["not up to date"] for stage in params.grid(params.load()["profile"])}))
elif said[:3] == ["-m", "magan_core", "pack"]:
    needs(*said[3 : said.index("--out")])
    make(said[-1])
elif said[:3] == ["-m", "magan_core", "predict"]:
    needs(*(said[index + 1] for index, part in enumerate(said) if part == "--model"))
    make(Path(said[said.index("--out") + 1]) / "a.png")
elif said and said[0] == "scripts/score_model.py":
    needs(said[2])
    make(said[1])
else:
    os.execv(sys.executable, [sys.executable, *said])
"""


@pytest.fixture
def workspace(tmp_path):
    """What the script needs of a clone, with SZU-BD's folder and without a GPU; returns its environment."""
    for part in ("magan_core", "scripts"):
        shutil.copytree(clones.ROOT / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(clones.ROOT / "params.yaml", tmp_path)
    (tmp_path / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "{tmp_path}/stand_in.py" "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / "data/raw/szu-bd/images").mkdir(parents=True)
    hidden = {name: value for name, value in os.environ.items() if not name.startswith("MAGAN_")}
    return hidden | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path),
        "CUDA_VISIBLE_DEVICES": "",
    }


def released_model(folder, environment, *arguments):
    return subprocess.run(
        ["bash", "scripts/released_model.sh", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_each_training_finds_the_weights_it_begins_with(tmp_path, workspace):
    done = released_model(tmp_path, workspace)
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    trained = [Path(file).parts[1:4:2] for file in made if "/runs/" in file]
    profiles = params.load(tmp_path / "params.yaml")["profiles"].values()
    assert sorted(trained) == sorted(
        (profile["name"], run)
        for profile in profiles
        if profile["name"].startswith("released")
        for run in profile["supervised"]
    )
    assert made[-2:] == ["magan_core/released/model.safetensors", "results/released/mean.json"]
    assert params.load(tmp_path / "params.yaml")["profile"]["name"] == "demo", "the profile of before"


@pytest.mark.slow
def test_the_second_labeller_is_taken_where_it_has_been_trained_elsewhere(tmp_path, workspace):
    second = tmp_path / "results/cuhk/runs/magan-zhao/model.safetensors"
    second.parent.mkdir(parents=True)
    second.write_bytes(b"")
    done = released_model(tmp_path, workspace, "2")
    assert done.returncode == 0, done.stderr


def test_no_gpu_is_said_before_hours_of_training(tmp_path, workspace):
    done = released_model(tmp_path, workspace, "2")
    assert done.returncode == 1
    assert "no GPU here" in done.stderr
    assert "LABELLERS=1" in done.stderr
    assert not (tmp_path / "log").exists()


def test_missing_photographs_are_said_before_hours_of_training(tmp_path, workspace):
    shutil.rmtree(tmp_path / "data/raw/szu-bd")
    done = released_model(tmp_path, workspace)
    assert done.returncode == 1
    assert "magan data fetch cuhk szu-bd" in done.stderr
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize("wrong", ["0", "3", "two"])
def test_another_number_of_labellers_is_refused(tmp_path, workspace, wrong):
    done = released_model(tmp_path, workspace, wrong)
    assert done.returncode == 1
    assert f"'{wrong}' is no number of labellers" in done.stderr


def test_the_scores_that_are_told_are_those_of_this_file():
    assert TOLD["models"] == {"magan_core/released/model.safetensors": sha256(MODEL)}


@pytest.mark.slow
def test_the_model_has_the_scores_that_are_told(tmp_path):
    """On the 60 validation photographs, where CUHK is at hand."""
    if not (Path(os.environ.get("MAGAN_DATA", "nowhere")) / "cuhk").is_dir():
        pytest.skip("MAGAN_DATA names no folder with the data set cuhk")
    shutil.copy(clones.ROOT / "params.yaml", tmp_path)
    shutil.copytree(clones.ROOT / "data/splits", tmp_path / "data/splits")
    script = [
        clones.ROOT / "scripts/score_model.py",
        "found.json",
        MODEL,
        "--splits",
        "cuhk/zhao_validation.txt",
    ]
    environment = clones.environment(clones.ROOT) | {
        "MAGAN_DATA": str(Path(os.environ["MAGAN_DATA"]).absolute())
    }
    done = subprocess.run(
        [sys.executable, *script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["scores"]
    assert len(found) == 2  # of 8 and of 16 bits
    for name, scores in found.items():
        for score in ("mae", "f_beta", "iou", "auc", "auf_beta"):
            assert scores[score] == pytest.approx(TOLD["scores"][name][score], abs=2e-4), (name, score)
