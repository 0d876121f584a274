"""LBP, segmentation by the sharpness of local binary patterns: an exact port.

Yi & Eramian, "LBP-Based Segmentation of Defocus Blur", IEEE TIP 2016, after the authors' released program.
Blur leaves few of the patterns that speak of corners and spots; their share in a window is the sharpness, at
three window sizes. Matting and belief propagation turn the three maps into one. The maps that the authors
published were made without rounding the interpolated neighbours; so are these.
"""

import numpy as np
from scipy.ndimage import convolve1d

from magan_core.classical import matting, planes
from magan_core.classical.belief import merge

SCALES = (21, 15, 11)  # window sizes, odd; merging gives the map of the first
THRESHOLD = 0.016  # of 255, by which a neighbour must be brighter to count
RING = ((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))  # (row, column), once around
SHARP = 6  # the least code that counts as sharp
IRREGULAR = 9  # the code of a pattern with more than two transitions
FOREGROUND = 0.3  # stretched sharpness above which a pixel is a seed of the matting
BACKGROUND = 0.01  # stretched sharpness below which it is one
TOLERANCE = 1e-4  # of the inference
FLAT = 1e-6  # range of mattes without two kinds of seeds: rounding errors, which merging would blow up


def lbp(photo: np.ndarray) -> np.ndarray:
    """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

    Errors: MaganError for another array or a side below 21 pixels.
    """
    planes.check(photo, matting.SMALLEST)
    sharp = codes(planes.grey(photo)) >= SHARP
    image = photo / 255
    solve = matting.Matting(image)
    mattes = []
    for scale in SCALES:
        known, value = seeds(image, planes.stretch(window_shares(sharp, scale)))
        mattes.append(solve(known, value))
    mattes = np.stack(mattes)
    if np.ptp(mattes) < FLAT:
        return planes.as_map(np.full(sharp.shape, mattes.mean()))
    return planes.as_map(merge(mattes, TOLERANCE))


def codes(grey: np.ndarray) -> np.ndarray:
    """Return the rotation-invariant uniform pattern of every pixel: uint8 (H, W) -> uint8 (H, W), 0..9.

    Eight samples on the circle of radius 1, bilinear, edges replicated; a sample counts where it exceeds the
    centre by more than 4.08 levels. The code is how many count if they lie together, otherwise 9.
    """
    height, width = grey.shape
    padded = np.pad(grey.astype(np.float64), 1, mode="edge")
    offset = np.sqrt(0.5)

    def at(row: int, column: int) -> np.ndarray:
        return padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]

    def sample(row: int, column: int) -> np.ndarray:
        if row == 0 or column == 0:
            return at(row, column)
        sides = offset * (1 - offset) * (at(0, column) + at(row, 0))
        return (1 - offset) ** 2 * at(0, 0) + sides + offset**2 * at(row, column)

    brighter = np.stack([sample(*place) - at(0, 0) > 255 * THRESHOLD for place in RING])
    transitions = (brighter != np.roll(brighter, 1, axis=0)).sum(axis=0)
    return np.where(transitions <= 2, brighter.sum(axis=0), IRREGULAR).astype(np.uint8)


def window_shares(sharp: np.ndarray, size: int) -> np.ndarray:
    """Return the share of true pixels in each size x size window, edges replicated: bool (H, W) -> float64.

    Counts are exact and divided once: the last bit decides about seeds.
    """
    counts = sharp.astype(np.float64)
    for axis in range(2):
        counts = convolve1d(counts, np.ones(size), axis, mode="nearest")
    return counts / size**2


def seeds(image: np.ndarray, sharpness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where alpha is known and where it is 1, both bool (H, W).

    image: float (H, W, 3), 0..1; sharpness: float (H, W), 0..1. Painting the foreground white and the
    background black must change a pixel for it to be known: white foreground and black background are not.
    """
    one = sharpness > FOREGROUND
    zero = 1 - sharpness > 1 - BACKGROUND
    paint = np.where(one[..., None], 1.0, np.where(zero[..., None], 0.0, image))
    return np.abs(paint - image).sum(axis=2) > 0.001, one
