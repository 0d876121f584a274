"""The benchmarks start and run, and their pages name the options that they have and what they measured."""

import json
import re
import runpy
import shlex
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
LINES = [
    line
    for page in (BENCHMARKS / "README.md", PAGE)
    for line in re.findall(r"^    .*benchmarks/(\w+\.py)(.*)$", page.read_text(encoding="utf-8"), re.M)
]
RUNS = {
    "training": ("--profile", "smoke", "--steps", "1", "--trials", "2", "--scenes", "4", "--busy"),
    "inference": ("--trials", "1", "--images", "1", "--threads", "1"),
    "preparation": ("--trials", "1", "--images", "4"),
}


def start(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
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


def test_every_benchmark_is_on_the_page():
    assert {script for script, _ in LINES} == {
        path.name for path in BENCHMARKS.glob("*.py") if "argparse" in path.read_text(encoding="utf-8")
    }


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


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_a_benchmark_writes_what_it_prints(name, tmp_path, monkeypatch):
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))  # no photographs there
    printed = script(name, *RUNS[name], "--out", str(tmp_path / "result.json"))
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert {"hardware", "versions", "trials"} <= set(result)
    assert {"processor", "cores", "load"} <= set(result["hardware"])
    rows = {"training": [result], "inference": result.get("models"), "preparation": result.get("data")}[name]
    assert sum(line.startswith("| ") for line in printed.splitlines()) == len(rows) + 2
    speeds = [row.get("images a second", row.get("ours", {}).get("images a second")) for row in rows]
    for speed in speeds:
        spread = speed if "median" in speed else next(iter(speed.values()))
        assert 0 < spread["min"] <= spread["median"] <= spread["max"]
        assert f"{spread['median']:.1f}" in printed


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
