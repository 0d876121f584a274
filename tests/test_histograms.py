"""histograms.py: the pixels, counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from map_pairs import noisy, pairs, statistics

from magan_core import metrics
from magan_core.errors import MaganError


@pytest.mark.parametrize("shape", [(1, 2), (17, 23), (64, 31)])
def test_every_pixel_is_counted_in_its_class_and_bin(shape):
    focus_map, mask = noisy(0, shape)
    expected = np.zeros((2, 256), np.int64)
    for value, truth in zip(focus_map.ravel(), mask.ravel(), strict=True):
        expected[metrics.FOCUS if truth else metrics.BLURRED, value] += 1
    found = metrics.histograms(focus_map, mask)
    assert found.dtype == np.int64
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("value", [0, 255])
def test_a_mask_of_one_class_leaves_the_other_row_empty(value):
    focus_map, _ = noisy(1)
    found = metrics.histograms(focus_map, np.full_like(focus_map, value))
    row = metrics.FOCUS if value else metrics.BLURRED
    assert np.array_equal(found[row], np.bincount(focus_map.ravel(), minlength=256))
    assert found[1 - row].sum() == 0


def test_views_are_counted_as_they_look_and_left_as_they_were():
    focus_map, mask = noisy(2)
    before = focus_map.copy(), mask.copy()
    found = metrics.histograms(focus_map[::2, ::-1], mask[::2, ::-1])
    assert np.array_equal(found, metrics.histograms(focus_map[::2].copy(), mask[::2].copy()))
    assert np.array_equal(focus_map, before[0])
    assert np.array_equal(mask, before[1])


@given(pairs(), st.integers(0, 6))
def test_parts_of_an_image_add_up(pair, row):
    focus_map, mask = pair
    whole = metrics.histograms(focus_map, mask)
    parts = metrics.histograms(focus_map[:row], mask[:row]) + metrics.histograms(focus_map[row:], mask[row:])
    assert np.array_equal(whole, parts)
    assert np.array_equal(whole.sum(axis=1), [np.sum(mask == 0), np.sum(mask == 255)])


@given(pairs())
def test_inverting_map_and_mask_mirrors_the_counts(pair):
    focus_map, mask = pair
    inverted = metrics.histograms(255 - focus_map, 255 - mask)
    assert np.array_equal(inverted, metrics.histograms(focus_map, mask)[::-1, ::-1])


def test_value_histogram_is_pixels_an_image():
    images = [noisy(1, (4, 5)), noisy(2, (6, 5))]
    expected = np.mean([np.bincount(focus_map.ravel(), minlength=256) for focus_map, _ in images], axis=0)
    assert np.array_equal(metrics.value_histogram(statistics(*images)), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda focus_map, mask: (focus_map, mask[:, 1:]), "the map is 23 x 17 pixels and its mask 22 x 17"),
        (lambda focus_map, mask: (focus_map, mask // 255), "other than 0 and 255; cut it at 128"),
        (lambda focus_map, mask: (focus_map, np.where(mask == 0, 1, mask)), "other than 0 and 255"),
        (lambda focus_map, mask: (focus_map, np.where(mask == 0, 254, mask)), "other than 0 and 255"),
        (lambda focus_map, mask: (focus_map / 255, mask), r"the map is float64 \(17, 23\); expected uint8"),
        (lambda focus_map, mask: (focus_map.astype(np.int64), mask), "the map is int64"),
        (lambda focus_map, mask: (focus_map, mask > 0), "the mask is bool"),
        (lambda focus_map, mask: (focus_map, mask[..., None]), r"the mask is uint8 \(17, 23, 1\)"),
        (lambda focus_map, mask: (focus_map.astype(np.uint16), mask // 255), "other than 0 and 255; cut"),
        (lambda focus_map, mask: (focus_map.astype(np.uint16), mask.astype(np.uint16)), "the mask is uint16"),
    ],
)
def test_bad_input_is_refused(change, message):
    focus_map, mask = noisy(0)
    with pytest.raises(MaganError, match=message):
        metrics.histograms(*change(focus_map, mask))
