"""Defocus against scipy's convolution, and its draws against what they are said to be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve
from scipy.stats import kstest

from magan_core.data.augment import Sampler
from magan_core.data.defocus import defocus, disc, draw_defocus


@given(st.floats(1.5, 12))
def test_a_disc_is_round_and_as_wide_as_its_radius(radius):
    """The squared distance from the middle of a disc is on average half of its radius squared."""
    weights = disc(radius).double()
    assert float(weights.sum()) == pytest.approx(1)
    assert torch.equal(weights, weights.T)
    assert torch.equal(weights, weights.flip(0))
    at = torch.arange(len(weights)) - len(weights) // 2
    square = float((weights * (at[:, None] ** 2 + at**2)).sum())
    assert square == pytest.approx(radius**2 / 2, rel=0.1, abs=0.4), "and a soft rim"


def test_defocus_averages_light_and_mirrors_at_the_edges():
    image = torch.rand(3, 20, 31, generator=torch.Generator().manual_seed(1))
    amount = torch.rand(1, 20, 31, generator=torch.Generator().manual_seed(2))
    kernel = disc(2.3).numpy()
    light = image.numpy().astype(float) ** 2.2
    blurred = np.stack([convolve(plane, kernel, mode="mirror") for plane in light]) ** (1 / 2.2)
    expected = image.numpy() * (1 - amount.numpy()) + blurred * amount.numpy()
    assert np.allclose(defocus(image, 2.3, amount).numpy(), expected, atol=1e-5)


def test_nothing_is_left_of_the_finest_detail():
    """A chessboard of single pixels, which becomes grey: as bright as half of its light."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * torch.ones(3, 1, 1)
    found = defocus(board, 3.0, torch.ones(1, 32, 32))
    assert float((found - 0.5 ** (1 / 2.2)).abs().max()) < 0.02


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_the_crops_and_their_radii(share):
    crop = 256
    radii, amounts = draw_defocus(1500, crop, share, torch.Generator().manual_seed(1))
    drawn = np.array([radius for radius in radii if radius])
    assert len(drawn) / 1500 == (pytest.approx(share, abs=0.05) if 0 < share < 1 else share)
    if share:
        octaves = np.log2(drawn / crop)
        assert kstest(octaves, "uniform", (-7, 2)).pvalue > 0.01, "1/128 to 1/32 of the side"
    assert float((amounts == 1).all((1, 2, 3)).float().mean()) == pytest.approx(1 / 3, abs=0.05)


def test_a_small_crop_is_blurred_so_that_it_shows():
    radii, _ = draw_defocus(100, 64, 1.0, torch.Generator().manual_seed(1))
    assert min(radii) == 1.5
    assert 1.9 < max(radii) <= 2


def test_the_others_are_blurred_to_one_side_of_a_line():
    """The amount is a plane, cut at 0 and 1, which rises from 0 to 1 over a sixteenth of the side."""
    crop = 64
    _, amounts = draw_defocus(300, crop, 1.0, torch.Generator().manual_seed(3))
    sides = [one for one in amounts[:, 0].double().numpy() if one.min() < 1]
    rows, columns = np.indices((crop, crop))
    angles = []
    for amount in sides:
        ramp = (amount > 0) & (amount < 1)
        design = np.stack([rows, columns, np.ones_like(rows)], axis=-1).astype(float)
        plane, *_ = np.linalg.lstsq(design[ramp], amount[ramp], rcond=None)
        assert np.allclose(np.clip(design @ plane, 0, 1), amount, atol=1e-4)
        assert np.hypot(*plane[:2]) == pytest.approx(16 / crop, rel=1e-3)
        middle = (design[crop // 2, crop // 2] - [0.5, 0.5, 0]) @ plane - 0.5  # where the line passes it
        assert abs(middle) * crop / 16 <= crop / 4 + 1e-2
        angles.append(np.arctan2(*plane[:2]))
    assert kstest(angles, "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.01


def test_what_is_blurred_is_out_of_focus_in_the_mask():
    """Photographs of single bright pixels, all in focus: where they fade the mask is black, only there."""
    images = torch.zeros(40, 64, 64, 3, dtype=torch.uint8)
    images[:, ::4, ::4] = 255
    masks = torch.full((40, 64, 64), 255, dtype=torch.uint8)
    options = {"batch": 40, "crop": 64, "rotation": 0.0, "seed": 5}
    sizes = torch.full((40, 2), 64)
    plain, blurred = (Sampler(images, masks, sizes, defocus=share, **options) for share in (0.0, 0.5))
    (before, _), (after, found) = plain.next(), blurred.next()
    assert set(found.unique().tolist()) == {0.0, 1.0}
    kept = found.mean((1, 2, 3))
    assert 10 < (kept == 1).sum() < 30
    assert torch.equal(after[kept == 1], before[kept == 1])
    assert (kept == 0).sum() > 0
    peaks = before[:, :1] > 0.9
    faded = after[:, :1][peaks] < 0.5
    assert (faded == (found[peaks] == 0)).float().mean() > 0.97, "but for the ramp"
    again, _ = Sampler(images, masks, sizes, defocus=0.5, **options).next()
    assert torch.equal(again, after)
    unlabelled = Sampler(images, None, sizes, defocus=0.5, **options).next()
    assert torch.equal(unlabelled[0], after)
    assert unlabelled[1] is None


def test_as_many_draws_whatever_the_share():
    """So that crops are blurred in the same places whether more or fewer of them are."""
    few, many = (draw_defocus(50, 16, share, torch.Generator().manual_seed(4)) for share in (0.2, 0.8))
    assert torch.equal(few[1], many[1])
    assert all(less in (0, more) for less, more in zip(few[0], many[0], strict=True))
