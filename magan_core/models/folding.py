"""Batch norm that has been learnt is a scale and a shift for each channel: a convolution can do both."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Fold every batch norm that follows a convolution in an `nn.Sequential` into that convolution, in place.

    network: in evaluation mode. Its output stays the same but for rounding; it takes less time, can be
    trained no further, and no longer fits the files that it came from. Returns `network`.
    """
    for chain in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (before, layer), (name, norm) in pairwise(list(chain.named_children())):
            if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d and norm.track_running_stats:
                setattr(chain, before, fuse_conv_bn_eval(layer, norm))
                setattr(chain, name, nn.Identity())
    return network
