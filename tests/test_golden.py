"""Protocols `pysodmetrics` and `pysodmetrics-adaptive` against the values of PySODMetrics itself.

golden/make_pysodmetrics.py wrote them in an environment of its own. Where the two differ, the tests show that
it is by what the docstring of protocols.py names, and by nothing else.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden.cases import cases

from magan_core import metrics

GOLDEN = json.loads((Path(__file__).parent / "golden/pysodmetrics.json").read_text(encoding="utf-8"))
CASES = cases()
BEST = metrics.PROTOCOLS["pysodmetrics"]
ADAPTIVE = metrics.PROTOCOLS["pysodmetrics-adaptive"]
ROUNDED = {"rel": 1e-11, "abs": 1e-12}  # the file holds 12 digits
LOWERED = {"from 0 to 51", "from 60 to 150", "meets one half"}  # a level of theirs falls one short


def their_levels(values: np.ndarray) -> np.ndarray:
    """int of 0..255: values stretched as PySODMetrics does it, in floats, then cut."""
    scores = values / 255
    if scores.max() != scores.min():
        scores = (scores - scores.min()) / (scores.max() - scores.min())
    return (scores * 255).astype(np.uint8).astype(int)


def exact_levels(values: np.ndarray) -> np.ndarray:
    values = values.astype(int)
    low, high = values.min(), values.max()
    return values if low == high else (values - low) * 255 // (high - low)


def at_one_half(values: np.ndarray) -> np.ndarray:
    """uint8 of 0 and 1: the pixels whose stretched score is one half exactly."""
    low, high = int(values.min()), int(values.max())
    return (2 * values.astype(int) == low + high).astype(np.uint8) if low < high else np.zeros_like(values)


def statistics(*pairs) -> np.ndarray:
    return np.stack([metrics.histograms(*pair) for pair in pairs])


def assert_same_curves(found: dict, golden: dict) -> None:
    assert found["f_beta"] == pytest.approx(golden["f"], **ROUNDED)
    assert found["precision"][::5] == pytest.approx(golden["precision"], **ROUNDED)
    assert found["recall"][::5] == pytest.approx(golden["recall"], **ROUNDED)


def test_the_golden_values_belong_to_these_cases():
    assert GOLDEN["versions"]["pysodmetrics"] == "1.6.2"
    assert list(GOLDEN["cases"]) == list(CASES)


@pytest.mark.parametrize("name", CASES)
def test_mae(name):
    found = metrics.summary(statistics(CASES[name]), BEST)
    assert found["mae"] == pytest.approx(GOLDEN["cases"][name]["mae"], **ROUNDED)


@pytest.mark.parametrize("name", [name for name in CASES if name not in LOWERED])
def test_curves(name):
    found = metrics.curves(statistics(CASES[name]), BEST)
    golden = GOLDEN["cases"][name]
    assert_same_curves(found, golden)
    assert metrics.summary(statistics(CASES[name]), BEST)["f_beta"] == pytest.approx(
        max(golden["f"]), **ROUNDED
    )


@pytest.mark.parametrize("name", sorted(LOWERED))
def test_curves_differ_where_a_float_falls_one_level_short(name):
    """Counted at their levels our curves are theirs; at exact ones they differ at the exact levels of those
    pixels only."""
    focus_map, mask = CASES[name]
    theirs, exact = their_levels(focus_map), exact_levels(focus_map)
    golden = GOLDEN["cases"][name]
    lowered = statistics((theirs.astype(np.uint8), mask))
    assert_same_curves(metrics.curves(lowered, replace(BEST, scaling="none")), golden)
    ours = metrics.curves(statistics((focus_map, mask)), BEST)["f_beta"]
    differ = np.flatnonzero(~np.isclose(ours, golden["f"], rtol=1e-11, atol=1e-12))
    assert len(differ) > 0
    assert set(differ) <= set(exact[theirs < exact])


@pytest.mark.slow
def test_floats_fall_short_as_often_as_the_docstring_says():
    """All maps of two or more levels: every range, every value in it."""
    pairs, ranges = 0, set()
    for low in range(256):
        for high in range(low + 1, 256):
            values = np.arange(low, high + 1)
            short = exact_levels(values) - their_levels(values)
            if short.any():
                ranges.add((low, high))
                pairs += np.count_nonzero(short)
                assert set(short) == {0, 1}
                assert not np.any((values - low)[short == 1] * 255 % (high - low))
    assert (pairs, len(ranges)) == (39_853, 8_726)
    assert (0, 255) not in ranges
    assert all(their_levels(np.array([value])) == value for value in range(256))


@pytest.mark.parametrize("name", [name for name in CASES if name != "meets twice the mean"])
def test_adaptive_f(name):
    found = metrics.summary(statistics(CASES[name]), ADAPTIVE)
    assert found["f_beta"] == pytest.approx(GOLDEN["cases"][name]["adaptive"], **ROUNDED)


def test_adaptive_f_differs_where_a_pixel_meets_the_threshold():
    """Less 98: 0, 15, 120, 11, 154, twice whose mean is 120. We find 120 and 154, the mask; they lose 120."""
    focus_map, mask = CASES["meets twice the mean"]
    assert metrics.summary(statistics((focus_map, mask)), ADAPTIVE)["f_beta"] == 1
    one_of_two = 1.3 * 1 * 0.5 / (0.3 * 1 + 0.5)
    assert GOLDEN["cases"]["meets twice the mean"]["adaptive"] == pytest.approx(one_of_two, **ROUNDED)


@pytest.mark.parametrize("name", CASES)
def test_iou_is_theirs_once_pixels_at_one_half_are_left_out(name):
    focus_map, mask = CASES[name]
    below = focus_map - at_one_half(focus_map)
    found = metrics.summary(statistics((below, mask)), BEST)
    assert found["iou"] == pytest.approx(GOLDEN["cases"][name]["iou"], **ROUNDED)


def test_iou_takes_pixels_at_one_half_in():
    """10..110 stretched: 60 is one half. We predict three pixels of it, two of them right; they none."""
    found = metrics.summary(statistics(CASES["meets one half"]), BEST)
    assert found["iou"] == 3 / 4
    assert GOLDEN["cases"]["meets one half"]["iou"] == pytest.approx(1 / 3, **ROUNDED)


def test_a_set_of_maps_without_such_pixels():
    golden = GOLDEN["sets"]["whole range"]
    stats = statistics(*[CASES[name] for name in golden["of"]])
    assert_same_curves(metrics.curves(stats, BEST), golden)
    found = metrics.summary(stats, BEST)
    expected = {"f_beta": max(golden["f"]), "mae": golden["mae"], "iou": golden["iou"]}
    assert {name: found[name] for name in expected} == pytest.approx(expected, **ROUNDED)
    assert metrics.summary(stats, ADAPTIVE)["f_beta"] == pytest.approx(golden["adaptive"], **ROUNDED)


def test_a_set_with_them_differs_by_their_share():
    """MAE and the maximum of the mean F curve are equal, that curve differs by less than 0.01 anywhere."""
    golden = GOLDEN["sets"]["all"]
    stats = statistics(*[CASES[name] for name in golden["of"]])
    found = metrics.summary(stats, BEST)
    assert found["mae"] == pytest.approx(golden["mae"], **ROUNDED)
    gap = np.abs(metrics.curves(stats, BEST)["f_beta"] - golden["f"])
    assert 0 < gap.max() < 0.01
