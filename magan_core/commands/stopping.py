"""SIGTERM as Ctrl-C, for commands that have something to say, or to remove, when they are stopped."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from magan_core.errors import Interrupted


@contextmanager
def sigterm_as_ctrl_c() -> Iterator[None]:
    """Raise Interrupted at the first SIGTERM inside; no-op in a thread, and where another handler is set."""
    in_main = threading.current_thread() is threading.main_thread()  # no other can set a handler
    if not in_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one would break into what ends in order
    raise Interrupted("", number)
