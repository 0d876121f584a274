"""Every protocol straight from the definitions: pixel by pixel, threshold by threshold, in exact fractions.

Written from the docstring of `Protocol`, without histograms. A pixel is (score, truth), an image a list of
pixels.
"""

from fractions import Fraction
from itertools import pairwise
from math import isnan, nan

import numpy as np

from magan_core.metrics import Protocol

Image = list[tuple[Fraction, bool]]


def pixels(focus_map: np.ndarray, mask: np.ndarray, protocol: Protocol) -> Image:
    image = []
    for value, truth in zip(focus_map.ravel().tolist(), mask.ravel().tolist(), strict=True):
        if protocol.positive == "focus":
            image.append((Fraction(value, 255), truth == 255))
        else:
            image.append((Fraction(255 - value, 255), truth == 0))
    lowest = min(score for score, _ in image)
    highest = max(score for score, _ in image)
    if protocol.scaling == "max" and highest > 0:
        return [(score / highest, truth) for score, truth in image]
    if protocol.scaling == "minmax" and highest > lowest:
        return [((score - lowest) / (highest - lowest), truth) for score, truth in image]
    return image


def confusion(image: Image, threshold: Fraction) -> tuple[int, int, int]:
    """True positives, false positives, false negatives."""
    reached = [truth for score, truth in image if score >= threshold]
    hit = reached.count(True)
    return hit, reached.count(False), sum(truth for _, truth in image) - hit


def precision(hit: int, false: int, missed: int):
    return Fraction(hit, hit + false) if hit + false else Fraction(0)


def recall(hit: int, false: int, missed: int):
    return Fraction(hit, hit + missed) if hit + missed else nan


def f_of(p, r, protocol: Protocol):
    beta2 = Fraction(str(protocol.beta2))
    if isnan(r):
        return nan
    return (1 + beta2) * p * r / (beta2 * p + r) if p + r else Fraction(0)


def f(counts: tuple[int, int, int], protocol: Protocol):
    return f_of(precision(*counts), recall(*counts), protocol)


def iou(image: Image, protocol: Protocol):
    hit, false, missed = confusion(image, Fraction(protocol.iou_at, 4))
    return Fraction(hit, hit + false + missed) if hit + missed else nan


def mae(image: Image):
    return sum(abs(score - truth) for score, truth in image) / len(image)


def auc(image: Image):
    positive = [score for score, truth in image if truth]
    negative = [score for score, truth in image if not truth]
    won = sum(Fraction(2 * (p > q) + (p == q), 2) for p in positive for q in negative)
    return won / (len(positive) * len(negative)) if positive and negative else nan


def mean(values):
    return sum(values) / len(values)


def largest(curve):
    return nan if any(isnan(value) for value in curve) else max(curve)


def area(curve):
    return sum((left + right) / 2 for left, right in pairwise(curve)) / (len(curve) - 1)


def own_threshold(image: Image, protocol: Protocol) -> Fraction:
    """The one threshold of the rules fixed and adaptive."""
    if protocol.f_rule == "fixed":
        return Fraction(protocol.level, 4)
    return min(Fraction(protocol.level, 4) * mean([score for score, _ in image]), Fraction(1))


def slow_curves(pairs: list, protocol: Protocol) -> dict[str, list]:
    images = [pixels(*pair, protocol) for pair in pairs]
    if "f_beta" in protocol.pooled:
        images = [[pixel for image in images for pixel in image]]
    found = {"threshold": [], "precision": [], "recall": [], "f_beta": [], "fpr": []}
    for k in range(protocol.steps + 1):
        threshold = Fraction(k, protocol.steps)
        counts = [confusion(image, threshold) for image in images]
        p, r = mean([precision(*one) for one in counts]), mean([recall(*one) for one in counts])
        negatives = [sum(1 for _, truth in image if not truth) for image in images]
        rates = [
            Fraction(false, all_) if all_ else nan
            for (_, false, _), all_ in zip(counts, negatives, strict=True)
        ]
        of_means = protocol.f_rule == "of_means"
        found["threshold"].append(threshold)
        found["precision"].append(p)
        found["recall"].append(r)
        found["fpr"].append(mean(rates))
        found["f_beta"].append(
            f_of(p, r, protocol) if of_means else mean([f(one, protocol) for one in counts])
        )
    return found | {"tpr": found["recall"]}


def slow_summary(pairs: list, protocol: Protocol) -> dict[str, float]:
    images = [pixels(*pair, protocol) for pair in pairs]
    together = [pixel for image in images for pixel in image]
    curve = slow_curves(pairs, protocol)["f_beta"]
    if protocol.f_rule in ("best", "of_means"):
        f_beta = largest(curve)
    elif protocol.f_rule == "best_each":
        f_beta = mean([largest(slow_curves([pair], protocol)["f_beta"]) for pair in pairs])
    else:
        counts = [confusion(image, own_threshold(image, protocol)) for image in images]
        if "f_beta" in protocol.pooled:
            f_beta = f(tuple(sum(one) for one in zip(*counts, strict=True)), protocol)
        else:
            f_beta = mean([f(one, protocol) for one in counts])
    found = {"f_beta": f_beta, "auf_beta": area(curve)}
    for name, score in {"mae": mae, "iou": lambda image: iou(image, protocol), "auc": auc}.items():
        found[name] = score(together) if name in protocol.pooled else mean([score(image) for image in images])
    return {name: float(value) for name, value in found.items()}
