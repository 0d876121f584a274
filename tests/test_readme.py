"""The README as its readers use it: its examples run as they stand, and every command in it is one."""

import contextlib
import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tiny import MODEL, scenes

from magan_core import cli, paths
from magan_core.data.images import read_map
from magan_core.models import PARTS, build_generator
from magan_core.models.weights import save_model

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = re.findall(r"^    (\S.*)$", README, re.M)
OTHERWISE_TESTED = {  # by what these do, with other arguments
    "train": "test_distributed.py",
    "data": "test_data_fetch.py, test_data_state.py",
    "profile": "test_params.py, test_pipeline.py",
}


def lines_of(program):
    """The example lines for a program of .venv/bin."""
    return [line for line in LINES if line.startswith(f".venv/bin/{program} ")]


def command_of(line):
    return shlex.split(line)[1]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the README takes for granted: photographs, maps of two methods, masks, and the released model."""
    torch.manual_seed(0)
    save_model(build_generator(MODEL), MODEL, list(PARTS), 32, tmp_path / "model.safetensors")
    for name in ("photos/day 2", "mine", "theirs", "masks"):
        (tmp_path / name).mkdir(parents=True)
    for name, photo, mask in zip(("garden", "lake", "day 2/street"), *scenes(3), strict=True):
        stem = Path(name).name
        Image.fromarray(photo).save(tmp_path / f"photos/{name}.jpg")
        Image.fromarray(mask).save(tmp_path / f"mine/{stem}.png")
        Image.fromarray(255 - mask // 2).save(tmp_path / f"theirs/{stem}_lbp.png")
        Image.fromarray(255 - mask).save(tmp_path / f"masks/{stem}.png")
    shutil.copytree(ROOT / "docs/photographs", tmp_path / "docs/photographs")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(paths, "RELEASED", tmp_path / "model.safetensors")
    return tmp_path


def magan(line):
    """Run an example line for `magan` as a shell would, `> FILE` included."""
    words = shlex.split(line)
    with contextlib.ExitStack() as stack:
        if ">" in words:
            out = stack.enter_context(open(words[-1], "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(out))
            words = words[: words.index(">")]
        cli.main(words[1:])


def test_the_examples_of_the_command_line_run_as_they_stand(folder, capsys):
    for line in lines_of("magan"):
        if command_of(line) not in OTHERWISE_TESTED:
            magan(line)
            assert capsys.readouterr().out or ">" in line, line
    assert {path.name for path in (folder / "maps").rglob("*")} == {
        *("cat.png", "cat.overlay.jpg", "coffee.png", "coffee.overlay.jpg"),
        *("garden.png", "lake.png", "day 2", "street.png"),
    }
    listed = json.loads((folder / "maps.json").read_text(encoding="utf-8"))["photographs"]
    assert {(entry["width"], entry["height"]) for entry in listed} == {(40, 40)}
    assert len(listed) == 3
    for name, mae in (
        ("mine", 0.0),
        ("theirs", 0.125),
    ):  # half of the quarter in focus
        scores = json.loads((folder / f"scores/{name}/summary.json").read_text(encoding="utf-8"))
        assert scores["mae"] == pytest.approx(mae, abs=0.01)
        assert scores["auc"] == 1


@pytest.mark.parametrize("line", [line for line in lines_of("magan") if command_of(line) in OTHERWISE_TESTED])
def test_a_long_example_of_the_command_line_is_understood(line):
    cli.parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("line", lines_of("dvc"))
def test_an_example_of_dvc_is_understood(line):
    from dvc.cli.parser import get_main_parser

    get_main_parser().parse_args(shlex.split(line)[1:])


def test_every_make_command_has_a_target_and_a_profile():
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    profiles = [profile["name"] for profile in settings["profiles"]]
    found = re.findall(r"make ([a-z-]+)(?: PROFILE=([\w-]+))?(?:`|$)", README, re.M)
    assert {target for target, _ in found} <= set(targets)
    assert {"setup", "repro", "test", "fast-test", "lab"} <= {target for target, _ in found}
    assert {profile for _, profile in found if profile} <= set(profiles)
    rows = re.findall(r"^\| (`[\w`, -]+`) \|", README, re.M)
    assert {name for row in rows for name in re.findall(r"[\w-]+", row)} == set(profiles)


def test_each_of_the_three_readers_has_a_part_of_one_screen():
    (table,) = re.findall(r"^\| You want .*?(?=\n\n)", README, re.M | re.S)
    parts = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## )", README, re.M | re.S))
    names = re.findall(r"\[([^]]+)\]\(#", table)
    assert len(names) == 3
    for name in names:
        assert 10 < len(parts[name].splitlines()) <= 50, name
    assert README.index(table) < 1500  # it is seen without scrolling


def test_python_maps_a_photograph_as_the_command_does(tmp_path, monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(ROOT)
    made = {}
    exec(code, made)
    assert re.fullmatch(r"\d+% of it is in focus\n", capsys.readouterr().out)
    cli.main(["predict", "docs/photographs/cat.jpg", "--out", str(tmp_path)])
    command = read_map(tmp_path / "cat.png").astype(int)
    assert np.abs(made["focus"] - command).max() <= 1
