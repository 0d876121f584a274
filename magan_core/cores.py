"""Cores of the machine that a process may use: a batch system or `taskset` may bind it to some of them."""

import os


def available() -> int:
    """As many as this process is bound to, or all of the machine where the system binds none (macOS)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
