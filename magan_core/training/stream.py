"""Training arrays on the device where they fit, read row by row from the prepared file where they do not."""

import numpy as np
import torch
from torch import Tensor

from magan_core import memory
from magan_core.device import send
from magan_core.limits import check


class Streamed:
    """Rows of a memory-mapped array, read when they are asked for and copied to the training device.

    Stands in for a tensor that is indexed with row numbers; `device` is where those are wanted.
    """

    device = torch.device("cpu")

    def __init__(self, array: np.ndarray, target: torch.device) -> None:
        self.array, self.target = array, target
        self.shape = torch.Size(array.shape)

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """rows: int64 (B,)."""
        return send(torch.from_numpy(np.asarray(self.array[rows.numpy()])), self.target)


def place(
    arrays: list[np.ndarray | None], device: torch.device, share: float, neighbours: int = 1
) -> list[Tensor | Streamed | None]:
    """Arrays of uint8 as tensors on the device where together they take at most `share` of its free memory;
    else streamed. neighbours: processes on this machine, which share its main memory. MaganError for a share
    that is none."""
    check({"memory_share": share})
    size = sum(array.nbytes for array in arrays if array is not None)
    processes = 1 if device.type == "cuda" else neighbours
    fits = size * processes <= share * free_bytes(device)

    def put(array: np.ndarray) -> Tensor | Streamed:
        return torch.from_numpy(np.array(array)).to(device) if fits else Streamed(array, device)

    return [None if array is None else put(array) for array in arrays]


def free_bytes(device: torch.device) -> int:
    """Free memory of a GPU, or main memory: see memory.available."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return memory.available()
