"""Scenes: the same from the same seed, with masks that hold, and optics that leave no trace at edges."""

import numpy as np
import pytest
from scipy import ndimage

from magan_core.data import synthetic
from magan_core.data.synthetic import CHARACTERS, MIN_BLUR, MIXTURES, SHARE, scene, scene_file
from magan_core.errors import MaganError

NAMES = [*CHARACTERS, *MIXTURES]


@pytest.mark.parametrize("character", NAMES)
def test_shape_type_and_share(character):
    for index in range(6):
        photo, mask = scene(3, index, character, 64)
        assert photo.shape == (64, 64, 3)
        assert photo.dtype == mask.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        assert SHARE[0] <= (mask == 255).mean() <= SHARE[1]
        assert photo.std() > 3


@pytest.mark.parametrize("character", NAMES)
def test_same_seed_same_bytes_other_seed_others(character):
    first, again = scene_file(1, 7, character, 64), scene_file(1, 7, character, 64)
    assert first[0] == again[0]
    assert np.array_equal(first[1], again[1])
    for seed, index in ((2, 7), (1, 8)):
        assert scene_file(seed, index, character, 64)[0] != first[0]


def test_characters_do_not_share_scenes():
    assert len({scene_file(1, 0, name, 64)[0] for name in NAMES}) == len(NAMES)


def test_unknown_character():
    with pytest.raises(MaganError, match="did you mean 'clutter'"):
        scene(0, 0, "cluter", 64)


def test_nothing_lies_between_sharp_and_blurred():
    rng = np.random.default_rng(0)
    for character in CHARACTERS.values():
        for _ in range(50):
            radii = synthetic._radii(rng, character)
            blurred = [radius for radius in radii if radius]
            assert min(blurred) >= MIN_BLUR
            assert max(blurred) <= character.blur[1]
            focused = [depth for depth, radius in enumerate(radii) if radius == 0]
            assert focused == list(range(focused[0], focused[-1] + 1))
            # Blur grows with the distance to the focal plane.
            assert (np.diff(radii[focused[-1] :]) >= 0).all()
            assert (np.diff(radii[: focused[0] + 1]) <= 0).all()


@pytest.mark.parametrize("radius", [0.4, 1.5, 2.37, 6.0])
def test_disk_is_that_of_its_radius(radius):
    disk = synthetic._disk(radius)
    x = np.indices(disk.shape)[1] - len(disk) // 2
    assert disk.sum() == pytest.approx(1, abs=1e-5)
    assert np.allclose(disk, disk[::-1, ::-1], atol=1e-7)
    if radius <= 0.5:
        assert disk.shape == (1, 1)
    else:  # a disk of radius r has the variance r^2 / 4 along a line; its pixels add 1/12
        assert (disk * x**2).sum() == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.1)


def test_blur_is_the_convolution():
    rng = np.random.default_rng(1)
    planes = rng.random((2, 40, 40), np.float32)
    expected = np.stack([ndimage.convolve(plane, synthetic._disk(2.5), mode="wrap") for plane in planes])
    assert np.allclose(synthetic._disk_blur(planes, 2.5), expected, atol=1e-5)


def test_srgb_round_trip():
    values = np.linspace(0, 1, 256)
    assert np.allclose(synthetic._to_srgb(synthetic._to_linear(values)), values, atol=1e-6)
    assert synthetic._to_linear(np.array([0.5])) == pytest.approx(0.21404, abs=1e-4)


def test_layers_of_one_colour_make_a_uniform_picture(monkeypatch):
    """No dark or bright outline: where all layers have one colour, no edge may be seen, sharp or blurred."""

    def same(rng, character, base):
        return [np.full(3, 0.4, np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)]

    monkeypatch.setattr(synthetic, "_colours", same)
    for name, character in CHARACTERS.items():
        light, mask = synthetic._stack(np.random.default_rng(5), character, 64)
        assert mask.any(), name
        assert np.abs(light - 0.4).max() < 1e-4


def test_mask_is_that_of_the_shape_in_focus(monkeypatch):
    """One square in focus before a blurred background: the mask is the square, its edge a step."""

    def square(rng, character, side, size, pad):
        alpha = np.zeros((side, side), np.float32)
        alpha[pad + 10 : pad + 30, pad + 20 : pad + 50] = 1
        return alpha

    monkeypatch.setattr(synthetic, "_shape", square)
    monkeypatch.setattr(synthetic, "_radii", lambda rng, character: [4.0, 0.0])
    black, white = [np.zeros(3, np.float32)] * 3, [np.ones(3, np.float32), *[np.zeros(3, np.float32)] * 2]
    colours = iter([black, white])
    monkeypatch.setattr(synthetic, "_colours", lambda rng, character, base: next(colours))
    light, mask = synthetic._stack(np.random.default_rng(2), CHARACTERS["objects"], 64)
    expected = np.zeros((64, 64), bool)
    expected[10:30, 20:50] = True
    assert np.array_equal(mask, expected)
    assert np.allclose(light, expected[..., None], atol=1e-5)


@pytest.mark.parametrize("shape", synthetic.SHAPES)
def test_edges_of_shapes_are_about_a_pixel_wide(shape):
    rng = np.random.default_rng(4)
    y, x = (grid.astype(np.float32) - 64 for grid in np.mgrid[:128, :128])
    for _ in range(5):
        distance = synthetic.SHAPES[shape](rng, y, x, 30.0)
        coverage = (0.5 - distance).clip(0, 1)
        edge = ((coverage > 0) & (coverage < 1)).sum()
        inside = coverage > 0.5
        outline = (inside & ~ndimage.binary_erosion(inside)).sum()
        assert inside.any()
        assert edge <= 4 * outline


def test_blurred_parts_have_less_fine_detail_than_sharp_ones():
    """The mask means what it says: on average over scenes, detail is in the part that is in focus."""
    sharp, blurred = [], []
    for index in range(12):
        photo, mask = scene(9, index, "objects", 96)
        detail = np.abs(ndimage.laplace(photo.astype(np.float32).mean(2)))
        inner = ndimage.distance_transform_edt(mask > 0) > 6, ndimage.distance_transform_edt(mask == 0) > 6
        sharp.append(detail[inner[0]].mean())
        blurred.append(detail[inner[1]].mean())
    assert np.mean(sharp) > 1.5 * np.mean(blurred)
