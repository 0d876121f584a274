"""Channel attention as the equations are printed: what training and inference are compared with."""

from torch import Tensor

from magan_core.models import MANet
from magan_core.models.attention import ChannelAttention


class PlainAttention(ChannelAttention):
    """Eq. 1 and 2, one operation after another; `axis: sources`."""

    def forward(self, features: Tensor) -> Tensor:
        x = features.flatten(2)  # B, C, N
        energy = x @ x.transpose(1, 2)
        weights = (energy / x.shape[2] if self.energy == "mean" else energy).softmax(2)
        return self.alpha * (weights @ x).view_as(features) + features


def attend_plainly(generator: MANet) -> None:
    """Give a network that starts plain attention in place of its own."""
    for name in ("high_attention", "low_attention"):
        own = getattr(generator, name)
        if own is not None:
            setattr(generator, name, PlainAttention(own.energy))
