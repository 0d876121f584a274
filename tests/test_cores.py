"""The cores that a process may use."""

import os

import pytest

from magan_core import cores


def test_those_that_the_process_is_bound_to(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores.available() == 3


@pytest.mark.parametrize(("count", "expected"), [(12, 12), (None, 1)])
def test_those_of_the_machine_where_none_is_bound(monkeypatch, count, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert cores.available() == expected
