"""Cores of the machine that a process may use: a batch system or `taskset` may bind it to some of them."""

import os
from concurrent.futures import ThreadPoolExecutor


def available() -> int:
    """As many as this process is bound to, or all of the machine where the system binds none (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pool(most: int = 8) -> ThreadPoolExecutor:
    """A pool of as many threads as there are cores, but `most` at most."""
    return ThreadPoolExecutor(min(most, available()))
