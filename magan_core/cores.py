"""Cores that a process may use: a batch system, a container or `taskset` may leave it some alone."""

import math
import os
from concurrent.futures import ThreadPoolExecutor

from magan_core import groups


def available() -> int:
    """As many as this process is bound to, or all of the machine where the system binds none (macOS); or as
    many as the time amounts to that its control groups grant it, rounded up, if that is less."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [_share(group) for group in groups.around("cpu")]
    return min([bound, *(math.ceil(share) for share in shares if share is not None)])


def pool(most: int = 8) -> ThreadPoolExecutor:
    """A pool of as many threads as there are cores, but `most` at most."""
    return ThreadPoolExecutor(min(most, available()))


def _share(group: groups.Group) -> float | None:
    """Seconds of all cores together that a group may use in a second; None without a limit."""
    names = ("cpu.max",) if group.version == 2 else ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    try:
        words = [word for name in names for word in (group.folder / name).read_text(encoding="utf-8").split()]
        quota, period = (int(word) for word in words)
    except (OSError, ValueError):  # not there, or "max"
        return None
    return quota / period if quota > 0 else None
