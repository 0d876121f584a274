"""The features of DBDF, for every patch of an image at once.

A patch is p x p pixels of a grey image; features lie on the (H - p + 1) x (W - p + 1) patches that are wholly
inside. Each docstring gives the definition for one patch.
"""

import numpy as np
from scipy.signal import oaconvolve

from magan_core.classical.planes import box_sums

BINS = 32  # of the squared gradient magnitude
ROUNDS = 100  # of expectation-maximisation, at most
CHUNK = 8192  # patches whose mixtures are fitted together, as many as the cache holds
FLOOR = 1e-12  # variance of a component that has no energy left
ROUNDING = 1e-20  # power, as a share of the mean's, below which a spectrum is zero but for rounding


def features(grey: np.ndarray, patch: int, filters: np.ndarray) -> np.ndarray:
    """Return q1 to q3 and the responses to `filters` (n, p, p): uint8 (H, W) -> float64 (3 + n, h, w)."""
    hand_made = [peakedness(grey, patch), heavy_tails(grey, patch), power(grey, patch)]
    return np.stack([*hand_made, *(response(grey, one) for one in filters)])


def gradients(grey: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the forward differences along x and y, int64 (H, W), of uint8 (H, W); beyond the edge lies 0."""
    values = grey.astype(np.int64)
    along_x = np.diff(values, axis=1, append=0)
    along_y = np.diff(values, axis=0, append=0)
    return along_x, along_y


def peakedness(grey: np.ndarray, patch: int) -> np.ndarray:
    """Return q1: log of the kurtosis m4 / m2^2 of a patch's gradients along x or y, the smaller of the two.

    Where a patch has one gradient only, its kurtosis is not a number; it gets the least of the image, or 0.
    """
    logs = []
    for gradient in gradients(grey):
        count = patch * patch
        s1, s2, s3, s4 = (box_sums(gradient**power, patch, patch) for power in (1, 2, 3, 4))
        mean = s1 / count
        m2 = (s2 * count - s1 * s1) / count**2  # exact up to the division: a flat patch gives 0
        m4 = s4 / count - 4 * mean * (s3 / count) + 6 * mean**2 * (s2 / count) - 3 * mean**4
        flat = m2 == 0
        kurtosis = np.where(flat, np.nan, m4) / np.where(flat, 1, m2) ** 2
        logs.append(np.log(kurtosis))
    result = np.fmin(*logs)
    lost = np.isnan(result)
    result[lost] = 0 if lost.all() else result[~lost].min()
    return result


def heavy_tails(grey: np.ndarray, patch: int) -> np.ndarray:
    """Return q2: the larger deviation of two zero-mean Gaussians fitted to a patch's gradient magnitudes.

    The fit is by expectation-maximisation from variances 0.5 and 1e-4 (grey in 0..1) and weights of one half;
    it stops when the second weight changes by at most 0.1 %, or after 100 rounds. The outer 3 patches take
    the value of the next one inside.

    The magnitudes enter as a histogram of 32 bins: zero, and 31 that grow geometrically.
    """
    squares = sum(gradient**2 for gradient in gradients(grey))
    edges = np.geomspace(1, squares.max() + 1, BINS) if squares.any() else np.array([1.0])
    bins = np.searchsorted(edges, squares, side="right")
    energy = np.bincount(bins.ravel(), squares.ravel()) / np.bincount(bins.ravel()).clip(1) / 255**2
    inner = bins[3:-3, 3:-3]
    counts = np.stack(
        [box_sums(inner == number, patch, patch).ravel() for number in range(len(energy))], dtype=np.float32
    )
    shape = [side - patch + 1 for side in inner.shape]
    values = np.concatenate(
        [
            _larger_deviation(counts[:, start : start + CHUNK], energy.astype(np.float32))
            for start in range(0, counts.shape[1], CHUNK)
        ]
    )
    return np.pad(values.reshape(shape), 3, mode="edge")


def _larger_deviation(counts: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Fit the mixtures of float32 counts (bins, N) of squared values (bins,); return (N,)."""
    moments = np.stack([np.ones_like(energy), energy])
    total = counts.sum(axis=0)
    large, small, share = (np.full(counts.shape[1], start, np.float32) for start in (0.5, 1e-4, 0.5))
    result = np.empty(counts.shape[1], np.float32)
    open_ = np.arange(counts.shape[1])
    for _ in range(ROUNDS):
        with np.errstate(divide="ignore"):  # a share of 0 or 1 stays what it is
            prior = np.log(share) - np.log1p(-share) + 0.5 * np.log(large / small)
        odds = np.exp((prior - energy[:, None] * (0.5 / small - 0.5 / large)).clip(-80, 80))
        second = counts * (odds / (1 + odds))
        mass2, energy2 = moments @ second
        mass1, energy1 = moments @ (counts - second)
        large = np.maximum(energy1 / mass1.clip(1e-6), FLOOR)
        small = np.maximum(energy2 / mass2.clip(1e-6), FLOOR)
        before, share = share, mass2 / total
        result[open_] = np.sqrt(np.maximum(large, small))
        left = np.abs(share - before) > 1e-3 * before
        if not left.any():
            break
        open_, counts, total = open_[left], counts[:, left], total[left]
        large, small, share = large[left], small[left], share[left]
    return result


def power(grey: np.ndarray, patch: int) -> np.ndarray:
    """Return q3: the sum of the logarithms of a patch's power spectrum, averaged over orientation, in bins.

    The patch is divided by its sum; |FFT|^2 / k^2 is taken at the frequencies 0..k-1 along both axes,
    k = (p - 1) / 2; ring r = round(hypot(i + 1, j + 1)) has the mean power of its frequencies; bins of
    log-frequency (see `ring_bins`) have the sum of their rings. Bins without power are left out.

    The transform is separable, and one matrix product does all patches of a row.
    """
    half = (patch - 1) // 2
    turn = 2 * np.pi / patch * np.outer(np.arange(half), np.arange(patch))
    cosines, sines = np.cos(turn), np.sin(turn)
    values = grey.astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(values, patch, axis=1)
    height, width = grey.shape[0] - patch + 1, windows.shape[1]
    rows = np.stack([windows @ cosines.T, windows @ sines.T]).transpose(1, 0, 3, 2)  # (H, 2, k, width)
    rows = np.ascontiguousarray(rows).reshape(grey.shape[0], -1)
    both = np.concatenate([cosines, sines])
    squared_sum = box_sums(grey, patch, patch).clip(1).astype(np.float64) ** 2
    weights = _ring_weights(half)
    result = np.zeros((height, width))
    for y in range(height):
        parts = (both @ rows[y : y + patch]).reshape(2, half, 2, half, width)
        (cc, cs), (sc, ss) = parts.transpose(0, 2, 1, 3, 4).reshape(2, 2, half * half, width)
        energy = ((cc - ss) ** 2 + (cs + sc) ** 2) / squared_sum[y]
        energy = weights @ np.where(energy < ROUNDING, 0, energy)
        result[y] = np.log(np.where(energy > 0, energy, 1)).sum(axis=0)
    return result


def response(grey: np.ndarray, learnt: np.ndarray) -> np.ndarray:
    """Return q4, q5: sum of patch times filter (p, p), grey in 0..1, cut at its 3rd and 97th percentile."""
    values = oaconvolve(grey / 255, learnt[::-1, ::-1], mode="valid")
    return values.clip(*np.percentile(values, (3, 97)))


def ring_bins(half: int) -> dict[int, int]:
    """Return the bin of each ring that has one, for k = `half` frequencies along each axis.

    The edges are the different values of log(ring) in steps of 0.2. Walking up the rings, the next bin begins
    whenever log(ring) reaches the next edge; what lies in the last edge's bin is left out.
    """
    rings = np.arange(1, round(np.hypot(half, half)) + 1)
    edges = np.unique(np.round(np.log(rings) / 0.2).astype(int)) * 0.2
    bins, current = {}, 0
    for ring in rings:
        if current + 1 < len(edges) and np.log(ring) >= edges[current + 1]:
            current += 1
        if current + 1 < len(edges):
            bins[int(ring)] = current
    return bins


def _ring_weights(half: int) -> np.ndarray:
    """Return the matrix (bins, k * k) that takes the frequencies' power to that of the bins."""
    index = np.arange(1, half + 1)
    rings = np.floor(np.hypot(index[:, None], index) + 0.5).ravel()
    bins = ring_bins(half)
    weights = np.zeros((max(bins.values()) + 1, half * half))
    for ring, number in bins.items():
        weights[number, rings == ring] = 1 / (half * half * (rings == ring).sum())
    return weights
