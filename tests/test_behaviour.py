"""What scores hide, against scikit-learn, SciPy, slow loops and cases that can be seen through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from magan_core.errors import MaganError
from magan_core.metrics import PROTOCOLS, histograms, summary
from magan_core.reporting import behaviour


def pictures(seed: int, height: int = 21, width: int = 17) -> tuple[np.ndarray, np.ndarray]:
    """A map that tends to agree with its mask, and the mask: blobs with edges at every angle."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    field = np.sin(x / random.uniform(2, 6) + seed) + np.cos(y / random.uniform(2, 6))
    mask = np.where(field > random.uniform(-0.5, 0.5), np.uint8(255), np.uint8(0))
    mask[0, 0], mask[-1, -1] = 0, 255
    values = 128 + 60 * field + random.normal(0, 30, field.shape)
    return values.clip(0, 255).astype(np.uint8), mask


def statistics(*seeds: int) -> np.ndarray:
    return np.stack([histograms(*pictures(seed)) for seed in seeds])


def pixels(*seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Values 0..1 and classes of the pixels of all images together."""
    maps, masks = zip(*(pictures(seed) for seed in seeds), strict=True)
    return np.concatenate([m.ravel() for m in maps]) / 255, np.concatenate([m.ravel() for m in masks]) > 0


# ---- undecided


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.9), (0.2, 0.6), (0.0, 1.0)])
def test_undecided_pixels_are_those_between(low, high):
    expected = []
    for seed in (1, 2):
        values = pictures(seed)[0] / 255
        expected.append(np.mean((values > low) & (values < high)))
    assert behaviour.undecided(statistics(1, 2), low, high) == pytest.approx(expected, abs=1e-12)


def test_a_map_of_black_and_white_is_decided_and_a_grey_one_is_not():
    mask = pictures(3)[1]
    assert behaviour.undecided(histograms(mask, mask)[None]) == 0
    assert behaviour.undecided(histograms(np.full_like(mask, 100), mask)[None]) == 1


# ---- contrast


@pytest.mark.parametrize("gain", [0.3, 1.0, 1.7, 6.0, 300.0])
def test_contrast_of_counts_is_contrast_of_maps(gain):
    expected = []
    for seed in (1, 2):
        focus_map, mask = pictures(seed)
        changed = np.empty_like(focus_map)
        for place, value in np.ndenumerate(focus_map):
            focus, blurred = (int(value) / 255) ** gain, (1 - int(value) / 255) ** gain
            changed[place] = round(255 * focus / (focus + blurred))
        expected.append(histograms(changed, mask))
    assert (behaviour.with_contrast(statistics(1, 2), gain) == np.stack(expected)).all()


@given(st.floats(0.2, 5), st.integers(0, 50))
def test_contrast_keeps_pixels_and_their_order(gain, seed):
    counts = statistics(seed)
    changed = behaviour.with_contrast(counts, gain)
    assert (changed.sum(axis=2) == counts.sum(axis=2)).all()
    single = np.eye(256, dtype=int)[:, None, :].repeat(2, axis=1)  # an image a value
    moved = behaviour.with_contrast(single, gain)[:, 0].argmax(axis=1)
    assert (np.diff(moved) >= 0).all()
    assert (moved[0], moved[255]) == (0, 255)
    assert gain < 1 or ((moved >= 128) == (np.arange(256) >= 128)).all()


def test_contrast_moves_mae_and_auf_beta_but_no_decision():
    paper, counts = PROTOCOLS["paper"], statistics(1, 2, 3)
    before, after = (summary(behaviour.with_contrast(counts, gain), paper) for gain in (1, 3))
    assert before == summary(counts, paper)
    assert after["iou"] == before["iou"]
    assert after["f_beta"] == pytest.approx(before["f_beta"], abs=0.01)
    assert after["mae"] < before["mae"] - 0.03
    assert after["auf_beta"] > before["auf_beta"] + 0.01


@pytest.mark.parametrize("gain", [0.5, 1.0, 4.0])
def test_the_contrast_that_was_applied_is_found_again(gain):
    counts = statistics(1, 2, 3)
    share = behaviour.undecided(behaviour.with_contrast(counts, gain)).mean()
    assert behaviour.matching_contrast(counts, share) == pytest.approx(gain, rel=0.05)


def test_contrast_without_end_cuts_at_one_half():
    focus_map, mask = pictures(1)
    cut = np.where(focus_map >= 128, np.uint8(255), np.uint8(0))
    changed = behaviour.with_contrast(histograms(focus_map, mask)[None], 1e9)
    assert (changed[0] == histograms(cut, mask)).all()


def test_contrast_of_maps_of_black_and_white_is_no_contrast():
    mask = pictures(3)[1]
    assert behaviour.matching_contrast(histograms(mask, mask)[None], 0.4) == 1


@pytest.mark.parametrize("gain", [0, -1, np.inf, np.nan])
def test_a_gain_that_makes_no_sense(gain):
    with pytest.raises(MaganError, match=f"a gain of {gain}; expected a number above 0"):
        behaviour.with_contrast(statistics(1), gain)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan])
def test_an_undecided_share_that_makes_no_sense(share):
    with pytest.raises(MaganError, match=f"an undecided share of {share}; expected 0 to 1"):
        behaviour.matching_contrast(statistics(1), share)


# ---- reliability


@pytest.mark.parametrize("bins", [1, 2, 5, 7, 10, 12])
def test_reliability_is_that_of_scikit_learn(bins):
    values, focus = pixels(4, 5, 6)
    share, value = calibration_curve(focus, values, n_bins=bins)
    found = behaviour.reliability(statistics(4, 5, 6), bins)
    filled = found["pixels"] > 0
    assert found["share"][filled] == pytest.approx(share)
    assert found["value"][filled] == pytest.approx(value)
    assert found["pixels"].sum() == values.size


def test_every_map_value_falls_into_the_bin_of_scikit_learn():
    """One pixel of each value, one bin after another: no value may change sides at a bin's end."""
    focus = np.arange(256) % 3 == 0
    counts = np.stack([~focus, focus]).astype(int)[None]
    share, value = calibration_curve(focus, np.arange(256) / 255, n_bins=10)
    found = behaviour.reliability(counts)
    assert found["share"] == pytest.approx(share)
    assert found["value"] == pytest.approx(value)


def test_a_bin_without_pixels_says_nothing():
    mask = pictures(3)[1]
    found = behaviour.reliability(histograms(mask, mask)[None])
    assert found["share"][[0, -1]].tolist() == [0, 1]
    assert np.isnan(found["share"][1:-1]).all()
    assert np.isnan(found["value"][1:-1]).all()


@pytest.mark.parametrize("bins", [0, 256])
def test_a_number_of_bins_that_makes_no_sense(bins):
    with pytest.raises(MaganError, match=f"{bins} bins; expected 1 to 255"):
        behaviour.reliability(statistics(1), bins)


def test_calibration_error_is_the_mean_distance_over_pixels():
    values, focus = pixels(4, 5)
    bin_of = np.digitize(values, np.arange(1, 10) / 10, right=True)
    error = 0.0
    for k in range(10):
        inside = bin_of == k
        if inside.any():
            error += inside.mean() * abs(values[inside].mean() - focus[inside].mean())
    assert behaviour.calibration_error(statistics(4, 5)) == pytest.approx(error)


def test_calibration_of_maps_that_are_right_overconfident_and_honest():
    mask = np.array([[0, 255] * 8] * 4, np.uint8)
    wrong = mask.copy()
    wrong[0] = 255 - wrong[0]  # a quarter of the pixels, with full conviction
    honest = np.where(wrong > 0, np.uint8(191), np.uint8(64))  # three of four right, and says so
    errors = [behaviour.calibration_error(histograms(m, mask)[None]) for m in (mask, wrong, honest)]
    assert errors == pytest.approx([0, 0.25, 0.001], abs=5e-4)


# ---- plateau


@given(
    st.lists(st.integers(1, 100), min_size=2, max_size=25),
    st.sampled_from([0.01, 0.1, 0.3]),
)
def test_plateau_by_walking_away_from_the_best_threshold(score, within):
    score = np.array(score) / 100
    threshold = np.linspace(0, 1, len(score))
    fine = 2000 * (len(score) - 1)
    dense = np.interp(np.arange(fine + 1) / fine, threshold, score)
    floor = (1 - within) * score.max() - 1e-9
    low = high = int(np.argmax(score)) * 2000
    while low > 0 and dense[low - 1] >= floor:
        low -= 1
    while high < fine and dense[high + 1] >= floor:
        high += 1
    assert behaviour.plateau(threshold, score, within) == pytest.approx(
        (low / fine, high / fine), abs=2 / fine
    )


def test_only_the_stretch_around_the_best_threshold_counts():
    threshold = np.linspace(0, 1, 5)
    assert behaviour.plateau(threshold, np.array([0.995, 0.5, 1.0, 1.0, 0.5]), 0.1) == pytest.approx(
        (0.45, 0.8)
    )
    assert behaviour.plateau(threshold, np.full(5, 0.7)) == (0, 1)


def test_a_curve_with_holes_has_no_plateau():
    with pytest.raises(MaganError, match="points without a score"):
        behaviour.plateau(np.array([0, 1]), np.array([np.nan, 1]))


# ---- edges


def slow_step(focus_map):
    steps = []
    for y in range(focus_map.shape[0]):
        for x in range(focus_map.shape[1]):
            for other in ((y + 1, x), (y, x + 1)):
                if other[0] < focus_map.shape[0] and other[1] < focus_map.shape[1]:
                    pair = int(focus_map[y, x]), int(focus_map[other])
                    if min(pair) < 128 <= max(pair):
                        steps.append((max(pair) - min(pair)) / 255)
    return sum(steps) / len(steps)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_edge_step_is_that_of_a_slow_loop(seed):
    focus_map, mask = pictures(seed)
    assert behaviour.edge_step(focus_map) == pytest.approx(slow_step(focus_map))
    assert behaviour.edge_step(mask) == 1


@pytest.mark.parametrize("width", [1, 3, 5, 15])
def test_edge_step_of_a_ramp_is_one_over_its_width(width):
    ramp = np.clip(np.arange(40) - 20, 0, width) * (255 // width)
    assert behaviour.edge_step(np.tile(ramp.astype(np.uint8), (6, 1))) == pytest.approx(1 / width)
    assert behaviour.edge_step(np.tile(ramp.astype(np.uint8)[:, None], 6)) == pytest.approx(1 / width)


def test_one_half_cuts_between_127_and_128():
    assert behaviour.edge_step(np.array([[0, 127, 128, 255]], np.uint8)) == pytest.approx(1 / 255)


@pytest.mark.parametrize("value", [0, 127, 128, 255])
def test_a_map_of_one_side_has_no_edge(value):
    assert np.isnan(behaviour.edge_step(np.full((4, 5), value, np.uint8)))


def slow_distance(mask):
    places = {value: np.argwhere(mask == value) for value in (0, 255)}
    found = np.zeros(mask.shape)
    for y, x in np.ndindex(mask.shape):
        other = places[255 - mask[y, x]]
        found[y, x] = np.sqrt(((other - [y, x]) ** 2).sum(axis=1).min()) * (1 if mask[y, x] else -1)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_edge_distance_is_that_of_a_slow_loop(seed):
    mask = pictures(seed)[1]
    assert behaviour.edge_distance(mask) == pytest.approx(slow_distance(mask))


@pytest.mark.parametrize(("value", "distance"), [(255, np.inf), (0, -np.inf)])
def test_a_mask_of_one_class_has_no_edge_anywhere(value, distance):
    mask = np.full((3, 4), value, np.uint8)
    assert (behaviour.edge_distance(mask) == distance).all()
    assert np.isnan(behaviour.edge_profile(mask, mask, 2)).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_edge_profile_is_the_mean_of_each_ring(seed):
    focus_map, mask = pictures(seed)
    distance = slow_distance(mask)
    rings = [(-ring, -ring + 1) for ring in (3, 2, 1)] + [(ring - 1, ring) for ring in (1, 2, 3)]
    expected = []
    for k, (low, high) in enumerate(rings):
        inside = (distance >= low) & (distance < high) if k < 3 else (distance > low) & (distance <= high)
        expected.append(focus_map[inside].mean() / 255 if inside.any() else np.nan)
    assert behaviour.edge_profile(focus_map, mask, 3) == pytest.approx(expected, nan_ok=True)
    perfect = behaviour.edge_profile(mask, mask, 3)
    assert np.nanmax(perfect[:3]) == 0
    assert np.nanmin(perfect[3:]) == 1
