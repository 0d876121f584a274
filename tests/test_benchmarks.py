"""The benchmarks start, and their pages name the options that they have."""

import json
import re
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "benchmarks/README.md", ROOT / "docs/performance.md"]
LINES = [
    line
    for page in PAGES
    for line in re.findall(r"^    .*benchmarks/(\w+\.py)(.*)$", page.read_text(encoding="utf-8"), re.M)
]


def start(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    runpy.run_path(str(ROOT / "benchmarks" / script), run_name="__main__")


@pytest.mark.parametrize(("script", "arguments"), LINES)
def test_a_command_of_the_page_has_these_options(script, arguments, monkeypatch, capsys):
    used = {
        word.strip("[]")
        for word in shlex.split(arguments, comments=True)
        if word.lstrip("[").startswith("--")
    }
    with pytest.raises(SystemExit) as stop:
        start(monkeypatch, script, "--help")
    assert stop.value.code == 0
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    assert used <= known


def test_every_benchmark_is_on_a_page():
    scripts = [path for path in (ROOT / "benchmarks").glob("*.py") if "ArgumentParser(" in path.read_text()]
    assert {script for script, _ in LINES} == {path.name for path in scripts}


def test_a_training_step_is_timed(tmp_path, monkeypatch, capsys):
    threads = torch.get_num_threads()
    options = {"profile": "smoke", "steps": "1", "trials": "1", "device": "cpu", "threads": str(threads)}
    out = tmp_path / "times.json"
    start(
        monkeypatch,
        "scaling.py",
        "--out",
        str(out),
        *(f"--{name}={value}" for name, value in options.items()),
    )
    record = json.loads(out.read_text(encoding="utf-8"))
    assert set(record["milliseconds"]) == {"in memory", "streamed"}
    assert all(0 < times["least"] <= times["median"] for times in record["milliseconds"].values())
    assert record["processes"] == 1


def test_photographs_are_disturbed_as_the_table_says(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import robustness

    photo = np.full((64, 64, 3), 100, np.uint8)
    photo[0, 0] = 200
    for factor, expected in ((2, (200, 255)), (0.25, (25, 50)), (1.5, (150, 255))):
        bright = robustness.exposed(photo, factor, 1)
        assert (bright[5, 5] == expected[0]).all()
        assert (bright[0, 0] == expected[1]).all()
    assert robustness.noisy(photo, 10, 1).std() == pytest.approx(10, rel=0.05)
    assert not np.array_equal(robustness.noisy(photo, 10, 1), robustness.noisy(photo, 10, 2))
    assert np.abs(robustness.compressed(photo, 90, 1).astype(int) - photo)[8:, 8:].max() < 3


def test_shares_of_two_models_are_compared_over_photographs(monkeypatch):
    """Of the 16 ways to give four differences a sign two are as far from zero as what was found."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import out_of_focus

    assert out_of_focus.compared(np.array([0.5, 0.4, 0.3, 0.2]), np.full(4, 0.1)) == (0.25, 0.125)
    assert out_of_focus.compared(np.full(4, 0.1), np.array([0.5, 0.4, 0.3, 0.2])) == (-0.25, 0.125)
    assert out_of_focus.compared(np.full(4, 0.1), np.full(4, 0.1)) == (0, 1)


def test_the_blurrier_a_photograph_the_less_of_it_is_in_focus(tmp_path, monkeypatch, capsys):
    for kind in ("images", "masks", "splits"):
        (tmp_path / "cuhk" / kind).mkdir(parents=True)
    for name in ("cat", "coffee"):
        shutil.copy(ROOT / f"docs/photographs/{name}.jpg", tmp_path / "cuhk/images")
        shutil.copy(ROOT / f"docs/photographs/{name}.jpg", tmp_path / "cuhk/masks")
    (tmp_path / "cuhk/splits/two.txt").write_text("cat\ncoffee\n", encoding="utf-8")
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    start(monkeypatch, "out_of_focus.py", "--split", "two.txt", "--out", str(tmp_path / "shares.json"))
    record = json.loads((tmp_path / "shares.json").read_text(encoding="utf-8"))
    assert record["photographs"] == 2
    rows = record["rows"]
    assert rows[0]["blur"] == "none"
    assert rows[0]["share_in_focus"] > 0.2
    for blur in ("disc", "line"):
        shares = [row["share_in_focus"] for row in rows if row["blur"] == blur]
        assert shares[-1] < shares[0] / 5
    assert all(row["median"] <= row["largest"] for row in rows)


@pytest.mark.parametrize("script", ["out_of_focus.py", "robustness.py"])
def test_a_result_in_git_is_not_overwritten_by_that_of_another_model(script, monkeypatch, capsys):
    with pytest.raises(SystemExit) as stop:
        start(monkeypatch, script, "--model", "other.safetensors")
    assert stop.value.code == 2
    assert "say --out FILE" in capsys.readouterr().err
