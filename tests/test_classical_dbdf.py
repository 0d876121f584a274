"""DBDF against loops straight from its definition, against the published maps, and its parts."""

from itertools import product

import numpy as np
import pytest
from safetensors import safe_open
from scipy import stats
from sklearn.metrics import roc_auc_score
from sklearn.naive_bayes import GaussianNB
from textures import half_sharp, noise

from magan_core import paths
from magan_core.classical.belief import merge
from magan_core.classical.dbdf import LEARNT, PATCHES, Learnt, dbdf, focus_map, load
from magan_core.classical.dbdf_features import gradients, heavy_tails, peakedness, power, response, ring_bins
from magan_core.classical.dbdf_fit import fit, training_records, write
from magan_core.classical.planes import box_sums
from magan_core.data import sets
from magan_core.data.images import read_map
from magan_core.errors import MaganError


def grey_half_sharp(height: int, width: int) -> np.ndarray:
    """`half_sharp` as one plane, with a flat and a black corner."""
    grey = half_sharp(height, width)[..., 0].copy()
    grey[:13, :13] = 90
    grey[-13:, -13:] = 0
    return grey


# The definition, one patch at a time.


def slow_gradients(grey: np.ndarray) -> list[np.ndarray]:
    values = np.pad(grey.astype(float), ((0, 1), (0, 1)))
    return [values[:-1, 1:] - values[:-1, :-1], values[1:, :-1] - values[:-1, :-1]]


def over_patches(function, patch: int, *planes: np.ndarray) -> np.ndarray:
    height, width = (side - patch + 1 for side in planes[0].shape)
    return np.array(
        [
            [function(*(plane[y : y + patch, x : x + patch] for plane in planes)) for x in range(width)]
            for y in range(height)
        ]
    )


def slow_peakedness(grey: np.ndarray, patch: int) -> np.ndarray:
    def one(*patches):
        logs = [np.log(stats.kurtosis(values, None, fisher=False)) for values in patches if np.ptp(values)]
        return min(logs, default=np.nan)

    result = over_patches(one, patch, *slow_gradients(grey))
    return np.where(np.isnan(result), np.nanmin(result), result)


def slow_heavy_tails(grey: np.ndarray, patch: int) -> np.ndarray:
    def one(along_x, along_y):
        size = np.hypot(along_x, along_y).ravel() / 255
        variance, weight = np.array([0.5, 1e-4]), 0.5
        for _ in range(100):
            density = stats.norm.pdf(size[:, None], scale=np.sqrt(variance)) * [1 - weight, weight]
            share = density / density.sum(axis=1, keepdims=True)
            before, weight = weight, share[:, 1].mean()
            variance = np.maximum((share * size[:, None] ** 2).sum(axis=0) / share.sum(axis=0), 1e-12)
            if abs(weight - before) <= 1e-3 * before:
                break
        return np.sqrt(variance.max())

    result = over_patches(one, patch, *slow_gradients(grey))
    return np.pad(result[3:-3, 3:-3], 3, mode="edge")


def slow_power(grey: np.ndarray, patch: int, bins: list[list[int]]) -> np.ndarray:
    half = (patch - 1) // 2
    index = np.arange(1, half + 1)
    ring = np.round(np.hypot(index[:, None], index))

    def one(values):
        if not values.any():
            return 0.0
        energy = np.abs(np.fft.fft2(values / values.sum()))[:half, :half] ** 2 / half**2
        energy[energy < 1e-20] = 0
        sums = [sum(energy[ring == number].mean() for number in rings) for rings in bins]
        return sum(np.log(value) for value in sums if value > 0)

    return over_patches(one, patch, grey.astype(float))


def slow_response(grey: np.ndarray, weights: np.ndarray) -> np.ndarray:
    values = over_patches(lambda patch: (patch / 255 * weights).sum(), len(weights), grey)
    return np.clip(values, np.percentile(values, 3), np.percentile(values, 97))


def slow_belief(maps: np.ndarray, present: np.ndarray, alpha: float) -> np.ndarray:
    """Messages as logarithms of ratios, all renewed at once."""
    inside = maps[present]
    x = (maps - inside.mean()) / inside.std(ddof=1)
    own = np.abs(x) - np.abs(1 - x)
    nodes = {tuple(node) for node in np.argwhere(present).tolist()}
    steps = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
    friends = {node: {tuple(np.add(node, step).tolist()) for step in steps} & nodes for node in nodes}
    message = {(giver, taker): 0.0 for giver in nodes for taker in friends[giver]}
    change = 1.0
    while change > 1e-6:
        heard = {node: own[node] + sum(message[friend, node] for friend in friends[node]) for node in nodes}
        rest = {(giver, taker): heard[giver] - message[taker, giver] for giver, taker in message}
        new = {pair: 2 * np.arctanh(np.tanh(alpha / 2) * np.tanh(h / 2)) for pair, h in rest.items()}
        change = max(abs(new[pair] - message[pair]) for pair in new)
        message = new
    result = np.full(maps.shape[1:], np.nan)
    for node in nodes:
        if node[0] == 0:
            total = own[node] + sum(message[friend, node] for friend in friends[node])
            result[node[1:]] = 1 / (1 + np.exp(-total))
    return result


BINS = {
    11: [[1], [2], [3, 4], [5], [6], [7]],
    15: [[1], [2], [3, 4], [5], [6], [7], [8, 9], [10]],
    21: [[1], [2], [3, 4], [5], [6], [7], [8, 9], [10, 11], [12, 13]],
}


def slow_dbdf(photo: np.ndarray) -> np.ndarray:
    grey = np.floor(photo @ [0.298936, 0.587043, 0.114021] + 0.5).astype(int)
    maps, present = np.zeros((3, *grey.shape)), np.zeros((3, *grey.shape), bool)
    for layer, patch in enumerate((21, 15, 11)):
        learnt = load()[patch]
        values = [
            slow_peakedness(grey, patch),
            slow_heavy_tails(grey, patch),
            slow_power(grey, patch, BINS[patch]),
            *(slow_response(grey, weights) for weights in learnt.filters),
        ]
        density = [1.0, 1.0]
        for number, value in enumerate(values):
            for label in (0, 1):
                mean, deviation = learnt.means[label, number], learnt.deviations[label, number]
                density[label] = density[label] * stats.norm.pdf(value, mean, deviation)
        blurred = density[1] / (density[0] + density[1])
        edge = patch // 2
        maps[layer, edge:-edge, edge:-edge] = (blurred - blurred.min()) / np.ptp(blurred)
        present[layer, edge:-edge, edge:-edge] = True
    blurred = np.pad(slow_belief(maps, present, 0.5)[10:-10, 10:-10], 10, mode="edge")
    return np.floor(255 * (blurred.max() - blurred) / np.ptp(blurred) + 0.5)


@pytest.mark.parametrize("shape", [(34, 40), (47, 31)])
def test_the_map_is_that_of_the_definition(shape):
    photo = half_sharp(*shape)
    found, expected = dbdf(photo), slow_dbdf(photo)
    assert np.abs(found - expected).mean() < 3  # the histogram in place of the magnitudes
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.999


# Features.


def test_gradients_see_zeros_beyond_the_edge():
    grey = noise(7, 9)[..., 0]
    for found, expected in zip(gradients(grey), slow_gradients(grey), strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize("patch", [11, 15, 21])
def test_features_are_those_of_the_definition(patch):
    grey = grey_half_sharp(36, 33)
    weights = np.random.default_rng(1).standard_normal((patch, patch))
    np.testing.assert_allclose(peakedness(grey, patch), slow_peakedness(grey, patch), rtol=1e-6)
    np.testing.assert_allclose(power(grey, patch), slow_power(grey, patch, BINS[patch]), rtol=1e-6)
    np.testing.assert_allclose(response(grey, weights), slow_response(grey, weights), atol=1e-9)
    found, expected = heavy_tails(grey, patch), slow_heavy_tails(grey, patch)
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.99
    assert np.median(np.abs(found / expected - 1)) < 0.03


@pytest.mark.parametrize("patch", BINS)
def test_rings_and_bins(patch):
    bins = ring_bins((patch - 1) // 2)
    listed = [[ring for ring in bins if bins[ring] == number] for number in sorted(set(bins.values()))]
    assert listed == BINS[patch]


@pytest.mark.parametrize("feature", [peakedness, heavy_tails, power])
@pytest.mark.parametrize("level", [0, 90])
def test_features_of_a_flat_plane_are_numbers(feature, level):
    assert np.isfinite(feature(np.full((30, 31), level, np.uint8), 15)).all()


@pytest.mark.parametrize("kind", [np.uint8, bool, np.float64])
def test_box_sums(kind):
    values = (np.random.default_rng(2).random((30, 40)) * (1 if kind is np.float64 else 2)).astype(kind)
    expected = over_patches(np.sum, 7, values)
    np.testing.assert_allclose(box_sums(values, 7, 7), expected, rtol=0 if kind is not np.float64 else 1e-12)


# Classifier, inference, fit.


def test_the_posterior_is_that_of_gaussian_naive_bayes():
    rng = np.random.default_rng(3)
    sharp, blurred = rng.normal(1, 2, (400, 5)), rng.normal(0, 1, (400, 5))
    judge = GaussianNB(var_smoothing=0).fit(np.r_[sharp, blurred], np.r_[np.zeros(400), np.ones(400)])
    learnt = Learnt(np.zeros((2, 3, 3)), judge.theta_, np.sqrt(judge.var_))
    values = rng.normal(0, 3, (5, 6, 7))
    expected = judge.predict_proba(values.reshape(5, -1).T)[:, 1].reshape(6, 7)
    np.testing.assert_allclose(learnt.posterior(values), expected, atol=1e-9)


@pytest.mark.parametrize("nested", [True, False])
def test_belief_where_layers_are_smaller(nested):
    maps = np.random.default_rng(4).random((3, 8, 9))
    present = np.ones(maps.shape, bool)
    if nested:
        present[1] = present[0] = False
        present[1, 1:-1, 1:-1] = present[0, 3:-3, 2:-2] = True
    found = merge(maps, 0, present)
    expected = slow_belief(maps, present, 0.5)
    np.testing.assert_allclose(found[present[0]], expected[present[0]], atol=1e-6)


def stripes(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that alternate, on noise, all in focus; or the noise alone, all blurred. Photograph and mask."""
    sharp = number % 2 == 0
    rng = np.random.default_rng(number)
    wave = np.where(np.arange(40) % 2, 1, -1)[:, None]
    grey = 120 + 40 * sharp * wave + rng.normal(0, 4, (40, 40))
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2), np.full((40, 40), 255 * sharp, np.uint8)


@pytest.fixture(scope="module")
def striped():
    return fit([stripes(number) for number in range(6)], (11,), 900)[11]


def test_the_first_filter_is_what_the_classes_differ_in(striped):
    wave = np.where(np.arange(11) % 2, 1, -1)[:, None] * np.ones(11)
    assert abs((striped.filters[0] * wave).sum()) > 0.95 * np.linalg.norm(wave)
    np.testing.assert_allclose(striped.filters.mean(axis=(1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(striped.filters, axis=(1, 2)), 1, atol=1e-5)
    assert striped.deviations[0, 3] > 5 * striped.deviations[1, 3]


@pytest.mark.parametrize("seed", range(4))
def test_the_largest_weight_of_a_filter_is_positive(seed):
    """Else the sign would be that of a library of linear algebra."""
    for one in fit([stripes(number) for number in range(4)], (7, 11), 200, seed).values():
        flat = one.filters.reshape(2, -1)
        assert (np.take_along_axis(flat, np.abs(flat).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_densities_are_those_of_the_pixels_of_each_class(striped):
    for label, numbers in enumerate([(0, 2, 4), (1, 3, 5)]):
        values = np.concatenate([power(stripes(number)[0][..., 0], 11).ravel() for number in numbers])
        assert striped.means[label, 2] == pytest.approx(values.mean(), abs=0.1 * values.std())
        assert striped.deviations[label, 2] == pytest.approx(values.std(), rel=0.1)


def test_fitting_again_gives_the_same_bytes_and_another_seed_others(tmp_path):
    photographs = [stripes(number) for number in range(4)]
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        write(fit(photographs, (11,), 50, seed), tmp_path / name, "stripes")
    one, again, other = ((tmp_path / name).read_bytes() for name in ("one", "again", "other"))
    assert one == again
    assert one != other
    with safe_open(tmp_path / "one", "np") as file:
        assert file.metadata() == {"fitted_on": "stripes"}
    grey = half_sharp(40, 48)[..., 0]
    fitted = focus_map(grey, fit(photographs, (11,), 50))
    assert np.array_equal(focus_map(grey, load(tmp_path / "one")), fitted)
    assert not np.array_equal(focus_map(grey, {11: load()[11]}), fitted)


def test_a_feature_that_never_changes_leaves_a_posterior():
    """A ramp: each of its blurred patches has one gradient only."""
    ramp = np.repeat(np.tile(np.arange(40, dtype=np.uint8) * 4, (40, 1))[..., None], 3, axis=2)
    mask = np.full((40, 40), 255, np.uint8)
    mask[8:30, 8:30] = 0
    learnt = fit([(noise(40, 40), np.full_like(mask, 255)), (ramp, mask)], (11,), 50)[11]
    assert learnt.deviations[1].min() < 1e-3
    values = np.random.default_rng(0).normal(0, 1, (5, 6, 7)) + learnt.means[1][:, None, None]
    assert np.isfinite(learnt.posterior(values)).all()


@pytest.mark.parametrize("white", [0, 255])
def test_fitting_needs_both_classes(white):
    photo, _ = stripes(0)
    with pytest.raises(
        MaganError, match="is blurred; expected both" if white else "is in focus; expected both"
    ):
        fit([(photo, np.full(photo.shape[:2], white, np.uint8))], (11,))


def test_what_the_repository_holds():
    assert tuple(sorted(load(), reverse=True)) == PATCHES
    for side, learnt in load().items():
        assert learnt.filters.shape == (2, side, side)
        assert learnt.means.shape == learnt.deviations.shape == (2, 5)
        assert (learnt.means[0, :3] > learnt.means[1, :3]).all()  # in focus: more peaked, heavier, more power
    with safe_open(LEARNT, "np") as file:
        assert file.metadata()["fitted_on"].startswith("40 photographs of CUHK")


# The whole.


def photograph(stem: str) -> tuple[np.ndarray, np.ndarray]:
    """A photograph of CUHK and its mask; skip where they are not."""
    folder = paths.raw() / "cuhk"
    if not folder.is_dir():
        pytest.skip(f"no photographs in {folder}: set MAGAN_DATA")
    record = next(one for one in sets.pairs(folder, "blur") if one["stem"] == stem)
    return sets.load(record)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["out_of_focus0012", "out_of_focus0022", "out_of_focus0062"])
def test_published_maps_of_the_authors(stem):
    published = paths.published() / f"cuhk/DBDF/{stem}.jpg"
    if not published.exists():
        pytest.skip(f"no {published}: set MAGAN_PUBLISHED")
    photo, mask = photograph(stem)
    found, theirs = dbdf(photo), 255 - read_map(published)
    assert np.corrcoef(found.ravel(), theirs.ravel())[0, 1] > 0.7
    own_auc, their_auc = (roc_auc_score(mask.ravel() > 0, one.ravel()) for one in (found, theirs))
    assert own_auc > their_auc - 0.05


@pytest.mark.slow
def test_the_repository_holds_what_the_fit_finds():
    photograph("out_of_focus0001")
    found = fit([sets.load(record) for record in training_records()], (11,))[11]
    for part, expected in vars(load()[11]).items():
        np.testing.assert_allclose(getattr(found, part), expected, rtol=1e-3, atol=1e-3)
