"""The training step on a GPU as a CUDA graph: recorded once and replayed, so that the host asks for its nine
hundred kernels by one call."""

from collections.abc import Callable

import torch
from torch import Tensor

from magan_core.errors import MaganError

EAGER = 3  # steps before a recording, in which kernels are chosen and memory is laid out


def recordable(optimisers: list[torch.optim.Adam], device: torch.device) -> None:
    """Let the optimisers be recorded: with what changes from step to step, the learning rates, on the
    device."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group.update(lr=torch.tensor(group["lr"], device=device), capturable=True)


class Replay:
    """Calls `step(images, masks)`, and from the fourth call with the same shapes on replays what it did.

    step: takes float tensors on the GPU and returns one; changes networks and `optimisers` (see `recordable`)
    in place, and asks the GPU for nothing. What Python computes in it stays as it was when it was recorded.
    What is returned is overwritten by the next call. MaganError for a step that cannot be recorded.
    """

    def __init__(
        self,
        step: Callable[[Tensor, Tensor], Tensor],
        optimisers: list[torch.optim.Adam],
        device: torch.device,
    ) -> None:
        self.step, self.optimisers = step, optimisers
        self.stream = torch.cuda.Stream(device)  # of the eager steps too: gradients are bound to their stream
        self.shapes: tuple[torch.Size, torch.Size] | None = None

    def __call__(self, images: Tensor, masks: Tensor) -> Tensor:
        """images, masks: as `step` takes them."""
        if self.shapes != (images.shape, masks.shape):
            self.shapes, self.eager, self.graph = (images.shape, masks.shape), EAGER, None
        current = torch.cuda.current_stream(self.stream.device)
        if self.eager:
            self.eager -= 1
            self.stream.wait_stream(current)
            with torch.cuda.stream(self.stream):
                losses = self.step(images, masks)
            current.wait_stream(self.stream)
            return losses
        if self.graph is None:
            self._record(images, masks)
        self.images.copy_(images)
        self.masks.copy_(masks)
        self.graph.replay()
        return self.losses

    def _record(self, images: Tensor, masks: Tensor) -> None:
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        self.images, self.masks = images.clone(), masks.clone()
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=self.stream):
                self.losses = self.step(self.images, self.masks)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise MaganError(
                "the training step cannot be recorded as a CUDA graph "
                f"({' '.join(str(error).split())[:200]}). What waits for the GPU cannot be, such as "
                "`.item()`, an `if` or an index by a mask, nor a tensor made from numbers: do without, or "
                "set `graph: false` in `training` and begin in a new process."
            ) from error
        self.graph = graph
