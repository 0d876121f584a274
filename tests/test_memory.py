"""Main memory that is available, inside control groups and without."""

import psutil
import pytest

from magan_core import groups as control_groups
from magan_core import memory

GIB = 2**30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """Sets what /proc says, and limit, use, and pages of active and inactive files of groups of a version."""
    monkeypatch.setattr(control_groups, "FOLDER", tmp_path / "cgroup")
    monkeypatch.setattr(control_groups, "OWN", tmp_path / "self")
    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 64 * GIB}))

    def write(own, version=2, **folders):
        (tmp_path / "self").write_text(own, encoding="utf-8")
        limit, usage, prefix = memory.NAMES[version]
        for name, (most, used, *files) in folders.items():
            folder = tmp_path / "cgroup" / ("" if version == 2 else "memory")
            folder = folder if name == "root" else folder / name.replace("_", "/")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / limit).write_text(f"{most}\n", encoding="utf-8")
            (folder / usage).write_text(f"{used}\n", encoding="utf-8")
            held = zip(("active", "inactive"), files, strict=True)
            lines = ["anon 1", *(f"{prefix}{kind}_file {size}" for kind, size in held)]
            (folder / "memory.stat").write_text("\n".join(lines) + "\n", encoding="utf-8")

    return write


def test_the_tightest_group_around_the_process_counts(groups):
    groups(
        "0::/job/task\n",
        job=(8 * GIB, 6 * GIB, GIB // 4, 3 * GIB // 4),
        job_task=("max", GIB, 0, 0),
        other=(GIB, 0, 0, 0),
    )
    assert memory.available() == 3 * GIB


def test_groups_of_the_first_version(groups):
    groups(
        "5:devices:/\n4:cpu,memory:/slurm/job\n0::/\n",
        1,
        slurm_job=(4 * GIB, GIB, 0, 0),
        root=(2**63, 0, 0, 0),
    )
    assert memory.available() == 3 * GIB


def test_a_container_whose_path_is_the_hosts(groups):
    groups("0::/docker/0123\n", root=(2 * GIB, GIB, 0, 0))
    assert memory.available() == GIB


def test_more_than_the_machine_has_is_not_available(groups):
    groups("0::/job\n", job=(100 * GIB, 0, 0, 0))
    assert memory.available() == 64 * GIB


def test_above_its_limit_nothing_is_left(groups):
    groups("0::/job\n", job=(GIB, 2 * GIB, 0, 0))
    assert memory.available() == 0


def test_without_groups_the_machine_counts(groups):
    assert memory.available() == 64 * GIB
    groups("0::/\n")
    assert memory.available() == 64 * GIB


def test_here():
    assert 2**20 < memory.available() <= psutil.virtual_memory().total
