"""Scores and curves of a set of maps under a protocol (paper, section IV-B).

Everything is a function of means over images of per-image quantities: `features` gives those quantities,
`reduce` makes scores of their means. Resampled means therefore give resampled scores (`uncertainty`).

Undefined ratios: where nothing is predicted positive, precision is 0, and F is 0. In a mask of one class
only, recall or the false positive rate has no denominator: what depends on it is NaN, and stays NaN in the
mean over images (`evaluation.evaluate` refuses such a mask by name before it gets that far).
"""

import numpy as np

from magan_core.errors import MaganError
from magan_core.metrics.histograms import BLURRED, FOCUS
from magan_core.metrics.protocols import Protocol

SCORES = ("f_beta", "mae", "iou", "auc", "auf_beta")
Features = dict[str, np.ndarray]


def summary(statistics: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The scores of a set of images, in 0..1: a row of the paper's tables. statistics: int (n, 2, 256)."""
    if len(statistics) == 0:
        raise MaganError("there is no image to score")
    means = {name: values.mean(axis=0) for name, values in features(statistics, protocol).items()}
    return {name: float(value) for name, value in reduce(means, protocol).items()}


def curves(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """PR, F_beta and ROC curves of a set of images, as in Figure 7.

    Returns float64 arrays of steps + 1 entries: threshold, precision, recall, f_beta, tpr, fpr (tpr is
    recall). Means over images, or of all pixels where the protocol pools F.
    """
    means = {name: values.mean(axis=0) for name, values in features(statistics, protocol).items()}
    found = _mean_curves(means, protocol)
    return {
        "threshold": np.arange(protocol.steps + 1) / protocol.steps,
        "precision": found["precision"],
        "recall": found["recall"],
        "f_beta": found["f"],
        "tpr": found["recall"],
        "fpr": found["fpr"],
    }


def per_image(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """The scores of each image, float64 (n,) each. Their mean is the entry of `summary`, except for scores
    that the protocol pools, and for f_beta and auf_beta of the rule of_means.

    f_beta is F at the protocol's threshold: with the rules best and of_means the one threshold that is best
    for the whole set.
    """
    found = features(statistics, protocol)
    means = {name: values.mean(axis=0) for name, values in found.items()}
    f, best = found["f"], _mean_curves(means, protocol)["f"].argmax()
    chosen = found["f_at"][:, 0] if "f_at" in found else f[:, best]
    single = {name: found[name][:, 0] for name in ("mae", "iou", "auc")}
    return {"f_beta": chosen, **single, "auf_beta": area(f)}


def features(statistics: np.ndarray, protocol: Protocol) -> Features:
    """Per-image quantities, float64 (n, k) each, whose means over images `reduce` turns into scores.

    f, precision, recall, fpr: curves over the thresholds. f_at: F at the threshold of the rules fixed,
    adaptive, best_each. mae, iou, auc. If anything is pooled: histograms (k = 512) and hit, predicted at the
    image's own threshold.
    """
    scores = oriented(statistics, protocol)
    found = _curves(scores, protocol)
    found |= {"mae": mae(scores)[:, None], "iou": iou(scores, protocol)[:, None], "auc": auc(scores)[:, None]}
    lowest = _own_threshold(scores, protocol)
    if lowest is not None:
        hit, predicted = _reaching(scores, lowest)
        positives = scores[:, 1].sum(axis=-1, keepdims=True)
        found["f_at"] = _f(hit, predicted, positives, protocol.beta2)
        if protocol.pooled:
            found |= {"hit": hit.astype(float), "predicted": predicted.astype(float)}
    elif protocol.f_rule == "best_each":
        found["f_at"] = found["f"].max(axis=-1, keepdims=True)
    if protocol.pooled:
        found["histograms"] = scores.reshape(len(scores), -1).astype(float)
    return found


def reduce(means: Features, protocol: Protocol) -> dict[str, np.ndarray]:
    """Scores from means of `features`: arrays (..., k) in, arrays (...) out, in the order of SCORES."""
    curve = _mean_curves(means, protocol)["f"]
    found = {name: means[name][..., 0] for name in ("mae", "iou", "auc")}
    if protocol.f_rule in ("best", "of_means"):
        found["f_beta"] = curve.max(axis=-1)
    else:
        found["f_beta"] = means["f_at"][..., 0]
    found["auf_beta"] = area(curve)
    if protocol.pooled:
        found |= {name: value for name, value in _pooled(means, protocol).items() if name in protocol.pooled}
    return {name: found[name] for name in SCORES}


def oriented(statistics: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Statistics over scores of the positive class, (n, 2, 256): row 0 negative, row 1 positive pixels."""
    if protocol.positive == "blurred":
        scores = statistics[:, [FOCUS, BLURRED], ::-1]
    else:
        scores = statistics[:, [BLURRED, FOCUS]]
    return (
        scores if protocol.scaling == "none" else np.stack([_scaled(one, protocol.scaling) for one in scores])
    )


def mae(scores: np.ndarray) -> np.ndarray:
    """Mean absolute error of oriented statistics (..., 2, 256), float64 (...)."""
    level = np.arange(256)
    error = scores[..., 0, :] @ level + scores[..., 1, :] @ (255 - level)
    return error / (255 * scores.sum(axis=(-2, -1)))


def iou(scores: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Intersection over union of prediction and positive class of oriented statistics, float64 (...)."""
    hit, predicted = _reaching(scores, np.array([-(-255 * protocol.iou_at // 4)]))
    positives = scores[..., 1, :].sum(axis=-1)
    return _ratio(hit[..., 0], positives + (predicted - hit)[..., 0], undefined=positives == 0)


def auc(scores: np.ndarray) -> np.ndarray:
    """Area under the ROC curve over 256 levels of oriented statistics, float64 (...); ties count one half.

    The chance that a positive pixel has a larger score than a negative one. NaN where one class is missing.
    """
    negative, positive = scores[..., 0, :], scores[..., 1, :]
    below = np.cumsum(negative, axis=-1) - negative
    twice = (positive * (2 * below + negative)).sum(axis=-1)
    return _ratio(twice, 2 * negative.sum(axis=-1) * positive.sum(axis=-1))


def area(curve: np.ndarray) -> np.ndarray:
    """Area under curves sampled evenly over thresholds 0..1 (trapezoid), over the last axis."""
    return np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1)


def _scaled(one: np.ndarray, scaling: str) -> np.ndarray:
    """(2, 256) with the scores divided by their maximum, or stretched to 0..255; a constant map as it is."""
    used = one.sum(axis=0).nonzero()[0]
    low, high = (used[0] if scaling == "minmax" else 0), used[-1]
    if high == low:
        return one
    level = np.clip((np.arange(256) - low) * 255 // (high - low), 0, 255)
    return np.stack([np.bincount(level, weights=row, minlength=256).astype(row.dtype) for row in one])


def _curves(scores: np.ndarray, protocol: Protocol) -> Features:
    """f, precision, recall, fpr of oriented statistics (..., 2, 256) at each threshold (..., steps + 1)."""
    lowest = -(-255 * np.arange(protocol.steps + 1) // protocol.steps)  # the lowest score that reaches it
    hit, predicted = _reaching(scores, lowest)
    negatives, positives = (scores[..., row, :].sum(axis=-1)[..., None] for row in (0, 1))
    return {
        "f": _f(hit, predicted, positives, protocol.beta2),
        "precision": np.where(predicted > 0, hit / np.where(predicted > 0, predicted, 1), 0.0),
        "recall": _ratio(hit, positives),
        "fpr": _ratio(predicted - hit, negatives),
    }


def _mean_curves(means: Features, protocol: Protocol) -> Features:
    """The curves of the whole set."""
    if "f_beta" in protocol.pooled:
        pooled = means["histograms"]
        return _curves(pooled.reshape(*pooled.shape[:-1], 2, 256), protocol)
    if protocol.f_rule == "of_means":
        return means | {"f": _f_of(means["precision"], means["recall"], protocol.beta2)}
    return means


def _pooled(means: Features, protocol: Protocol) -> dict[str, np.ndarray]:
    """Every score that is not the best or the area of a curve, over all pixels together."""
    histograms = means["histograms"]
    scores = histograms.reshape(*histograms.shape[:-1], 2, 256)
    found = {"mae": mae(scores), "iou": iou(scores, protocol), "auc": auc(scores)}
    if "hit" in means:
        positives = scores[..., 1, :].sum(axis=-1)[..., None]
        found["f_beta"] = _f(means["hit"], means["predicted"], positives, protocol.beta2)[..., 0]
    return found


def _own_threshold(scores: np.ndarray, protocol: Protocol) -> np.ndarray | None:
    """The lowest score, int (n, 1), that reaches each image's threshold; None for rules without one."""
    if protocol.f_rule == "fixed":
        return np.full((len(scores), 1), -(-255 * protocol.level // 4))
    if protocol.f_rule == "adaptive":
        counts = scores.sum(axis=1)
        total = counts @ np.arange(256)
        lowest = -(-protocol.level * total // (4 * counts.sum(axis=1)))
        return np.minimum(lowest, 255)[:, None]
    return None


def _reaching(scores: np.ndarray, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive pixels and all pixels whose score is at least `lowest`: (..., 2, 256) -> (..., k) each."""
    negative, hit = (np.cumsum(scores[..., row, ::-1], axis=-1)[..., ::-1] for row in (0, 1))
    if lowest.ndim > 1:
        negative, hit = (np.take_along_axis(counts, lowest, axis=-1) for counts in (negative, hit))
    else:
        negative, hit = negative[..., lowest], hit[..., lowest]
    return hit, hit + negative


def _f(hit: np.ndarray, predicted: np.ndarray, positives: np.ndarray, beta2: float) -> np.ndarray:
    """F_beta = (1 + b2) P R / (b2 P + R) = (1 + b2) TP / (b2 positives + predicted): no 0/0 while the mask
    holds a positive pixel."""
    return _ratio((1 + beta2) * hit, beta2 * positives + predicted, undefined=positives == 0)


def _f_of(precision: np.ndarray, recall: np.ndarray, beta2: float) -> np.ndarray:
    """F_beta of a precision and a recall; 0 where both are 0."""
    below = beta2 * precision + recall
    return np.where(below == 0, 0.0, (1 + beta2) * precision * recall / np.where(below == 0, 1, below))


def _ratio(top: np.ndarray, bottom: np.ndarray, undefined: np.ndarray | None = None) -> np.ndarray:
    """top / bottom, NaN where `undefined` (by default where bottom is 0)."""
    undefined = bottom == 0 if undefined is None else undefined
    return np.where(undefined, np.nan, top / np.where(bottom == 0, 1, bottom))
