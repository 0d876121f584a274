"""What every benchmark says of the machine that it ran on, and a neighbour that keeps one core busy."""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from magan_core import provenance

RESULTS = Path(__file__).parent / "results"


def hardware(device: str = "cpu") -> dict:
    """Processor, cores, load before the measurement, and the GPU if `device` is one."""
    found = {
        "processor": provenance.processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    if device == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def commit() -> str | None:
    """That of this project, with `+` if something of its code, these scripts included, is changed."""
    return provenance.commit(leaving_out="benchmarks/results")


def versions(*packages: str) -> dict[str, str | None]:
    """Those of Python and packages, and the commit of this project."""
    own = {"python": platform.python_version(), "commit": commit()}
    return own | {name: version(name) for name in packages}


def told(*packages: str) -> str:
    """The processor and `versions` as a paragraph below a table."""
    named = [f"{name} {value}" for name, value in versions(*packages).items()]
    return f"\n{', '.join([provenance.processor(), *named])}\n"


def spread(values: list[float], digits: int = 4) -> dict[str, float]:
    """Median, least and most."""
    numbers = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {name: round(value, digits) for name, value in numbers.items()}


def ratio(theirs: list[float], ours: list[float]) -> dict[str, float]:
    """Theirs over ours, of trials taken in turn: above 1, ours is faster."""
    return spread([other / own for other, own in zip(theirs, ours, strict=True)], 2)


def peak_memory() -> int | None:
    """MiB that this process held at most (Linux)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmHWM")), None)


def environment() -> dict[str, str]:
    """That of a process which imports this copy of magan_core."""
    root = str(Path(__file__).resolve().parent.parent)
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}


@contextmanager
def neighbour(busy: bool) -> Iterator[None]:
    """Another process that keeps one core busy, if asked for."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        yield
    finally:
        if process:
            process.kill()
            process.wait()
