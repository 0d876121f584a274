"""Deterministic kernels inside, whatever was there before outside."""

import os

import pytest
import torch
from tiny import COMPILES, NO_GPU, PROFILE, RUN, TRAINING, prepared, train_tiny

from magan_core.training.determinism import deterministic


def switches():
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,
        torch.backends.cudnn.benchmark,
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


def test_it_holds_inside_and_is_undone_after_an_error(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    before = switches()
    with deterministic(False):
        assert switches() == before
    inside = []

    def fails():
        with deterministic(True):
            inside.append(switches())
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert inside == [(True, False, False, ":4096:8")]
    assert switches() == before


def test_a_workspace_of_the_users_own_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with deterministic(True):
        assert switches()[-1] == ":16:8"
    assert switches()[-1] == ":16:8"


def outcome(data, out, device, wanted, **training):
    profile = PROFILE | {"training": TRAINING | {"deterministic": wanted, "steps": 20} | training}
    train_tiny(data, out, RUN, profile, device)
    return [(out / name).read_bytes() for name in ("model.safetensors", "history.csv")]


def test_on_a_cpu_it_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    data = prepared(tmp_path / "data")
    plain, switched = (outcome(data, tmp_path / str(wanted), "cpu", wanted) for wanted in (False, True))
    assert plain == switched


@pytest.mark.gpu
@NO_GPU
@COMPILES
@pytest.mark.parametrize("training", [{}, {"compile": True, "precision": "bfloat16"}], ids=str)
def test_two_runs_on_a_gpu_give_the_same_bytes(tmp_path, training):
    data = prepared(tmp_path / "data")
    one, other = (outcome(data, tmp_path / name, "cuda", True, **training) for name in ("one", "other"))
    assert one == other
