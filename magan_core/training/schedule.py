"""Learning-rate schedules, as a factor of the initial rate."""

import math

from magan_core.errors import nearest
from magan_core.limits import SCHEDULES


def factor(kind: str, step: int, steps: int, warmup: int) -> float:
    """Factor at `step` (0 .. steps-1): linear over the first `warmup` steps, then constant (as the paper,
    which names no schedule), polynomial of power 0.9, or cosine down to zero."""
    nearest(kind, SCHEDULES, "learning-rate schedule")
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    if kind == "polynomial":
        return (1 - done) ** 0.9
    if kind == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0
