"""What the model card says of the released model, made for any model."""

import json
import os
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_workspace import ROOT

from magan_core.evaluation import evaluate
from magan_core.files import sha256
from magan_core.models import build_generator
from magan_core.models.weights import load_model, save_model
from magan_core.prediction import predict_files

SETTINGS = {
    "backbone": "slim_vgg", "width": 0.0625, "pooling": True, "head_channels": 4, "head_norm": True,
    "dilation": 2, "dropout": 0.0, "energy": "mean", "axis": "sources",
}  # fmt: skip


@pytest.fixture
def root(tmp_path):
    """Two models, a run, and a data set of three photographs of which two are tested."""
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = build_generator(SETTINGS, ["HL", "LL"])
        save_model(network, SETTINGS, ["HL", "LL"], 64, tmp_path / f"{seed}.safetensors", test_flip=True)
    random = np.random.default_rng(1)
    for part in ("images", "masks", "splits"):
        (tmp_path / "raw/toy" / part).mkdir(parents=True)
    for stem in "abc":
        Image.fromarray(random.integers(0, 256, (48, 64, 3), np.uint8)).save(
            tmp_path / f"raw/toy/images/{stem}.png"
        )
        mask = np.zeros((48, 64), np.uint8)
        mask[:, : 20 + ord(stem) % 10] = 255
        Image.fromarray(mask).save(tmp_path / f"raw/toy/masks/{stem}.png")
    (tmp_path / "raw/toy/splits/two.txt").write_text("a\nc\n", encoding="utf-8")
    (tmp_path / "results/demo/runs/manet").mkdir(parents=True)
    (tmp_path / "results/demo/runs/manet/provenance.json").write_text('{"seed": 2}', encoding="utf-8")
    return tmp_path


def score(root, *arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/score_model.py"), *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MAGAN_DATA": str(root / "raw"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_model_in_the_place_of_the_scores_file_stays(root):
    before = sha256(root / "1.safetensors")
    done = score(root, "1.safetensors", "2.safetensors", "--splits", "toy/two.txt")
    assert done.returncode == 1
    assert "1.safetensors is no name for the scores" in done.stderr
    assert sha256(root / "1.safetensors") == before


def test_scores_and_provenance_of_a_model_are_written(root, tmp_path):
    done = score(root, "out.json", "1.safetensors", "--splits", "toy/two.txt", "--runs", "results/demo/runs")
    assert done.returncode == 0, done.stderr
    found = json.loads((root / "out.json").read_text(encoding="utf-8"))
    assert found["models"] == {"1.safetensors": sha256(root / "1.safetensors")}
    assert found["trained_on"] == {"demo/manet": {"seed": 2}}
    assert found["mapped"] == {"flip": True, "scales": [1.0], "size": 64}
    assert found["scored"]["versions"]["torch"] == version("torch")
    network, size = load_model(root / "1.safetensors")
    photos = [root / f"raw/toy/images/{stem}.png" for stem in "ac"]
    predict_files(network, photos, tmp_path / "own", size=size, flip=True, progress=False)
    masks = [{"stem": stem, "mask": root / f"raw/toy/masks/{stem}.png", "white": "blur"} for stem in "ac"]
    expected = evaluate(tmp_path / "own", masks)
    assert found["scores"].keys() == {"TOY, two.txt", "TOY, two.txt, 16 bits"}
    scored, deep = found["scores"].values()
    assert scored["images"] == deep["images"] == 2
    for name in ("mae", "f_beta", "iou", "auc", "auf_beta"):  # batch norm is folded, which rounds otherwise
        assert scored[name] == pytest.approx(expected[name], abs=2e-3)
    for bits, summary in ((8, scored), (16, deep)):
        own = evaluate(root / f"build/scored/toy/two-{bits}", masks, bits=bits)
        assert {name: summary[name] for name in own} == own
        assert "notes" not in summary
    assert str(scored["mae"]) in done.stdout


def test_several_models_map_together(root):
    for out, models in (("1.json", "1"), ("2.json", "2"), ("both.json", "12")):
        done = score(root, out, *(f"{seed}.safetensors" for seed in models), "--splits", "toy/two.txt")
        assert done.returncode == 0, done.stderr
    mae = [
        json.loads((root / name).read_text(encoding="utf-8"))["scores"]["TOY, two.txt"]["mae"]
        for name in ("1.json", "2.json", "both.json")
    ]
    assert len(set(mae)) == 3
    assert json.loads((root / "both.json").read_text(encoding="utf-8"))["models"].keys() == {
        "1.safetensors",
        "2.safetensors",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["out.json", "3.safetensors"], "3.safetensors"),
        (["out.json", "1.safetensors", "--splits", "toy/three.txt"], "cannot read the split"),
        (
            ["out.json", "1.safetensors", "--runs", "results/demo/runs", "results/other/runs"],
            "no RUN/provenance.json in results/other/runs",
        ),
        (["raw", "1.safetensors", "--splits", "toy/two.txt"], "raw is no name for the scores"),
    ],
    ids=["model", "split", "runs", "out"],
)
def test_what_is_not_there_is_named_and_nothing_is_written(root, arguments, told):
    done = score(root, *arguments)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (root / "out.json").exists()
