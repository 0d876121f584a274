"""Steps that classical detectors share: checks, grey, stretching, bytes, window sums, interpolation."""

import numpy as np

from magan_core.errors import MaganError
from magan_core.wording import size_of


def check(photo: np.ndarray, side: int = 1) -> None:
    """Raise MaganError unless `photo` is uint8 (H, W, 3) and H and W are at least `side`."""
    if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        found = f"{photo.dtype} {photo.shape}" if isinstance(photo, np.ndarray) else type(photo).__name__
        raise MaganError(
            f"the photograph is {found}; expected uint8 (H, W, 3) RGB, as magan_core.data.images.read_photo "
            "returns it"
        )
    if min(photo.shape[:2]) < side:
        raise MaganError(
            f"the photograph is {size_of(photo)} pixels; expected at least {side} on each "
            "side: take a larger photograph or another method"
        )


def grey(photo: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R BT.601, rounded half up. uint8 (H, W, 3) -> uint8 (H, W)."""
    return (photo @ np.array([0.298936, 0.587043, 0.114021]) + 0.5).astype(np.uint8)


def stretch(values: np.ndarray) -> np.ndarray:
    """Return (values - min) / (max - min); zeros where all values are equal."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def as_map(values: np.ndarray) -> np.ndarray:
    """Return floats 0..1 as uint8 0..255, rounded half up."""
    return (255 * values + 0.5).astype(np.uint8)


def box_sums(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the sums over all windows of height x width that lie inside: (H, W) -> (H - height + 1,
    W - width + 1).

    Integers are summed exactly, as int64; floats as float64.
    """
    kind = np.float64 if np.issubdtype(values.dtype, np.floating) else np.int64
    total = np.zeros((values.shape[0] + 1, values.shape[1] + 1), kind)
    np.cumsum(values, axis=0, out=total[1:, 1:])
    np.cumsum(total[1:, 1:], axis=1, out=total[1:, 1:])
    rows = total[height:] - total[:-height]
    return rows[:, width:] - rows[:, :-width]


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
