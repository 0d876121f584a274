"""How sure a score is: bootstrap over images, and paired comparison of two methods on the same images.

Both treat the test photographs as a sample of photographs: they say nothing about other data sets, nor about
another training of the same network (for that, train several seeds).
"""

from dataclasses import dataclass

import numpy as np

from magan_core.errors import MaganError
from magan_core.metrics.protocols import Protocol
from magan_core.metrics.scores import SCORES, features, reduce

LEVEL = 0.95


@dataclass(frozen=True)
class Difference:
    """Score of `b` minus score of `a`, the 95 % bootstrap interval, and the two-sided p-value of the
    permutation test; all NaN where a score is."""

    difference: float
    low: float
    high: float
    p: float


def intervals(
    statistics: np.ndarray, protocol: Protocol, *, resamples: int = 2000, seed: int = 1
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap interval of each score of `summary` over images drawn with replacement.

    statistics: int (n, 2, 256), n > 1. The best threshold is sought anew in every resample.
    """
    draws = _draws(len(statistics), resamples, seed)
    values = reduce(_weighted(features(statistics, protocol), draws), protocol)
    return {name: _percentiles(values[name]) for name in SCORES}


def paired_difference(
    a: np.ndarray, b: np.ndarray, protocol: Protocol, *, resamples: int = 2000, seed: int = 1
) -> dict[str, Difference]:
    """Score of b minus score of a for each score, over the same images in the same order.

    a, b: statistics, int (n, 2, 256). The interval resamples images, both methods alike. p: how often a
    random exchange of the two methods' results on each image gives a difference at least as large in
    absolute value, (1 + count) / (1 + resamples).
    """
    if a.shape != b.shape or not np.array_equal(a.sum(axis=-1), b.sum(axis=-1)):
        raise MaganError("a paired comparison needs the same images in the same order, and the same masks")
    first, second = features(a, protocol), features(b, protocol)
    draws = _draws(len(a), resamples, seed)
    observed = reduce(_means(second), protocol), reduce(_means(first), protocol)
    drawn = reduce(_weighted(second, draws), protocol), reduce(_weighted(first, draws), protocol)
    swap = np.random.default_rng(seed + 1).integers(0, 2, draws.shape)
    stay, swap = (1 - swap) / len(a), swap / len(a)
    exchanged = [
        reduce({name: stay @ one[name] + swap @ other[name] for name in one}, protocol)
        for one, other in ((second, first), (first, second))
    ]
    found = {}
    for name in SCORES:
        difference = float(observed[0][name] - observed[1][name])
        extreme = np.abs(exchanged[0][name] - exchanged[1][name]) >= abs(difference) - 1e-12
        low, high = _percentiles(drawn[0][name] - drawn[1][name])
        p = np.nan if np.isnan(difference) else float((1 + extreme.sum()) / (1 + resamples))
        found[name] = Difference(difference, low, high, p)
    return found


def _draws(images: int, resamples: int, seed: int) -> np.ndarray:
    """Weights (resamples, images) of images drawn with replacement; each row sums to 1."""
    if images < 2:
        raise MaganError(f"{images} image: at least two are needed to say how sure a score is")
    chosen = np.random.default_rng(seed).integers(0, images, (resamples, images))
    counts = np.zeros((resamples, images))
    np.add.at(counts, (np.arange(resamples)[:, None], chosen), 1)
    return counts / images


def _means(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: values.mean(axis=0) for name, values in found.items()}


def _weighted(found: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, np.ndarray]:
    """Weighted means of features: (n, k) -> (resamples, k)."""
    return {name: weights @ values for name, values in found.items()}


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
