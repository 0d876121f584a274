"""ASVB against loops straight from its definition, and its likelihood against a search for the maximum."""

import numpy as np
import pytest
from scipy.ndimage import uniform_filter1d
from scipy.optimize import minimize_scalar
from sklearn.metrics import roc_auc_score
from textures import photo_of, texture

from magan_core.classical.asvb import BOXES, asvb, log_likelihoods, motion
from magan_core.classical.planes import as_map, stretch

# The definition, one pixel and one kernel at a time.


def energy(signal: np.ndarray) -> float:
    return float((np.abs(signal) ** 2).sum())


def slow_log_likelihood(answers, filters, kernel, sigma):
    """Log-likelihood of the energies |y|^2 under one kernel, and the s that is best."""
    own = np.array([energy(np.convolve(kernel, one)) for one in filters])
    error = sigma**2 * np.array([energy(np.convolve([1, -1], one)) for one in filters])
    s = np.mean(answers / own)
    for _ in range(8):
        weights = (own / (s * own + error)) ** 2
        s = max((weights * (answers - error) / own).sum() / weights.sum(), 1e-8)
    variance = s * own + error
    return -(np.log(variance) + answers / variance).sum()


def slow_energies(grey: np.ndarray, filters: np.ndarray, y: int, x: int) -> np.ndarray:
    """|y|^2 of a row's differences: f is convolved with them, so it runs backwards over them."""
    half = filters.shape[1] // 2
    row = np.pad(grey[y].astype(float), (half, half + 1), mode="edge")[x : x + 2 * half + 2]
    return np.array([abs((one[::-1] * np.diff(row)).sum()) ** 2 for one in filters])


def slow_filters(window: int) -> np.ndarray:
    place = np.arange(window) - window // 2
    hann = np.cos(np.pi * place / (window + 1)) ** 2
    return np.array([hann * np.exp(-2j * np.pi * i / window * place) for i in range(1, window // 2 + 1)])


def slow_motion(grey: np.ndarray, window: int, step: int) -> np.ndarray:
    filters = slow_filters(window)
    blurred = np.empty([len(range(0, side, step)) for side in grey.shape])
    for row, column in np.ndindex(*blurred.shape):
        y, x = step * row, step * column
        gains = []
        for plane, place in ((grey, (y, x)), (grey.T, (x, y))):
            answers = slow_energies(plane, filters, *place)
            fits = [slow_log_likelihood(answers, filters, np.ones(n) / n, 1.0) for n in (1, *BOXES)]
            gains.append(max(fits[1:]) - fits[0])
        blurred[row, column] = max(gains)
    return blurred


def slow_map(blurred: np.ndarray) -> np.ndarray:
    return np.floor(255 * (blurred.max() - blurred) / np.ptp(blurred) + 0.5)


def small_picture() -> np.ndarray:
    grey = texture(17, 22, seed=1)
    grey[:, 11:] = uniform_filter1d(grey, 7, axis=1)[:, 11:]
    return photo_of(grey)


@pytest.mark.parametrize("window", [9, 21])
def test_the_motion_map_is_that_of_the_definition(window):
    grey = small_picture()[..., 0]
    expected = slow_map(slow_motion(grey, window, 1))
    assert np.abs(as_map(stretch(-motion(grey, window, 1))) - expected).max() <= 1


def test_the_map_lies_between_every_second_pixel_of_every_second_row():
    photo = small_picture()
    sampled = slow_motion(photo[..., 0], 21, 2)
    rows = [np.interp(np.arange(22), np.arange(0, 22, 2), row) for row in sampled]
    columns = [np.interp(np.arange(17), np.arange(0, 17, 2), column) for column in np.transpose(rows)]
    assert np.abs(asvb(photo) - slow_map(np.transpose(columns))).max() <= 1


@pytest.fixture
def drawn():
    """Energies drawn from the model under every kernel: (n, K, 300), with S and Z, and the variances s."""
    rng = np.random.default_rng(2)
    filters = slow_filters(21)
    signal = np.array([[energy(np.convolve(np.ones(n) / n, one)) for one in filters] for n in (1, 5, 15)])
    error = np.array([energy(np.convolve([1, -1], one)) for one in filters])
    variance = 10 ** rng.uniform(1, 3, (3, 300))
    mean = variance * signal.T[:, :, None] + error[:, None, None]
    return (mean * rng.exponential(size=mean.shape)).astype(np.float32), signal, error


def test_the_fixed_point_is_near_the_maximum(drawn):
    energies, signal, error = drawn
    found = log_likelihoods(energies, signal, error)
    assert found.shape == (3, 3, 300)
    below = []
    for k, true, number in np.ndindex(3, 3, 40):

        def cost(log_s, own=signal[k], answers=energies[:, true, number]):
            total = np.exp(log_s) * own + error
            return (np.log(total) + answers / total).sum()

        start = min(np.linspace(-18.4, 15, 100), key=cost)  # the weakest variance is 1e-8
        best = minimize_scalar(cost, bounds=(max(start - 1, -18.42), start + 1), method="bounded").fun
        below.append(-best - found[k, true, number])
    assert min(below) > -1e-3
    assert np.quantile(below, 0.95) < 0.03
    assert max(below) < 1


def test_the_kernel_that_blurred_is_the_likeliest(drawn):
    likeliest = log_likelihoods(*drawn).argmax(axis=0)
    assert [np.bincount(row, minlength=3).argmax() for row in likeliest] == [0, 1, 2]


# The whole.


@pytest.mark.parametrize("axis", [0, 1])
def test_motion_along_either_axis_is_out_of_focus(axis):
    grey = texture(96, 128, seed=1)
    grey[:, 64:] = uniform_filter1d(grey, 9, axis=axis)[:, 64:]
    truth = np.broadcast_to(np.arange(128) < 64, grey.shape)
    assert roc_auc_score(truth.ravel(), asvb(photo_of(grey)).ravel()) > 0.9
