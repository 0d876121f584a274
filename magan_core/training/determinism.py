"""Equal bytes from equal runs on a GPU."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Inside, torch takes deterministic kernels only, at some cost in speed; a CPU has no others.

    All that a training step needs has such kernels on a GPU: the generator upsamples by products there, and
    augmentation takes no gradient of grid_sample.
    cuBLAS reads its setting, CUBLAS_WORKSPACE_CONFIG, when it is first used, so a process that has used the
    GPU before may not obey it.
    """
    if not wanted:
        yield
        return
    settings = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    benchmark = torch.backends.cudnn.benchmark
    workspace = os.environ.get(WORKSPACE)
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.use_deterministic_algorithms(True)
    settings.fill_uninitialized_memory = False  # finds a bug that is not ours, for a pass over all memory
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
