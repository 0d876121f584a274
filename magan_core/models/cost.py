"""What a map costs: multiply-adds."""

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode


@torch.inference_mode()
def multiply_adds(generator: torch.nn.Module, size: int) -> int:
    """Multiply-adds of the convolutions and matrix products for one size x size photograph.

    Counted on shapes alone, for a generator on the CPU: nothing is computed.
    """
    generator.eval()
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        generator(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() // 2
