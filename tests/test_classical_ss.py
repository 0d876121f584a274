"""SS against loops straight from its definition, and its parts."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2lab
from skimage.segmentation import slic
from textures import half_sharp, noise

from magan_core.classical.planes import grey as luma
from magan_core.classical.ss import COLOUR, TEXTURE, coarse, log_spectra, refine, ss


def slow_log_spectrum(window: np.ndarray) -> np.ndarray:
    side = len(window)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(side) / side)
    amplitude = np.abs(np.fft.fft2((window - window.mean()) * hann[:, None] * hann))
    frequency = np.fft.fftfreq(side, 1 / side)
    ring = np.floor(np.hypot(frequency[:, None], frequency) + 0.5)
    return np.array([np.log(amplitude[ring == k].mean() + 0.5) for k in range(1, side // 2 + 1)])


@pytest.mark.parametrize(("window", "step"), [(32, 5), (16, 4), (8, 3), (4, 1)])
def test_spectra_are_those_of_the_definition(window, step):
    grey = noise(21, 30)[..., 0].astype(np.float32)
    half = window // 2
    padded = np.pad(grey, half, mode="reflect").astype(float)
    found = log_spectra(grey, window, step)
    for row, y in enumerate(range(0, 21, step)):
        for column, x in enumerate(range(0, 30, step)):
            expected = slow_log_spectrum(padded[y : y + window, x : x + window])
            np.testing.assert_allclose(found[:, row, column], expected, atol=1e-3)


def test_the_coarse_map_is_the_residual_of_a_second_blur():
    grey = noise(24, 32)[..., 0].astype(np.float32)
    padded = [np.pad(one, 8, mode="reflect").astype(float) for one in (grey, gaussian_filter(grey, 1.5))]
    found = coarse(grey)
    for y, x in product(range(0, 24, 4), range(0, 32, 4)):
        first, second = (slow_log_spectrum(one[y : y + 16, x : x + 16]) for one in padded)
        assert found[y, x] == pytest.approx((first - second).mean(), abs=1e-3)
    between = found[4, 4:9]
    np.testing.assert_allclose(between, np.linspace(between[0], between[-1], 5), rtol=1e-5)


@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_a_blurred_picture_has_the_smaller_residual(sigma):
    grey = noise(48, 48)[..., 0].astype(np.float32)
    assert coarse(gaussian_filter(grey, sigma)).max() < coarse(grey).min()


def slow_refine(sharp, lab, grey, labels, colour, texture, rounds):
    count = labels.max() + 1
    height, width = labels.shape
    padded = np.pad(grey.astype(float), 1, mode="symmetric")
    steepness = np.empty(grey.shape)
    for y, x in product(range(height), range(width)):
        around = padded[y : y + 3, x : x + 3]
        across = around[:, 2] - around[:, 0]
        down = around[2] - around[0]
        steepness[y, x] = np.hypot(across @ [1, 2, 1], down @ [1, 2, 1]) / 8
    edges = np.array([-1, 1, 2, 4, 8, 16, 32, 64, 1e9])
    regions = [labels == number for number in range(count)]
    first = [sharp[region].mean() for region in regions]
    colours = [lab[region].mean(axis=0) for region in regions]
    histograms = [
        np.array([((steepness[r] >= low) & (steepness[r] < high)).mean() for low, high in pairwise(edges)])
        for r in regions
    ]
    touch = [{number} for number in range(count)]
    for y, x in product(range(height), range(width)):
        for v, u in ((y + 1, x), (y, x + 1)):
            if v < height and u < width:
                touch[labels[y, x]].add(int(labels[v, u]))
                touch[labels[v, u]].add(int(labels[y, x]))
    values = list(first)
    for _ in range(rounds):
        new = []
        for i in range(count):
            total, weight = first[i], 1.0
            for j in set().union(*(touch[k] for k in touch[i])) - {i}:
                a, b = histograms[i], histograms[j]
                either = a + b > 0
                chi2 = 0.5 * ((a - b)[either] ** 2 / (a + b)[either]).sum()
                distance = ((colours[i] - colours[j]) ** 2).sum()
                tie = np.exp(-distance / (2 * colour**2)) * np.exp(-chi2 / texture)
                total, weight = total + tie * values[j], weight + tie
            new.append(total / weight)
        values = new
    return np.array(values)


@pytest.fixture
def regions():
    """A photograph in 16 blocks: sharpness, Lab, grey, labels."""
    rng = np.random.default_rng(3)
    photo = np.clip(128 + rng.normal(0, 6, (24, 28, 3)), 0, 255).astype(np.uint8)
    labels = np.arange(24)[:, None] // 6 * 4 + np.arange(28) // 7
    return rng.random((24, 28)), rgb2lab(photo), photo[..., 0].astype(np.float32), labels


@pytest.mark.parametrize("rounds", [0, 1, 20])
def test_refinement_is_that_of_the_definition(regions, rounds):
    expected = slow_refine(*regions, 12.0, 0.15, rounds)
    np.testing.assert_allclose(refine(*regions, COLOUR, TEXTURE, rounds), expected, rtol=1e-5)
    if rounds == 0:
        labels = regions[3]
        np.testing.assert_allclose(expected[5], regions[0][labels == 5].mean())


def test_refinement_draws_similar_regions_together_and_leaves_others(regions):
    sharp, lab, grey, labels = regions
    first = refine(sharp, lab, grey, labels, COLOUR, TEXTURE, 0)
    alike = refine(sharp, lab, grey, labels, 1e6, 1e6, 50)
    assert alike.std() < 0.5 * first.std()
    assert first.min() < alike.min()
    assert alike.max() < first.max()
    np.testing.assert_allclose(refine(sharp, lab, grey, labels, 1e-3, TEXTURE, 20), first)


def test_the_map_is_the_coarse_one_refined_over_regions_in_lab():
    photo = half_sharp(48, 64)
    lab, grey = rgb2lab(photo), luma(photo).astype(np.float32)
    labels = slic(lab / np.ptp(lab), 300, 20.0 / np.ptp(lab), 5, convert2lab=False, start_label=0)
    refined = refine(coarse(grey), lab, grey, labels, 12.0, 0.15, 20)
    expected = (refined - refined.min()) / np.ptp(refined) * 255
    assert len(refined) > 50
    assert np.abs(ss(photo) - expected[labels]).max() <= 0.51
