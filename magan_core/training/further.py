"""Losses beside those of the paper, each a file with a function and a line in FURTHER.

The name is what `loss` of a run in params.yaml calls it, beside ce, iou and adv, with its weight. The
function takes the maps and the masks, float (B, 1, H, W) in [0, 1], 1 = in focus, and returns a scalar. One
with a parameter `logits` is given those of the maps, float (B, 1, H, W), too, and one with `images` the
photographs, float (B, 3, H, W), RGB in [0, 1].
"""

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

from magan_core.errors import MaganError, nearest
from magan_core.registry import find

if TYPE_CHECKING:
    from torch import Tensor

FURTHER: dict[str, str] = {
}  # fmt: skip


def further(name: str) -> "Callable[..., Tensor]":
    """The loss of this name in FURTHER, of maps, masks, and by name logits and images, checked at every call
    to be a scalar; MaganError for another name."""
    where = FURTHER[nearest(name, FURTHER, "loss")]
    function = find(where, f"loss '{name}'")
    wanted = inspect.signature(function).parameters

    def scalar(maps: "Tensor", masks: "Tensor", **more: "Tensor") -> "Tensor":
        value = function(maps, masks, **{key: given for key, given in more.items() if key in wanted})
        if getattr(value, "shape", None) != ():
            raise MaganError(
                f"loss '{name}' returned {type(value).__name__} {tuple(getattr(value, 'shape', ()))}; "
                f"expected a tensor without dimensions: take the mean in {where}"
            )
        return value

    return scalar
