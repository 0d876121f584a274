"""Resume state: all that the next step of a training run depends on, so that a killed run goes on unchanged.

It lies outside the outputs that DVC tracks, in one safetensors file that appears by atomic rename, under a
name that holds the hash of settings, data and code: a changed run never finds a stranger's state.
"""

import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from magan_core.data.augment import Sampler
from magan_core.errors import MaganError
from magan_core.files import code, fingerprint, unfinished, write_bytes

KEPT = 14 * 24 * 3600
# What a training step is made of.
CODE = ("models", "training", "losses.py", "device.py", "data/augment.py", "data/defocus.py")


def key(*parts: Any) -> str:
    """Hash of settings and data (anything that JSON can hold), the training code, and torch's version."""
    return fingerprint([parts, torch.__version__], code(*CODE))


@dataclass
class Parts:
    """What training changes: networks, optimisers, samplers, by a name each."""

    modules: dict[str, nn.Module]
    optimisers: dict[str, torch.optim.Optimizer]
    samplers: dict[str, Sampler]

    def tensors(self, device: torch.device) -> dict[str, Tensor]:
        """Everything as contiguous tensors on the CPU, random generators included."""
        found = {"random": torch.get_rng_state()}
        if device.type == "cuda":
            found["random.cuda"] = torch.cuda.get_rng_state(device)
        for name, module in self.modules.items():
            found |= {f"{name}.{entry}": tensor for entry, tensor in module.state_dict().items()}
        for name, optimiser in self.optimisers.items():
            for index, parameter in enumerate(_parameters(optimiser)):
                state = optimiser.state.get(parameter, {})
                found |= {f"{name}.{index}.{entry}": tensor for entry, tensor in state.items()}
        for name, sampler in self.samplers.items():
            found |= {f"{name}.order": sampler.order, f"{name}.random": sampler.random.get_state()}
        contiguous = torch.contiguous_format
        return {name: tensor.detach().cpu().clone(memory_format=contiguous) for name, tensor in found.items()}

    def restore(self, found: dict[str, Tensor], device: torch.device) -> None:
        """Put back what `tensors` gave. Memory formats stay those of the networks."""
        torch.set_rng_state(found["random"])
        if device.type == "cuda":
            torch.cuda.set_rng_state(found["random.cuda"], device)
        for name, module in self.modules.items():
            module.load_state_dict({entry: found[f"{name}.{entry}"] for entry in module.state_dict()})
        for name, optimiser in self.optimisers.items():
            for index, parameter in enumerate(_parameters(optimiser)):
                start = f"{name}.{index}."
                state = {
                    entry.removeprefix(start): found[entry] for entry in found if entry.startswith(start)
                }
                for entry, tensor in state.items():
                    if entry != "step":
                        tensor = torch.empty_like(parameter).copy_(tensor)  # in the parameter's memory format
                    elif optimiser.defaults.get("fused"):
                        tensor = tensor.to(parameter.device)
                    optimiser.state[parameter][entry] = tensor
        for name, sampler in self.samplers.items():
            sampler.order = found[f"{name}.order"]
            sampler.random.set_state(found[f"{name}.random"])


@dataclass
class Resume:
    """Where, under which key and how often (in seconds) a run saves its state.

    seconds: training time of earlier starts; starts: how often the run was begun or went on.
    """

    folder: Path
    name: str
    key: str
    every: float
    seconds: float = 0.0
    starts: int = 1
    _begun: float = field(default_factory=time.perf_counter)
    _saved: float = field(default_factory=time.perf_counter)

    @property
    def path(self) -> Path:
        """FOLDER/NAME-KEY.safetensors."""
        return self.folder / f"{self.name}-{self.key}.safetensors"

    @property
    def due(self) -> bool:
        """Whether `every` seconds have gone since the last state."""
        return time.perf_counter() - self._saved >= self.every

    @property
    def elapsed(self) -> float:
        """Seconds of training, earlier starts included."""
        return self.seconds + time.perf_counter() - self._begun

    def save(self, tensors: dict[str, Tensor], progress: dict[str, Any]) -> None:
        """Write tensors and progress (JSON), whole or not at all.

        MaganError when that fails; the state before stays.
        """
        record = {"seconds": self.elapsed, "starts": self.starts, "progress": progress}
        # safetensors' own way to a file has a temporary one of its own, which a kill would leave for good
        write_bytes(self.path, save(tensors, metadata={"state": json.dumps(record)}))
        self._saved = time.perf_counter()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and progress of the state saved last, None if there is none."""
        for broken in self.folder.glob(f"{unfinished(self.path)}*"):  # a kill came within the write
            broken.unlink(missing_ok=True)
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="pt") as file:
                record = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise MaganError(
                f"cannot read the resume state {self.path} ({error}). Delete it to start the run anew."
            ) from error
        self.seconds, self.starts = record["seconds"], record["starts"] + 1
        return tensors, record["progress"]


def forget(folder: Path, name: str) -> None:
    """Remove the states of a run that are of its last step: it is done. Those of other settings or code, from
    which one may still go on, stay for KEPT seconds."""
    for path in folder.glob(f"{name}-{'[0-9a-f]' * 16}.safetensors"):
        if _done_with(path):
            path.unlink(missing_ok=True)


def _done_with(path: Path) -> bool:
    try:
        if time.time() - path.stat().st_mtime > KEPT:
            return True
        with safe_open(path, framework="pt") as file:
            progress = json.loads(file.metadata()["state"])["progress"]
        return progress["step"] == progress["of"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return False


@dataclass
class Stop:
    """Whether a signal has asked training to stop."""

    signal: int | None = None


@contextmanager
def stoppable() -> Iterator[Stop]:
    """Catch SIGINT and SIGTERM inside, so that a step can end and its state be saved; no-op in a thread."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop.signal = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _parameters(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]
