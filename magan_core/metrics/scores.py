"""Scores and curves of a set of maps under a protocol (paper, section IV-B).

Every score is a function of means over images of per-image quantities: `features` gives those quantities,
`reduce` makes scores of their means. Resampled means therefore give resampled scores (`uncertainty`).

Statistics of 16-bit maps have 65536 levels instead of 256; 8-bit maps have the same scores with either.

Undefined ratios: where nothing is predicted positive, precision is 0, and F is 0. Where the mask holds no
positive pixel, recall, F and IoU are NaN; where it holds no negative one, the false positive rate is; AUC is
NaN in either case. A mean over images that meets a NaN is NaN; pixels pooled over images do not meet it
unless all masks together lack the class (`evaluation.evaluate` refuses a mask of one class by name).
"""

import numpy as np

from magan_core.errors import MaganError
from magan_core.metrics.protocols import SCORES, Protocol

Features = dict[str, np.ndarray]
Span = tuple[np.ndarray, np.ndarray]  # the scores that stand for 0 and for 1
# Levels of images at a time, so that temporary arrays stay small: half the time of all at once.
BLOCK = 1 << 15


def summary(statistics: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The scores of a set of images, in 0..1: a row of the paper's tables. statistics: int (n, 2, 256).

    MaganError if there is no image.
    """
    means = {name: values.mean(axis=0) for name, values in features(statistics, protocol).items()}
    return {name: float(value) for name, value in reduce(means, protocol).items()}


def curves(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """PR, F_beta and ROC curves of a set of images, as in Figure 7.

    Returns float64 arrays of steps + 1 entries: threshold, precision, recall, f_beta, tpr, fpr (tpr is
    recall). Means over images, or of all pixels where the protocol pools F. MaganError if there is no image.
    """
    if "f_beta" in protocol.pooled and len(statistics) > 0:
        statistics = statistics.sum(axis=0, keepdims=True)
    sums = [_curves(block, protocol).sum(axis=1) for block in _blocks(statistics)]
    precision, recall, fpr, f = sum(sums) / len(statistics)
    if protocol.f_rule == "of_means":
        f = _f_of(precision, recall, protocol.beta2)
    return {
        "threshold": np.arange(protocol.steps + 1) / protocol.steps,
        "precision": precision,
        "recall": recall,
        "f_beta": f,
        "tpr": recall,
        "fpr": fpr,
    }


def per_image(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """The scores of each image, float64 (n,) each. Their mean is the entry of `summary`, except for scores
    that the protocol pools, and for f_beta and auf_beta of the rule of_means.

    f_beta is F at the protocol's threshold: with the rules best and of_means the one threshold that is best
    for the whole set. MaganError if there is no image.
    """
    found = features(statistics, protocol)
    if "f_at" in found:
        chosen = found["f_at"][:, 0]
    else:
        means = {name: values.mean(axis=0) for name, values in found.items()}
        chosen = found["f"][:, _set_curve(means, protocol).argmax()]
    single = {name: found[name][:, 0] for name in ("mae", "iou", "auc")}
    return {"f_beta": chosen, **single, "auf_beta": area(found["f"])}


def features(statistics: np.ndarray, protocol: Protocol) -> Features:
    """Per-image quantities, float64 (n, k) each, whose means over images `reduce` turns into scores.

    f: the F curve. precision, recall: their curves, for the rule of_means. f_at: F at the image's threshold,
    for the rules fixed, adaptive, best_each. mae, iou, auc. If anything is pooled: histograms (k = 512, or
    131072), and hit and predicted at the image's own threshold. MaganError if there is no image.
    """
    blocks = [_features(block, protocol) for block in _blocks(statistics)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def reduce(means: Features, protocol: Protocol) -> dict[str, np.ndarray]:
    """Scores from means of `features`: arrays (..., k) in, arrays (...) out, in the order of SCORES."""
    curve = _set_curve(means, protocol)
    found = {name: means[name][..., 0] for name in ("mae", "iou", "auc")}
    found["f_beta"] = means["f_at"][..., 0] if "f_at" in means else curve.max(axis=-1)
    found["auf_beta"] = area(curve)
    if protocol.pooled:
        found |= _pooled(means, protocol)
    return {name: found[name] for name in SCORES}


def oriented(statistics: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Statistics over scores of the positive class, (n, 2, 256): row 0 negative, row 1 positive pixels."""
    return statistics[:, ::-1, ::-1] if protocol.positive == "blurred" else statistics


def mae(scores: np.ndarray, span: Span) -> np.ndarray:
    """Mean absolute error of oriented statistics (..., 2, 256) with this span, float64 (...)."""
    low, high = (end[..., 0] for end in span)
    pixels = scores.sum(axis=-1)
    total = scores @ np.arange(scores.shape[-1])
    error = total[..., 0] - low * pixels[..., 0] + high * pixels[..., 1] - total[..., 1]
    return error / ((high - low) * pixels.sum(axis=-1))


def iou(above: np.ndarray, lowest: np.ndarray) -> np.ndarray:
    """Intersection over union of the positive class and the pixels that reach a threshold, float64 (...)."""
    hit, predicted = (count[..., 0] for count in _reaching(above, lowest))
    positives = above[..., 1, 0]
    return _ratio(hit, positives + predicted - hit, positives > 0)


def auc(scores: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Area under the ROC curve over all levels of oriented statistics, float64 (...); ties count one half.

    The chance that a positive pixel has a larger score than a negative one. NaN where one class is missing.
    """
    negatives, positives = above[..., 0, 0], above[..., 1, 0]
    below_twice = 2 * (negatives[..., None] - above[..., 0, :]) + scores[..., 0, :]
    won_twice = np.multiply(scores[..., 1, :], below_twice, dtype=float).sum(axis=-1)  # int64 may overflow
    return _ratio(won_twice, 2.0 * negatives * positives, (negatives > 0) & (positives > 0))


def area(curve: np.ndarray) -> np.ndarray:
    """Area under curves sampled evenly over thresholds 0..1 (trapezoid), over the last axis."""
    return np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1)


def _blocks(statistics: np.ndarray) -> list[np.ndarray]:
    if len(statistics) == 0:
        raise MaganError("there is no image to score; expected statistics of at least one")
    images = max(1, BLOCK // statistics.shape[-1])
    return [statistics[start : start + images] for start in range(0, len(statistics), images)]


def _curves(statistics: np.ndarray, protocol: Protocol) -> np.ndarray:
    """precision, recall, fpr, f of each image at each threshold, float64 (4, n, steps + 1)."""
    scores = oriented(statistics, protocol)
    above = _at_least(scores)
    hit, predicted = _reaching(above, _grid(protocol, _span(scores, protocol)))
    negatives, positives = above[:, 0, :1], above[:, 1, :1]
    return np.stack(
        [
            _precision(hit, predicted),
            _ratio(hit, positives, positives > 0),
            _ratio(predicted - hit, negatives, negatives > 0),
            _f(hit, predicted, positives, protocol.beta2),
        ]
    )


def _features(statistics: np.ndarray, protocol: Protocol) -> Features:
    scores = oriented(statistics, protocol)
    span, above = _span(scores, protocol), _at_least(scores)
    positives = above[:, 1, :1]
    hit, predicted = _reaching(above, _grid(protocol, span))
    found = {
        "f": _f(hit, predicted, positives, protocol.beta2),
        "mae": mae(scores, span)[:, None],
        "iou": iou(above, _lowest(protocol.iou_at, 4, span))[:, None],
        "auc": auc(scores, above)[:, None],
    }
    if protocol.f_rule == "of_means":
        found["precision"] = _precision(hit, predicted)
        found["recall"] = _ratio(hit, positives, positives > 0)
    elif protocol.f_rule == "best_each":
        found["f_at"] = found["f"].max(axis=-1, keepdims=True)
    elif protocol.f_rule in ("fixed", "adaptive"):
        hit, predicted = _reaching(above, _own_threshold(scores, protocol, span))
        found["f_at"] = _f(hit, predicted, positives, protocol.beta2)
        if protocol.pooled:
            found |= {"hit": hit.astype(float), "predicted": predicted.astype(float)}
    if protocol.pooled:
        found["histograms"] = scores.reshape(len(scores), -1).astype(float)
    return found


def _span(scores: np.ndarray, protocol: Protocol) -> Span:
    """The scores of each image that stand for 0 and for 1 once it is scaled, int (n, 1) or (1,) each."""
    low, top = whole = _whole(scores)
    if protocol.scaling == "none":
        return whole
    used = scores.any(axis=1)
    high = top - used[:, ::-1].argmax(axis=1, keepdims=True)
    low = used.argmax(axis=1, keepdims=True) if protocol.scaling == "minmax" else np.zeros_like(high)
    flat = low == high
    return np.where(flat, 0, low), np.where(flat, top, high)


def _whole(scores: np.ndarray) -> Span:
    """The span of maps that are not scaled, int (1,) each."""
    return np.array([0]), np.array([scores.shape[-1] - 1])


def _lowest(top: int | np.ndarray, bottom: int, span: Span) -> np.ndarray:
    """The lowest score that reaches top / bottom, in whole numbers: the first with
    (score - low) / (high - low) >= top / bottom."""
    low, high = span
    return low - (-top * (high - low) // bottom)


def _grid(protocol: Protocol, span: Span) -> np.ndarray:
    """The lowest score that reaches each threshold of the curves, int (n, steps + 1) or (steps + 1,)."""
    return _lowest(np.arange(protocol.steps + 1), protocol.steps, span)


def _own_threshold(scores: np.ndarray, protocol: Protocol, span: Span) -> np.ndarray:
    """The lowest score that reaches the threshold of the rules fixed and adaptive, int (n, 1) or (1,)."""
    if protocol.f_rule == "fixed":
        return _lowest(protocol.level, 4, span)
    low, high = span
    counts = scores.sum(axis=1)
    pixels = counts.sum(axis=1, keepdims=True)
    total = (counts @ np.arange(counts.shape[-1]))[:, None] - low * pixels
    return np.minimum(low - (-protocol.level * total // (4 * pixels)), high)


def _at_least(scores: np.ndarray) -> np.ndarray:
    """Pixels whose score is at least 0, 1, ..., of either class: (..., 2, 256)."""
    return np.cumsum(scores[..., ::-1], axis=-1)[..., ::-1]


def _reaching(above: np.ndarray, lowest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positive pixels and all pixels whose score is at least `lowest`: (..., 2, 256) -> (..., k) each."""
    if lowest.ndim > 1:
        chosen = np.take_along_axis(above, lowest[..., None, :], axis=-1)
    else:
        chosen = above[..., lowest]
    hit = chosen[..., 1, :]
    return hit, hit + chosen[..., 0, :]


def _set_curve(means: Features, protocol: Protocol) -> np.ndarray:
    """The F curve of the whole set."""
    if "f_beta" in protocol.pooled:
        above = _at_least(_unfolded(means))
        hit, predicted = _reaching(above, _grid(protocol, _whole(above)))
        return _f(hit, predicted, above[..., 1, :1], protocol.beta2)
    if protocol.f_rule == "of_means":
        return _f_of(means["precision"], means["recall"], protocol.beta2)
    return means["f"]


def _pooled(means: Features, protocol: Protocol) -> dict[str, np.ndarray]:
    """The pooled scores that are not the best or the area of a curve, over all pixels together."""
    scores = _unfolded(means)
    above = _at_least(scores)
    whole = _whole(scores)
    found = {}
    if "mae" in protocol.pooled:
        found["mae"] = mae(scores, whole)
    if "iou" in protocol.pooled:
        found["iou"] = iou(above, _lowest(protocol.iou_at, 4, whole))
    if "auc" in protocol.pooled:
        found["auc"] = auc(scores, above)
    if "f_beta" in protocol.pooled and "hit" in means:
        found["f_beta"] = _f(means["hit"], means["predicted"], above[..., 1, :1], protocol.beta2)[..., 0]
    return found


def _unfolded(means: Features) -> np.ndarray:
    histograms = means["histograms"]
    return histograms.reshape(*histograms.shape[:-1], 2, -1)


def _f(hit: np.ndarray, predicted: np.ndarray, positives: np.ndarray, beta2: float) -> np.ndarray:
    """F_beta = (1 + b2) P R / (b2 P + R) = (1 + b2) TP / (b2 positives + predicted): no 0/0 while the mask
    holds a positive pixel."""
    return _ratio((1 + beta2) * hit, beta2 * positives + predicted, positives > 0)


def _f_of(precision: np.ndarray, recall: np.ndarray, beta2: float) -> np.ndarray:
    """F_beta of a precision and a recall; 0 where both are 0."""
    below = beta2 * precision + recall
    return _ratio((1 + beta2) * precision * recall, below, below != 0, otherwise=0.0)


def _precision(hit: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return _ratio(hit, predicted, predicted > 0, otherwise=0.0)


def _ratio(top: np.ndarray, bottom: np.ndarray, defined: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """top / bottom where `defined`."""
    shape = np.broadcast_shapes(top.shape, bottom.shape)
    return np.divide(top, bottom, out=np.full(shape, otherwise), where=defined)
