"""The runs of a profile beside each other: DVC's queue with two workers, and an array of SLURM."""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import clones
import psutil
import pytest
from clones import run, stages_run

pytestmark = pytest.mark.slow
ONE_RUN = ("profile.supervised=[manet-dut]", "profile.semi_supervised=[]", "profile.classical=[]")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone on the smoke profile with its data prepared."""
    folder = clones.make(tmp_path_factory.mktemp("clones") / "a clone")
    run(folder, "magan_core", "profile", "smoke")
    run(folder, "dvc", "repro", "prepare@smoke")
    clones.commit(folder, "prepared")
    return folder


def queue(clone, name, stage, *overrides):
    settings = [part for text in overrides for part in ("-S", text)]
    run(clone, "dvc", "exp", "run", "--queue", "--name", name, *settings, stage)


def start_workers(clone):
    """Two, which write into a file: one that DVC leaves idle would hold a pipe open for ever."""
    with open(clone.parent / "workers.txt", "w") as told:
        command = [sys.executable, "-m", "dvc", "queue", "start", "--jobs", "2"]
        subprocess.run(
            command, cwd=clone, env=clones.environment(clone), stdout=told, stderr=told, check=True
        )


def statuses(clone):
    """{name: status} of the tasks in DVC's queue."""
    lines = run(clone, "dvc", "queue", "status").stdout.splitlines()
    rows = [line.split() for line in lines]
    return {row[1]: row[-1] for row in rows if len(row) > 3 and row[1] in ("slow", "fast", "table")}


def test_two_workers_run_what_is_queued(clone):
    """Two learning rates up to the scores, and a training of the tables as it stands."""
    clean = clones.git(clone, "status", "--porcelain")
    queue(clone, "slow", "evaluate@smoke", *ONE_RUN, "profile.training.lr=0.0001")
    queue(clone, "fast", "evaluate@smoke", *ONE_RUN, "profile.training.lr=0.01")
    queue(clone, "table", "train@smoke-magan-dut")
    assert clones.git(clone, "status", "--porcelain") == clean
    package = clone / "magan_core/__init__.py"
    own = package.read_text(encoding="utf-8")
    package.write_text("raise RuntimeError('not the code that was queued')", encoding="utf-8")
    try:
        start_workers(clone)
        end = time.monotonic() + 900
        while set(statuses(clone).values()) & {"Queued", "Running"} and time.monotonic() < end:
            time.sleep(3)
    finally:
        package.write_text(own, encoding="utf-8")
        run(clone, "dvc", "queue", "stop")
    names = ("slow", "fast", "table")
    assert statuses(clone) == dict.fromkeys(names, "Success"), "\n".join(
        run(clone, "dvc", "queue", "logs", name, check=False).stdout[-6000:] for name in names
    )
    assert clones.git(clone, "status", "--porcelain") == clean
    shown = csv.DictReader(io.StringIO(run(clone, "dvc", "exp", "show", "--csv").stdout))
    rows = {row["Experiment"]: row for row in shown}
    assert [float(rows[name]["profile.training.lr"]) for name in ("slow", "fast")] == [0.0001, 0.01]
    scores = {
        name: json.loads(clones.git(clone, "show", f"{reference}:results/smoke/metrics.json"))
        for reference in clones.git(clone, "for-each-ref", "--format=%(refname)", "refs/exps").split()
        if (name := reference.rpartition("/")[2]) in ("slow", "fast")
    }
    assert set(scores["slow"]) == set(scores["fast"]) == {"manet-dut", "constant", "laplacian"}
    assert scores["slow"]["manet-dut"] != scores["fast"]["manet-dut"]
    assert scores["slow"]["constant"] == scores["fast"]["constant"]
    assert stages_run(run(clone, "dvc", "repro", "train@smoke-magan-dut").stdout) == {"inputs@smoke"}
    assert (clone / "results/smoke/runs/magan-dut/model.safetensors").exists()


def array(clone, profile, indices, **options):
    """What sbatch does with `--array=INDICES`, all tasks at once; their processes."""
    return [
        subprocess.Popen(
            ["bash", "scripts/slurm_array.sh", profile],
            cwd=clone,
            env=clones.environment(clone) | {"SLURM_ARRAY_TASK_ID": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )
        for index in indices
    ]


def outcome(task):
    output = task.communicate(timeout=900)[0]
    return task.returncode, output


def test_an_array_of_slurm_leaves_nothing_for_dvc_repro_to_train(clone):
    run(clone, "magan_core", "profile", "demo")  # a task takes the profile that it is given
    outcomes = [outcome(task) for task in array(clone, "smoke", (0, 1))]
    assert [code for code, _ in outcomes] == [0, 0], "\n".join(text[-6000:] for _, text in outcomes)
    assert not [text for _, text in outcomes if "Running stage 'prepare" in text]
    assert not list((clone / ".dvc/tmp/grid").iterdir())
    run(clone, "magan_core", "profile", "smoke")
    stages = run(clone, "magan_core", "grid", "smoke").stdout.split()[:2]
    assert stages == ["train@smoke-baseline-dut", "train@smoke-manet-dut"]
    output = run(clone, "dvc", "repro", *stages).stdout
    assert stages_run(output) == {"inputs@smoke"}
    for name in ("baseline-dut", "manet-dut"):
        assert (clone / f"results/smoke/runs/{name}/model.safetensors").exists()
        assert len(list((clone / f"results/smoke/maps/{name}/dut").iterdir())) == 4


@pytest.fixture
def longer(clone):
    """The clone with trainings of 300 steps, saved at each."""
    run(clone, "magan_core", "profile", "smoke")
    before = (clone / "params.yaml").read_text(encoding="utf-8")
    assert before.count("steps: 8,") == 1
    edited = before.replace("steps: 8,", "steps: 300,").replace("save_seconds: ", "save_seconds: 0 # ")
    (clone / "params.yaml").write_text(edited, encoding="utf-8")
    clones.commit(clone, "longer")
    yield clone
    (clone / "params.yaml").write_text(before, encoding="utf-8")
    clones.commit(clone, "as before")


def test_a_killed_task_of_an_array_goes_on_when_it_is_submitted_again(longer):
    """Killed three times: in making its clone, in checking it out, and in training."""
    clone = longer
    grid = clone / ".dvc/tmp/grid"
    folder = grid / "train@smoke-manet-dut"
    (grid / f"{folder.name}.begun/.git").mkdir(parents=True)
    before = clones.git(clone, "status", "--porcelain", "--branch")
    (task,) = array(clone, "smoke", (1,), start_new_session=True)
    try:
        clones.wait_for(lambda: list((folder / ".resume").glob("smoke-manet-dut*.safetensors")), 120)
    finally:
        family = psutil.Process(task.pid).children(recursive=True)
        os.killpg(task.pid, signal.SIGKILL)
    task.communicate(timeout=60)
    (folder / ".git/index.lock").touch()
    clones.wait_for(lambda: not clones.processes(folder), 20)
    clones.wait_for(lambda: not any(psutil.pid_exists(one.pid) for one in family), 60)  # DVC's question, too
    (task,) = array(clone, "smoke", (1,))
    code, output = outcome(task)
    assert code == 0, output[-6000:]
    assert not list(grid.iterdir())
    assert clones.git(clone, "status", "--porcelain", "--branch") == before
    run(clone, "dvc", "repro", "train@smoke-manet-dut")
    told = json.loads((clone / "results/smoke/runs/manet-dut/provenance.json").read_text(encoding="utf-8"))
    assert told["starts"] == 2


def test_an_array_leaves_the_repository_alone_where_its_clone_is_damaged(clone):
    folder = clone / ".dvc/tmp/grid/train@smoke-baseline-dut"
    (folder / ".git").mkdir(parents=True)
    readme = clone / "results/README.md"
    readme.parent.mkdir(exist_ok=True)
    readme.write_text("of one's own", encoding="utf-8")
    before = clones.git(clone, "status", "--porcelain", "--branch")
    (task,) = array(clone, "smoke", (0,))
    code, output = outcome(task)
    assert code == 1
    assert "is no Git repository. Remove it" in output
    assert clones.git(clone, "status", "--porcelain", "--branch") == before
    assert readme.read_text(encoding="utf-8") == "of one's own"
    shutil.rmtree(folder)
    readme.unlink()


def test_an_array_that_cannot_work_says_so(clone):
    (task,) = array(clone, "smoke", (7,))
    code, output = outcome(task)
    assert code == 1
    assert "there is no run 7: the array is 0-6" in output
    readme = clone / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text("changed", encoding="utf-8")
    (task,) = array(clone, "smoke", (0,))
    code, output = outcome(task)
    readme.write_text(text, encoding="utf-8")
    assert code == 1
    assert "Commit them" in output
    command = ["bash", "scripts/slurm_array.sh", "smoke"]
    environment = clones.environment(clone)
    found = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "submit with sbatch --array" in found.stderr


def test_one_signal_ends_all_trainings_and_keeps_what_they_have(clone):
    """Also where SIGINT is ignored, as by all that a script or `nohup` starts in the background."""
    run(clone, "magan_core", "profile", "smoke")
    edited = (clone / "params.yaml").read_text(encoding="utf-8")
    assert edited.count("steps: 8,") == 1
    (clone / "params.yaml").write_text(edited.replace("steps: 8,", "steps: 20000,"), encoding="utf-8")
    shutil.rmtree(clone / "results/smoke/live", ignore_errors=True)
    task = subprocess.Popen(
        ["bash", "scripts/train_grid.sh", "2"],
        cwd=clone,
        env=clones.environment(clone),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    try:
        clones.wait_for(lambda: len(list((clone / "results/smoke/live/losses").glob("[!.]*.csv"))) == 2, 120)
        task.send_signal(signal.SIGTERM)
        output = task.communicate(timeout=60)[0]
    finally:
        task.kill()
    assert task.returncode == 1
    assert "train_grid.sh: stopped; trainings that had begun are saved" in output
    assert not clones.processes(clone)
    assert len({path.name.split("-")[1] for path in (clone / ".resume").glob("smoke-*")}) == 2
    (clone / "params.yaml").write_text(edited, encoding="utf-8")
    run(clone, "dvc", "repro", "train@smoke-manet-dut")
