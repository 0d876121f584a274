"""The maps and masks that PySODMetrics and our metrics are compared on, drawn in whole numbers.

Only numpy is needed, and no float or random generator is used, so every version of it draws the same.
"""

import numpy as np


def noise(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """int64 of 0..255: the top byte of a 64-bit hash of pixel number and seed."""
    x = np.arange(1, shape[0] * shape[1] + 1, dtype=np.uint64) * np.uint64(6364136223846793005)
    x += np.uint64(seed * 1442695040888963407 % 2**64)
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        x = (x ^ (x >> np.uint64(33))) * np.uint64(factor)
    return (x >> np.uint64(56)).astype(np.int64).reshape(shape)


def disc(shape: tuple[int, int]) -> np.ndarray:
    """uint8 mask: a disc of 255 about a point off the middle."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    inside = (3 * rows - shape[0]) ** 2 + (2 * columns - shape[1]) ** 2 < min(shape) ** 2
    return np.where(inside, 255, 0).astype(np.uint8)


def noisy(seed: int, shape: tuple[int, int], low: int, high: int) -> tuple[np.ndarray, np.ndarray]:
    """A map of values low..high, both of them present, that knows something about its mask."""
    mask = disc(shape)
    values = noise(seed, shape) * 2 // 3 + np.where(mask == 255, 85, 0)
    values = low + values * (high - low) // 255
    values[0, 0], values[-1, -1] = low, high
    return values.astype(np.uint8), mask


def row(values: list[int], mask: list[int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([values], np.uint8), np.array([mask], np.uint8)


def cases() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Map and mask, uint8 (H, W), by name; 255 = positive."""
    shape = (19, 28)
    mask = disc(shape)
    one = np.zeros_like(mask)
    one[5, 7] = 255
    return {
        "whole range": noisy(1, (24, 31), 0, 255),
        "whole range, wide": noisy(2, (11, 60), 0, 255),
        "whole range, one positive pixel": (noisy(3, shape, 0, 255)[0], one),
        "perfect": (mask, mask),
        "inverted": (255 - mask, mask),
        "constant 0": (np.zeros_like(mask), mask),
        "constant 100": (np.full_like(mask, 100), mask),
        "constant 255": (np.full_like(mask, 255), mask),
        "from 0 to 100": noisy(4, (17, 23), 0, 100),
        "from 40 to 200": noisy(5, (30, 20), 40, 200),
        "from 3 to 251": noisy(6, (21, 21), 3, 251),
        "from 0 to 51": noisy(7, (25, 25), 0, 51),
        "from 60 to 150": noisy(8, (25, 25), 60, 150),
        "meets one half": row([10, 60, 60, 60, 110, 30], [0, 255, 255, 0, 255, 0]),
        "meets twice the mean": row([98, 113, 218, 109, 252], [0, 0, 255, 0, 255]),
    }
