"""One resampling against the four steps of section IV-C done one after the other."""

import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.stats import kstest

from magan_core.data.augment import Sampler, augment, recolour, rectangles, transforms
from magan_core.errors import MaganError


def smooth(height, width, seed=0):
    """A picture without fine detail, so that each further interpolation costs little: float (H, W) in
    0..1."""
    noise = np.random.default_rng(seed).normal(size=(height, width))
    values = gaussian_filter(noise, 0.06 * height, mode="reflect")
    return (values - values.min()) / np.ptp(values)


def flipped(picture, flip):
    return picture[:, ::-1] if flip else picture


def rotated(picture, angle):
    """Rotate about the middle, in pixels; what comes from outside is mirrored."""
    middle = (np.array(picture.shape) - 1) / 2
    cos, sin = math.cos(angle), math.sin(angle)
    matrix = np.array([[cos, sin], [-sin, cos]])  # (row, column) of the result -> of the source
    return affine_transform(picture, matrix, middle - matrix @ middle, order=1, mode="reflect")


def resized(picture, side):
    scale = np.array(picture.shape) / side
    return affine_transform(picture, scale, 0.5 * scale - 0.5, (side, side), order=1, mode="reflect")


def cropped(picture, top, left, seen, crop):
    """A window of `seen` x `seen` pixels, which lies between pixels, at crop x crop."""
    scale = seen / crop
    corner = np.array([top, left]) + 0.5 * scale - 0.5
    return affine_transform(picture, [scale, scale], corner, (crop, crop), order=1, mode="reflect")


def draw(count, sizes, side, crop, rotation, seed, window=1.0):
    """The matrices, and the same random numbers in words: flip, angle, and the window's corner and side in
    pixels."""
    matrices = transforms(count, sizes, side, crop, rotation, torch.Generator().manual_seed(seed), window)
    random = torch.Generator().manual_seed(seed)
    flip = torch.rand(count, generator=random) < 0.5
    angle = (2 * torch.rand(count, generator=random) - 1) * rotation * math.pi
    seen = torch.full((count,), float(crop))
    if window > 1:
        seen = crop * (1 + (window - 1) * torch.rand(count, generator=random))
    left, top = (torch.rand(count, generator=random) * (side - seen) for _ in range(2))
    return matrices, flip, angle, top, left, seen


@pytest.mark.parametrize("window", [1.0, 4 / 3])
def test_one_resampling_is_flip_rotation_resize_and_crop(window):
    """The photograph is 1.8 times as wide as high: a rotation of the square would be another one."""
    height, width, side, crop, count = 200, 360, 160, 120, 6
    photo = smooth(height, width)
    prepared = np.round(resized(photo, side) * 255).astype(np.uint8)
    images = torch.from_numpy(prepared)[None, :, :, None].repeat(count, 1, 1, 3)
    sizes = torch.tensor([[height, width]]).repeat(count, 1)
    matrices, flip, angle, *corners = draw(count, sizes, side, crop, 0.15, 4, window)
    windows = torch.stack(corners, dim=1).tolist()  # top, left, side
    assert len({seen for *_, seen in windows}) == (1 if window == 1 else count)
    found, _ = augment(images, None, matrices, crop)
    square_sizes = torch.full((count, 2), height)
    other, _ = augment(images, None, draw(count, square_sizes, side, crop, 0.15, 4, window)[0], crop)
    assert 0 < flip.sum() < count
    for k in range(count):
        steps = rotated(flipped(photo, flip[k]), angle[k].item())
        expected = cropped(resized(steps, side), *windows[k], crop)
        inside = cropped(
            resized(rotated(np.pad(np.ones((height - 20, width - 20)), 10), angle[k].item()), side),
            *windows[k],
            crop,
        )
        error = np.abs(found[k, 0].numpy() - expected)[inside > 0.999]
        assert inside.mean() > 0.7
        assert error.max() < 0.03
        square = np.abs(other[k, 0].numpy() - expected)[inside > 0.999]
        assert square.max() > 0.06  # the tolerance tells a rotation at another aspect ratio


def test_no_augmentation_is_the_identity():
    images = torch.randint(0, 256, (3, 20, 20, 3), dtype=torch.uint8)
    masks = (torch.rand(3, 20, 20) > 0.5).to(torch.uint8) * 255
    matrices = torch.tensor([[1.0, 0, 0], [0, 1, 0]]).repeat(3, 1, 1)
    found, found_masks = augment(images, masks, matrices, 20)
    torch.testing.assert_close(found, images.permute(0, 3, 1, 2) / 255, atol=1e-5, rtol=0)
    assert torch.equal(found_masks[:, 0], masks / 255)


def test_full_crop_without_rotation_only_flips():
    images = torch.randint(0, 256, (16, 12, 12, 3), dtype=torch.uint8)
    matrices = transforms(
        16, torch.tensor([[30, 50]]).repeat(16, 1), 12, 12, 0.0, torch.Generator().manual_seed(0)
    )
    found, _ = augment(images, None, matrices, 12)
    straight = images.permute(0, 3, 1, 2) / 255
    flips = 0
    for one, original in zip(found, straight, strict=True):
        mirrored = torch.allclose(one, original.flip(2), atol=1e-4)
        assert mirrored or torch.allclose(one, original, atol=1e-4)
        flips += mirrored
    assert 3 <= flips <= 13


def test_parameters_differ_within_a_batch_and_stay_in_their_ranges():
    side, crop, count = 100, 80, 2000
    sizes = torch.tensor([[60, 60]]).repeat(count, 1)
    matrices, flip, angle, *_ = draw(count, sizes, side, crop, 0.15, seed=1)
    assert len(torch.unique(matrices[:, 1, 1])) > count // 2
    scale = matrices[:, 0, :2].norm(dim=1)
    torch.testing.assert_close(
        scale, torch.full((count,), 0.8)
    )  # a square photograph: pure rotation and crop
    assert angle.abs().max() <= 0.15 * math.pi
    torch.testing.assert_close(matrices[:, 1, 1], 0.8 * angle.cos())
    assert flip.float().mean() == pytest.approx(0.5, abs=0.05)
    corners = matrices @ torch.tensor([[-1.0, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    unrotated = torch.stack(
        [angle.cos()[:, None] * corners[:, 0] * torch.where(flip, -1.0, 1.0)[:, None]
         + angle.sin()[:, None] * corners[:, 1]]
    )  # fmt: skip
    assert unrotated.abs().max() <= 1 + 1e-5  # before the rotation every crop lies inside the picture


def test_mask_stays_binary_and_goes_with_its_image():
    rng = np.random.default_rng(0)
    masks = np.zeros((8, 48, 48), np.uint8)
    for mask in masks:
        top, left = rng.integers(4, 20, 2)
        mask[top : top + 18, left : left + 18] = 255
    images = torch.from_numpy(masks)[..., None].repeat(1, 1, 1, 3)  # a picture of its own mask
    sampler = Sampler(
        images, torch.from_numpy(masks), torch.tensor([[30, 50]] * 8), batch=8, crop=40, rotation=0.15, seed=2
    )
    pictures, found = sampler.next()
    assert pictures.shape == (8, 3, 40, 40)
    assert found.shape == (8, 1, 40, 40)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    assert torch.equal((pictures[:, :1] >= 0.5).float(), found)
    assert pictures.min() >= 0
    assert pictures.max() <= 1


def numbered(count):
    """Photograph k has the grey value k everywhere, so that it can be told after any augmentation."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(count, 16, 16, 3).contiguous()


def sampler(count=10, batch=4, seed=5, masks=None):
    return Sampler(
        numbered(count),
        masks,
        torch.tensor([[20, 30]] * count),
        batch=batch,
        crop=12,
        rotation=0.15,
        seed=seed,
    )


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (8, 4), (3, 8)])
def test_every_photograph_once_an_epoch(count, batch):
    source = sampler(count, batch)
    seen = []
    while len(seen) < 3 * count:
        images, masks = source.next()
        assert masks is None
        assert len(images) == batch
        seen += (images[:, 0, 6, 6] * 255).round().int().tolist()
    epochs = [seen[start : start + count] for start in range(0, 3 * count, count)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(count))] * 3
    if count > 5:
        assert epochs[0] != epochs[1]  # shuffled anew


def test_the_seed_decides_everything():
    images = torch.randint(0, 256, (10, 16, 16, 3), dtype=torch.uint8)
    masks = (torch.rand(10, 16, 16) > 0.5).to(torch.uint8) * 255

    def batches(seed):
        source = Sampler(
            images, masks, torch.tensor([[20, 30]] * 10), batch=4, crop=12, rotation=0.15, seed=seed
        )
        torch.rand(3)  # other users of the global generator do not matter
        return torch.cat([torch.cat(source.next(), dim=1) for _ in range(4)])

    assert torch.equal(batches(1), batches(1))
    assert not torch.equal(batches(1), batches(2))


@pytest.mark.parametrize("kind", [0, 1], ids=["brightness", "contrast"])
def test_recolour_against_pillow(kind):
    """Of a grey picture, so that Pillow's weights of the colours do not matter; it rounds to bytes."""
    picture = np.random.default_rng(0).integers(60, 160, (20, 30), dtype=np.uint8)
    image = Image.fromarray(np.stack([picture] * 3, axis=2))
    for factor in (0.6, 1.0, 1.4):
        enhance = (ImageEnhance.Brightness, ImageEnhance.Contrast)[kind]
        expected = np.asarray(enhance(image).enhance(factor))
        factors = torch.ones(1, 3)
        factors[0, kind] = factor
        found = recolour(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255, factors)
        np.testing.assert_allclose(found[0].permute(1, 2, 0) * 255, expected, atol=1.01)


def test_saturation_moves_colours_away_from_their_mean():
    images = torch.rand(4, 3, 8, 8) * 0.4 + 0.3
    grey = images.mean(1, keepdim=True)
    for factor in (0.0, 0.5, 1.5):
        found = recolour(images, torch.tensor([[1.0, 1.0, factor]] * 4))
        torch.testing.assert_close(found, grey + factor * (images - grey))


def small(**settings):
    images, masks = (torch.randint(0, 256, (10, 16, 16, *more), dtype=torch.uint8) for more in ((3,), ()))
    sizes = torch.tensor([[20, 30]] * 10)
    return Sampler(images, masks, sizes, **{"batch": 4, "crop": 12, "rotation": 0.15, "seed": 5} | settings)


def test_jitter_recolours_each_photograph_and_no_mask():
    torch.manual_seed(0)
    plain, changed = small(), small(jitter=0.3)
    changed.images, changed.masks = plain.images, plain.masks
    (before, masks), (after, same) = plain.next(), changed.next()
    assert torch.equal(masks, same)
    ratios = after.mean((1, 2, 3)) / before.mean((1, 2, 3))
    assert len(set(ratios.tolist())) == 4
    assert 0.6 < ratios.min() < ratios.max() < 1.4
    assert after.min() >= 0
    assert after.max() <= 1


def test_jitter_is_drawn_evenly_both_ways_and_apart_for_brightness_and_colours():
    """Of one colour throughout: brightness scales its mean, contrast and saturation what is left of it."""
    images = torch.tensor([90, 110, 100], dtype=torch.uint8).expand(500, 16, 16, 3).contiguous()
    options = {"batch": 500, "crop": 12, "rotation": 0.0, "seed": 5}
    found, _ = Sampler(images, None, torch.full((500, 2), 16), jitter=0.4, **options).next()
    mean = found.mean((1, 2, 3))
    brightness = mean / (100 / 255)
    colours = (found[:, 1, 0, 0] - mean) / (10 / 255) / brightness
    assert kstest(brightness.numpy(), "uniform", (0.6, 0.8)).pvalue > 0.01
    assert 0.6**2 - 1e-4 <= colours.min() < 0.55
    assert 1.7 < colours.max() <= 1.4**2 + 1e-4
    assert abs(np.corrcoef(brightness, colours)[0, 1]) < 0.15


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_rectangles_are_a_quarter_to_three_quarters_of_their_share_of_the_crops(share):
    crop = 40
    found = rectangles(4000, crop, share, torch.Generator().manual_seed(1))[:, 0].numpy()
    there = found[found.any((1, 2))]
    assert len(there) / 4000 == (pytest.approx(share, abs=0.03) if 0 < share < 1 else share)
    for axis in (1, 2) if share else ():
        line = there.any(3 - axis)  # rows or columns that it takes
        length = line.sum(1)
        assert (crop / 4 - 1, 3 * crop / 4 + 1) == pytest.approx((length.min(), length.max()), abs=2)
        assert (np.abs(np.diff(line.astype(int), axis=1)).sum(1) <= 2).all(), "one piece"
        first = line.argmax(1)
        assert (first.min(), (first + length).max()) == (0, crop)
        assert abs(np.corrcoef(there.any(1).sum(1), there.any(2).sum(1))[0, 1]) < 0.1
    assert np.array_equal(found, found.any(2)[:, :, None] & found.any(1)[:, None, :])


def test_cutmix_pastes_another_photograph_with_its_mask():
    """Photograph k has the grey value k, and its mask is white where k is odd."""
    masks = (torch.arange(10) % 2 * 255).to(torch.uint8).view(-1, 1, 1).expand(10, 16, 16).contiguous()
    options = {"batch": 10, "crop": 12, "rotation": 0.15, "seed": 5}
    plain, mixed = (
        Sampler(numbered(10), masks, torch.tensor([[20, 30]] * 10), cutmix=share, **options)
        for share in (0.0, 1.0)
    )
    before, _ = plain.next()
    images, found = mixed.next()
    numbers = (images * 255).round().int()
    assert torch.equal(found, (numbers[:, :1] % 2).float()), "each pixel has the mask of its photograph"
    changed = (images != before).any(1)
    assert changed.any((1, 2)).sum() >= 6, "a photograph may be pasted into itself"
    for crop, other in zip(numbers[:, 0], changed, strict=True):
        pasted = crop[other].unique()
        assert len(pasted) == int(other.any())
    most = torch.zeros(10)
    for _ in range(20):
        numbers = (mixed.next()[0] * 255).round().int()
        crops = [(numbers == number).flatten(1).any(1).sum() for number in range(10)]
        most = torch.maximum(most, torch.stack(crops))
    assert most.min() > 1, "each photograph is pasted into another at times"
    unlabelled = Sampler(numbered(10), None, torch.tensor([[20, 30]] * 10), cutmix=1.0, **options)
    assert torch.equal(unlabelled.next()[0], images)
    assert unlabelled.next()[1] is None


def test_half_of_the_crops_get_noise_of_deviations_drawn_evenly():
    """On grey that noise of up to 0.1 leaves within black and white."""
    images = torch.full((400, 40, 40, 3), 128, dtype=torch.uint8)
    options = {"batch": 400, "crop": 40, "rotation": 0.0, "seed": 5}
    sampler = Sampler(images, None, torch.full((400, 2), 40), noise=0.1, **options)
    found, _ = sampler.next()
    deviations = (found - 128 / 255).std((1, 2, 3))
    noisy = deviations > 1e-6
    assert 160 < noisy.sum() < 240
    assert deviations.max() < 0.105
    assert kstest(deviations[noisy].numpy(), "uniform", (0, 0.1)).pvalue > 0.01
    means = (found - 128 / 255).mean((1, 2, 3))
    assert means.abs().max() < 5 * 0.1 / (3 * 40 * 40) ** 0.5
    pixels = (found[noisy] - 128 / 255).flatten(2)
    channels = torch.stack([torch.corrcoef(one)[0, 1] for one in pixels])
    assert channels.abs().median() < 0.05, "each channel has noise of its own"
    again, _ = Sampler(images, None, torch.full((400, 2), 40), noise=0.1, **options).next()
    assert torch.equal(again, found)


def test_noise_leaves_masks_and_the_choice_of_crops_as_they_are():
    masks = (torch.arange(10) % 2 * 255).to(torch.uint8).view(-1, 1, 1).expand(10, 16, 16).contiguous()
    options = {"batch": 10, "crop": 12, "rotation": 0.15, "seed": 5}
    plain, noisy = (
        Sampler(numbered(10), masks, torch.tensor([[20, 30]] * 10), noise=share, **options)
        for share in (0.0, 0.5)
    )
    (images, found), (others, same) = plain.next(), noisy.next()
    assert torch.equal(found, same)
    assert not torch.equal(images, others)
    assert 0 <= others.min() <= others.max() <= 1


@pytest.mark.parametrize(
    "setting",
    [
        {"batch": 0},
        {"crop": 0},
        {"rotation": -0.1},
        {"rotation": 1.1},
        {"noise": -0.1},
        {"noise": math.nan},
        {"cutmix": -0.1},
        {"cutmix": 1.1},
        {"defocus": -0.1},
        {"defocus": 1.1},
        {"jitter": -0.1},
        {"jitter": 1.0},
        {"window": 0.9},
        {"window": 1.4},
        {"window": math.nan},
    ],
    ids=str,
)
def test_impossible_settings(setting):
    (name, value), *_ = setting.items()
    with pytest.raises(MaganError, match=f"{name} is {value}"):
        small(**setting)
