"""Trainings beside each other: how many, and what is refused (test_pipeline.py runs two at once)."""

import os
import subprocess

import clones
import pytest
import torch

from magan_core import cli
from magan_core import memory as available
from magan_core.jobs import jobs

GIB = 2**30


@pytest.mark.parametrize(
    ("cores", "threads", "memory", "gpu", "expected"),
    [
        (2, 1, 64 * GIB, False, 2),
        (16, 8, 64 * GIB, False, 2),
        (2, 8, 64 * GIB, False, 1),
        (16, 1, 10 * GIB, False, 3),
        (16, 1, GIB, False, 1),
        (16, 1, 64 * GIB, True, 1),
    ],
)
def test_as_many_as_cores_and_memory_allow(monkeypatch, cores, threads, memory, gpu, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)))
    monkeypatch.setattr(available, "available", lambda: memory)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert jobs({"threads": threads}) == expected


def test_magan_grid_says_how_many(monkeypatch, capsys):
    monkeypatch.chdir(clones.ROOT)
    monkeypatch.setattr("magan_core.jobs.jobs", lambda profile: len(profile["name"]))
    cli.main(["grid", "smoke", "--jobs"])
    assert capsys.readouterr().out == "5\n"


@pytest.mark.parametrize("wrong", ["0", "-1", "2.5", "two"])
def test_a_number_that_is_none_is_refused(wrong):
    done = grid(wrong)
    assert done.returncode == 1
    assert f"'{wrong}' is no number of trainings" in done.stderr


def test_one_at_a_time_is_left_to_dvc_repro():
    assert (grid("1").returncode, grid("1").stdout) == (0, "")


def grid(number):
    return subprocess.run(
        ["bash", "scripts/train_grid.sh", number],
        cwd=clones.ROOT,
        env=clones.environment(clones.ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
