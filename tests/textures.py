"""Photographs for the classical detectors: noise, and noise whose right half is blurred."""

import numpy as np
from scipy.ndimage import gaussian_filter


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Noise of two coarsenesses, float (H, W)."""
    rng = np.random.default_rng(seed)
    fine, broad = (gaussian_filter(rng.standard_normal((height, width)), sigma) for sigma in (0.7, 4))
    return 110 + 35 * fine / fine.std() + 25 * broad / broad.std()


def photo_of(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def half_sharp(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Texture; its right half is blurred."""
    grey = texture(height, width, seed)
    grey[:, width // 2 :] = gaussian_filter(grey, 3)[:, width // 2 :]
    return photo_of(grey)
