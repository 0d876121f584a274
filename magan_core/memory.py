"""Main memory that a process may still take, where a container or a batch system has a say in it, too."""

from collections.abc import Iterator
from pathlib import Path

import psutil

GROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
V2 = ("memory.max", "memory.current", "")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")  # with those of the groups inside


def available() -> int:
    """Bytes that the machine has available without swapping, or what the control groups of this process
    leave of their limits, if that is less. Pages of files that they hold count as free, as the machine
    counts its own: they can be read again."""
    return max(0, min([psutil.virtual_memory().available, *_left()]))


def _left() -> Iterator[int]:
    """What each control group around this process leaves; nothing where there are none, as outside Linux."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root, names = (GROUPS / "memory", V1) if controllers else (GROUPS, V2)
        inside = root / path.lstrip("/")  # in a container perhaps a path of the host's, which is not there
        for group in (inside, *inside.parents):
            if group.is_relative_to(root) and (left := _left_in(group, *names)) is not None:
                yield left


def _left_in(group: Path, limit: str, usage: str, prefix: str) -> int | None:
    """None without a limit."""
    try:
        most, used = (int((group / name).read_text(encoding="utf-8")) for name in (limit, usage))
        held = dict(line.split() for line in (group / "memory.stat").read_text(encoding="utf-8").splitlines())
        return most - used + sum(int(held[f"{prefix}{kind}_file"]) for kind in ("active", "inactive"))
    except (OSError, ValueError, KeyError):  # not there, or "max"
        return None
