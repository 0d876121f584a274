"""scores.py against scikit-learn, at its undefined ratios, and against its symmetries."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_pairs import EDGES, noisy, pairs, sets, statistics
from sklearn.metrics import (
    auc,
    fbeta_score,
    jaccard_score,
    mean_absolute_error,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.metrics.protocols import POSITIVES

PAPER = metrics.PROTOCOLS["paper"]
POOLED = metrics.PROTOCOLS["pooled"]
NAMED = list(metrics.PROTOCOLS.values())
any_protocol = st.sampled_from(NAMED)
WHOLE_SETS = [protocol for protocol in NAMED if protocol.pooled == metrics.SCORES]


def other_class(protocol: metrics.Protocol) -> metrics.Protocol:
    return replace(protocol, positive="focus" if protocol.positive == "blurred" else "blurred")


def for_sklearn(pair, positive: str) -> tuple[np.ndarray, np.ndarray]:
    """Truth (bool) and scores 0..255 (int) of the pixels of one image."""
    focus_map, mask = (array.ravel().astype(int) for array in pair)
    return (mask == 255, focus_map) if positive == "focus" else (mask == 0, 255 - focus_map)


LIKE_SKLEARN = {
    "noisy": noisy(1),
    "few levels": noisy(2, levels=4),
    "wide": noisy(3, (3, 80)),
    **{
        name: EDGES[name]
        for name in ("perfect", "inverted", "constant, dark", "one pixel in focus", "fifths")
    },
}


@pytest.mark.parametrize("positive", POSITIVES)
@pytest.mark.parametrize("which", LIKE_SKLEARN)
def test_scores_of_an_image_agree_with_scikit_learn(which, positive):
    truth, score = for_sklearn(LIKE_SKLEARN[which], positive)
    stats = statistics(LIKE_SKLEARN[which])
    for quarters in range(5):
        protocol = replace(PAPER, positive=positive, f_rule="fixed", level=quarters, iou_at=quarters)
        found = metrics.summary(stats, protocol)
        predicted = 4 * score >= 255 * quarters
        expected = {
            "f_beta": fbeta_score(truth, predicted, beta=0.3**0.5, zero_division=0.0),
            "iou": jaccard_score(truth, predicted),
            "mae": mean_absolute_error(truth, score / 255),
            "auc": roc_auc_score(truth, score),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("positive", POSITIVES)
@pytest.mark.parametrize("which", LIKE_SKLEARN)
def test_curves_of_an_image_agree_with_scikit_learn(which, positive):
    truth, score = for_sklearn(LIKE_SKLEARN[which], positive)
    found = metrics.curves(statistics(LIKE_SKLEARN[which]), replace(PAPER, positive=positive))
    for step in range(0, 101, 5):
        predicted = score * 100 >= 255 * step
        expected = {
            "precision": precision_score(truth, predicted, zero_division=0.0),
            "recall": recall_score(truth, predicted),
            "f_beta": fbeta_score(truth, predicted, beta=0.3**0.5, zero_division=0.0),
        }
        assert {name: found[name][step] for name in expected} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("positive", POSITIVES)
@pytest.mark.parametrize("which", LIKE_SKLEARN)
def test_roc_agrees_with_scikit_learn(which, positive):
    """At 255 steps every level of the map is a threshold, so that the area is that under their curve."""
    truth, score = for_sklearn(LIKE_SKLEARN[which], positive)
    fpr, tpr, thresholds = roc_curve(truth, score, drop_intermediate=False)
    found = metrics.curves(statistics(LIKE_SKLEARN[which]), replace(PAPER, positive=positive, steps=255))
    for level in range(256):
        reached = np.flatnonzero(thresholds >= level)[-1]
        assert found["fpr"][level] == pytest.approx(fpr[reached], abs=1e-12)
        assert found["tpr"][level] == pytest.approx(tpr[reached], abs=1e-12)
    assert auc(np.append(found["fpr"], 0), np.append(found["tpr"], 0)) == pytest.approx(auc(fpr, tpr))


@pytest.mark.parametrize("positive", POSITIVES)
def test_pooled_scores_agree_with_scikit_learn_on_all_pixels(positive):
    images = [noisy(1, (5, 6)), noisy(2, (20, 30)), noisy(3, (3, 3), levels=8)]
    truth, score = (
        np.concatenate(part) for part in zip(*[for_sklearn(one, positive) for one in images], strict=True)
    )
    found = metrics.summary(statistics(*images), replace(POOLED, positive=positive))
    f = [fbeta_score(truth, score >= level, beta=0.3**0.5, zero_division=0.0) for level in range(256)]
    assert found == pytest.approx(
        {
            "f_beta": max(f),
            "mae": mean_absolute_error(truth, score / 255),
            "iou": jaccard_score(truth, score >= 128),
            "auc": roc_auc_score(truth, score),
            "auf_beta": auc(np.linspace(0, 1, 256), f),
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("steps", [1, 3, 10, 100, 255, 1000])
def test_thresholds_are_exact_where_floats_are_not(steps):
    """(255 - v) / 255 >= k / steps for every pair, in fractions; 51 = 255 / 5 meets 0.2."""
    stats = statistics(*[(np.array([[v, 0]], np.uint8), np.array([[0, 255]], np.uint8)) for v in range(256)])
    protocol = replace(PAPER, steps=steps)
    for v in range(256):
        recall = metrics.curves(stats[v : v + 1], protocol)["recall"]
        reached = [Fraction(255 - v, 255) >= Fraction(k, steps) for k in range(steps + 1)]
        assert recall.tolist() == reached


def test_scaling_rounds_nothing():
    """Scores 10, 41, 73 stretch to 0, 31/63, 1: 31/63 lies below one half, and the MAE knows its thirds."""
    pair = np.array([[10, 41, 73]], np.uint8), np.array([[0, 255, 255]], np.uint8)
    found = metrics.summary(statistics(pair), replace(PAPER, positive="focus", scaling="minmax"))
    assert found["iou"] == 0.5
    assert found["mae"] == pytest.approx(32 / 63 / 3, abs=1e-15)


@pytest.mark.parametrize("positive", POSITIVES)
@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_a_perfect_map_has_perfect_scores(protocol, positive):
    """But for the area: at threshold 0 everything is predicted, so half a step of 1 - F(0) is missing."""
    _, mask = EDGES["perfect"]
    found = metrics.summary(statistics((mask, mask)), replace(protocol, positive=positive))
    share = np.mean(mask == (255 if positive == "focus" else 0))
    all_positive = 1.3 * share / (0.3 * share + 1)
    assert found == pytest.approx(
        {"f_beta": 1, "mae": 0, "iou": 1, "auc": 1, "auf_beta": 1 - (1 - all_positive) / 2 / protocol.steps}
    )


def test_an_inverted_map_finds_something_at_threshold_0_only():
    focus_map, mask = EDGES["inverted"]
    share = np.mean(mask == 0)
    all_positive = 1.3 * share / (0.3 * share + 1)
    found = metrics.summary(statistics((focus_map, mask)), PAPER)
    assert found == pytest.approx(
        {"f_beta": all_positive, "mae": 1, "iou": 0, "auc": 0, "auf_beta": all_positive / 200}
    )
    assert metrics.summary(statistics((focus_map, mask)), metrics.PROTOCOLS["paper-fixed"])["f_beta"] == 0


@pytest.mark.parametrize("value", [0, 100, 127, 128, 200, 255])
def test_a_constant_map_is_a_coin(value):
    _, mask = noisy(1)
    blurred = np.mean(mask == 0)
    found = metrics.summary(statistics((np.full_like(mask, value), mask)), PAPER)
    assert found["auc"] == 0.5
    assert found["f_beta"] == pytest.approx(1.3 * blurred / (0.3 * blurred + 1))
    assert found["iou"] == pytest.approx(blurred if value < 128 else 0)
    assert found["mae"] == pytest.approx(blurred * value / 255 + (1 - blurred) * (1 - value / 255))


def test_nothing_predicted_gives_zero_precision_and_zero_f():
    _, mask = noisy(2)
    stats = statistics((np.full_like(mask, 255), mask))
    curves = metrics.curves(stats, PAPER)
    for name in ("precision", "recall", "f_beta", "tpr", "fpr"):
        assert curves[name][0] > 0
        assert np.all(curves[name][1:] == 0)
    for rule in ("fixed", "adaptive"):
        found = metrics.summary(stats, replace(PAPER, f_rule=rule, level=3))
        assert found["iou"] == 0
        # 0.75 x a mean of 0 is reached by every pixel; 0.75 by none
        assert found["f_beta"] == (0 if rule == "fixed" else pytest.approx(curves["f_beta"][0]))


@pytest.mark.parametrize("scaling", ["none", "max", "minmax"])
@pytest.mark.parametrize("positive", POSITIVES)
@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_one_class_gives_nan_where_there_is_no_denominator(value, positive, scaling):
    stats = statistics((noisy(3)[0], np.full((17, 23), value, np.uint8)))
    protocol = replace(PAPER, positive=positive, scaling=scaling)
    has_positives = (positive == "focus") == (value == 255)
    finite = {"mae": True, "auc": False, **dict.fromkeys(("f_beta", "iou", "auf_beta"), has_positives)}
    for found in (metrics.summary(stats, protocol), metrics.per_image(stats, protocol)):
        assert {name: bool(np.all(np.isfinite(found[name]))) for name in metrics.SCORES} == finite
    curves = metrics.curves(stats, protocol)
    assert np.isfinite(curves["precision"]).all()
    for name in ("recall", "tpr", "f_beta"):
        assert np.isfinite(curves[name]).all() == has_positives
        assert np.isnan(curves[name]).all() != has_positives
    assert np.isnan(curves["fpr"]).all() == has_positives


def test_no_image_is_refused():
    none = np.zeros((0, 2, 256), np.int64)
    for score in (metrics.summary, metrics.per_image, metrics.curves):
        for protocol in (PAPER, POOLED):
            with pytest.raises(MaganError, match="there is no image to score"):
                score(none, protocol)


def test_no_number_of_pixels_overflows():
    stats = np.zeros((1, 2, 256), np.int64)
    stats[0, :, 0], stats[0, :, 255] = (10**9, 2 * 10**9), (10**9, 2 * 10**9)
    for protocol in (PAPER, POOLED, metrics.PROTOCOLS["sg"]):
        found = metrics.summary(stats, protocol)
        assert (found["auc"], found["mae"]) == (0.5, 0.5)
        assert found["iou"] == pytest.approx(0.25 if protocol.positive == "blurred" else 0.4)


def test_sets_larger_than_a_block_are_scored_as_one():
    images = [noisy(seed, (3, 4)) for seed in range(5)]
    stats = np.repeat(statistics(*images), 80, axis=0)
    for protocol in NAMED:
        found, expected = metrics.per_image(stats, protocol), metrics.per_image(stats[::80], protocol)
        for name in metrics.SCORES:
            assert found[name] == pytest.approx(np.repeat(expected[name], 80), abs=1e-12)


@given(sets, any_protocol)
def test_rates_fall_with_the_threshold_and_stay_in_range(images, protocol):
    curves = metrics.curves(statistics(*images), protocol)
    for name in ("recall", "tpr", "fpr"):
        assert np.all(np.diff(curves[name]) <= 1e-15)
        assert curves[name][0] == pytest.approx(1, abs=1e-15)
    for values in curves.values():
        assert values.shape == (protocol.steps + 1,)
        assert np.all((values >= 0) & (values <= 1 + 1e-12))


@given(sets, any_protocol)
def test_scores_lie_between_0_and_1(images, protocol):
    for value in metrics.summary(statistics(*images), protocol).values():
        assert 0 <= value <= 1 + 1e-12


@given(sets, any_protocol)
def test_flipping_map_mask_and_positive_class_changes_nothing(images, protocol):
    here = statistics(*images)
    there = statistics(*[(255 - focus_map, 255 - mask) for focus_map, mask in images])
    other = other_class(protocol)
    assert metrics.summary(there, other) == pytest.approx(metrics.summary(here, protocol), abs=1e-12)
    curves = metrics.curves(there, other)
    for name, values in metrics.curves(here, protocol).items():
        assert curves[name] == pytest.approx(values, abs=1e-12)


@given(pairs(), st.sampled_from(["paper", "paper-focus", "pooled"]))
def test_inverting_the_map_alone_mirrors_auc_and_mae(pair, name):
    protocol = metrics.PROTOCOLS[name]
    here = metrics.summary(statistics(pair), protocol)
    there = metrics.summary(statistics((255 - pair[0], pair[1])), protocol)
    assert there["auc"] == pytest.approx(1 - here["auc"], abs=1e-12)
    assert there["mae"] == pytest.approx(1 - here["mae"], abs=1e-12)


@given(pairs(), any_protocol)
def test_auc_does_not_see_the_other_class_nor_the_scaling(pair, protocol):
    stats = statistics(pair)
    expected = metrics.summary(stats, PAPER)["auc"]
    assert metrics.summary(stats, protocol)["auc"] == pytest.approx(expected, abs=1e-12)
    assert metrics.summary(stats, other_class(protocol))["auc"] == pytest.approx(expected, abs=1e-12)


@given(sets, st.sampled_from(WHOLE_SETS))
def test_pooled_scores_are_those_of_the_merged_image(images, protocol):
    merged = tuple(np.concatenate([one[part].ravel() for one in images])[None] for part in (0, 1))
    found = metrics.summary(statistics(*images), protocol)
    assert found == pytest.approx(metrics.summary(statistics(merged), protocol), abs=1e-12)
    alone = replace(protocol, pooled=())
    assert found == pytest.approx(metrics.summary(statistics(merged), alone), abs=1e-12)


@given(sets, any_protocol, st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_of_the_images_matters(images, protocol, random):
    expected = metrics.summary(statistics(*images), protocol)
    shuffled = images * 2
    random.shuffle(shuffled)
    assert metrics.summary(statistics(*shuffled), protocol) == pytest.approx(expected, abs=1e-12)


@given(sets, any_protocol)
def test_scores_of_the_set_are_means_over_images(images, protocol):
    stats = statistics(*images)
    found, each = metrics.summary(stats, protocol), metrics.per_image(stats, protocol)
    for name in metrics.SCORES:
        of_set = name in protocol.pooled or (protocol.f_rule == "of_means" and name in ("f_beta", "auf_beta"))
        assert each[name].shape == (len(images),)
        if not of_set:
            assert found[name] == pytest.approx(each[name].mean(), abs=1e-12), name


@given(sets, any_protocol)
def test_the_summary_is_read_off_the_curve(images, protocol):
    stats = statistics(*images)
    found, curves = metrics.summary(stats, protocol), metrics.curves(stats, protocol)
    assert found["auf_beta"] == pytest.approx(auc(curves["threshold"], curves["f_beta"]), abs=1e-12)
    if protocol.f_rule in ("best", "of_means"):
        assert found["f_beta"] == pytest.approx(curves["f_beta"].max(), abs=1e-12)


@given(sets, st.sampled_from(POSITIVES), st.sampled_from(["none", "max", "minmax"]))
def test_the_freer_the_threshold_the_larger_is_f(images, positive, scaling):
    """each image's best >= the best for all >= any fixed one; each best >= any adaptive one; best >= area."""
    stats = statistics(*images)
    base = replace(PAPER, positive=positive, scaling=scaling, steps=255 if scaling == "none" else 4 * 255)
    rules = {rule: metrics.summary(stats, replace(base, f_rule=rule)) for rule in ("best", "best_each")}
    best, each = rules["best"]["f_beta"], rules["best_each"]["f_beta"]
    assert each >= best - 1e-12
    assert best >= rules["best"]["auf_beta"] - 1e-12
    for level in range(5):
        fixed = replace(base, f_rule="fixed", level=level)
        assert metrics.summary(stats, fixed)["f_beta"] <= best + 1e-12
        adaptive = replace(base, f_rule="adaptive", level=2 * level)
        assert metrics.summary(stats, adaptive)["f_beta"] <= each + 1e-12


@given(pairs(), st.sampled_from(POSITIVES), st.integers(0, 4))
def test_f_of_beta_1_and_iou_know_each_other(pair, positive, level):
    """F_1 = 2 IoU / (1 + IoU) at one threshold, on one image."""
    protocol = replace(PAPER, positive=positive, beta2=1.0, f_rule="fixed", level=level, iou_at=level)
    found = metrics.summary(statistics(pair), protocol)
    assert found["f_beta"] == pytest.approx(2 * found["iou"] / (1 + found["iou"]), abs=1e-12)
