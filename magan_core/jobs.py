"""How many trainings of a profile a machine takes at once."""

import os

from magan_core import memory
from magan_core.device import choose_device

MEMORY = 3 * 2**30  # bytes that one training may need


def jobs(profile: dict) -> int:
    """One on a GPU; on processors as many as there are cores for the profile's threads, and memory for."""
    if choose_device().type == "cuda":
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores // profile["threads"], memory.available() // MEMORY))
