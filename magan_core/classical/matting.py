"""Closed-form matting, solved on a quarter of the resolution and carried up by local linear models.

Levin, Lischinski & Weiss, "A Closed Form Solution to Natural Image Matting", CVPR 2006: in every 3 x 3 window
alpha is assumed to be a linear function of the colour, which makes the cost a quadratic form of alpha alone.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import binary_erosion, correlate1d
from scipy.sparse import coo_array, diags_array
from scipy.sparse.linalg import splu

from magan_core.classical.planes import interpolate

SMALLEST = 21  # the least side that leaves 3 pixels of the coarsest level
EPSILON = 1e-7  # what slope of a local model costs
WEIGHT = 100.0  # of a constraint
BINOMIAL = np.array([1, 4, 6, 4, 1]) / 16


class Matting:
    """The matting problem of one image; call it with constraints to get alpha.

    image: float (H, W, 3), 0..1, H and W at least 21.
    """

    def __init__(self, image: np.ndarray):
        middle = shrink(image)
        self.images = image, middle
        self.models = LocalModels(middle), LocalModels(shrink(middle))

    def __call__(self, known: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Return alpha, float64 (H, W), 0..1. known: bool (H, W), where it is given; value: bool (H, W)."""
        given, one = known.astype(float), (known & value).astype(float)
        for _ in range(2):
            given, one = np.floor(shrink(given) + 0.5), np.floor(shrink(one) + 0.5)
        if not given.any():
            return np.zeros(known.shape)  # any constant would solve it
        alpha = np.clip(self.models[1].solve(given > 0, one), 0, 1)
        for image, models in zip(reversed(self.images), reversed(self.models), strict=True):
            alpha = models.carry(alpha, image)
        return np.clip(alpha, 0, 1)


class LocalModels:
    """The linear models of alpha in the 3 x 3 windows of an image: float (H, W, 3), 0..1."""

    def __init__(self, image: np.ndarray):
        self.shape = image.shape[:2]
        colours = _windows(image)  # (H - 2, W - 2, 9, 3)
        self.mean = colours.mean(axis=2)
        self.centred = colours - self.mean[:, :, None]
        covariance = np.swapaxes(self.centred, 2, 3) @ self.centred / 9
        self.inverse = np.linalg.inv(covariance + EPSILON / 9 * np.eye(3))

    def solve(self, known: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Return the alpha of least cost, float (H, W). known: bool (H, W); value: float (H, W)."""
        # A window all of whose pixels are known says nothing more.
        keep = ~binary_erosion(known, np.ones((3, 3)))[1:-1, 1:-1]
        pixels = _windows(np.arange(known.size).reshape(self.shape))[keep]
        centred = self.centred[keep]
        blocks = np.eye(9) - (1 + centred @ self.inverse[keep] @ np.swapaxes(centred, 1, 2)) / 9
        rows, columns = np.broadcast_arrays(pixels[:, :, None], pixels[:, None, :])
        laplacian = coo_array((blocks.ravel(), (rows.ravel(), columns.ravel())), shape=(known.size,) * 2)
        weight = WEIGHT * known.ravel()
        system = (laplacian.tocsc() + diags_array(weight)).tocsc()
        factors = splu(system, "MMD_AT_PLUS_A", diag_pivot_thresh=0, options={"SymmetricMode": True})
        return factors.solve(weight * value.ravel()).reshape(self.shape)

    def carry(self, alpha: np.ndarray, finer: np.ndarray) -> np.ndarray:
        """Return alpha, float (H, W), on the image of which this one is the `shrink`, by its own models."""
        inside = _windows(alpha)[..., None]
        slope = (self.inverse @ (np.swapaxes(self.centred, 2, 3) @ inside) / 9)[..., 0]
        offset = inside.mean(axis=(2, 3)) - (slope * self.mean).sum(axis=2)
        models = np.pad(np.dstack([slope, offset]), ((1, 1), (1, 1), (0, 0)), mode="edge")
        models = interpolate(models, 2, finer.shape[:2], first=2)
        return np.einsum("yxc,yxc->yx", models[..., :3], finer) + models[..., 3]


def shrink(values: np.ndarray) -> np.ndarray:
    """Return rows and columns 2, 4, ... n - 3 of the smoothed values: float (H, W) or (H, W, C)."""
    for axis in range(2):
        smooth = correlate1d(values, BINOMIAL, axis)
        values = smooth.take(range(2, values.shape[axis] - 2, 2), axis)
    return values


def _windows(values: np.ndarray) -> np.ndarray:
    """Return the 3 x 3 windows of (H, W) as (H - 2, W - 2, 9), of (H, W, C) as (H - 2, W - 2, 9, C)."""
    windows = sliding_window_view(values, (3, 3), axis=(0, 1)).reshape(*_inner(values), *values.shape[2:], 9)
    return windows if values.ndim == 2 else np.swapaxes(windows, 2, 3)


def _inner(values: np.ndarray) -> tuple[int, int]:
    return values.shape[0] - 2, values.shape[1] - 2
