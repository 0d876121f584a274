"""The scores of a whole profile: what is scored on what, and where it goes."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from fake_results import mask_of
from PIL import Image

from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.metrics import SCORES
from magan_core.reporting.records import write_histories, write_records
from magan_core.reporting.sources import Results
from magan_core.scoring import score_profile, score_published, write_metrics

BOOTSTRAP = {"resamples": 50, "seed": 4}
THEIRS = {"method": "LBP", "white": "blur", "suffix": "_l", "set": "zhao", "masks": "cuhk/masks"}
PROFILE = {
    "name": "few",
    "sets": {"dut": {}, "ctcug": {}, "frd": {}, "zhao": {"same_as": "dut"}},
    "runs": {
        "manet-dut": {"set": "dut", "variant": "manet"},
        "manet-zhao": {"set": "zhao", "variant": "manet"},
    },
    "check": {"baselines": ["constant"]},
    "classical": ["SS"],
    "published": {
        "here": THEIRS | {"folder": "lbp", "masks_white": "focus"},
        "absent": THEIRS | {"folder": "none", "masks_white": "focus"},
    },
    "model": {"backbone": "slim_vgg"},
    "bootstrap": BOOTSTRAP,
}


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two sets of three test photographs and one without, with maps of every method."""
    monkeypatch.chdir(tmp_path)
    prepared = Path("data/prepared/few")
    masks = {f"p{index}": mask_of(index, 24, 32) for index in range(3)}
    for name in ("dut", "ctcug"):
        for stem, mask in masks.items():
            save(prepared / name / f"masks/{stem}.png", mask)
        with open(prepared / name / "test.csv", "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["stem", "image", "mask", "white"])
            rows.writerows([[stem, "", f"{name}/masks/{stem}.png", "focus"] for stem in masks])
    tested = {"dut": {"test": 3}, "ctcug": {"test": 3}, "frd": {"test": 0}}
    (prepared / "sets.json").write_text(json.dumps(tested), encoding="utf-8")
    rng = np.random.default_rng(0)
    for method in ("manet-dut", "manet-zhao", "constant", "SS"):
        for name in ("dut", "ctcug"):
            for stem, mask in masks.items():
                noisy = np.clip(mask * 0.6 + rng.integers(0, 100, mask.shape), 0, 255).astype(np.uint8)
                save(Path("results/few/maps") / method / name / f"{stem}.png", noisy)
    save(Path("theirs/lbp/p1_l.png"), 255 - masks["p1"])
    save(Path("raw/cuhk/masks/p1.png"), masks["p1"])
    save(Path("raw/cuhk/masks/p2.png"), masks["p2"])
    return tmp_path


def test_every_method_is_scored_on_its_test_sets(folder):
    scored = score_profile(PROFILE)
    both = ["dut", "ctcug"]
    assert {method: list(sets) for method, sets in scored.items()} == {
        "manet-dut": both,
        "manet-zhao": both,  # what fills DUT is what it learns from
        "constant": both,
        "SS": both,
    }
    for method, sets in scored.items():
        for name, summary in sets.items():
            assert summary["images"] == 3
            written = Path(f"results/few/scores/{method}/{name}/summary.json")
            assert json.loads(written.read_text(encoding="utf-8")) == summary
            alone = evaluate(
                f"results/few/maps/{method}/{name}", f"data/prepared/few/{name}/masks", **BOOTSTRAP
            )
            same = (*SCORES, "intervals")
            assert {key: summary[key] for key in same} == {key: alone[key] for key in same}
    write_metrics(scored, Path("metrics.json"))
    told = json.loads(Path("metrics.json").read_text(encoding="utf-8"))
    assert told["SS"]["ctcug"] == {key: round(scored["SS"]["ctcug"][key], 4) for key in SCORES}


def test_published_maps_are_scored_as_far_as_they_are_there(folder):
    scored = score_published(PROFILE, Path("theirs"), Path("raw"))
    assert list(scored) == ["here"]
    assert scored["here"]["images"] == 1
    assert scored["here"]["mae"] == 0
    assert Path("results/few/scores/here/dut/summary.json").exists()
    assert not Path("results/few/scores/absent").exists()


def test_a_method_without_maps_is_named(folder):
    Path("results/few/maps/SS/ctcug/p1.png").unlink()
    with pytest.raises(MaganError, match=r"'p1' has a mask and no map in results/few/maps/SS/ctcug"):
        score_profile(PROFILE)


def test_records_and_histories_are_of_runs_and_detectors(folder):
    for name in ("manet-dut", "manet-zhao", "SS"):
        run = Path("results/few/runs") / name
        run.mkdir(parents=True)
        (run / "provenance.json").write_text(json.dumps({"of": name}), encoding="utf-8")
        (run / "history.csv").write_text(f"step,ce\n1,0.{len(name)}\n", encoding="utf-8")
    results = Results.of("few", PROFILE)
    out = folder / "tables"
    out.mkdir()
    records = write_records(results, out)
    assert records == {name: {"of": name} for name in ("manet-dut", "manet-zhao", "SS")}
    assert json.loads((out / "provenance.json").read_text(encoding="utf-8")) == records
    assert json.loads((out / "sets.json").read_text(encoding="utf-8"))["frd"] == {"test": 0}
    write_histories(results, out / "histories.csv")
    with open(out / "histories.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"], row["step"], float(row["ce"])) for row in rows] == [
        ("manet-dut", "1", 0.9),
        ("manet-zhao", "1", 0.1),
    ]
    nothing = Results.of("few", PROFILE | {"runs": {}})
    write_histories(nothing, out / "none.csv")
    assert (out / "none.csv").read_text(encoding="utf-8") == "run\n"
