"""How sure a score is: bootstrap over images, paired comparison of two methods on the same images, and of two
recipes over several trainings.

The first two treat the test photographs as a sample of photographs: they say nothing about other data sets,
nor about another training of the same network. The third treats the seeds as a sample of trainings, and the
photographs as given.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from magan_core.errors import MaganError
from magan_core.metrics.protocols import Protocol
from magan_core.metrics.scores import SCORES, Features, features, reduce

LEVEL = 0.95
BLOCK = 200  # resamples at a time, so that memory hardly grows with the images
CELLS = 1 << 22  # and at most so many values of one quantity: histograms of 16 bits have 131072


@dataclass(frozen=True)
class Difference:
    """Score of `b` minus score of `a`, its 95 % interval and two-sided p-value; all NaN where a score is."""

    difference: float
    low: float
    high: float
    p: float


def intervals(
    statistics: np.ndarray, protocol: Protocol, *, resamples: int = 2000, seed: int = 1
) -> dict[str, tuple[float, float]]:
    """95 % percentile bootstrap interval of each score of `summary` over images drawn with replacement.

    statistics: int (n, 2, 256). The best threshold is sought anew in every resample. NaN for a score that an
    image leaves undefined. MaganError for fewer than two images, no resample, or a negative seed.
    """
    found = features(statistics, protocol)
    values = _joined(
        reduce(_weighted(found, weights), protocol) for weights in _draws(found, resamples, seed)
    )
    return {name: _percentiles(values[name]) for name in SCORES}


def paired_difference(
    a: np.ndarray, b: np.ndarray, protocol: Protocol, *, resamples: int = 2000, seed: int = 1
) -> dict[str, Difference]:
    """Score of b minus score of a for each score, over the same images in the same order.

    a, b: statistics, int (n, 2, 256). The bootstrap interval resamples images, both methods alike. p of a
    permutation test: how often a random exchange of the two methods' results on each image gives a difference
    at least as large in absolute value, (1 + count) / (1 + resamples). MaganError for other images or masks,
    fewer than two images, no resample, or a negative seed.
    """
    if a.shape != b.shape or not np.array_equal(a.sum(axis=-1), b.sum(axis=-1)):
        raise MaganError("a paired comparison needs the same images in the same order, and the same masks")
    first, second = features(a, protocol), features(b, protocol)
    observed = _minus(reduce(_means(second), protocol), reduce(_means(first), protocol))
    drawn = _joined(
        _minus(reduce(_weighted(second, weights), protocol), reduce(_weighted(first, weights), protocol))
        for weights in _draws(first, resamples, seed)
    )
    exchanged = _joined(
        _minus(
            reduce(_exchanged(second, first, swap), protocol),
            reduce(_exchanged(first, second, swap), protocol),
        )
        for swap in _swaps(first, resamples, seed + 1)
    )
    found = {}
    for name in SCORES:
        difference = float(observed[name])
        p = np.nan if np.isnan(difference) else _chance(exchanged[name], difference)
        found[name] = Difference(difference, *_percentiles(drawn[name]), p)
    return found


def paired_mean(a: np.ndarray, b: np.ndarray, *, resamples: int = 2000, seed: int = 1) -> Difference:
    """Mean over images of b minus a, with a bootstrap interval over images and the p of a permutation test.

    a, b: float (n,), the same images in the same order; images where either is NaN are left out. All NaN
    where fewer than two are left. MaganError for different numbers of images.
    """
    if a.shape != b.shape:
        raise MaganError(f"{a.size} and {b.size} images; a paired comparison needs the same images")
    change = (b - a)[np.isfinite(a) & np.isfinite(b)]
    if change.size < 2:
        return Difference(np.nan, np.nan, np.nan, np.nan)
    random = np.random.default_rng(seed)
    drawn = change[random.integers(0, change.size, (resamples, change.size))].mean(axis=1)
    flipped = (random.choice((-1, 1), (resamples, change.size)) * change).mean(axis=1)
    mean = float(change.mean())
    return Difference(mean, *_percentiles(drawn), _chance(flipped, mean))


def difference_over_seeds(differences: Sequence[float]) -> Difference:
    """The mean of what one recipe scores more than another with the same seed, over n > 1 seeds (else
    MaganError): Student's interval and paired t-test with n - 1 degrees of freedom."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        raise MaganError(f"number of seeds: {len(values)}; a test over trainings needs two or more")
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    if error == 0:
        return Difference(mean, mean, mean, float(mean == 0))
    free = len(values) - 1
    half = float(stdtrit(free, (1 + LEVEL) / 2)) * error
    return Difference(mean, mean - half, mean + half, float(2 * stdtr(free, -abs(mean) / error)))


def _draws(found: Features, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Weights (k, images) of images drawn with replacement, in blocks; each row sums to 1."""
    images = len(found["f"])
    if images < 2:
        raise MaganError(f"number of images: {images}; at least two are needed to say how sure a score is")
    if resamples < 1 or seed < 0:
        raise MaganError(
            f"resamples {resamples}, seed {seed}: expected at least 1 resample and a seed from 0 on"
        )
    random = np.random.default_rng(seed)
    for rows in _blocks(found, resamples):
        chosen = random.integers(0, images, (rows, images))
        counts = np.zeros((rows, images))
        np.add.at(counts, (np.arange(rows)[:, None], chosen), 1)
        yield counts / images


def _swaps(found: Features, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """0 or 1 for every image, int (k, images), in blocks: whether the methods' results are exchanged."""
    random = np.random.default_rng(seed)
    for rows in _blocks(found, resamples):
        yield random.integers(0, 2, (rows, len(found["f"])))


def _blocks(found: Features, resamples: int) -> list[int]:
    most = min(BLOCK, max(1, CELLS // max(values.shape[1] for values in found.values())))
    return [min(most, resamples - start) for start in range(0, resamples, most)]


def _joined(blocks: Iterable[Features]) -> Features:
    blocks = list(blocks)
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _minus(one: Features, other: Features) -> Features:
    return {name: one[name] - other[name] for name in one}


def _means(found: Features) -> Features:
    return {name: values.mean(axis=0) for name, values in found.items()}


def _weighted(found: Features, weights: np.ndarray) -> Features:
    """Weighted means of features: (n, k) -> (resamples, k)."""
    return {name: weights @ values for name, values in found.items()}


def _exchanged(one: Features, other: Features, swap: np.ndarray) -> Features:
    """Means of features, those of `other` where `swap` is 1."""
    images = swap.shape[1]
    stay, swap = (1 - swap) / images, swap / images
    return {name: stay @ one[name] + swap @ other[name] for name in one}


def _chance(exchanged: np.ndarray, difference: float) -> float:
    """p of a permutation test, where the observed difference counts as one of the exchanges."""
    extreme = np.abs(exchanged) >= abs(difference) - 1e-12
    return float((1 + extreme.sum()) / (1 + len(exchanged)))


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)
