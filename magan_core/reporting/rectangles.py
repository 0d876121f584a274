"""Where in a picture something is largest."""

import numpy as np


def largest_mean(values: np.ndarray, height: int, width: int) -> tuple[float, int, int]:
    """The largest mean of `values`, float (H, W), over all rectangles of height x width that lie wholly
    inside, and where it is first found: mean, top row, left column."""
    total = np.pad(values, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    tall = total[height:] - total[:-height]
    sums = tall[:, width:] - tall[:, :-width]
    top, left = np.unravel_index(sums.argmax(), sums.shape)
    return float(sums[top, left] / (height * width)), int(top), int(left)
