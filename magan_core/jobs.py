"""How many trainings of a profile a machine takes at once."""

from magan_core import cores, memory

MEMORY = 3 * 2**30  # bytes that one training may need


def jobs(profile: dict) -> int:
    """One on a GPU; on processors as many as there are cores for the profile's threads, and memory for."""
    count = max(1, min(cores.available() // profile["threads"], memory.available() // MEMORY))
    if count > 1:
        from magan_core.device import choose_device  # torch takes seconds to import

        count = 1 if choose_device().type == "cuda" else count
    return count
