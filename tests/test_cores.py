"""The cores that a process may use."""

import os

import pytest

from magan_core import cores, groups


@pytest.fixture(autouse=True)
def found(tmp_path, monkeypatch):
    """Folder for the control groups and for the file that says which are this process's; none is there."""
    monkeypatch.setattr(groups, "FOLDER", tmp_path / "cgroup")
    monkeypatch.setattr(groups, "OWN", tmp_path / "self")
    return tmp_path


def test_those_that_the_process_is_bound_to(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores.available() == 3


@pytest.mark.parametrize(("count", "expected"), [(12, 12), (None, 1)])
def test_those_of_the_machine_where_none_is_bound(monkeypatch, count, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert cores.available() == expected


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/pod/one\n", {"pod/one/cpu.max": "max 100000", "pod/cpu.max": "250000 100000"}, 3),
        ("0::/docker/0123\n", {"cpu.max": "200000 100000"}, 2),  # in a container: a path of the host's
        ("0::/pod\n", {"pod/cpu.max": "20000 100000"}, 1),
        ("0::/pod\n", {"pod/cpu.max": "9000000 100000"}, 12),  # more than the process is bound to
        ("0::/pod\n", {"other/cpu.max": "100000 100000"}, 12),
        (
            "4:cpu,cpuacct:/job\n3:memory:/\n",
            {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"},
            4,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 12),
    ],
)
def test_what_a_container_grants(found, monkeypatch, own, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)), raising=False)
    (found / "self").write_text(own, encoding="utf-8")
    for name, text in files.items():
        file = found / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n", encoding="utf-8")
    assert cores.available() == expected
