"""Several processes train as one: their parts make up the batch, and their run follows that of one."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import MODEL, TRAINING, prepared, scenes
from tiny_workspace import ROOT, RUN, workspace

from magan_core import cli, paths
from magan_core.data.augment import Sampler
from magan_core.data.images import read_map, read_photo
from magan_core.data.prepared import SETTINGS, load_test
from magan_core.errors import MaganError
from magan_core.files import write_json
from magan_core.models import build_discriminator, build_generator
from magan_core.models.weights import load_model
from magan_core.prediction import predict
from magan_core.training import stage
from magan_core.training.distributed import Team, alone, joined
from magan_core.training.shared import SharedBatchNorm, SharedDropout, share
from magan_core.training.trainer import Recipe, Weights, train

CPU = torch.device("cpu")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def sampler(masks=True, batch=4, part=slice(None), **settings):
    images, truth = map(torch.from_numpy, scenes(6))
    sizes = torch.tensor([[40, 60]] * 6)
    options = {"batch": batch, "crop": 32, "rotation": 0.15, "seed": 3, "part": part} | settings
    return Sampler(images, truth if masks else None, sizes, **options)


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize(
    "settings", [{}, {"jitter": 0.3, "cutmix": 0.7, "defocus": 0.5, "noise": 0.1}], ids=str
)
def test_the_parts_of_all_processes_are_the_batch_of_one(size, settings):
    whole = sampler(**settings)
    parts = [sampler(part=Team(rank, size).part, **settings) for rank in range(size)]
    for _ in range(5):  # over the end of an epoch
        images, masks = whole.next()
        for rank, one in enumerate(parts):
            mine, truth = one.next()
            assert len(mine) == 4 // size
            torch.testing.assert_close(mine, images[rank::size], rtol=0, atol=1e-6)
            assert torch.equal(truth, masks[rank::size])


def test_dropout_of_all_processes_is_that_of_one():
    features = torch.rand(8, 16, 3, 3)
    torch.manual_seed(5)
    whole = torch.nn.Dropout2d(0.4)(features)
    for rank in (0, 1):
        torch.manual_seed(5)
        part = SharedDropout(0.4, Team(rank, 2))(features[rank::2])
        assert torch.equal(part, whole[rank::2])
        assert (part == 0).any()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("backbone", ["slim_vgg", "tf_efficientnet_lite0", "efficientnet_lite0"])
def test_shared_layers_keep_names_weights_and_maps(backbone, device):
    """timm's batch norm (of efficientnet_lite0) holds the activation, which torch's own conversion to
    SyncBatchNorm would lose."""
    torch.manual_seed(0)
    network = build_generator(MODEL | {"backbone": backbone})
    photographs = torch.rand(2, 3, 64, 64)
    network.train()(photographs)  # statistics other than 0 and 1
    before = network.eval()(photographs)
    names, parameters = list(network.state_dict()), list(network.parameters())
    shared = share(network, Team(0, 2), torch.device(device)).eval()
    left = {"Dropout2d", "BatchNorm2d", "BatchNormAct2d"} & {
        type(layer).__name__ for layer in shared.modules()
    }
    assert not left
    assert list(shared.state_dict()) == names
    assert all(one is other for one, other in zip(shared.parameters(), parameters, strict=True))
    assert torch.equal(shared(photographs), before)


def test_a_team_of_one_changes_nothing():
    network = build_generator(MODEL)
    assert share(network, Team(), CPU) is network
    assert Team().wrap(network) is network


@pytest.mark.parametrize(
    ("batch", "size", "semi", "message"),
    [(4, 3, False, "a batch of 4"), (6, 2, True, "the half of a batch, of 3"), (6, 4, False, "a batch of 6")],
)
def test_a_batch_that_cannot_be_divided(batch, size, semi, message):
    with pytest.raises(MaganError, match=f"{message} cannot be divided evenly among {size} processes"):
        train(
            build_generator(MODEL),
            build_discriminator(16, 4),
            sampler(batch=batch),
            sampler(masks=False, batch=batch) if semi else None,
            Weights(1.0, 1.0, 0.1),
            Recipe(**{name: TRAINING[name] for name in Recipe.__annotations__} | {"batch": batch}),
            device=CPU,
            team=Team(0, size),
        )


def test_a_notebook_under_torchrun_is_told_of_the_command(monkeypatch):
    assert alone() == Team()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(MaganError, match="-m magan_core train RUN"):
        alone()


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with (
        pytest.raises(MaganError, match="2 processes on this machine, which has 1 GPUs"),
        joined(torch.device("cuda")),
    ):
        pytest.fail("joined")


TORCHRUN = {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "RANK, MASTER_ADDR, MASTER_PORT.*torchrun --nproc-per-node"),
        ({"WORLD_SIZE": "two"}, "WORLD_SIZE is 'two'"),
        (TORCHRUN | {"MASTER_PORT": "99999"}, "MASTER_PORT is 99999"),
        (TORCHRUN | {"MASTER_PORT": "abc"}, "MASTER_PORT is 'abc'"),
        (TORCHRUN | {"RANK": "5"}, "RANK 5 of WORLD_SIZE 2"),
    ],
)
def test_variables_that_torchrun_does_not_set_like_that(monkeypatch, variables, message):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MaganError, match=message), joined(CPU):
        pytest.fail("joined")


# ---- the command ----


def outcome(root: Path) -> list[bytes]:
    out = root / "results/smoke/runs" / RUN
    return [(out / name).read_bytes() for name in ("model.safetensors", "history.csv")]


def test_magan_train_does_what_the_notebook_does(tmp_path, monkeypatch, capsys):
    workspace(tmp_path)
    monkeypatch.chdir(tmp_path)
    cli.main(["train", RUN, "--profile", "smoke", "--device", "cpu"])
    record = json.loads((tmp_path / f"results/smoke/runs/{RUN}/provenance.json").read_text())
    assert record["processes"] == 1
    assert list(record["seconds"]["predict_per_image"]) == ["dut"]
    assert len(list((tmp_path / f"results/smoke/maps/{RUN}/dut").glob("*.png"))) == 4
    model, size = load_model(tmp_path / f"results/smoke/runs/{RUN}/model.safetensors")
    scene = load_test(tmp_path / "data/prepared/smoke/dut")[0]
    expected = predict(model, read_photo(scene["image"]), size, scales=(0.75, 1.25), flip=True)
    assert np.array_equal(read_map(tmp_path / f"results/smoke/maps/{RUN}/dut/{scene['stem']}.png"), expected)
    assert "dut: 4 maps in" in capsys.readouterr().out
    assert list((tmp_path / ".resume").iterdir()) == []
    with pytest.raises(SystemExit):
        cli.main(["train", "magan-s-dud"])
    assert "did you mean 'magan-s-dut'?" in capsys.readouterr().err


# ---- torchrun ----


LOSSES = ["ce", "iou", "adv", "total", "d_real", "d_fake"]
ONE_MACHINE = ("--standalone", "--nproc-per-node", "2")


def start(
    root: Path, *options: str, script: Path | None = None, launch: Sequence[str] = ONE_MACHINE
) -> subprocess.Popen:
    """`magan train` in two processes on this machine's CPU; what they say goes to ROOT/errors.txt."""
    target = [str(script)] if script else ["-m", "magan_core"]
    launcher = ["-m", "torch.distributed.run", *launch]
    command = [sys.executable, *launcher, *target, "train", RUN, "--device", "cpu", *options]
    with open(root / "errors.txt", "ab") as errors:
        return subprocess.Popen(command, cwd=root, env=ENVIRONMENT, stdout=errors, stderr=errors)


def torchrun(root: Path, *options: str, script: Path | None = None) -> tuple[int, str]:
    """Exit status and messages of `start`."""
    (root / "errors.txt").unlink(missing_ok=True)
    with start(root, *options, script=script) as process:
        try:
            process.wait(timeout=400)
        finally:
            process.kill()
    return process.returncode, (root / "errors.txt").read_text()


def one_and_two(folder: Path, **training) -> list[Path]:
    """The same run trained in one process and in two."""
    roots = [workspace(folder / name, average=0.9, log_every=1, **training) for name in ("one", "two")]
    before = Path.cwd()
    os.chdir(roots[0])
    try:
        cli.main(["train", RUN, "--device", "cpu"])
    finally:
        os.chdir(before)
    status, messages = torchrun(roots[1])
    assert status == 0, messages[-3000:]
    return roots


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return one_and_two(tmp_path_factory.mktemp("team"))


@pytest.mark.slow
def test_two_processes_follow_one(folders):
    """Batch norm, dropout, discriminator and average included; what is left is the
    order in which numbers are summed. Adam's first steps make the sign of a gradient a whole step: where one
    is nearly 0, its rounding counts, on some processors from the second step on."""
    one, two = (root / "results/smoke/runs" / RUN for root in folders)
    first, second = (pd.read_csv(path / "history.csv") for path in (one, two))
    pd.testing.assert_frame_equal(first[:1], second[:1], rtol=1e-5)
    pd.testing.assert_frame_equal(first[LOSSES][:2], second[LOSSES][:2], rtol=2e-3)
    pd.testing.assert_frame_equal(first[LOSSES], second[LOSSES], rtol=0.05)
    weights, others = (load_file(path / "model.safetensors") for path in (one, two))
    assert weights.keys() == others.keys()
    apart = torch.cat([(others[name] - tensor).abs().flatten() for name, tensor in weights.items()])
    assert apart.mean() < 0.003  # of a learning rate of 0.003
    assert json.loads((two / "provenance.json").read_text())["processes"] == 2
    maps = [sorted((root / f"results/smoke/maps/{RUN}/dut").iterdir()) for root in folders]
    assert [path.name for path in maps[0]] == [path.name for path in maps[1]]
    shown = [root / "results/smoke/live" for root in folders]
    live = [sorted(path.relative_to(root) for path in root.rglob("*.*")) for root in shown]
    assert live[0] == live[1] != []
    assert list((folders[1] / ".resume").iterdir()) == []


SHOWS = """
import os, sys
import numpy as np
from magan_core import cli
from magan_core.training import trainer

calls, original = [], trainer.step_once

def step_once(generator, discriminator, optimisers, images, masks, *more):
    calls.append(1)
    name = f"seen-{len(calls)}-{os.environ.get('RANK', 'alone')}.npz"
    np.savez(name, labelled=images[:len(masks)], unlabelled=images[len(masks):])
    return original(generator, discriminator, optimisers, images, masks, *more)

trainer.step_once = step_once
cli.main(sys.argv[1:])
"""


@pytest.mark.slow
def test_two_processes_share_the_photographs_of_one(tmp_path):
    """After two steps half of them unlabelled, whose share in the losses is too small to tell."""
    root = workspace(tmp_path, steps=4, supervised_share=0.5)
    script = tmp_path / "shows.py"
    script.write_text(SHOWS, encoding="utf-8")
    alone = [sys.executable, str(script), "train", RUN, "--device", "cpu"]
    subprocess.run(alone, cwd=root, env=ENVIRONMENT, check=True, capture_output=True)
    status, messages = torchrun(root, script=script)
    assert status == 0, messages[-3000:]
    for step, halves in ((2, {"labelled": 4, "unlabelled": 0}), (3, {"labelled": 2, "unlabelled": 2})):
        whole, *parts = (np.load(root / f"seen-{step}-{name}.npz") for name in ("alone", 0, 1))
        for kind, count in halves.items():
            assert len(whole[kind]) == count
            for rank, part in enumerate(parts):
                assert np.array_equal(part[kind], whole[kind][rank::2])


@pytest.mark.slow
def test_in_bfloat16_two_processes_follow_one_for_a_few_steps(tmp_path):
    """Sums of 8 bits part sooner."""
    one, two = (
        pd.read_csv(root / "results/smoke/runs" / RUN / "history.csv")
        for root in one_and_two(tmp_path, precision="bfloat16")
    )
    pd.testing.assert_frame_equal(one[LOSSES][:4], two[LOSSES][:4], rtol=0.02)
    pd.testing.assert_frame_equal(one[LOSSES], two[LOSSES], rtol=0.1)
    assert not one.equals(two), "nothing was rounded to bfloat16"


@pytest.mark.slow
def test_two_machines_train_what_two_processes_of_one_do(folders, tmp_path):
    """Two launchers that find each other by an address, as on two machines with a shared folder."""
    root = workspace(tmp_path / "shared", average=0.9, log_every=1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    launch = ["--nnodes", "2", "--nproc-per-node", "1", "--rdzv-backend", "c10d", "--rdzv-endpoint", address]
    machines = [start(root, launch=launch) for _ in range(2)]
    try:
        statuses = [machine.wait(timeout=400) for machine in machines]
    finally:
        for machine in machines:  # a launcher that is asked to end also ends its process
            machine.terminate()
            machine.wait(timeout=60)
    assert statuses == [0, 0], (root / "errors.txt").read_text()[-3000:]
    for name in ("model.safetensors", "discriminator.safetensors", "history.csv"):
        one, two = (top / "results/smoke/runs" / RUN / name for top in (folders[1], root))
        assert one.read_bytes() == two.read_bytes(), name
    assert json.loads((root / "results/smoke/runs" / RUN / "provenance.json").read_text())["processes"] == 2


BREAKS = """
import os, signal, sys, time
from magan_core import cli
from magan_core.errors import MaganError
from magan_core.training import trainer

if os.environ["RANK"] == "1":
    calls, original = [], trainer.step_once

    def step_once(*arguments):
        calls.append(1)
        if len(calls) == 6:
            {action}
        return original(*arguments)

    trainer.step_once = step_once
cli.main(sys.argv[1:])
"""
FAILS = 'raise MaganError("out of order")'
HANGS = "signal.signal(signal.SIGTERM, signal.SIG_DFL), time.sleep(1000)"


@pytest.mark.slow
@pytest.mark.parametrize("action", [FAILS, HANGS], ids=["fails", "hangs"])
def test_one_that_stops_stops_all_and_no_work_is_lost(folders, tmp_path, action):
    """And the resumed run of two processes ends with the bytes of the uninterrupted one."""
    root = workspace(tmp_path, average=0.9, log_every=1, save_seconds=0)
    script = tmp_path / "breaks.py"
    script.write_text(BREAKS.format(action=action))
    begun = time.perf_counter()
    status, messages = torchrun(root, "--timeout", "15", script=script)
    assert status != 0
    assert time.perf_counter() - begun < 300
    assert ("out of order" if action == FAILS else "did not answer for 15 s") in messages
    assert not (root / "results/smoke/runs").exists()
    assert len(list((root / ".resume").glob("*.safetensors"))) == 1
    if action == HANGS:
        return
    status, messages = torchrun(root)
    assert status == 0, messages[-3000:]
    assert outcome(root) == outcome(folders[1])
    record = json.loads((root / f"results/smoke/runs/{RUN}/provenance.json").read_text())
    assert record["starts"] == 2


@pytest.mark.slow
def test_a_signal_saves_and_ends_all(tmp_path):
    """They agree on the step after which they stop."""
    root = workspace(tmp_path, steps=4000, save_seconds=0.5)
    with start(root) as process:
        while process.poll() is None and not list((root / ".resume").glob("*.safetensors")):
            time.sleep(0.05)
        process.terminate()
        process.wait(timeout=60)
    told = r"stopped by signal 15 after step (\d+) of 4000; the same command goes on from there"
    steps = re.findall(told, (root / "errors.txt").read_text())
    assert len(steps) == 2, (root / "errors.txt").read_text()[-3000:]
    assert len(set(steps)) == 1
    (path,) = (root / ".resume").iterdir()
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["state"])["progress"]["step"] == int(steps[0])


@pytest.mark.slow
def test_processes_with_other_settings_are_told_apart(folders, tmp_path):
    """As where machines do not hold the same params.yaml."""
    root = workspace(tmp_path)
    script = tmp_path / "other.py"
    script.write_text(
        "import os, sys\n"
        "from magan_core import cli, params\n"
        "original = params.load\n"
        "def load():\n"
        "    found = original()\n"
        "    found['profile']['training']['lr'] *= 1 + int(os.environ['RANK'])\n"
        "    return found\n"
        "params.load = load\n"
        "cli.main(sys.argv[1:])\n"
    )
    status, messages = torchrun(root, script=script)
    assert status != 0
    assert "do not have the same settings, data and code" in messages


def test_shared_batch_norm_of_one_process_is_batch_norm(monkeypatch):
    plain, features = torch.nn.BatchNorm2d(3).train(), torch.rand(4, 3, 2, 2)
    shared = SharedBatchNorm(torch.nn.BatchNorm2d(3), Team(0, 1)).train()
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values, *_: None)
    torch.testing.assert_close(shared(features), plain(features))
    torch.testing.assert_close(shared.running_mean, plain.running_mean)
    torch.testing.assert_close(shared.running_var, plain.running_var)


def test_a_set_to_test_on_that_is_not_prepared_is_said_before_the_first_step(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    prepared(paths.prepared("tiny"))
    monkeypatch.setattr(stage, "train_run", lambda *_, **__: pytest.fail("trained"))
    profile = tiny.PROFILE | {"sets": {"shi": {}, "frd": {}}, "runs": {"run": tiny.RUN}, "training_size": 32}
    write_json(paths.prepared("tiny") / "settings.json", {key: profile[key] for key in SETTINGS})
    with pytest.raises(MaganError, match="no photographs to test on"):
        stage.learn(profile, "run", tmp_path, torch.device("cpu"))
