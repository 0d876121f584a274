"""LBP against loops straight from its definition, against the published maps, and its parts."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score
from textures import noise

from magan_core import paths
from magan_core.classical.lbp import codes, lbp, seeds, window_shares
from magan_core.classical.matting import LocalModels, Matting, shrink
from magan_core.classical.planes import interpolate
from magan_core.data.images import read_map, read_photo


def half_textured(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Texture on the left, nearly nothing on the right, so that there are seeds of both kinds."""
    rng = np.random.default_rng(seed)
    strength = np.where(np.arange(width) < width // 2, 60, 1)
    grey = 120 + strength * rng.standard_normal((height, width))
    return np.clip(grey[..., None] + rng.uniform(-1, 1, (height, width, 3)), 0, 255).astype(np.uint8)


# The definition, one pixel and one window at a time.


def slow_code(grey: np.ndarray, row: int, column: int, threshold: float) -> int:
    def at(dy, dx):
        y, x = min(max(row + dy, 0), grey.shape[0] - 1), min(max(column + dx, 0), grey.shape[1] - 1)
        return float(grey[y, x])

    bits = []
    for k in range(8):
        dy, dx = math.sin(k * math.pi / 4), math.cos(k * math.pi / 4)
        y0, x0 = math.floor(dy + 1e-9), math.floor(dx + 1e-9)
        fy, fx = dy - y0, dx - x0
        sample = sum(
            (fy if j else 1 - fy) * (fx if i else 1 - fx) * at(y0 + j, x0 + i)
            for j, i in product((0, 1), repeat=2)
        )
        bits.append(sample - at(0, 0) > 255 * threshold + 1e-9)
    changes = sum(bits[k] != bits[k - 1] for k in range(8))
    return sum(bits) if changes <= 2 else 9


def slow_shares(flags: np.ndarray, size: int) -> np.ndarray:
    padded = np.pad(flags.astype(int), size // 2, mode="edge")
    return np.array(
        [[padded[y : y + size, x : x + size].sum() for x in range(flags.shape[1])] for y in range(len(flags))]
    ) / (size * size)


def slow_shrink(values: np.ndarray) -> np.ndarray:
    weights = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
    return np.array(
        [
            [
                np.tensordot(weights, values[y - 2 : y + 3, x - 2 : x + 3], 2)
                for x in range(2, values.shape[1] - 2, 2)
            ]
            for y in range(2, len(values) - 2, 2)
        ]
    )


def slow_solve(image: np.ndarray, known: np.ndarray, value: np.ndarray) -> np.ndarray:
    height, width = known.shape
    system = np.diag(100.0 * known.ravel())
    for y, x in product(range(1, height - 1), range(1, width - 1)):
        if known[y - 1 : y + 2, x - 1 : x + 2].all():
            continue
        cells = [(y + j) * width + x + i for j, i in product((-1, 0, 1), repeat=2)]
        colours = image.reshape(-1, 3)[cells]
        centred = colours - colours.mean(axis=0)
        core = np.linalg.inv(centred.T @ centred / 9 + 1e-7 / 9 * np.eye(3))
        system[np.ix_(cells, cells)] += np.eye(9) - (1 + centred @ core @ centred.T) / 9
    return np.linalg.solve(system, 100.0 * (known * value).ravel()).reshape(height, width)


def slow_carry(alpha: np.ndarray, coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    height, width = alpha.shape
    models = np.zeros((height, width, 4))
    for y, x in product(range(height), range(width)):
        cy, cx = min(max(y, 1), height - 2), min(max(x, 1), width - 2)
        colours = coarse[cy - 1 : cy + 2, cx - 1 : cx + 2].reshape(9, 3)
        design = np.vstack([np.c_[colours, np.ones(9)], np.c_[np.sqrt(1e-7) * np.eye(3), np.zeros(3)]])
        target = np.r_[alpha[cy - 1 : cy + 2, cx - 1 : cx + 2].ravel(), np.zeros(3)]
        models[y, x] = np.linalg.lstsq(design, target)[0]
    result = np.empty(fine.shape[:2])
    for y, x in product(*map(range, result.shape)):
        v, u = min(max((y - 2) / 2, 0), height - 1), min(max((x - 2) / 2, 0), width - 1)
        j, i = min(int(v), height - 2), min(int(u), width - 2)
        top = (1 - u + i) * models[j, i] + (u - i) * models[j, i + 1]
        bottom = (1 - u + i) * models[j + 1, i] + (u - i) * models[j + 1, i + 1]
        model = (1 - v + j) * top + (v - j) * bottom
        result[y, x] = model[:3] @ fine[y, x] + model[3]
    return result


def slow_matting(image: np.ndarray, known: np.ndarray, value: np.ndarray) -> np.ndarray:
    images = [image, slow_shrink(image), slow_shrink(slow_shrink(image))]
    given, one = known.astype(float), (known & value).astype(float)
    for _ in range(2):
        given, one = np.floor(slow_shrink(given) + 0.5), np.floor(slow_shrink(one) + 0.5)
    alpha = np.clip(slow_solve(images[2], given > 0, one), 0, 1)
    alpha = slow_carry(alpha, images[2], images[1])
    return np.clip(slow_carry(alpha, images[1], images[0]), 0, 1)


def slow_belief(maps: np.ndarray, alpha: float) -> np.ndarray:
    """Messages as logarithms of ratios, renewed one after another."""
    x = (maps - maps.mean()) / maps.std(ddof=1)
    own = np.abs(x) - np.abs(1 - x)
    nodes = list(product(*map(range, maps.shape)))
    steps = [step for step in product((-1, 0, 1), repeat=3) if sum(map(abs, step)) == 1]
    around = {node: [tuple(np.add(node, step).tolist()) for step in steps] for node in nodes}
    friends = {node: [other for other in around[node] if other in around] for node in nodes}
    message = {(giver, taker): 0.0 for giver in nodes for taker in friends[giver]}
    change = 1.0
    while change > 1e-6:
        change = 0.0
        for giver in nodes:
            heard = own[giver] + sum(message[friend, giver] for friend in friends[giver])
            for taker in friends[giver]:
                rest = heard - message[taker, giver]
                new = 2 * math.atanh(math.tanh(alpha / 2) * math.tanh(rest / 2))
                change = max(change, abs(new - message[giver, taker]))
                message[giver, taker] = new
    result = np.zeros(maps.shape[1:])
    for node in nodes:
        if node[0] == 0:
            total = own[node] + sum(message[friend, node] for friend in friends[node])
            result[node[1:]] = 1 / (1 + math.exp(-total))
    return result


def slow_lbp(photo: np.ndarray) -> np.ndarray:
    grey = np.floor(photo @ [0.298936, 0.587043, 0.114021] + 0.5)
    height, width = grey.shape
    code = np.array([[slow_code(grey, y, x, 0.016) for x in range(width)] for y in range(height)])
    image = photo / 255
    mattes = []
    for size in (21, 15, 11):
        shares = slow_shares(code >= 6, size)
        sharpness = (shares - shares.min()) / (shares.max() - shares.min())
        painted = image.copy()
        painted[sharpness > 0.3] = 1
        painted[1 - sharpness > 0.99] = 0
        known = np.abs(painted - image).sum(axis=2) > 0.001
        mattes.append(slow_matting(image, known, sharpness > 0.3))
    return np.floor(255 * slow_belief(np.array(mattes), 0.5) + 0.5)


@pytest.mark.parametrize("shape", [(26, 30), (25, 37)])
def test_the_map_is_that_of_the_definition(shape):
    photo = half_textured(*shape)
    expected = slow_lbp(photo)
    assert np.ptp(expected) > 100
    assert np.abs(lbp(photo) - expected).max() <= 1


# Parts.


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)))
def test_codes_are_those_of_the_definition(grey):
    expected = [[slow_code(grey, y, x, 0.016) for x in range(grey.shape[1])] for y in range(len(grey))]
    assert np.array_equal(codes(grey), expected)


def test_codes_of_simple_pictures():
    assert not codes(np.full((5, 6), 77, np.uint8)).any()
    step = np.full((5, 6), 50, np.uint8)
    step[:, 3:] = 60
    assert np.array_equal(codes(step)[2], [0, 0, 3, 0, 0, 0])  # three of eight samples are on the bright side
    spike = np.full((5, 5), 50, np.uint8)
    spike[2, 2] = 40
    assert codes(spike)[2, 2] == 8
    spike[2, 2] = 46  # 4 levels are not more than 4.08
    assert codes(spike)[2, 2] == 0


@given(
    hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12)), st.sampled_from([1, 3, 7, 21])
)
def test_window_shares(flags, size):
    assert np.array_equal(window_shares(flags, size), slow_shares(flags, size))


def test_white_foreground_and_black_background_are_no_seeds():
    image = np.zeros((2, 3, 3))
    image[:, 1] = 0.5
    image[:, 2] = 1.0
    sharpness = np.array([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    known, one = seeds(image, sharpness)
    assert np.array_equal(known, [[True, True, False], [False, True, True]])
    assert np.array_equal(one, sharpness > 0)


def test_seeds_leave_out_the_values_between_the_thresholds():
    known, one = seeds(np.full((1, 4, 3), 0.5), np.array([[0.3, 0.31, 0.01, 0.009]]))
    assert np.array_equal(known, [[False, True, False, True]])
    assert np.array_equal(one, [[False, True, False, False]])


@pytest.mark.parametrize("shape", [(5, 6), (9, 12), (12, 9, 3)])
def test_shrinking(shape):
    values = np.random.default_rng(1).random(shape)
    np.testing.assert_allclose(shrink(values), slow_shrink(values))


@pytest.mark.parametrize(("samples", "step", "first"), [((3, 4), 2, 2), ((5, 1), 4, 0), ((1, 2), 1, 0)])
def test_interpolation(samples, step, first):
    values = np.random.default_rng(2).random((*samples, 2))
    found = interpolate(values, step, (13, 11), first)
    assert found.shape == (13, 11, 2)
    for row, column, channel in product(range(13), range(11), range(2)):
        at = [
            np.interp(column, first + step * np.arange(samples[1]), values[line, :, channel])
            for line in range(samples[0])
        ]
        expected = np.interp(row, first + step * np.arange(samples[0]), at)
        assert found[row, column, channel] == pytest.approx(expected)


def test_matting_solves_the_quadratic_form_and_carries_its_models_up():
    fine = noise(24, 27) / 255
    coarse = slow_shrink(fine)
    rng = np.random.default_rng(3)
    known = rng.random(coarse.shape[:2]) < 0.3
    known[:5, :5] = True  # a window to leave out
    value = rng.random(known.shape) < 0.5
    models = LocalModels(coarse)
    alpha = models.solve(known, value.astype(float))
    np.testing.assert_allclose(alpha, slow_solve(coarse, known, value), atol=1e-7)
    np.testing.assert_allclose(models.carry(alpha, fine), slow_carry(alpha, coarse, fine), atol=1e-6)


@pytest.mark.parametrize("value", [False, True])
def test_one_kind_of_seed_gives_a_constant(value):
    known = np.zeros((30, 33), bool)
    known[10:20, 10:20] = True
    alpha = Matting(noise(30, 33) / 255)(known, np.full(known.shape, value))
    np.testing.assert_allclose(alpha, float(value), atol=1e-4)


def test_two_flat_colours_with_a_seed_each_give_a_step():
    image = np.full((48, 60, 3), 0.2)
    image[:, 30:] = 0.8
    known = np.zeros((48, 60), bool)
    known[20:28, 8:16] = known[20:28, 44:52] = True
    alpha = Matting(image)(known, np.broadcast_to(np.arange(60) >= 30, known.shape))
    assert np.abs(alpha[:, :27]).max() < 0.02
    assert np.abs(alpha[:, 33:] - 1).max() < 0.02


def test_no_seed_at_all_is_black():
    assert not Matting(noise(21, 21) / 255)(np.zeros((21, 21), bool), np.zeros((21, 21), bool)).any()


# The whole.


def test_texture_everywhere_is_in_focus_everywhere():
    assert (lbp(noise(40, 44)) == 255).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_flipped_photograph_has_the_flipped_map(axis):
    photo = half_textured(29, 41)  # sides of 4 k + 1: the coarse grids are symmetric, too
    found = lbp(np.flip(photo, axis).copy()).astype(int)
    assert np.ptp(found) > 100
    assert np.abs(np.flip(found, axis) - lbp(photo)).max() <= 1


def test_the_textured_half_is_in_focus():
    found = lbp(half_textured(80, 100))
    truth = np.broadcast_to(np.arange(100) < 50, found.shape)
    assert roc_auc_score(truth.ravel(), found.ravel()) > 0.95


@pytest.mark.parametrize("stem", ["out_of_focus0045", "out_of_focus0051", "out_of_focus0062"])
def test_published_maps_of_the_authors(stem):
    """The smallest, one with seeds that hang on the last bit, and one that is nearly black."""
    photo = paths.raw() / "cuhk" / "images" / f"{stem}.jpg"
    published = paths.published() / "cuhk/LBP" / f"{stem}.png"
    if not photo.exists() or not published.exists():
        pytest.skip("MAGAN_DATA and MAGAN_PUBLISHED name no folders with cuhk and the maps cuhk/LBP")
    found, theirs = lbp(read_photo(photo)).astype(int), 255 - read_map(published).astype(int)
    assert np.abs(found - theirs).max() <= 1
    assert np.corrcoef(found.ravel(), theirs.ravel())[0, 1] > 0.9999
