"""Runs on a machine without DVC and papermill."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import yaml
from tiny_workspace import ROOT, RUN, workspace

from magan_core import paths
from magan_core.data.prepared import load_test
from magan_core.evaluation import evaluate

WITHOUT = """
import importlib.abc, importlib.metadata, sys
MISSING = ("dvc", "papermill", "nbclient", "nbformat", "IPython")
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
installed = importlib.metadata.version
def version(name):
    if name in MISSING:
        raise importlib.metadata.PackageNotFoundError(name)
    return installed(name)
importlib.metadata.version = version
"""


def train_and_score(root, *arguments):
    """With Python, and what it starts, on a machine that has none of MISSING."""
    (root / "site").mkdir(exist_ok=True)
    (root / "site/sitecustomize.py").write_text(WITHOUT, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/train_and_score.py"), *arguments],
        cwd=root,
        env=os.environ | {"PYTHONPATH": f"{root / 'site'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_tables_need_comes_back_and_nothing_is_done_twice(tmp_path, monkeypatch):
    workspace(tmp_path)
    late = train_and_score(tmp_path, "smoke", "back", "-1", RUN)
    assert (late.returncode, late.stdout) == (0, f"{RUN}: not begun, -1 s are over\n"), late.stderr
    assert not (tmp_path / "back").exists()
    done = train_and_score(tmp_path, "smoke", "back", "600", RUN)
    assert done.returncode == 0, done.stderr
    versions = json.loads((tmp_path / f"back/runs/{RUN}/provenance.json").read_text())["versions"]
    assert {"torch", "timm"} <= versions.keys()
    assert not {"dvc", "papermill"} & versions.keys()
    for name in ("history.csv", "provenance.json"):
        trained = tmp_path / f"results/smoke/runs/{RUN}/{name}"
        assert (tmp_path / f"back/runs/{RUN}/{name}").read_bytes() == trained.read_bytes()
    monkeypatch.chdir(tmp_path)
    expected = evaluate(f"results/smoke/maps/{RUN}/dut", load_test(tmp_path / "data/prepared/smoke/dut"))
    assert json.loads((tmp_path / f"back/scores/{RUN}/dut/summary.json").read_text()) == expected
    again = train_and_score(tmp_path, "smoke", "back", "600", RUN)
    assert (again.returncode, again.stdout) == (0, f"{RUN}: is in back already\n")


def test_a_run_that_fails_leaves_the_others_theirs(tmp_path):
    params = workspace(tmp_path) / "params.yaml"
    settings = yaml.safe_load(params.read_text(encoding="utf-8"))
    for profile in (settings["profile"], *settings["profiles"]):
        profile["supervised"] = ["baseline-dut"]
    params.write_text(yaml.safe_dump(settings), encoding="utf-8")
    (tmp_path / "results/smoke/runs").mkdir(parents=True)
    (tmp_path / "results/smoke/runs/baseline-dut").write_text("in the way", encoding="utf-8")
    done = train_and_score(tmp_path, "smoke", "back", "600", "baseline-dut", RUN)
    assert done.returncode == 1
    assert "train_and_score.py: baseline-dut failed" in done.stderr
    assert [path.name for path in (tmp_path / "back/runs").iterdir()] == [RUN]


class Training:
    """In the place of a process: a step each time that it is asked whether it is done, and three times more
    for its maps."""

    steps, ends_with = 8, {}

    def __init__(self, command):
        self.run, self.step, self.returncode = command[4], 0, None
        self.log.append(("started", self.run, {one.run: one.step for one in self.going}))
        self.going.append(self)

    def poll(self):
        self.step += 1
        shown = paths.live("smoke") / f"losses/{self.run}.csv"
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.write_text("step,ce\n" + "".join(f"{step},0.5\n" for step in range(1, min(self.step, 8) + 1)))
        if self.step == self.steps + 3:
            self.returncode = self.ends_with.get(self.run, 0)
            self.going.remove(self)
        return self.returncode

    def terminate(self):
        self.log.append(("terminated", self.run))

    def wait(self):
        pass


@pytest.fixture
def script(tmp_path, monkeypatch):
    """The script as a module, with trainings that end at once; and what happens, in its order."""
    monkeypatch.chdir(workspace(tmp_path))
    spec = importlib.util.spec_from_file_location("script", ROOT / "scripts/train_and_score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    log = []
    monkeypatch.setattr(Training, "log", log, raising=False)
    monkeypatch.setattr(Training, "going", [], raising=False)
    monkeypatch.setattr(module, "prepare", lambda *_: None)
    monkeypatch.setattr(module, "_score", lambda _, run, *__: log.append(("scored", run)))
    monkeypatch.setattr(module.params, "get_profile", lambda *_: {"name": "smoke", "training": {"steps": 8}})
    monkeypatch.setattr(module.params, "get_run", lambda *_: {})
    module.subprocess = SimpleNamespace(Popen=Training)
    module.time = SimpleNamespace(time=lambda: 0.0, monotonic=time.monotonic, sleep=lambda _: None)
    return module, log


def test_the_next_run_starts_when_three_quarters_of_the_one_before_are_done(script, tmp_path):
    module, log = script
    assert module.train_and_score("smoke", tmp_path / "back", 600, ["a", "b", "c"]) == []
    assert log == [
        ("started", "a", {}),
        ("started", "b", {"a": 6}),
        ("scored", "a"),
        ("started", "c", {"b": 6}),
        ("scored", "b"),
        ("scored", "c"),
    ]


def test_a_signal_to_one_run_stops_the_others_and_scores_nothing_more(script, tmp_path, monkeypatch):
    module, log = script
    monkeypatch.setattr(Training, "ends_with", {"a": 130})
    with pytest.raises(SystemExit) as stopped:
        module.train_and_score("smoke", tmp_path / "back", 600, ["a", "b", "c"])
    assert stopped.value.code == 130
    assert log == [("started", "a", {}), ("started", "b", {"a": 6}), ("terminated", "b")]


@pytest.mark.parametrize("arguments", [(), ("smoke", "back", "600")], ids=str)
def test_too_few_arguments_show_how_to_call_it(tmp_path, arguments):
    done = train_and_score(tmp_path, *arguments)
    assert done.returncode == 2
    assert "PROFILE OUT SECONDS RUN [RUN ...]" in done.stderr
