"""The constant map and the threshold on sharpness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tiny import scenes

from magan_core.baselines import BLUR, SOFTNESS, LaplacianThreshold, constant, fit_laplacian, sharpness


@given(st.lists(hnp.arrays(np.uint8, (3, 4), elements=st.sampled_from([0, 255])), min_size=1, max_size=5))
def test_no_constant_map_has_a_lower_error(masks):
    error = [np.mean([np.abs(value / 255 - mask / 255).mean() for mask in masks]) for value in range(256)]
    assert error[constant(masks)] == pytest.approx(min(error))


def test_sharpness_is_high_where_there_is_detail_and_flat_pictures_are_finite():
    photos, masks = scenes(1, 64)
    values = sharpness(photos[0], 2.0)
    assert values.shape == (64, 64)
    assert values[masks[0] > 0].mean() > values[masks[0] == 0].mean() + 2
    assert sharpness(np.zeros((9, 9, 3), np.uint8), 2.0) == pytest.approx(np.log(0.5))


def test_the_fit_is_the_best_of_its_grid_and_finds_the_noise():
    photos, masks = scenes(5, 48)
    detector = fit_laplacian(photos, masks)
    assert detector.side == 48
    assert detector.sigma in BLUR
    assert detector.softness in SOFTNESS

    def error(one):
        return np.mean([np.abs(one(p) / 255 - m / 255).mean() for p, m in zip(photos, masks, strict=True)])

    best = error(detector)
    assert best < 0.5 * np.mean(masks > 0)  # half of what the black map makes
    for sigma in BLUR:
        for shift in (-1.0, 0.0, 1.0):
            other = LaplacianThreshold(48, sigma, detector.threshold + shift, detector.softness)
            assert best <= error(other) + 0.002  # rounding to 8 bits


def test_the_fit_does_not_depend_on_chance():
    photos, masks = scenes(4, 48)
    assert fit_laplacian(photos, masks) == fit_laplacian(photos.copy(), masks.copy())


@pytest.mark.parametrize("shape", [(30, 50), (97, 41)])
def test_a_map_has_the_size_of_its_photograph(shape):
    photo = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    values = LaplacianThreshold(32, 2.0, 1.0, 0.3)(photo)
    assert values.shape == shape
    assert values.dtype == np.uint8


def test_far_thresholds_do_not_overflow():
    photo = np.zeros((16, 16, 3), np.uint8)
    assert not LaplacianThreshold(16, 2.0, 1e6, 0.05)(photo).any()
    assert LaplacianThreshold(16, 2.0, -1e6, 0.05)(photo).min() == 255
