"""Counting the pixels of a map and its mask, once.

A map is 8-bit, so the 256-bin histograms of its values over the out-of-focus and over the in-focus pixels of
the mask hold all that F-measure, IoU, ROC, AUC and MAE can ask for, at any threshold, exactly. A *statistics*
array, int64 (n, 2, 256), has one entry an image, row 0 the out-of-focus pixels, row 1 the in-focus pixels,
256 bins over the map value (0 = out of focus, 255 = in focus). Statistics of parts of an image add up to
those of the whole. Of a 16-bit map there are 65536 bins, and nothing else is different.
"""

import numpy as np
from PIL import Image

from magan_core.errors import MaganError
from magan_core.wording import size_of

BLURRED, FOCUS = 0, 1  # the rows of the statistics


def histograms(focus_map: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Counts of the map values over the two classes of the mask.

    focus_map: uint8 (H, W), 255 = in focus, or uint16 (H, W), 65535 = in focus. mask: uint8 (H, W), 0 = out
    of focus, 255 = in focus, nothing between. Returns int64 (2, 256), or (2, 65536): row 0 over out-of-focus
    pixels, row 1 over in-focus pixels. MaganError for other input. Pillow counts 8 bits, in C and faster than
    numpy.bincount; not through its own masks, whose branches cost more than a second count where the mask is
    noisy.
    """
    deep = focus_map.dtype == np.uint16
    for what, array in (("map", focus_map), ("mask", mask)):
        if not (array.dtype == np.uint8 or (array is focus_map and deep)) or array.ndim != 2:
            wanted = "uint8 or uint16" if what == "map" else "uint8"
            raise MaganError(f"the {what} is {array.dtype} {array.shape}; expected {wanted} (height, width)")
    if focus_map.shape != mask.shape:
        raise MaganError(
            f"the map is {size_of(focus_map)} pixels and its mask {size_of(mask)}; they must agree"
        )
    blurred = mask.size - np.count_nonzero(mask)
    if np.count_nonzero(mask == 255) + blurred != mask.size:
        raise MaganError("the mask holds values other than 0 and 255; cut it at 128 first")
    if deep:
        return np.stack([np.bincount(focus_map[mask == value], minlength=1 << 16) for value in (0, 255)])
    focus = _count(focus_map & mask)
    focus[0] -= blurred  # pixels outside the mask came out as 0
    return np.stack([_count(focus_map) - focus, focus])


def value_histogram(statistics: np.ndarray) -> np.ndarray:
    """Mean number of pixels an image at each of the map values (Figure 10), float64 (256 or 65536,)."""
    return statistics.sum(axis=1).mean(axis=0)


def _count(values: np.ndarray) -> np.ndarray:
    """Number of pixels at each of 256 values, int64. Four neighbours pass as one pixel of four bands, which
    Pillow counts in four tables: equal neighbours then do not wait for one another."""
    flat = values.ravel()
    whole, rest = np.split(flat, [flat.size // 4 * 4])
    bands = np.array(Image.fromarray(whole.reshape(1, -1, 4)).histogram(), np.int64)
    return bands.reshape(4, 256).sum(axis=0) + np.bincount(rest, minlength=256)
