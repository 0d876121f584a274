"""HiFST, high-frequency multiscale fusion and sort transform: an exact port.

Golestaneh & Karam, "Spatially-Varying Blur Detection Based on Multiscale Fused and Sorted Transform
Coefficients of Gradient Magnitudes", CVPR 2017, after the authors' released program. Around every pixel, the
high frequencies of four block sizes are sorted together; the smallest of them grow with sharpness.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import dct
from scipy.ndimage import correlate1d, sobel
from skimage.filters.rank import entropy

from magan_core.classical import planes
from magan_core.classical.domain_transform import recursive_filter

SIZES = (7, 15, 31, 63)  # sides of the blocks, pixels; odd
NEIGHBOURS = 7  # side of the window of the entropy
SPATIAL = 15.0  # reach of the final smoothing along the picture, pixels
TONAL = 0.25  # and across its edges, grey of 0..1


def hifst(photo: np.ndarray) -> np.ndarray:
    """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

    Memory: 0.5 kB a pixel.
    Errors: MaganError for another array.
    """
    planes.check(photo)
    grey = planes.grey(np.floor(_gaussian(photo, 0.5, "nearest") + 0.5).astype(np.uint8)).astype(np.float64)
    gradient = np.hypot(sobel(grey, 0, mode="nearest"), sobel(grey, 1, mode="nearest"))
    sharpness = fuse(smallest(gradient.astype(np.float32), SIZES))
    sharpness *= local_entropy(sharpness)
    guide = _gaussian(planes.stretch(grey), 1.0, "constant")
    return planes.as_map(planes.stretch(recursive_filter(sharpness, guide, SPATIAL, TONAL)))


def smallest(gradient: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Return the smallest high-frequency magnitudes around each pixel: float32 (H, W, K).

    gradient: float32 (H, W), zero outside. Of each size M the M x M block around the pixel gets a DCT-II; its
    coefficients u + v >= M - 1 count. K is the sum of the sizes and one more; ascending.
    """
    height, width = gradient.shape
    keep = sum(sizes) + 1
    edge = max(sizes) // 2
    padded = np.pad(gradient, edge)
    bases = [dct(np.eye(size, dtype=np.float32), axis=0, norm="ortho") for size in sizes]
    bands = np.empty((width, sum(size * (size + 1) // 2 for size in sizes)), np.float32)
    result = np.empty((height, width, keep), np.float32)
    for row in range(height):
        first = 0
        for size, basis in zip(sizes, bases, strict=True):
            skip = edge - size // 2
            strip = padded[row + skip :][:size, skip : edge + width + size // 2]
            blocks = sliding_window_view(basis @ strip, size, axis=1)
            for v, block in enumerate(blocks):  # (W, size): one vertical frequency, all positions
                part = bands[:, first : first + v + 1]
                np.matmul(np.ascontiguousarray(block), basis[size - 1 - v :].T, out=part)
                first += v + 1
        np.abs(bands, out=bands)
        bands.partition(keep - 1, axis=1)
        result[row] = np.sort(bands[:, :keep], axis=1)
    return result


def fuse(layers: np.ndarray) -> np.ndarray:
    """Return the stretched maximum over stretched layers: float (h, w, K) -> float64 (h, w), 0..1."""
    low = np.min([row.min(axis=0) for row in layers], axis=0)
    high = np.max([row.max(axis=0) for row in layers], axis=0)
    scale = np.divide(1, high - low, out=np.zeros_like(high), where=high > low)
    fused = np.stack([((row - low) * scale).max(axis=1) for row in layers])
    return planes.stretch(fused.astype(np.float64))


def local_entropy(values: np.ndarray) -> np.ndarray:
    """Return the entropy in bits of the bytes around each pixel, mirrored: float (H, W), 0..1 -> float64."""
    edge = NEIGHBOURS // 2
    window = np.ones((NEIGHBOURS, NEIGHBOURS), np.uint8)
    return entropy(np.pad(planes.as_map(values), edge, mode="symmetric"), window)[edge:-edge, edge:-edge]


def _gaussian(values: np.ndarray, sigma: float, mode: str) -> np.ndarray:
    """Smooth (H, W) or (H, W, C) by a 3 x 3 Gaussian; `mode` says what lies outside. -> float64."""
    weights = np.exp(-np.array([1, 0, 1]) / (2 * sigma**2))
    values = values.astype(np.float64)
    for axis in range(2):
        values = correlate1d(values, weights / weights.sum(), axis, mode=mode)
    return values
