"""From values on every n-th pixel to values on every pixel."""

import numpy as np


def interpolate(values: np.ndarray, step: int, shape: tuple[int, int], first: int = 0) -> np.ndarray:
    """Return `values` at full size, bilinear, constant beyond the outer samples.

    values: float (h, w) or (h, w, C); sample (j, k) belongs to pixel (first + step j, first + step k) of the
    result, which is (H, W) or (H, W, C) for a `shape` of (H, W).
    """
    for axis, length in enumerate(shape):
        samples = values.shape[axis]
        place = np.clip((np.arange(length, dtype=values.dtype) - first) / step, 0, samples - 1)
        below = np.minimum(place.astype(int), max(samples - 2, 0))
        share = np.expand_dims(place - below, tuple(range(1, values.ndim - axis)))
        low = values.take(below, axis)
        high = values.take(np.minimum(below + 1, samples - 1), axis)
        values = low + share * (high - low)
    return values
