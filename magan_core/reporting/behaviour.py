"""What the scores of a method hide: how decided its maps are, how sharp at edges, how honest, how forgiving.

A map value v of 0..255 is read as the probability v / 255 of "in focus". What depends on values alone is
counted from statistics, int (n, 2, 256), as `metrics.histograms` gives them; edges need the maps themselves.
"""

import numpy as np
from scipy.ndimage import distance_transform_edt
from scipy.special import expit, logit

from magan_core.data.images import CUT
from magan_core.errors import MaganError
from magan_core.metrics import FOCUS

LEVELS = np.arange(256)


def undecided(statistics: np.ndarray, low: float = 0.1, high: float = 0.9) -> np.ndarray:
    """Share of the pixels of each image whose value lies strictly between `low` and `high` (Figure 10).

    statistics: int (n, 2, 256). Returns float64 (n,), 0..1.
    """
    counts = statistics.sum(axis=1)
    between = (low * 255 < LEVELS) & (high * 255 > LEVELS)
    return counts[:, between].sum(axis=1) / counts.sum(axis=1)


def reliability(statistics: np.ndarray, bins: int = 10) -> dict[str, np.ndarray]:
    """How often pixels of a value really are in focus, over the pixels of all images together.

    Bin k holds the values above k / bins and up to (k + 1) / bins; value 0 belongs to the first. Returns
    float64 (bins,) each: `value`, the mean of the map values; `share`, the part that the mask has in focus;
    `pixels`, their number. value and share of an empty bin are NaN. MaganError for no bin and for more than
    255.
    """
    if not 1 <= bins <= 255:
        raise MaganError(f"a reliability curve of {bins} bins; expected 1 to 255")
    bin_of = np.maximum(-(-LEVELS * bins // 255) - 1, 0)
    counts = statistics.sum(axis=0).astype(float)
    values, focus, pixels = (
        np.bincount(bin_of, weights, bins)
        for weights in (counts.sum(axis=0) * LEVELS / 255, counts[FOCUS], counts.sum(axis=0))
    )
    filled = np.where(pixels > 0, pixels, np.nan)
    return {"value": values / filled, "share": focus / filled, "pixels": pixels}


def calibration_error(statistics: np.ndarray) -> float:
    """Mean distance between value and share of `reliability`, weighted by pixels: 0 for honest maps.

    (The expected calibration error of Naeini, Cooper and Hauskrecht, 2015.)
    """
    curve = reliability(statistics)
    return float(np.nansum(np.abs(curve["value"] - curve["share"]) * curve["pixels"]) / curve["pixels"].sum())


def plateau(threshold: np.ndarray, score: np.ndarray, within: float = 0.01) -> tuple[float, float]:
    """The range of thresholds around the best one in which the score stays within a share of its best.

    threshold: float (k,), ascending. score: float (k,); straight lines between its points. Returns the two
    ends; where several stretches qualify, the one that holds the (first) best threshold. MaganError where
    there is no best score.
    """
    if not np.isfinite(score).all():
        raise MaganError("the curve has points without a score; expected a number at every threshold")
    best, floor = int(score.argmax()), (1 - within) * score.max()
    below = np.flatnonzero(score < floor)
    before, after = below[below < best], below[below > best]
    low, high = threshold[0], threshold[-1]
    if before.size:
        low = _crossing(threshold, score, floor, before[-1])
    if after.size:
        high = _crossing(threshold, score, floor, after[0] - 1)
    return float(low), float(high)


def with_contrast(statistics: np.ndarray, gain: float) -> np.ndarray:
    """Statistics of the same maps with their contrast turned up: the logit of every value times `gain`.

    What a discriminator may be suspected of, without one. Black, white and the order of values stay, values
    may fall together; from gain 1 on, what is at one half or above stays there, so that IoU stays as it is.
    statistics: int (n, 2, 256), as is what is returned. MaganError for a gain that is not above 0.
    """
    if not 0 < gain < np.inf:
        raise MaganError(f"a gain of {gain}; expected a number above 0, 1 for no change")
    moved = np.rint(255 * expit(gain * logit(LEVELS / 255))).astype(int)
    found = np.zeros_like(statistics)
    np.add.at(found, (..., moved), statistics)
    return found


def matching_contrast(statistics: np.ndarray, share: float) -> float:
    """The gain of `with_contrast` that leaves the mean `undecided` share of the images nearest to `share`.

    statistics: int (n, 2, 256). Returns one of 97 gains from 1/8 to 8, in even steps of their logarithm; the
    one nearest to 1 where several do equally well. MaganError for a share outside 0..1.
    """
    if not 0 <= share <= 1:
        raise MaganError(f"an undecided share of {share}; expected 0 to 1")
    gains = sorted(np.geomspace(1 / 8, 8, 97), key=lambda gain: abs(np.log(gain)))
    return float(min(gains, key=lambda gain: abs(undecided(with_contrast(statistics, gain)).mean() - share)))


def edge_step(focus_map: np.ndarray) -> float:
    """Mean step, 0..1, between neighbouring pixels on either side of the edge that one half cuts out.

    1 for a map of 0 and 255; a ramp that climbs from 0 to 255 over w pixels has 1 / w. It asks where the map
    itself sees the edge, right or wrong. focus_map: uint8 (H, W). NaN for a map without an edge.
    """
    values, inside = focus_map.astype(np.int16), focus_map >= CUT
    steps = []
    for axis in (0, 1):
        crossed = np.diff(inside, axis=axis)
        steps.append(np.abs(np.diff(values, axis=axis))[crossed])
    steps = np.concatenate(steps)
    return float(steps.mean() / 255) if steps.size else np.nan


def edge_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels from each pixel to the nearest one of the other class, float64 (H, W).

    Positive in focus, negative out of focus; infinite in a mask of one class. mask: uint8 (H, W), 0 or 255.
    """
    focus = mask >= CUT
    if focus.all() or not focus.any():
        return np.where(focus, np.inf, -np.inf)
    return np.where(focus, distance_transform_edt(focus), -distance_transform_edt(~focus))


def edge_profile(focus_map: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """Mean map value, 0..1, in rings one pixel wide along the edge of the mask.

    Returns float64 (2 * reach,): from the ring `reach` pixels outside the in-focus part to the one at its
    edge, then from the first ring inside to the one `reach` pixels inside. NaN for a ring without pixels. A
    perfect map has 0 and then 1.
    """
    distance = edge_distance(mask)
    near = np.abs(distance) <= reach
    ring = np.ceil(np.abs(distance[near])).astype(int)
    place = np.where(distance[near] > 0, reach - 1 + ring, reach - ring)
    pixels = np.bincount(place, minlength=2 * reach)
    total = np.bincount(place, focus_map[near] / 255, 2 * reach)
    return total / np.where(pixels > 0, pixels, np.nan)


def _crossing(threshold: np.ndarray, score: np.ndarray, floor: float, left: int) -> float:
    """Where the line from point `left` to the next meets the floor."""
    share = (floor - score[left]) / (score[left + 1] - score[left])
    return threshold[left] + share * (threshold[left + 1] - threshold[left])
