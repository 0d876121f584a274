"""metrics.py against scikit-learn, against loops written from the formulas, and against its symmetries."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import fbeta_score, jaccard_score, roc_auc_score, roc_curve

from magan_core import metrics
from magan_core.errors import MaganError

PAPER = metrics.PROTOCOLS["paper"]
FOCUS = replace(PAPER, name="focus", positive="focus")


def image(seed: int, shape: tuple[int, int] = (17, 23), levels: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A noisy map and a mask that holds both classes."""
    random = np.random.default_rng(seed)
    mask = np.where(random.random(shape) < 0.3, 255, 0).astype(np.uint8)
    mask[0, :2] = 0, 255
    values = np.clip(random.normal(90, 60, shape) + mask * 0.3, 0, 255)
    return (values // (256 // levels) * (256 // levels)).astype(np.uint8), mask


def statistics(*images: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    return np.stack([metrics.histograms(*one) for one in images])


@st.composite
def images(draw):
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 6)))
    values = st.one_of(st.sampled_from([0, 1, 127, 128, 254, 255]), st.integers(0, 255))
    focus_map = draw(hnp.arrays(np.uint8, shape, elements=values))
    mask = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 255])))
    mask[0, :2] = 0, 255
    return focus_map, mask


@pytest.mark.parametrize("protocol", [PAPER, FOCUS])
@pytest.mark.parametrize("levels", [256, 4])
def test_scores_agree_with_scikit_learn(protocol, levels):
    pairs = [image(seed, levels=levels) for seed in range(4)]
    stats = statistics(*pairs)
    f = metrics.f_beta(stats, protocol)
    for index, (focus_map, mask) in enumerate(pairs):
        truth = (mask == 255).ravel()
        score = focus_map.ravel().astype(int)
        if protocol.positive == "blurred":
            truth, score = ~truth, 255 - score
        for step in range(101):
            predicted = score * 100 >= 255 * step
            assert f[index, step] == pytest.approx(
                fbeta_score(truth, predicted, beta=0.3**0.5, zero_division=0.0), abs=1e-12
            )
        predicted = score * 2 >= 255
        assert metrics.iou(stats, protocol)[index] == pytest.approx(
            jaccard_score(truth, predicted), abs=1e-12
        )
        assert metrics.auc(stats)[index] == pytest.approx(roc_auc_score(truth, score), abs=1e-12)


def test_roc_curve_agrees_with_scikit_learn():
    focus_map, mask = image(5)
    score = 255 - focus_map.astype(int).ravel()
    fpr, tpr, thresholds = roc_curve((mask == 0).ravel(), score, drop_intermediate=False)
    ours = metrics.curves(statistics((focus_map, mask)), PAPER)
    for step in range(101):
        reached = np.flatnonzero(thresholds * 100 >= 255 * step)[-1]
        assert ours["fpr"][step] == pytest.approx(fpr[reached])
        assert ours["tpr"][step] == pytest.approx(tpr[reached])


def slow_paper_protocol(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, Fraction]:
    """Protocol `paper` pixel by pixel in exact fractions: blurred positive, beta2 = 3/10, t = k/100."""
    beta2 = Fraction(3, 10)
    mean_f = [Fraction(0)] * 101
    mae, iou, auc = Fraction(0), Fraction(0), Fraction(0)
    for focus_map, mask in pairs:
        score = [Fraction(255 - int(v), 255) for v in focus_map.ravel()]
        truth = [int(m == 0) for m in mask.ravel()]
        for k in range(101):
            hits = sum(t for s, t in zip(score, truth, strict=True) if s >= Fraction(k, 100))
            predicted = sum(1 for s in score if s >= Fraction(k, 100))
            precision = Fraction(hits, predicted) if predicted else Fraction(0)
            recall = Fraction(hits, sum(truth))
            if precision + recall:
                mean_f[k] += (1 + beta2) * precision * recall / (beta2 * precision + recall) / len(pairs)
        mae += sum(abs(s - t) for s, t in zip(score, truth, strict=True)) / len(score) / len(pairs)
        both = sum(1 for s, t in zip(score, truth, strict=True) if s >= Fraction(1, 2) and t)
        either = sum(1 for s, t in zip(score, truth, strict=True) if s >= Fraction(1, 2) or t)
        iou += Fraction(both, either) / len(pairs)
        positive = [s for s, t in zip(score, truth, strict=True) if t]
        negative = [s for s, t in zip(score, truth, strict=True) if not t]
        won = sum(Fraction(2 * (p > q) + (p == q), 2) for p in positive for q in negative)
        auc += won / (len(positive) * len(negative)) / len(pairs)
    area = sum((mean_f[k] + mean_f[k + 1]) / 2 for k in range(100)) / 100
    return {"f_beta": max(mean_f), "mae": mae, "iou": iou, "auc": auc, "auf_beta": area}


@pytest.mark.parametrize("levels", [256, 8, 2])
def test_summary_is_the_formula_written_out(levels):
    pairs = [image(seed, (5, 7), levels) for seed in range(3)]
    expected = slow_paper_protocol(pairs)
    found = metrics.summary(statistics(*pairs), PAPER)
    assert tuple(found) == metrics.SCORES
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), abs=1e-12), name


def test_thresholds_are_exact_where_floats_are_not():
    """(255 - v) / 255 >= k / 100 for all 256 x 101 pairs, in fractions; 51 = 255 / 5 meets 0.2."""
    levels = np.arange(256, dtype=np.uint8)
    stats = statistics(*[(np.array([[v, 0]], np.uint8), np.array([[0, 255]], np.uint8)) for v in levels])
    recall = np.stack([metrics.curves(stats[v : v + 1], PAPER)["recall"] for v in range(256)])
    for v in range(256):
        for k in range(101):
            assert recall[v, k] == (Fraction(255 - v, 255) >= Fraction(k, 100))
    assert recall[255 - 51, 20] == 1
    assert recall[255 - 51, 21] == 0


def test_perfect_inverted_and_constant_maps():
    _, mask = image(1)
    blurred = np.mean(mask == 0)
    perfect = metrics.summary(statistics((mask, mask)), PAPER)
    # at threshold 0 everything is predicted, so that the area falls short by half a step of 1 - F(0)
    all_positive = 1.3 * blurred / (0.3 * blurred + 1)
    assert (perfect["f_beta"], perfect["mae"], perfect["iou"], perfect["auc"]) == (1, 0, 1, 1)
    assert perfect["auf_beta"] == pytest.approx(1 - (1 - all_positive) / 200)
    inverted = metrics.summary(statistics((255 - mask, mask)), PAPER)
    assert (inverted["mae"], inverted["iou"], inverted["auc"]) == (1, 0, 0)
    assert inverted["f_beta"] == pytest.approx(all_positive)  # only threshold 0 still finds anything
    for value in (0, 255, 100):
        constant = metrics.summary(statistics((np.full_like(mask, value), mask)), PAPER)
        assert constant["auc"] == 0.5
        assert constant["f_beta"] == pytest.approx(all_positive)
        assert constant["iou"] == pytest.approx(blurred if value < 128 else 0)
        assert constant["mae"] == pytest.approx(blurred * value / 255 + (1 - blurred) * (1 - value / 255))


def test_nothing_predicted_gives_zero_precision_and_zero_f():
    _, mask = image(2)
    curves = metrics.curves(statistics((np.full_like(mask, 255), mask)), PAPER)
    for name in ("precision", "recall", "f_beta", "tpr", "fpr"):
        assert curves[name][0] > 0
        assert np.all(curves[name][1:] == 0)


@pytest.mark.parametrize("value", [0, 255])
def test_mask_of_one_class_gives_nan_where_there_is_no_denominator(value):
    stats = statistics((image(3)[0], np.full((17, 23), value, np.uint8)))
    assert np.isnan(metrics.auc(stats)).all()
    assert np.isfinite(metrics.mae(stats)).all()
    for protocol in (PAPER, FOCUS):
        has_positives = (protocol.positive == "focus") == (value == 255)
        assert np.isfinite(metrics.f_beta(stats, protocol)).all() == has_positives
        assert np.isfinite(metrics.iou(stats, protocol)).all() == has_positives
        assert np.isfinite(metrics.curves(stats, protocol)["recall"]).all() == has_positives
        assert np.isfinite(metrics.curves(stats, protocol)["fpr"]).all() != has_positives


def test_set_scores_are_means_of_image_scores_and_of_curves():
    stats = statistics(*[image(seed) for seed in range(6)])
    found = metrics.summary(stats, PAPER)
    each = metrics.per_image(stats, PAPER)
    curve = metrics.curves(stats, PAPER)["f_beta"]
    assert {name: each[name].mean() for name in each} == pytest.approx(found)
    assert found["f_beta"] == pytest.approx(curve.max())
    assert found["auf_beta"] == pytest.approx(np.trapezoid(curve, np.linspace(0, 1, 101)))
    best_of_each = metrics.f_beta(stats, PAPER).max(axis=1).mean()
    assert best_of_each > found["f_beta"]  # another convention, and a larger number


@settings(max_examples=60, deadline=None)
@given(images())
def test_rates_fall_with_the_threshold_and_stay_in_range(pair):
    curves = metrics.curves(statistics(pair), PAPER)
    for name in ("recall", "tpr", "fpr"):
        assert np.all(np.diff(curves[name]) <= 0)
        assert curves[name][0] == 1
    for values in curves.values():
        assert values.shape == (101,)
        assert np.all((values >= 0) & (values <= 1))
    for value in metrics.summary(statistics(pair), PAPER).values():
        assert 0 <= value <= 1 + 1e-12


@settings(max_examples=60, deadline=None)
@given(images(), st.integers(0, 6))
def test_statistics_of_parts_add_up(pair, row):
    focus_map, mask = pair
    whole = metrics.histograms(focus_map, mask)
    parts = metrics.histograms(focus_map[:row], mask[:row]) + metrics.histograms(focus_map[row:], mask[row:])
    assert np.array_equal(whole, parts)
    assert whole.sum() == mask.size
    assert np.array_equal(whole.sum(axis=1), [np.sum(mask == 0), np.sum(mask == 255)])


@settings(max_examples=60, deadline=None)
@given(st.lists(images(), min_size=1, max_size=3))
def test_inverting_map_and_mask_swaps_the_positive_class(pairs):
    """Both polarities flipped at once, and the other class sought: the same task, so the same scores."""
    here = statistics(*pairs)
    there = statistics(*[(255 - focus_map, 255 - mask) for focus_map, mask in pairs])
    assert np.array_equal(there, here[:, ::-1, ::-1])
    assert metrics.summary(there, FOCUS) == pytest.approx(metrics.summary(here, PAPER), abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(images())
def test_inverting_the_map_alone_mirrors_auc_and_mae(pair):
    here, there = statistics(pair), statistics((255 - pair[0], pair[1]))
    assert metrics.auc(there) == pytest.approx(1 - metrics.auc(here))
    assert metrics.mae(there) == pytest.approx(1 - metrics.mae(here))


def test_value_histogram_is_pixels_an_image():
    pairs = [image(1, (4, 5)), image(2, (6, 5))]
    expected = np.mean([np.bincount(focus_map.ravel(), minlength=256) for focus_map, _ in pairs], axis=0)
    assert np.array_equal(metrics.value_histogram(statistics(*pairs)), expected)


def test_large_images_do_not_overflow():
    stats = np.zeros((1, 2, 256), np.int64)
    stats[0, 0, 0], stats[0, 1, 255] = 10**9, 10**9
    assert metrics.auc(stats)[0] == 1


def test_bad_input_is_refused():
    focus_map, mask = image(0)
    with pytest.raises(MaganError, match="23x17 pixels and its mask 22x17"):
        metrics.histograms(focus_map, mask[:, 1:])
    with pytest.raises(MaganError, match="other than 0 and 255"):
        metrics.histograms(focus_map, mask // 255)
    with pytest.raises(MaganError, match="the map is float64"):
        metrics.histograms(focus_map / 255, mask)
    with pytest.raises(MaganError, match=r"the mask is uint8 \(17, 23, 1\)"):
        metrics.histograms(focus_map, mask[..., None])
    with pytest.raises(MaganError, match="no image"):
        metrics.summary(np.zeros((0, 2, 256), np.int64), PAPER)
    with pytest.raises(MaganError, match="did you mean 'paper'"):
        metrics.get_protocol("papper")
