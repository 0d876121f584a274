"""Where a result comes from: commit, hardware, versions."""

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

PACKAGES = ("torch", "timm", "numpy", "pillow", "scipy", "pandas", "dvc", "papermill")
# What a stage can import or read, as Git's patterns: changes elsewhere do not change a result.
SOURCES = (
    "params.yaml", "notebooks", "magan_core", "*.py", ":!tests",
    "data/manifests", "data/splits", "data/paper_tables",
)  # fmt: skip


def provenance(device: "torch.device | str" = "cpu", threads: int | None = None) -> dict:
    """Commit (see `commit`), hardware, threads (torch's by default), and the versions of PACKAGES that are
    installed, for JSON."""
    if threads is None:
        import torch  # late: what computes without it need not wait for it

        threads = torch.get_num_threads()
    return {
        "commit": commit(),
        "hardware": hardware(device, threads),
        "threads": threads,
        "versions": {"python": platform.python_version()} | _versions(),
    }


def _versions() -> dict[str, str]:
    """A machine that only trains has no DVC."""
    found = {}
    for name in PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def commit(leaving_out: str = "benchmarks") -> str | None:
    """Short hash of HEAD, with `+` when something of SOURCES, but for folder `leaving_out`, is changed, or
    new and not ignored; None unless the working directory, which is that of params.yaml, is the top of a Git
    checkout: a copy of the project that lies within another repository has no commit."""
    sources = (*SOURCES, f":!{leaving_out}")
    try:
        if _git("rev-parse", "--show-prefix"):
            return None
        head = _git("rev-parse", "--short=10", "HEAD")
        # Which profile is switched on does not change a result of it.
        changed = _git("diff", "--shortstat", "-I", "^profile: ", "HEAD", "--", *sources)
        new = _git("ls-files", "--others", "--exclude-standard", "--", *sources)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed or new else "")


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()


def hardware(device: "torch.device | str", threads: int) -> str:
    """Name of the GPU, or of the CPU with the number of cores."""
    if str(device).startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return f"{processor()}, {threads} thread{'s' * (threads > 1)}"


def processor() -> str:
    """Name of the CPU."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
