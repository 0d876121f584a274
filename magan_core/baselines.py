"""What any trained network must beat: a constant map and a threshold on local sharpness."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, laplace

from magan_core.data.images import resize

BLUR = (2.0, 4.0, 8.0)  # window in pixels at the training size: standard deviations to choose from
SOFTNESS = (0.05, 0.3, 0.7)  # widths of the threshold in units of log sharpness to choose from


def sharpness(photo: np.ndarray, sigma: float) -> np.ndarray:
    """Logarithm of the mean absolute Laplacian in a Gaussian window. uint8 (H, W, 3) -> float32 (H, W)."""
    grey = photo.astype(np.float32).mean(axis=2)
    return np.log(gaussian_filter(np.abs(laplace(grey)), sigma) + 0.5)


@dataclass(frozen=True)
class LaplacianThreshold:
    """Map = sigmoid((sharpness - threshold) / softness) at `side` x `side` pixels."""

    side: int
    sigma: float
    threshold: float
    softness: float

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """uint8 (H, W, 3) -> map, uint8 (H, W), 255 = in focus."""
        small = resize(photo, self.side, self.side)
        soft = _soften(sharpness(small, self.sigma), self.threshold, self.softness)
        return resize(np.round(255 * soft).astype(np.uint8), *photo.shape[:2])


def fit_laplacian(images: np.ndarray, masks: np.ndarray) -> LaplacianThreshold:
    """Window, threshold and softness of the least mean absolute error on (a sample of 64 of) a training set.

    images: uint8 (N, S, S, 3). masks: uint8 (N, S, S), 0 or 255.
    """
    chosen = np.linspace(0, len(images) - 1, min(64, len(images))).astype(int)
    step = max(1, images.shape[1] // 64)  # every pixel would say no more
    target = masks[chosen, ::step, ::step] > 127
    best = (np.inf, BLUR[0], 0.0, SOFTNESS[0])
    for sigma in BLUR:
        values = np.stack([sharpness(images[index], sigma)[::step, ::step] for index in chosen])
        for threshold in np.quantile(values, np.linspace(0.05, 0.95, 37)):
            for softness in SOFTNESS:
                error = np.abs(_soften(values, threshold, softness) - target).mean()
                best = min(best, (error, sigma, threshold, softness))
    return LaplacianThreshold(images.shape[1], *map(float, best[1:]))


def constant(masks: Iterable[np.ndarray]) -> int:
    """Value of the constant map of the least mean absolute error on training masks: 255 or 0."""
    return 255 if np.mean([(mask > 127).mean() for mask in masks]) > 0.5 else 0


def _soften(values: np.ndarray, threshold: float, softness: float) -> np.ndarray:
    return 1 / (1 + np.exp(np.clip((threshold - values) / softness, -50, 50)))
