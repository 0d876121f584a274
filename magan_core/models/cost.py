"""What a map costs: multiply-adds."""

import logging

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from magan_core.errors import MaganError


@torch.inference_mode()
def multiply_adds(generator: torch.nn.Module, size: int) -> int:
    """Multiply-adds of the convolutions and matrix products for one size x size photograph.

    Counted on shapes alone, for a generator on the CPU, which is in eval mode afterwards: nothing is
    computed. MaganError for a size that is too small for the network.
    """
    generator.eval()
    log = logging.getLogger("torch._subclasses.fake_tensor")  # it writes a page of any error
    told, log.disabled = log.disabled, True
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
            generator(torch.zeros(1, 3, size, size))
    except RuntimeError as error:
        raise MaganError(
            f"{size} x {size} px are too few for this network ({str(error).splitlines()[0]}). Take a larger "
            "`crop`, `test_size` or `test_scales`."
        ) from error
    finally:
        log.disabled = told
    return counter.get_total_flops() // 2
