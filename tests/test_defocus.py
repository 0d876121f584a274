"""Defocus against scipy's convolution, and its draws against what they are said to be."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve
from scipy.stats import kstest

from magan_core.data.augment import Sampler
from magan_core.data.defocus import blur, disc, draw_blur


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
    assert np.allclose(blur(image, 2.3, amount).numpy(), expected, atol=1e-5)


def test_nothing_is_left_of_the_finest_detail():
    """A chessboard of single pixels, which becomes grey: as bright as half of its light."""
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * torch.ones(3, 1, 1)
    found = blur(board, 3.0, torch.ones(1, 32, 32))
    assert float((found - 0.5 ** (1 / 2.2)).abs().max()) < 0.02


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_the_crops_and_their_radii(share):
    crop = 256
    radii, amounts = draw_blur(1500, crop, share, torch.Generator().manual_seed(1))
    assert kstest(np.log2(radii) - 8, "uniform", (-7, 2)).pvalue > 0.01, "1/128 to 1/32 of the side"
    blurred = amounts[amounts.any((1, 2, 3))]
    assert len(blurred) / 1500 == (pytest.approx(share, abs=0.05) if 0 < share < 1 else share)
    if share:
        whole = (blurred == 1).all((1, 2, 3))
        assert float(whole.float().mean()) == pytest.approx(1 / 3, abs=0.08)


def test_a_small_crop_is_blurred_so_that_it_shows():
    radii, _ = draw_blur(100, 64, 1.0, torch.Generator().manual_seed(1))
    assert min(radii) == 1.5
    assert 1.9 < max(radii) <= 2


def test_the_others_are_blurred_to_one_side_of_a_line():
    """The amount is a plane, cut at 0 and 1, which rises from 0 to 1 over a sixteenth of the side."""
    crop = 64
    _, amounts = draw_blur(300, crop, 1.0, torch.Generator().manual_seed(3))
    sides = [one for one in amounts[:, 0].double().numpy() if one.min() < 1]
    rows, columns = np.indices((crop, crop)) + 0.5 - crop / 2
    angles, distances = [], []
    for amount in sides:
        ramp = (amount > 0) & (amount < 1)
        design = np.stack([rows, columns, np.ones_like(rows)], axis=-1)
        plane, *_ = np.linalg.lstsq(design[ramp], amount[ramp], rcond=None)
        assert np.allclose(np.clip(design @ plane, 0, 1), amount, atol=1e-4)
        assert np.hypot(*plane[:2]) == pytest.approx(16 / crop, rel=1e-3)
        angles.append(np.arctan2(*plane[:2]))
        distances.append((plane[2] - 0.5) / 16)  # of the line from the middle, of the side
    assert kstest(angles, "uniform", (-np.pi, 2 * np.pi)).pvalue > 0.01
    assert kstest(distances, "uniform", (-0.25, 0.5)).pvalue > 0.01


@pytest.fixture
def options():
    """Photographs of single bright pixels, all in focus, seen as they are or mirrored."""
    images = torch.zeros(40, 64, 64, 3, dtype=torch.uint8)
    images[:, ::4, ::4] = 255
    masks, sizes = torch.full((40, 64, 64), 255, dtype=torch.uint8), torch.full((40, 2), 64)
    return dict(images=images, masks=masks, sizes=sizes, batch=40, crop=64, rotation=0.0, seed=5)


def test_what_is_blurred_is_out_of_focus_in_the_mask(options):
    plain, blurred = (Sampler(**options, defocus=share) for share in (0.0, 0.5))
    (before, _), (after, found) = plain.next(), blurred.next()
    radii, amounts = draw_blur(40, 64, 0.5, plain.random)
    assert torch.equal(found, (amounts < 0.5).float())
    for crop, seen, radius, amount in zip(before, after, radii, amounts, strict=True):
        assert torch.equal(seen, blur(crop, radius, amount))
        assert torch.equal(seen[:, amount[0] == 0], crop[:, amount[0] == 0])
    assert not torch.equal(before, after)
    again, _ = Sampler(**options, defocus=0.5).next()
    assert torch.equal(again, after)


def test_unlabelled_photographs_are_blurred_alike(options):
    after, _ = Sampler(**options, defocus=0.5).next()
    unlabelled, masks = Sampler(**options | {"masks": None}, defocus=0.5).next()
    assert torch.equal(unlabelled, after)
    assert masks is None


def test_as_many_draws_whatever_the_share():
    """So that crops are blurred in the same places whether more or fewer of them are."""
    few, many = (draw_blur(50, 16, share, torch.Generator().manual_seed(4)) for share in (0.2, 0.8))
    assert few[0] == many[0]
    there = few[1].any((1, 2, 3))
    assert torch.equal(few[1][there], many[1][there])
    assert 0 < there.sum() < many[1].any((1, 2, 3)).sum()
