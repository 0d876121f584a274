"""uncertainty.py: against distributions that are known, and against resampling written out."""

from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from map_pairs import noisy, sets, statistics
from scipy.stats import binom, bootstrap, kstest, permutation_test, ttest_rel

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.metrics import paired_mean

PAPER = metrics.PROTOCOLS["paper"]
FOCUS = metrics.PROTOCOLS["paper-focus"]
NAMED = list(metrics.PROTOCOLS.values())
IMAGES = [noisy(seed, (6, 7)) for seed in range(12)]
SET = statistics(*IMAGES)
OTHER = statistics(*[(np.clip(focus_map + 9, 9, 255), mask) for focus_map, mask in IMAGES])


def with_mae(values: np.ndarray) -> np.ndarray:
    """Statistics of images of two pixels whose MAE (in focus positive) is `values` / 510: one pixel in focus,
    found; one out of focus, of this map value."""
    stats = np.zeros((len(values), 2, 256), np.int64)
    stats[:, metrics.FOCUS, 255] = 1
    stats[np.arange(len(values)), metrics.BLURRED, values] = 1
    return stats


def spread(interval: tuple[float, float]) -> float:
    return interval[1] - interval[0]


@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_intervals_are_percentiles_over_resampled_sets(protocol):
    """Against 2000 resamples drawn and scored one by one; two samples of that size differ by less than 7 % of
    the spread, and intervals of another level by more."""
    random = np.random.default_rng(99)
    drawn = [metrics.summary(SET[random.integers(0, 12, 12)], protocol) for _ in range(2000)]
    found = metrics.intervals(SET, protocol)
    assert tuple(found) == metrics.SCORES
    for name, (low, high) in found.items():
        expected = np.percentile([one[name] for one in drawn], [2.5, 97.5])
        assert (low, high) == pytest.approx(tuple(expected), abs=0.07 * spread(expected)), name


@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_the_interval_of_two_images_is_the_two_images(protocol):
    """Half of the resamples hold one image twice, so the percentiles are the scores of either alone."""
    found = metrics.intervals(SET[:2], protocol)
    alone = [metrics.summary(SET[i : i + 1], protocol) for i in (0, 1)]
    for name, interval in found.items():
        ends = sorted(one[name] for one in alone)
        both = metrics.summary(SET[:2], protocol)[name]
        if ends[0] <= both <= ends[1]:  # a best threshold for both may suit neither
            assert interval == pytest.approx(tuple(ends), abs=1e-12), name


@given(sets, st.sampled_from(NAMED), st.integers(2, 6))
@settings(max_examples=50)
def test_equal_images_leave_nothing_unsure(images, protocol, repeats):
    stats = np.repeat(statistics(*images[:1]), repeats, axis=0)
    expected = metrics.summary(stats, protocol)
    for name, interval in metrics.intervals(stats, protocol, resamples=50).items():
        assert interval == pytest.approx((expected[name], expected[name]), abs=1e-12)


@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_intervals_hold_the_estimate(protocol):
    inside = []
    for seed in range(40):
        stats = statistics(*[noisy(100 * seed + i, (4, 5)) for i in range(8)])
        estimate = metrics.summary(stats, protocol)
        found = metrics.intervals(stats, protocol, resamples=300)
        inside += [low <= estimate[name] <= high for name, (low, high) in found.items()]
    assert np.mean(inside) > 0.97


def test_more_images_make_the_interval_shorter():
    random = np.random.default_rng(0)
    widths = [
        spread(metrics.intervals(with_mae(random.integers(0, 256, n)), FOCUS)["mae"]) for n in (10, 90, 810)
    ]
    assert widths[0] / widths[1] == pytest.approx(3, rel=0.35)
    assert widths[1] / widths[2] == pytest.approx(3, rel=0.15)


@pytest.mark.slow
def test_nineteen_of_twenty_intervals_hold_the_truth():
    """Images whose MAE is uniform over 0..255 / 510, true mean 1/4; 60 images, 1500 test sets. The percentile
    bootstrap of a mean falls short of 95 % by a little at this size."""
    random = np.random.default_rng(5)
    held = 0
    for seed in range(1500):
        stats = with_mae(random.integers(0, 256, 60))
        low, high = metrics.intervals(stats, FOCUS, resamples=500, seed=seed)["mae"]
        held += low <= 0.25 <= high
    assert binom.interval(0.999, 1500, 0.94)[0] <= held <= binom.interval(0.999, 1500, 0.95)[1]


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_over_seeds_it_is_the_paired_t_test(seeds):
    random = np.random.default_rng(seeds)
    before, after = random.normal(0.06, 0.007, seeds), random.normal(0.065, 0.007, seeds)
    found = metrics.difference_over_seeds(after - before)
    expected = ttest_rel(after, before)
    low, high = expected.confidence_interval(0.95)
    assert astuple(found) == pytest.approx((np.mean(after - before), low, high, expected.pvalue))


def test_differences_that_agree_leave_no_doubt():
    assert metrics.difference_over_seeds([0.25] * 3) == metrics.Difference(0.25, 0.25, 0.25, 0.0)
    assert metrics.difference_over_seeds([0.0] * 3) == metrics.Difference(0.0, 0.0, 0.0, 1.0)


def test_a_score_that_is_undefined_leaves_the_difference_undefined():
    assert np.isnan(astuple(metrics.difference_over_seeds([0.01, np.nan]))).all()


@pytest.mark.parametrize("seeds", [[], [0.01]])
def test_one_training_is_no_sample_of_trainings(seeds):
    with pytest.raises(MaganError, match=f"number of seeds: {len(seeds)}; a test over trainings needs two"):
        metrics.difference_over_seeds(seeds)


def test_equal_seeds_give_equal_bytes_and_others_do_not():
    for call in (
        lambda seed: metrics.intervals(SET, PAPER, seed=seed, resamples=200),
        lambda seed: metrics.paired_difference(SET, OTHER, PAPER, seed=seed, resamples=200),
        lambda seed: paired_mean(np.arange(12.0), np.arange(12.0) ** 2, seed=seed, resamples=200),
    ):
        assert repr(call(3)) == repr(call(3))
        assert repr(call(3)) != repr(call(4))
    p = [
        {one.p for one in metrics.paired_difference(SET, OTHER, PAPER, seed=seed).values()} for seed in (3, 4)
    ]
    assert p[0] != p[1]


@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_no_difference_to_itself(protocol):
    for found in metrics.paired_difference(SET, SET, protocol, resamples=100).values():
        assert found == metrics.Difference(0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("protocol", NAMED, ids=lambda protocol: protocol.name)
def test_the_difference_is_that_of_the_summaries_and_turns_with_them(protocol):
    found = metrics.paired_difference(SET, OTHER, protocol, resamples=200)
    turned = metrics.paired_difference(OTHER, SET, protocol, resamples=200)
    a, b = metrics.summary(SET, protocol), metrics.summary(OTHER, protocol)
    assert tuple(found) == metrics.SCORES
    for name, one in found.items():
        assert one.difference == pytest.approx(b[name] - a[name], abs=1e-12)
        assert one.low <= one.high
        back = turned[name]
        assert (-back.difference, -back.high, -back.low) == pytest.approx(
            (one.difference, one.low, one.high), abs=1e-12
        )
        assert back.p == one.p


@pytest.mark.parametrize("images", [3, 5, 8])
def test_p_counts_the_exchanges(images):
    """b is better by the same step on every image: of 2^n exchanges only none and all are as extreme."""
    values = np.full(images, 200)
    found = metrics.paired_difference(with_mae(values), with_mae(values - 51), FOCUS, resamples=20_000)["mae"]
    assert (found.difference, found.low, found.high) == pytest.approx((-0.1, -0.1, -0.1))
    share = 2 / 2**images
    assert found.p == pytest.approx(share, abs=4 * (share / 20_000) ** 0.5 + 1e-4)


def test_p_is_never_less_than_that_of_the_one_exchange_that_was_observed():
    """Of 40 images no drawn exchange is as extreme; what was observed counts as one of 1 + 99."""
    values = np.full(40, 200)
    found = metrics.paired_difference(with_mae(values), with_mae(values - 51), FOCUS, resamples=99)["mae"]
    assert found.p == 1 / 100
    assert paired_mean(np.zeros(40), np.ones(40), resamples=99).p == 1 / 100


def test_a_clear_difference_is_found_and_a_small_sample_says_so():
    random = np.random.default_rng(0)
    a = random.integers(100, 256, 40)
    better = metrics.paired_difference(with_mae(a), with_mae(a - random.integers(0, 99, 40)), FOCUS)["mae"]
    assert better.high < 0
    assert better.p < 0.002
    same = metrics.paired_difference(with_mae(a), with_mae(random.permutation(a)), FOCUS)["mae"]
    assert same.p == pytest.approx(1)  # the means are equal


def comparable(random: np.random.Generator, images: int) -> np.ndarray:
    """Statistics of noisy maps of varying quality over masks of 9 + 6 pixels."""
    stats = np.zeros((images, 2, 256), np.int64)
    quality = random.uniform(0, 60, images)
    for row, pixels, mean in ((metrics.BLURRED, 9, 128 - quality), (metrics.FOCUS, 6, 128 + quality)):
        values = np.clip(random.normal(mean[:, None], 60, (images, pixels)), 0, 255).astype(int)
        np.add.at(stats, (np.arange(images)[:, None], row, values), 1)
    return stats


@pytest.mark.parametrize("score", ["mae", "f_beta"])
def test_p_is_uniform_where_the_methods_do_not_differ(score):
    """Two methods of one distribution: p is below x in a share x of the comparisons, for a mean (mae) and for
    the maximum of a mean curve (f_beta)."""
    random, p = np.random.default_rng(7), []
    for seed in range(300):
        a, b = comparable(random, 20), comparable(random, 20)
        found = metrics.paired_difference(a, b, replace(FOCUS, steps=20), resamples=199, seed=seed)
        p.append(found[score].p)
    jitter = np.random.default_rng(8).random(300) / 200  # p comes in steps of 1 / 200
    assert kstest(np.array(p) - jitter, "uniform").pvalue > 0.01
    low, high = binom.interval(0.999, 300, 0.05)
    assert low <= np.sum(np.array(p) <= 0.05) <= high


@pytest.mark.parametrize(
    "other",
    [
        SET[:11],
        SET[::-1],
        np.concatenate([SET[:11], SET[:1]]),
        statistics(*[noisy(s, (6, 8)) for s in range(12)]),
    ],
    ids=["one fewer", "another order", "one replaced", "other sizes"],
)
def test_a_comparison_over_other_images_is_refused(other):
    with pytest.raises(MaganError, match="same images in the same order, and the same masks"):
        metrics.paired_difference(SET, other, PAPER)


@pytest.mark.parametrize("images", [0, 1])
def test_too_few_images_are_refused(images):
    message = "at least two are needed|there is no image"
    with pytest.raises(MaganError, match=message):
        metrics.intervals(SET[:images], PAPER)
    with pytest.raises(MaganError, match=message):
        metrics.paired_difference(SET[:images], SET[:images], PAPER)


def test_an_undefined_score_has_no_interval_and_no_p():
    """A mask wholly out of focus: with "in focus" positive only the MAE is left."""
    focus_map, mask = IMAGES[0]
    with_it = np.concatenate([SET, statistics((focus_map, np.zeros_like(mask)))])
    found = metrics.intervals(with_it, FOCUS, resamples=50)
    compared = metrics.paired_difference(with_it, with_it, FOCUS, resamples=50)
    for name in metrics.SCORES:
        difference = compared[name]
        values = [*found[name], difference.difference, difference.low, difference.high, difference.p]
        assert np.isnan(values).all() == (name != "mae")
        assert np.isfinite(values).all() == (name == "mae")


@pytest.mark.parametrize(("resamples", "seed"), [(0, 1), (-5, 1), (10, -1)])
def test_no_resample_or_a_negative_seed_is_refused(resamples, seed):
    same = np.ones((3, 2, 256), int)
    options = {"resamples": resamples, "seed": seed}
    with pytest.raises(MaganError, match="expected at least 1 resample and a seed from 0 on"):
        metrics.intervals(same, metrics.PROTOCOLS["paper"], **options)
    with pytest.raises(MaganError, match="expected at least 1 resample and a seed from 0 on"):
        metrics.paired_difference(same, same, metrics.PROTOCOLS["paper"], **options)


def test_paired_mean_agrees_with_scipy():
    random = np.random.default_rng(3)
    a, b = random.normal(0, 1, 12), random.normal(0.8, 1, 12)
    found = paired_mean(a, b, resamples=20_000)
    assert found.difference == pytest.approx((b - a).mean())
    interval = bootstrap((b - a,), np.mean, method="percentile", n_resamples=20_000, rng=5)
    assert (found.low, found.high) == pytest.approx(tuple(interval.confidence_interval), abs=0.03)
    exact = permutation_test(
        (a, b), lambda one, other: np.mean(other - one), permutation_type="samples", n_resamples=np.inf
    )
    assert found.p == pytest.approx(exact.pvalue, abs=0.01)


def test_images_without_a_value_are_left_out_in_pairs():
    a = np.array([np.nan, 1.0, 2.0, 3.0])
    b = np.array([5.0, 2.0, 3.0, np.nan])
    assert paired_mean(a, b).difference == 1
    one = paired_mean(a[:2], b[:2])
    assert np.isnan([one.difference, one.low, one.high, one.p]).all()
    with pytest.raises(MaganError, match="4 and 2 images"):
        paired_mean(a, b[:2])
