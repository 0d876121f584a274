"""Main memory that a process may still take, where a container or a batch system has a say in it, too."""

import psutil

from magan_core import groups

# Files of a control group, and what its other file begins the sizes with that count the groups inside, too.
NAMES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_"),
    2: ("memory.max", "memory.current", ""),
}


def available() -> int:
    """Bytes that the machine has available without swapping, or what the control groups of this process
    leave of their limits, if that is less. Pages of files that they hold count as free, as the machine
    counts its own: they can be read again."""
    left = [_left_in(group) for group in groups.around("memory")]
    return max(0, min([psutil.virtual_memory().available, *(size for size in left if size is not None)]))


def _left_in(group: groups.Group) -> int | None:
    """None without a limit."""
    limit, usage, prefix = NAMES[group.version]
    try:
        most, used = (int((group.folder / name).read_text(encoding="utf-8")) for name in (limit, usage))
        lines = (group.folder / "memory.stat").read_text(encoding="utf-8").splitlines()
        held = dict(line.split() for line in lines)
        return most - used + sum(int(held[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
    except (OSError, ValueError, KeyError):  # not there, or "max"
        return None
