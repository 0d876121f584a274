"""Training on a GPU by replaying a recorded step."""

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch
from tiny import COMPILES, MODEL, NO_GPU, PROFILE, RUN, TRAINING, prepared, train_tiny

from magan_core.errors import Interrupted, MaganError
from magan_core.training import further
from magan_core.training.log import Log
from magan_core.training.replay import Replay

pytestmark = [pytest.mark.gpu, NO_GPU]


def go(root, name, run=RUN, resume=None, **training):
    """History of a semi-supervised run of 20 steps on the GPU; its batches change at the eighth."""
    settings = TRAINING | {"steps": 20, "log_every": 4, "deterministic": True} | training
    profile = PROFILE | {"training": settings, "model": MODEL | {"dropout": 0.0}}
    return train_tiny(root / "data", root / name, run, profile, "cuda", resume)


def assert_alike(one, other, tolerance=2e-3):
    for name in ("ce", "iou", "adv", "d_real", "d_fake", "alpha_hca"):
        near = tolerance / 20 if name == "alpha_hca" else 1e-5  # which begins at 0 and may cross it
        assert one[name].tolist() == pytest.approx(other[name].tolist(), rel=tolerance, abs=near), name


@pytest.mark.parametrize(
    "training",
    [{}, {"average": 0.9, "memory_share": 0.0}, {"compile": True, "precision": "bfloat16"}],
    ids=str,
)
@COMPILES
def test_it_follows_the_steps_one_by_one(tmp_path, monkeypatch, training):
    recorded = []
    record = Replay._record
    monkeypatch.setattr(Replay, "_record", lambda *args: (recorded.append(1), record(*args)))
    prepared(tmp_path / "data")
    one = go(tmp_path, "replayed", graph=True, **training)
    assert len(recorded) == 2  # supervised and semi-supervised steps
    other = go(tmp_path, "one by one", graph=False, **training)
    assert len(recorded) == 2
    assert_alike(one, other, 2e-2 if training.get("precision") == "bfloat16" else 2e-3)


@pytest.mark.parametrize("stopped", [6, 14], ids=["supervised", "semi-supervised"])
def test_a_stopped_run_goes_on_as_if_it_had_not_stopped(tmp_path, monkeypatch, stopped):
    prepared(tmp_path / "data")
    whole = go(tmp_path, "whole")
    calls = []
    add = Log.add

    def stop(*arguments):
        calls.append(1)
        if len(calls) == stopped:
            os.kill(os.getpid(), signal.SIGINT)
        add(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(Log, "add", stop)
        with pytest.raises(Interrupted, match=f"after step {stopped} of 20; the same command goes on"):
            go(tmp_path, "stopped", resume=tmp_path / "resume")
    assert_alike(go(tmp_path, "stopped", resume=tmp_path / "resume"), whole)


def test_dropout_draws_anew_at_every_replay():
    torch.manual_seed(0)
    dropout = torch.nn.Dropout2d(0.5).to("cuda").train()
    replay = Replay(lambda images, masks: dropout(images).sum(dim=(2, 3)), [], torch.device("cuda"))
    images = torch.ones(4, 64, 8, 8, device="cuda")
    found = [replay(images, images).tolist() for _ in range(8)]
    assert replay.graph is not None
    assert len({str(one) for one in found}) == 8


def reading(maps, masks):
    """A loss that waits for the GPU."""
    return maps.mean() * (maps.mean().item() > 0)


def go_reading(root, name, graph):
    """Rows of the history of a run with that loss, or the error's text."""
    further.FURTHER["reading"] = "test_replay:reading"
    try:
        return len(go(root, name, RUN | {"loss": RUN["loss"] | {"reading": 0.1}}, graph=graph))
    except MaganError as error:
        return str(error)


def test_a_loss_that_reads_a_number_is_refused_and_goes_without(tmp_path):
    prepared(tmp_path / "data")
    for graph in (True, False):  # a process each: after a refused recording the GPU is of no more use to it
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            found = process.submit(go_reading, tmp_path, str(graph), graph).result()
        assert "graph: false" in found if graph else found == 5
