"""Where a result comes from: commit, hardware, versions."""

import platform
import subprocess
from importlib.metadata import version

import torch

PACKAGES = ("torch", "timm", "numpy", "pillow", "scipy", "pandas", "dvc", "papermill")
TRACKED = ("magan_core", "params.yaml", "notebooks")  # changes elsewhere do not change a result


def provenance(device: torch.device | str = "cpu", threads: int | None = None) -> dict:
    """Commit (with `+` when the working tree has changes), hardware, threads (torch's by default), and
    versions, for JSON."""
    threads = threads or torch.get_num_threads()
    return {
        "commit": commit(),
        "hardware": hardware(device, threads),
        "threads": threads,
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
    }


def commit() -> str | None:
    """Short hash of HEAD; None outside a Git checkout."""
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True, check=True
        )
        changed = subprocess.run(
            ["git", "diff", "--quiet", "-I", "^profile: ", "HEAD", "--", *TRACKED], capture_output=True
        ).returncode  # which profile is switched on does not change a result of it
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed else "")


def hardware(device: torch.device | str, threads: int) -> str:
    """Name of the GPU, or of the CPU with the number of cores."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {threads} thread{'s' * (threads > 1)}"
