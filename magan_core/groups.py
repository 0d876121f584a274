"""Control groups of Linux: what a container or a batch system leaves to the processes in it."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


class Group(NamedTuple):
    """A control group: its folder, and of which version its files are, 1 or 2."""

    folder: Path
    version: int


def around(controller: str) -> Iterator[Group]:
    """The groups around this process that may limit it by a controller, "memory" or "cpu", from the inside
    out; none outside Linux."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = FOLDER / controller if controllers else FOLDER
        inside = root / path.lstrip("/")  # in a container perhaps a path of the host's, which is not there
        for folder in (inside, *inside.parents):
            if folder.is_relative_to(root):
                yield Group(folder, 1 if controllers else 2)
