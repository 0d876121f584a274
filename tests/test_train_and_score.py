"""Runs on a machine without DVC and papermill."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tiny_workspace import ROOT, RUN, workspace

from magan_core import cli, paths
from magan_core.commands.train import train
from magan_core.data.prepared import load_test
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.files import locked

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


def test_what_was_prepared_by_other_settings_is_prepared_again(tmp_path, monkeypatch, capsys):
    """And maps of photographs that are no longer tested on are gone; `magan train` alone refuses."""
    monkeypatch.chdir(workspace(tmp_path))
    left = paths.maps("smoke") / RUN / "dut/left.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"")
    settings = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for profile in (settings["profile"], *settings["profiles"]):
        profile["seed"] = 5
        profile["sets"]["dut"]["test"] = 3
    Path("params.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    with pytest.raises(SystemExit):
        cli.main(["train", RUN])
    assert "were prepared with other values of sets and seed than" in capsys.readouterr().err
    done = train_and_score(tmp_path, "smoke", "back", "600", RUN)
    assert done.returncode == 0, done.stderr
    summary = json.loads(Path(f"back/scores/{RUN}/dut/summary.json").read_text(encoding="utf-8"))
    assert summary["images"] == len(list(left.parent.iterdir())) == 3


def test_where_scores_cannot_be_written_nothing_is_trained(tmp_path):
    (workspace(tmp_path) / "back").write_text("in the way", encoding="utf-8")
    done = train_and_score(tmp_path, "smoke", "back", "600", RUN)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot write to back" in done.stderr
    assert not (tmp_path / "results").exists()


class Training:
    """In the place of a process: 20 seconds to load, a second a step, some more for its maps."""

    steps, loads = 100, 20

    def __init__(self, command, log, clock, ends):
        self.run, self.log, self.clock, self.begun = command[4], log, clock, clock.now
        self.mapped, self.code = ends.get(self.run, (22, 0))
        self.returncode = None
        clock.tasks.append(self)
        log.append(("started", self.run, clock.now))

    def tick(self):
        """A second has gone by."""
        step = min(self.clock.now - self.begun - self.loads, self.steps)
        if step > 0:
            shown = paths.live("smoke") / f"losses/{self.run}.csv"
            shown.parent.mkdir(parents=True, exist_ok=True)
            shown.write_text("step,ce\n" + "".join(f"{done},0.5\n" for done in range(1, step + 1)))
            os.utime(shown, (self.clock.now, self.clock.now))
        if self.clock.now - self.begun == self.loads + self.steps + self.mapped:
            self.returncode = self.code

    def poll(self):
        return self.returncode

    def terminate(self):
        self.log.append(("terminated", self.run, self.clock.now))

    def wait(self):
        pass


class Clock:
    """Seconds go by when somebody sleeps."""

    def __init__(self):
        self.now, self.tasks = 1000, []

    def sleep(self, _):
        self.now += 1
        for task in self.tasks:
            task.tick()


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Calls the script's function with trainings as above, which end as `ends` says: {run: (seconds for its
    maps, status)}. Returns what happened, in its order, and what it returned."""
    monkeypatch.chdir(workspace(tmp_path))
    spec = importlib.util.spec_from_file_location("script", ROOT / "scripts/train_and_score.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    profile = {"name": "smoke", "training": {"steps": Training.steps}}
    module.check_settings = lambda *_: None
    module.params = SimpleNamespace(load=dict, get_profile=lambda *_: profile, get_run=lambda *_: {})

    def call(runs, ends, seconds=10_000, unscored=()):
        log, clock = [], Clock()
        module.time = SimpleNamespace(time=lambda: clock.now, monotonic=lambda: clock.now, sleep=clock.sleep)
        module.subprocess = SimpleNamespace(Popen=lambda command: Training(command, log, clock, ends))

        def scored(_, run, *__):
            log.append(("scored", run, clock.now))
            return run not in unscored

        module._scored = scored
        try:
            returned = module.train_and_score("smoke", tmp_path / "back", seconds, runs)
        except SystemExit as stop:
            returned = stop.code
        return [(what, run, now - 1000) for what, run, now in log], returned

    return call


# A step a second once it has loaded for 20: less than 30 s are left at the 71st, 91 s after its start.
def test_the_next_run_starts_half_a_minute_before_the_training_of_the_one_before_ends(script):
    stale = paths.live("smoke") / "losses/a.csv"
    stale.parent.mkdir(parents=True)
    stale.write_text("step,ce\n100,0.5\n")
    os.utime(stale, (900, 900))
    assert script(["a", "b", "c"], {}) == (
        [
            ("started", "a", 0),
            ("started", "b", 91),
            ("scored", "a", 142),
            ("started", "c", 182),
            ("scored", "b", 233),
            ("scored", "c", 324),
        ],
        [],
    )


def test_a_third_run_waits_for_one_of_two(script):
    happened, _ = script(["a", "b", "c"], {"a": (200, 0)})
    assert [one for one in happened if one[0] == "started"] == [
        ("started", "a", 0),
        ("started", "b", 91),
        ("started", "c", 234),  # b has ended
    ]


def test_what_fails_or_is_killed_leaves_the_others_theirs(script):
    happened, failed = script(["a", "b", "c", "d"], {"a": (5, 1), "b": (5, -9)}, unscored="c")
    assert failed == ["a", "b", "c"]
    assert [run for what, run, _ in happened if what == "scored"] == ["c", "d"]


def test_a_training_that_was_stopped_stops_the_other_and_starts_no_more(script):
    happened, code = script(["a", "b", "c"], {"a": (5, 143)})
    assert code == 143
    assert happened == [("started", "a", 0), ("started", "b", 91), ("terminated", "b", 126)]


def test_no_run_starts_after_the_time(script, capsys):
    happened, failed = script(["a", "b", "c"], {}, seconds=150)
    assert [run for what, run, _ in happened if what == "scored"] == ["a", "b"]
    assert failed == []
    assert capsys.readouterr().out.splitlines()[1] == "c: not begun, 150 s are over"


def test_sigterm_ends_the_training_in_order(tmp_path):
    workspace(tmp_path, steps=100_000, save_seconds=600)
    with subprocess.Popen(
        [sys.executable, str(ROOT / "scripts/train_and_score.py"), "smoke", "back", "600", RUN],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
    ) as process:
        shown = tmp_path / f"results/smoke/live/losses/{RUN}.csv"
        while process.poll() is None and not shown.exists():
            time.sleep(0.1)
        process.terminate()
        assert process.wait(60) == 143
    assert list((tmp_path / ".resume").glob("*.safetensors"))
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("arguments", [(), ("smoke", "back", "600")], ids=str)
def test_too_few_arguments_show_how_to_call_it(tmp_path, arguments):
    done = train_and_score(tmp_path, *arguments)
    assert done.returncode == 2
    assert "PROFILE OUT SECONDS RUN [RUN ...]" in done.stderr


@pytest.mark.parametrize("killed", [False, True], ids=["running", "killed"])
def test_a_run_that_trains_already_is_not_trained_beside_it(tmp_path, monkeypatch, killed):
    monkeypatch.chdir(workspace(tmp_path))
    lock = Path(f".resume/.smoke-{RUN}.lock")
    hold = "from pathlib import Path\nfrom magan_core.files import locked\n"
    hold += f"with locked(Path('{lock}'), print):\n"
    hold += "    print('held', flush=True)\n    input()\n"
    other = subprocess.Popen(
        [sys.executable, "-c", hold],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with other:
        assert other.stdout.readline() == "held\n"
        if killed:
            other.kill()
            other.wait()
            with locked(lock, pytest.fail):
                pass
        else:
            options = SimpleNamespace(run=RUN, profile="smoke", device="cpu", timeout=1)
            with pytest.raises(MaganError, match="another process trains this run here"):
                train(options)
            with locked(lock.with_name(".smoke-other.lock"), pytest.fail):
                pass
            other.stdin.write("\n")
    assert not list(lock.parent.iterdir())
