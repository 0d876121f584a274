"""Several processes as one run: torchrun starts them, torch.distributed connects them.

All processes draw the same random numbers and take their own rows of each batch, so that the gradients that
DistributedDataParallel averages are those of the whole batch.
"""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from magan_core.errors import MaganError

# The processes' buffers are equal as it is. torch 2.15 renamed what switches their broadcast off.
BUFFERS = "forward_sync_buffers"
if BUFFERS not in inspect.signature(DistributedDataParallel).parameters:
    BUFFERS = "broadcast_buffers"


@dataclass(frozen=True)
class Team:
    """The processes of a run. rank: of this one, from 0; size: of all; neighbours: how many share this
    machine."""

    rank: int = 0
    size: int = 1
    neighbours: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes files and shows progress."""
        return self.rank == 0

    @property
    def part(self) -> slice:
        """This process's rows of a batch. Every size-th row, so that a batch that is part labelled, part
        unlabelled is divided within each part."""
        return slice(self.rank, None, self.size)

    def divide(self, batch: int, what: str) -> None:
        """MaganError where a batch cannot be divided evenly."""
        if batch % self.size:
            raise MaganError(
                f"{what} of {batch} cannot be divided evenly among {self.size} processes. Change `batch`, or "
                "start another number of processes."
            )

    def wrap(self, network: nn.Module) -> nn.Module:
        """The network as it has to be called for gradients to be averaged; itself in a team of one."""
        if self.size == 1:
            return network
        return DistributedDataParallel(network, **{BUFFERS: False})

    def mean(self, values: Tensor) -> Tensor:
        """Mean over the processes, of the same shape in all of them."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def highest(self, number: int) -> int:
        """The largest of the processes' numbers."""
        if self.size == 1:
            return number
        found = torch.tensor(number)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return int(found)

    def agree(self, number: int, what: str) -> None:
        """MaganError in every process unless all have the same number."""
        if self.highest(number) != -self.highest(-number):
            raise MaganError(
                f"the processes do not have the same {what} (process {self.rank}: {number}). All machines "
                "need the same code, params.yaml and prepared data, and one shared folder .resume; with "
                "`precision: auto` also processors or GPUs of one kind."
            )


def bare(network: nn.Module) -> nn.Module:
    """The network inside what `Team.wrap` returned."""
    return network.module if isinstance(network, DistributedDataParallel) else network


def alone() -> Team:
    """A team of one. MaganError in a process that torchrun started together with others."""
    if _environment("WORLD_SIZE", 1) > 1:
        raise MaganError(
            "torchrun started several processes, but this training runs in one, as those of notebooks do. "
            "Start: torchrun --nproc-per-node N -m magan_core train RUN"
        )
    return Team()


@contextmanager
def joined(device: torch.device, timeout: float = 600.0) -> Iterator[tuple[Team, torch.device]]:
    """The team that torchrun started this process for (of one without torchrun), and this process's device.

    timeout: seconds after which a process that waits for another gives up. Errors: MaganError for more
    processes than GPUs, and when another process has failed or hangs.
    """
    size = _environment("WORLD_SIZE", 1)
    if size == 1:
        yield Team(), device
        return
    team = Team(_environment("RANK", 0), size, _environment("LOCAL_WORLD_SIZE", 1))
    backend = "gloo"
    if device.type == "cuda":
        if team.neighbours > torch.cuda.device_count():
            raise MaganError(
                f"torchrun started {team.neighbours} processes on this machine, which has "
                f"{torch.cuda.device_count()} GPUs. Lower --nproc-per-node, or take --device cpu."
            )
        device = torch.device("cuda", _environment("LOCAL_RANK", 0))
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise MaganError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} of torchrun's variables are missing. Start "
            "several processes by: torchrun --nproc-per-node N -m magan_core train RUN; for a single one, "
            "unset WORLD_SIZE."
        )
    if not 0 < _environment("MASTER_PORT", 0) < 65536 or team.rank >= size:
        raise MaganError(
            f"MASTER_PORT is {os.environ['MASTER_PORT']} and RANK {team.rank} of WORLD_SIZE {size}; expected "
            "a port of 1 to 65535 and a rank below the size, as torchrun sets them."
        )
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout))
        yield team, device
        dist.destroy_process_group()
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise MaganError(
            f"process {team.rank} of {team.size} lost the others: one has failed, which its own message "
            f"explains, or did not answer for {timeout:g} s. The same command goes on from the last state. "
            f"({' '.join(str(error).split())[:200]})"
        ) from error


def _environment(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal():
        raise MaganError(
            f"the environment variable {name} is {text!r}; expected a number, as torchrun sets it."
        )
    return int(text)
