"""Where in a picture something is largest."""

import numpy as np

from magan_core.classical.planes import box_sums


def largest_mean(values: np.ndarray, height: int, width: int) -> tuple[float, int, int]:
    """The largest mean of `values`, float (H, W), over all rectangles of height x width that lie wholly
    inside, and where it is first found: mean, top row, left column."""
    sums = box_sums(values, height, width)
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return float(sums[top, left] / (height * width)), int(top), int(left)
