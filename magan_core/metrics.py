"""Every number of the paper's tables, computed from two histograms an image.

A map is 8-bit, so the 256-bin histograms of its values over the out-of-focus and over the in-focus pixels of
the mask hold all that F-measure, IoU, ROC, AUC and MAE can ask for, at any threshold, exactly. `histograms`
counts pixels once; everything else is arithmetic on a *statistics* array, int64 (n, 2, 256): one entry an
image, row 0 the out-of-focus pixels, row 1 the in-focus pixels, 256 bins over the map value (0 = out of
focus, 255 = in focus). Statistics of parts of an image add up to those of the whole.

A `Protocol` says what is made of them (paper, section IV-B). In `paper` the positive class is *blurred*, so
that a pixel of map value v scores (255 - v) / 255.

Undefined ratios: where nothing is predicted positive, precision is 0, and F is 0. In a mask of one class
only, recall or the false positive rate has no denominator: what depends on it is NaN, and stays NaN in the
mean over images (`evaluation.evaluate` refuses such a mask by name before it gets that far).
"""

from dataclasses import dataclass

import numpy as np

from magan_core.errors import MaganError, nearest

BLURRED, FOCUS = 0, 1  # the rows of the statistics
SCORES = ("f_beta", "mae", "iou", "auc", "auf_beta")


@dataclass(frozen=True)
class Protocol:
    """The choices that turn statistics into scores; the thresholds are 0, 1/steps, ..., 1.

    positive: "blurred" or "focus", the class whose pixels are to be found. beta2: beta squared.
    iou_at: the threshold of the IoU, counted in steps. F is averaged over images at each threshold.
    """

    name: str
    positive: str
    beta2: float
    steps: int
    iou_at: int


PROTOCOLS = {"paper": Protocol("paper", positive="blurred", beta2=0.3, steps=100, iou_at=50)}


def get_protocol(name: str) -> Protocol:
    """The protocol of this name; MaganError with the nearest valid name if there is none."""
    nearest(name, PROTOCOLS, "protocol")
    return PROTOCOLS[name]


def histograms(focus_map: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Counts of the map values over the two classes of the mask.

    focus_map: uint8 (H, W), 255 = in focus. mask: uint8 (H, W), 0 = out of focus, 255 = in focus, nothing
    between. Returns int64 (2, 256): row 0 over out-of-focus pixels, row 1 over in-focus pixels. MaganError
    for other input.
    """
    for what, array in (("map", focus_map), ("mask", mask)):
        if array.dtype != np.uint8 or array.ndim != 2:
            raise MaganError(f"the {what} is {array.dtype} {array.shape}; expected uint8 (height, width)")
    if focus_map.shape != mask.shape:
        raise MaganError(f"the map is {_size(focus_map)} pixels and its mask {_size(mask)}; they must agree")
    in_focus = mask == 255
    if not np.all(in_focus | (mask == 0)):
        raise MaganError("the mask holds values other than 0 and 255; cut it at 128 first")
    both = np.bincount(focus_map.ravel(), minlength=256)
    focus = np.bincount(focus_map[in_focus], minlength=256)
    return np.stack([both - focus, focus]).astype(np.int64)


def f_beta(statistics: np.ndarray, protocol: Protocol) -> np.ndarray:
    """F_beta of each image at each threshold, float64 (n, steps + 1), in 0..1.

    (1 + b2) P R / (b2 P + R) with P = TP / predicted and R = TP / positives, which is
    (1 + b2) TP / (b2 positives + predicted): no 0/0 as long as the mask holds a positive pixel.
    """
    hit, false, positives, _ = _counts(statistics, protocol)
    return _ratio(
        (1 + protocol.beta2) * hit, protocol.beta2 * positives + hit + false, undefined=positives == 0
    )


def curves(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """Mean over images at each threshold, as in Figure 7: PR, F_beta and ROC curves.

    Returns float64 arrays of steps + 1 entries: threshold, precision, recall, f_beta, tpr, fpr (tpr is
    recall).
    """
    hit, false, positives, negatives = _counts(statistics, protocol)
    predicted = hit + false
    recall = _ratio(hit, positives).mean(axis=0)
    return {
        "threshold": np.arange(protocol.steps + 1) / protocol.steps,
        "precision": np.where(predicted > 0, hit / np.maximum(predicted, 1), 0.0).mean(axis=0),
        "recall": recall,
        "f_beta": f_beta(statistics, protocol).mean(axis=0),
        "tpr": recall,
        "fpr": _ratio(false, negatives).mean(axis=0),
    }


def mae(statistics: np.ndarray) -> np.ndarray:
    """Mean absolute error of each image, float64 (n,), the same for either positive class."""
    level = np.arange(256)
    error = statistics[:, BLURRED] @ level + statistics[:, FOCUS] @ (255 - level)
    return error / (255 * statistics.sum(axis=(1, 2)))


def iou(statistics: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Intersection over union of prediction and positive class at `iou_at`, of each image, float64 (n,)."""
    hit, false, positives, _ = _counts(statistics, protocol)
    at = protocol.iou_at
    return _ratio(hit[:, at], positives[:, 0] + false[:, at], undefined=positives[:, 0] == 0)


def auc(statistics: np.ndarray) -> np.ndarray:
    """Area under the ROC curve of each image over 256 levels, float64 (n,); ties count one half (trapezoid).

    The chance that an in-focus pixel has a larger map value than an out-of-focus one; the same for either
    positive class. NaN where the mask is of one class only.
    """
    blurred, focus = statistics[:, BLURRED], statistics[:, FOCUS]
    below = np.cumsum(blurred, axis=1) - blurred
    twice = (focus * (2 * below + blurred)).sum(axis=1)
    return _ratio(twice, 2 * blurred.sum(axis=1) * focus.sum(axis=1))


def area(curve: np.ndarray) -> np.ndarray:
    """Area under curves sampled evenly over thresholds 0..1 (trapezoid), over the last axis."""
    return np.trapezoid(curve, dx=1 / (curve.shape[-1] - 1), axis=-1)


def per_image(statistics: np.ndarray, protocol: Protocol) -> dict[str, np.ndarray]:
    """The scores of each image, float64 (n,) each; the mean of each is the entry of `summary`.

    So `f_beta` is F at the one threshold that is best for the whole set, not at the image's own best.
    """
    f = f_beta(statistics, protocol)
    return {
        "f_beta": f[:, f.mean(axis=0).argmax()],
        "mae": mae(statistics),
        "iou": iou(statistics, protocol),
        "auc": auc(statistics),
        "auf_beta": area(f),
    }


def summary(statistics: np.ndarray, protocol: Protocol) -> dict[str, float]:
    """The scores of a set of images, in 0..1: a row of the paper's tables.

    f_beta: maximum of the mean F curve. auf_beta: area under it (section IV-B). mae, iou, auc: mean over
    images.
    """
    if len(statistics) == 0:
        raise MaganError("there is no image to score")
    return {name: float(values.mean()) for name, values in per_image(statistics, protocol).items()}


def value_histogram(statistics: np.ndarray) -> np.ndarray:
    """Mean number of pixels an image at each of the 256 map values (Figure 10), float64 (256,)."""
    return statistics.sum(axis=1).mean(axis=0)


def _counts(
    statistics: np.ndarray, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """True and false positives int64 (n, steps + 1), and positive and negative pixels int64 (n, 1).

    A score of s / 255 reaches k / steps where s * steps >= 255 * k: integers, so that no rounding moves a
    threshold.
    """
    if protocol.positive == "blurred":
        positive, negative = statistics[:, BLURRED, ::-1], statistics[:, FOCUS, ::-1]
    else:
        positive, negative = statistics[:, FOCUS], statistics[:, BLURRED]
    step = np.arange(protocol.steps + 1)
    lowest = -(-255 * step // protocol.steps)  # the smallest s that reaches the threshold: rounded up
    hit = np.cumsum(positive[:, ::-1], axis=1)[:, ::-1]
    false = np.cumsum(negative[:, ::-1], axis=1)[:, ::-1]
    return hit[:, lowest], false[:, lowest], hit[:, :1], false[:, :1]


def _ratio(top: np.ndarray, bottom: np.ndarray, undefined: np.ndarray | None = None) -> np.ndarray:
    """top / bottom, NaN where `undefined` (by default where bottom is 0)."""
    undefined = bottom == 0 if undefined is None else undefined
    return np.where(undefined, np.nan, top / np.where(bottom == 0, 1, bottom))


def _size(array: np.ndarray) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
