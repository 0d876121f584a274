"""SIGTERM as Ctrl-C, once."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from magan_core.commands.stopping import sigterm_as_ctrl_c
from magan_core.errors import Interrupted


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_the_second_one_does_not_break_into_the_end():
    ended = []

    def stopped_twice():
        try:
            terminate()
        finally:
            terminate()
            ended.append(True)

    with pytest.raises(Interrupted) as stopped, sigterm_as_ctrl_c():
        stopped_twice()
    assert stopped.value.signal == signal.SIGTERM
    assert ended
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize("other", [signal.SIG_IGN, lambda number, frame: None], ids=["ignored", "handled"])
def test_what_is_set_already_stays(other):
    before = signal.signal(signal.SIGTERM, other)
    try:
        with sigterm_as_ctrl_c():
            terminate()
        assert signal.getsignal(signal.SIGTERM) == other
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_a_thread_it_does_nothing():
    def inside():
        with sigterm_as_ctrl_c():
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == signal.SIG_DFL
