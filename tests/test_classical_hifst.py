"""HiFST against loops straight from its definition, and its parts."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy import stats
from scipy.fft import dctn
from textures import noise

from magan_core.classical import hifst as module
from magan_core.classical.domain_transform import recursive_filter
from magan_core.classical.hifst import fuse, hifst, local_entropy, smallest

SIZES = (7, 15, 31, 63)


# The definition, one pixel at a time.


def slow_correlate(values: np.ndarray, weights: np.ndarray, mode: str) -> np.ndarray:
    padded = np.pad(np.asarray(values, float), 1, mode=mode)
    height, width = values.shape
    return sum(weights[j][i] * padded[j : j + height, i : i + width] for j, i in product(range(3), repeat=2))


def slow_gaussian(values: np.ndarray, sigma: float, mode: str) -> np.ndarray:
    weights = [[np.exp(-(j * j + i * i) / (2 * sigma**2)) for i in (-1, 0, 1)] for j in (-1, 0, 1)]
    return slow_correlate(values, np.array(weights) / np.sum(weights), mode)


def slow_layers(gradient: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    edge = max(sizes) // 2
    padded = np.pad(gradient.astype(float), edge)
    keep = sum(sizes) + 1
    result = np.empty((*gradient.shape, keep))
    for y, x in product(*map(range, gradient.shape)):
        values = []
        for size in sizes:
            corner = y + edge - size // 2, x + edge - size // 2
            block = padded[corner[0] :, corner[1] :][:size, :size]
            spectrum = np.abs(dctn(block, norm="ortho"))
            values += [spectrum[u, v] for u, v in product(range(size), repeat=2) if u + v >= size - 1]
        result[y, x] = sorted(values)[:keep]
    return result


def slow_stretch(values: np.ndarray) -> np.ndarray:
    return (values - values.min()) / (values.max() - values.min())


def slow_entropy(values: np.ndarray) -> np.ndarray:
    padded = np.pad(np.floor(255 * values + 0.5).astype(int), 3, mode="symmetric")
    return np.array(
        [
            [
                stats.entropy(np.bincount(padded[y : y + 7, x : x + 7].ravel()), base=2)
                for x in range(values.shape[1])
            ]
            for y in range(len(values))
        ]
    )


def slow_recursive_filter(values, guide, spatial, tonal):
    values = values.copy()
    height, width = values.shape
    rows = [[(y, x) for x in range(width)] for y in range(height)]
    columns = [[(y, x) for y in range(height)] for x in range(width)]
    for number in range(1, 4):
        sigma = spatial * 3**0.5 * 2 ** (3 - number) / (4**3 - 1) ** 0.5
        a = np.exp(-(2**0.5) / sigma)
        for line in rows + columns:
            steps = list(pairwise(line))
            for source, target in steps + [(after, before) for before, after in reversed(steps)]:
                distance = 1 + spatial / tonal * abs(guide[source] - guide[target])
                values[target] += a**distance * (values[source] - values[target])
    return values


def slow_hifst(photo: np.ndarray) -> np.ndarray:
    smooth = [np.floor(slow_gaussian(photo[..., c], 0.5, "edge") + 0.5) for c in range(3)]
    grey = np.floor(0.298936 * smooth[0] + 0.587043 * smooth[1] + 0.114021 * smooth[2] + 0.5)
    vertical = np.array([[-1, -2, -1], [0, 0, 0], [1, 2, 1]])
    gradient = np.hypot(slow_correlate(grey, vertical, "edge"), slow_correlate(grey, vertical.T, "edge"))
    layers = slow_layers(gradient, SIZES)
    layers = np.stack([slow_stretch(layers[..., t]) for t in range(layers.shape[2])])
    sharpness = slow_stretch(layers.max(axis=0))
    guide = slow_gaussian(slow_stretch(grey), 1.0, "constant")
    smoothed = slow_recursive_filter(slow_entropy(sharpness) * sharpness, guide, 15, 0.25)
    return np.floor(255 * slow_stretch(smoothed) + 0.5)


@pytest.mark.parametrize("shape", [(17, 22), (24, 13)])
def test_the_map_is_that_of_the_definition(shape, monkeypatch):
    photo = noise(*shape)
    photo[:, shape[1] // 2 :] = photo[:, shape[1] // 2 :] // 16 + 100
    expected = slow_hifst(photo)
    single = hifst(photo)  # its rounding errors move a few bytes of the entropy
    assert np.abs(single - expected).max() <= 6
    assert np.corrcoef(single.ravel(), expected.ravel())[0, 1] > 0.9995
    monkeypatch.setattr(module, "smallest", slow_layers)
    assert np.abs(hifst(photo) - expected).max() <= 1


# Parts.


@pytest.mark.parametrize(("sizes", "shape"), [((7, 15), (9, 12)), (SIZES, (5, 70)), ((3,), (1, 1))])
def test_smallest_coefficients(sizes, shape):
    gradient = np.random.default_rng(2).uniform(0, 1000, shape).astype(np.float32)
    expected = slow_layers(gradient, sizes)
    np.testing.assert_allclose(smallest(gradient, sizes), expected, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "turn",
    [np.flipud, np.fliplr, lambda values: np.swapaxes(values, 0, 1)],
    ids=["upside down", "mirrored", "transposed"],
)
def test_the_transform_is_symmetric(turn):
    gradient = np.random.default_rng(4).uniform(0, 1000, (14, 19)).astype(np.float32)
    found = smallest(turn(gradient), (7, 15))
    np.testing.assert_allclose(found, turn(smallest(gradient, (7, 15))), rtol=1e-3, atol=1e-2)


def test_fusion_stretches_each_layer_and_leaves_constant_ones_black():
    layers = np.zeros((1, 3, 3), np.float32)
    layers[0, :, 0] = 5, 5, 5
    layers[0, :, 1] = 10, 20, 15
    layers[0, :, 2] = 100, 100, 140
    assert np.array_equal(fuse(layers), [[0, 1, 1]])
    assert not fuse(layers[..., :1]).any()


def test_entropy():
    values = np.random.default_rng(5).integers(0, 9, (10, 8)) / 8
    np.testing.assert_allclose(local_entropy(values), slow_entropy(values), atol=1e-6)
    assert not local_entropy(np.full((4, 2), 0.4)).any()


def test_the_recursive_filter():
    rng = np.random.default_rng(6)
    values, guide = rng.random((9, 13)), rng.random((9, 13))
    expected = slow_recursive_filter(values, guide, 4, 0.3)
    np.testing.assert_allclose(recursive_filter(values, guide, 4, 0.3), expected)


def test_the_recursive_filter_keeps_constants_edges_and_when_narrow_everything():
    rng = np.random.default_rng(7)
    values, guide = rng.random((8, 20)), rng.random((8, 20))
    np.testing.assert_allclose(recursive_filter(np.full((8, 20), 0.7), guide, 15, 0.25), 0.7)
    np.testing.assert_allclose(recursive_filter(values, np.zeros((8, 20)), 0.02, 0.25), values)
    edge = np.zeros((8, 20))
    edge[:, 10:] = 1
    smooth = recursive_filter(values + 10 * edge, edge, 15, 0.1)
    assert smooth[:, :10].max() < 1
    assert smooth[:, 10:].min() > 10
