"""The benchmarks run, and their page says what they measured."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny
import torch

from magan_core.models import build_generator

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = ROOT / "benchmarks"
PAGE = ROOT / "docs/performance.md"
RUNS = {
    "training": ("--profile", "smoke", "--steps", "1", "--trials", "2", "--scenes", "4", "--busy"),
    "inference": ("--trials", "1", "--images", "1", "--threads", "1"),
    "preparation": ("--trials", "1", "--images", "4"),
}


def script(name, *arguments):
    """What a benchmark prints."""
    command = [sys.executable, "-W", "error", str(BENCHMARKS / f"{name}.py"), *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    return found.stdout


def test_the_page_shows_the_numbers_of_the_results():
    tables = [part.strip() for part in script("table").split("\n\n") if part.startswith("|")]
    page = PAGE.read_text(encoding="utf-8")
    assert len(tables) >= 3
    assert [text for text in tables if text not in page] == []


@pytest.mark.parametrize("name", sorted(path.name for path in (BENCHMARKS / "results").glob("*.json")))
def test_every_measurement_names_the_code_that_it_is_of(name):
    found = json.loads((BENCHMARKS / "results" / name).read_text(encoding="utf-8"))
    versions = found["versions"].get("ours", found["versions"])
    assert re.fullmatch(r"[0-9a-f]{10}\+?", found.get("commit") or versions["commit"])


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_writes_what_it_prints(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))  # no photographs there
    printed = script(name, *RUNS[name], "--out", str(tmp_path / "result.json"))
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert {"hardware", "versions", "trials"} <= set(result)
    assert {"processor", "cores", "load"} <= set(result["hardware"])
    assert {"python", "commit", "numpy" if name == "preparation" else "torch"} <= set(result["versions"])
    rows = {"training": [result], "inference": result.get("models"), "preparation": result.get("data")}[name]
    assert sum(line.startswith("| ") for line in printed.splitlines()) == len(rows) + 2
    speeds = [row.get("images a second", row.get("ours", {}).get("images a second")) for row in rows]
    for speed in speeds:
        spread = speed if "median" in speed else next(iter(speed.values()))
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert f"{spread['median']:.1f}" in printed


def test_the_benchmark_of_training_says_that_a_profile_has_no_weights_to_begin_with():
    command = [sys.executable, str(BENCHMARKS / "training.py"), "--profile", "smoke", "--pretrained"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 2
    assert "profile 'smoke' names no file of weights" in found.stderr


RIVAL = """#!{python}
import json, sys
print(json.dumps({{"pysodmetrics": "none"}}), flush=True)
for line in sys.stdin:
    scores = dict.fromkeys(["mae", "f_beta", "adaptive", "iou"], 2.0)
    print(json.dumps({{"seconds": 2.0, "scores": scores}}), flush=True)
"""


@pytest.mark.slow
def test_the_benchmark_of_scoring_tells_a_slow_rival_that_is_far_off(tmp_path, monkeypatch):
    rival = tmp_path / "rival"
    rival.write_text(RIVAL.format(python=sys.executable), encoding="utf-8")
    rival.chmod(0o755)
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))  # no masks there
    out = str(tmp_path / "r.json")
    few = ("--images", "3", "--trials", "2", "--out", out)
    printed = script("evaluation", "--pysodmetrics", str(rival), *few)
    result = json.loads(Path(out).read_text(encoding="utf-8"))
    assert result["data"]["images"] == 3
    assert 1 < result["largest difference of a score"] < 2
    ours = {name[-16:]: found["median"] for name, found in result["seconds"].items()}
    ratios = {name: ratio for name, ratio in result["ratio"].items() if name.startswith("PySODMetrics, ")}
    assert len(ratios) == 3
    for name, ratio in ratios.items():
        assert ratio * ours[name[-16:]] == pytest.approx(2, rel=0.25)
    assert all(megabytes > 10 for megabytes in result["peak memory, MiB"].values())
    assert "largest difference" in printed


@pytest.mark.slow
def test_the_benchmark_of_growth_measures_each_row(tmp_path):
    few = ("--photographs", "4", "--side", "64", "--crops", "64", "--batches", "2")
    printed = script(
        "growth",
        "--profile",
        "smoke",
        *few,
        "--steps",
        "1",
        "--trials",
        "1",
        "--out",
        str(tmp_path / "r.json"),
    )
    result = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    rows = [row for row in result["rows"] if row["part"] == "photographs"]
    held = [(row["photographs"], row["streamed"], row.get("read anew", False)) for row in rows]
    assert held == [(4, False, False), (4, True, False), (4, True, True)]
    assert [row["crop"] for row in result["rows"] if row["part"] == "crop"] == [64]
    assert [row["batch"] for row in result["rows"] if row["part"] == "batch"] == [2]
    assert [row["scenes"] for row in result["preparation"]] == [4]
    for row in result["rows"]:
        assert 0 < row["seconds a step"]["min"] <= row["seconds a step"]["median"]
        assert row["memory, MiB"] > 100
        assert f"{1e3 * row['seconds a step']['median']:.0f} (" in printed


@pytest.mark.slow
def test_the_benchmark_of_predict_tells_a_photograph_from_the_whole_command(tmp_path):
    printed = script("predict", "--photographs", "2", "--trials", "1", "--out", str(tmp_path / "r.json"))
    result = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [(row["way"], row["photographs"]) for row in result["rows"]] == [
        (way, count) for way in ("as released", "--fast") for count in (1, 2)
    ]
    for row in result["rows"]:
        photograph, command = (row[kind]["median"] for kind in ("photograph", "command"))
        assert 0 < photograph * row["photographs"] < command
        assert f"{photograph:.2f} (" in printed


def test_the_network_that_ours_is_compared_with_gives_the_same_map(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import plain_attention

    torch.manual_seed(0)
    generator = build_generator(tiny.MODEL).eval()
    images = torch.rand(2, 3, 32, 32)
    logits = []
    for change in (lambda _: None, plain_attention.attend_plainly):
        change(generator)
        for module in (generator.high_attention, generator.low_attention):
            torch.nn.init.constant_(module.alpha, 0.7)
        logits.append(generator(images))
    assert isinstance(generator.high_attention, plain_attention.PlainAttention)
    torch.testing.assert_close(*logits)
