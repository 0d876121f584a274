"""protocols.py: every named protocol, and every valid mixture, against the definitions in exact fractions."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_pairs import EDGES, noisy, sets, statistics
from slow_metrics import slow_curves, slow_summary

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.metrics.protocols import F_RULES, POSITIVES, SCALINGS

NAMED = sorted(metrics.PROTOCOLS)
PAPER = metrics.PROTOCOLS["paper"]
SETS = {name: [pair] for name, pair in EDGES.items()} | {
    "sizes that differ": [noisy(1, (2, 3)), noisy(2, (5, 7)), noisy(3, (1, 4), levels=4)],
    "all edges together": list(EDGES.values()),
}
ONE_CLASS = [noisy(1, (3, 4)), (noisy(2, (3, 4))[0], np.full((3, 4), 255, np.uint8))]


def mixtures():
    """Every valid mixture of rule, class, scaling, pooling and a few numbers."""
    poolings = [(), ("mae",), ("iou", "auc"), ("f_beta", "auf_beta"), metrics.SCORES]
    for rule, positive, scaling, pooled in product(F_RULES, POSITIVES, SCALINGS, poolings):
        each = "f_beta" in pooled and rule in ("best_each", "of_means")
        if each or (pooled and scaling != "none"):
            continue
        for beta2, steps, level, iou_at in ((0.3, 20, 2, 2), (1.0, 7, 3, 1), (2.5, 51, 4, 4)):
            yield metrics.Protocol(
                f"{rule} {positive} {scaling} {'+'.join(pooled)} {steps}",
                "these tests",
                positive,
                beta2,
                steps,
                rule,
                level if rule == "fixed" else 2 * level,
                iou_at,
                pooled,
                scaling,
            )


def assert_exact(pairs, protocol):
    found = metrics.summary(statistics(*pairs), protocol)
    assert tuple(found) == metrics.SCORES
    assert found == pytest.approx(slow_summary(pairs, protocol), abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("which", SETS)
def test_named_protocols_are_their_definitions(name, which):
    assert_exact(SETS[which], metrics.PROTOCOLS[name])


@pytest.mark.parametrize("protocol", list(mixtures()), ids=lambda protocol: protocol.name)
def test_mixtures_are_their_definitions(protocol):
    assert_exact([noisy(1, (2, 3)), noisy(2, (3, 5)), noisy(3, (1, 6), levels=4), EDGES["fifths"]], protocol)


@settings(max_examples=100)
@given(sets, st.sampled_from([*metrics.PROTOCOLS.values(), *mixtures()]))
def test_drawn_sets_under_any_protocol_are_the_definitions(pairs, protocol):
    assert_exact(pairs, protocol)


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("which", ["sizes that differ", "one pixel blurred", "nothing in focus", "fifths"])
def test_curves_are_their_definitions(name, which):
    protocol = metrics.PROTOCOLS[name]
    found = metrics.curves(statistics(*SETS[which]), protocol)
    expected = slow_curves(SETS[which], protocol)
    assert list(found) == ["threshold", "precision", "recall", "f_beta", "tpr", "fpr"]
    for column, values in expected.items():
        assert found[column] == pytest.approx(np.array(values, float), abs=1e-12), column


@pytest.mark.parametrize("name", NAMED)
def test_a_mask_of_one_class_gives_nan_where_the_definitions_do(name):
    """... and numbers where the protocol pools the score, as long as both classes are somewhere."""
    protocol = metrics.PROTOCOLS[name]
    for pairs in (ONE_CLASS, ONE_CLASS[1:]):
        assert_exact(pairs, protocol)
    found = metrics.summary(statistics(*ONE_CLASS), protocol)
    for score, value in found.items():
        no_positive = score != "mae" and protocol.positive == "blurred"
        missing = (score == "auc" or no_positive) and score not in protocol.pooled
        assert np.isnan(value) == missing, score


@pytest.mark.parametrize("name", NAMED)
def test_scores_of_images_are_those_of_sets_of_one(name):
    """Under the rules best and of_means f_beta is F at the threshold that is best for the whole set."""
    protocol, pairs = metrics.PROTOCOLS[name], [*SETS["sizes that differ"], EDGES["fifths"]]
    stats = statistics(*pairs)
    found = metrics.per_image(stats, protocol)
    single = replace(protocol, f_rule="best" if protocol.f_rule == "of_means" else protocol.f_rule)
    best = metrics.curves(stats, protocol)["f_beta"].argmax()
    for index, pair in enumerate(pairs):
        expected = slow_summary([pair], single)
        if protocol.f_rule in ("best", "of_means"):
            expected["f_beta"] = float(slow_curves([pair], single)["f_beta"][best])
        assert {score: found[score][index] for score in metrics.SCORES} == pytest.approx(expected, abs=1e-12)


WORDS = {
    "paper": "blurred positive; beta2 0.3; F at the best of 101 thresholds; IoU at 0.5; means over images",
    "d-dffnet": "blurred positive; beta2 0.3; F at 0.5; IoU at 0.5; pooled over pixels: iou",
    "dd": "focus positive; beta2 0.3; F at 1.5 x mean; IoU at 0.5; pooled over pixels: f_beta, auf_beta",
    "sg": "focus positive; beta2 0.3; F at 1.5 x mean; IoU at 0.5; means over images",
    "focus-2x": "focus positive; beta2 0.3; F at 2 x mean; IoU at 0.5; means over images",
    "br2net": "blurred positive; beta2 0.3; F of mean precision and recall at the best of 256 thresholds; "
    "IoU at 0.5; means over images",
    "mldbd": "focus positive; beta2 0.3; F at each image's best of 256 thresholds; IoU at 0.5; means over "
    "images; maps scaled by max",
    "pysodmetrics": "focus positive; beta2 0.3; F at the best of 256 thresholds; IoU at 0.5; means over "
    "images; maps scaled by minmax",
    "pysodmetrics-adaptive": "focus positive; beta2 0.3; F at 2 x mean; IoU at 0.5; means over images; maps "
    "scaled by minmax",
    "pooled": "blurred positive; beta2 0.3; F at the best of 256 thresholds; IoU at 0.5; pooled over pixels: "
    "f_beta, mae, iou, auc, auf_beta",
}
CHANGED = {  # what the variations of `paper` do to its words
    "paper-focus": ("blurred positive", "focus positive"),
    "paper-256": ("101 thresholds", "256 thresholds"),
    "paper-fixed": ("F at the best of 101 thresholds", "F at 0.5"),
    "paper-adaptive": ("F at the best of 101 thresholds", "F at 1.5 x mean"),
    "paper-each": ("the best", "each image's best"),
    "paper-of-means": ("F at the best", "F of mean precision and recall at the best"),
    "paper-pooled": ("means over images", "pooled over pixels: f_beta, mae, iou, auc, auf_beta"),
    "paper-stretched": ("means over images", "means over images; maps scaled by minmax"),
}


def test_every_protocol_says_where_it_comes_from_and_what_it_does():
    """A second statement of the table: a choice that moves is noticed."""
    expected = WORDS | {name: WORDS["paper"].replace(*change) for name, change in CHANGED.items()}
    assert {name: str(protocol) for name, protocol in metrics.PROTOCOLS.items()} == expected
    assert all(name == protocol.name and protocol.source for name, protocol in metrics.PROTOCOLS.items())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"positive": "blur"}, "unknown positive class 'blur'; did you mean 'blurred'"),
        ({"f_rule": "best_of_each"}, "did you mean 'best_each'"),
        ({"scaling": "min-max"}, "did you mean 'minmax'"),
        ({"pooled": ("f",)}, "unknown pooled score 'f'"),
        ({"pooled": ("f_beta",)}, "pools f_beta or auf_beta alone"),
        ({"pooled": ("auf_beta",)}, "pools f_beta or auf_beta alone"),
        ({"pooled": metrics.SCORES, "f_rule": "of_means"}, "by the rule of_means, which is about single"),
        ({"pooled": metrics.SCORES, "f_rule": "best_each"}, "by the rule best_each"),
        ({"pooled": ("iou",), "scaling": "max"}, "pools maps scaled by max"),
        ({"beta2": 0}, "beta2 0, .*expected beta2 above 0"),
        ({"steps": 0}, "steps 0, .*1 step or more"),
        ({"beta2": "1"}, "beta2 '1', .*expected beta2 above 0"),
        ({"beta2": float("nan")}, "beta2 nan, .*expected beta2 above 0"),
        ({"steps": 2.5}, "steps 2.5, .*1 step or more"),
        ({"iou_at": 5}, "iou_at 5; .*at most 4"),
        ({"iou_at": -1}, "iou_at -1; .*at most 4"),
        ({"iou_at": 1.2}, "iou_at 1.2; .*whole quarters"),
        ({"beta2": float("inf")}, "beta2 inf, .*expected beta2 above 0"),
        ({"beta2": True}, "beta2 True, .*expected beta2 above 0"),
        ({"steps": True}, "steps True, .*1 step or more"),
        ({"f_rule": "adaptive", "level": -1}, "level -1, .*whole quarters"),
        ({"f_rule": "fixed", "level": 5}, "level 5, .*at most 4"),
        ({"f_rule": "fixed", "level": 0.5}, "level 0.5, .*whole quarters: 2 for a threshold of 0.5"),
    ],
)
def test_protocols_without_meaning_are_refused(wrong, message):
    with pytest.raises(MaganError, match=message):
        replace(PAPER, **wrong)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(MaganError, match="unknown protocol 'papper'; did you mean 'paper'"):
        metrics.get_protocol("papper")
    assert metrics.get_protocol("paper") is PAPER


def test_a_protocol_may_not_take_the_name_of_another():
    assert metrics.get_protocol(replace(PAPER)) == PAPER
    with pytest.raises(
        MaganError, match=r"'paper' is the name of another protocol \(blurred positive; .*rename"
    ):
        metrics.get_protocol(replace(PAPER, beta2=1.0))


def test_numbers_of_numpy_are_numbers():
    assert replace(PAPER, beta2=np.float64(0.3), steps=np.int64(100)) == PAPER
