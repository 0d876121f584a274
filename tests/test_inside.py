"""What a network keeps for the pictures of its attention, against its own forward pass and by hand."""

import numpy as np
import pytest
import torch
from tiny import MODEL, scenes

from magan_core.errors import MaganError
from magan_core.inside import look_inside, taking_part
from magan_core.models import build_discriminator, build_generator
from magan_core.prediction import predict

SIDE = 32


@pytest.fixture
def networks():
    torch.manual_seed(0)
    generator, discriminator = build_generator(MODEL).eval(), build_discriminator(16, 4).eval()
    generator.high_attention.alpha.data.fill_(0.3)
    return generator, discriminator


def scene():
    images, masks = scenes(1, 40)
    return images[0], masks[0]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (np.full((3, 3), 1 / 3), [3, 3, 3]),
        (np.eye(4), [1, 1, 1, 1]),
        (np.array([[0.5, 0.5, 0], [0, 0, 0], [2, 2, 2]]), [2, 0, 3]),  # `axis: printed` has other sums
        (np.array([[0.9, 0.1], [0.1, 0.9]]), [np.exp(-0.9 * np.log(0.9) - 0.1 * np.log(0.1))] * 2),
    ],
    ids=["uniform", "one-hot", "other sums", "by hand"],
)
def test_how_many_channels_take_part(weights, expected):
    assert taking_part(weights) == pytest.approx(expected)


def test_everything_is_that_of_one_forward_pass(networks):
    generator, discriminator = networks
    photo, mask = scene()
    found = look_inside(generator, discriminator, photo, mask, SIDE)
    assert found.photo.shape == (SIDE, SIDE, 3)
    assert set(np.unique(found.mask)) == {0, 255}
    small = (found.focus_map * 255).round().astype(np.uint8)
    assert np.array_equal(small, predict(generator, found.photo, SIDE))
    high, low = found.groups["high"], found.groups["low"]
    channels = generator.backbone.channels
    assert high.levels.tolist() == [3] * channels[2] + [4] * channels[3] + [5] * channels[4]
    assert low.levels.tolist() == [1] * channels[0] + [2] * channels[1]
    changed = high.before + 0.3 * np.einsum("ji,ihw->jhw", high.weights, high.before)
    np.testing.assert_allclose(high.after, changed, rtol=1e-4, atol=1e-5)
    assert np.array_equal(low.after, low.before)  # alpha is still 0
    assert (high.alpha, low.alpha) == (pytest.approx(0.3), 0)
    assert found.z.shape == low.before.shape[1:] == (SIDE, SIDE)


def test_both_energies_of_the_entropy_are_on_the_same_features(networks):
    """The run's own is that of its weights, the other that of a network with the other energy."""
    generator, _ = networks
    photo, mask = scene()
    own = look_inside(generator, None, photo, mask, SIDE).groups["low"]
    generator.low_attention.energy = "raw"
    other = look_inside(generator, None, photo, mask, SIDE).groups["low"]
    assert (own.energy, other.energy) == ("mean", "raw")
    for name, group in (("mean", own), ("raw", other)):
        expected = taking_part(group.weights)
        assert own.taking_part[name] == pytest.approx(expected)
        assert other.taking_part[name] == pytest.approx(expected)
    assert own.taking_part["raw"].mean() < own.taking_part["mean"].mean()


def test_the_discriminator_judges_map_and_mask(networks):
    generator, discriminator = networks
    photo, mask = scene()
    found = look_inside(generator, discriminator, photo, mask, SIDE)
    images = torch.from_numpy(found.photo.copy()).permute(2, 0, 1)[None] / 255
    pairs = {"on_map": found.focus_map, "on_mask": (found.mask / 255).astype(np.float32)}
    for name, second in pairs.items():
        with torch.no_grad():
            logits = discriminator(images, torch.from_numpy(second)[None, None])[0, 0]
        np.testing.assert_allclose(getattr(found.patches, name), logits.sigmoid().numpy(), rtol=1e-5)
    assert found.patches.field == 16


@pytest.mark.parametrize(
    ("parts", "groups", "attending", "z"),
    [
        (["HL"], {"high"}, set(), False),
        (["HL", "LL", "SA"], {"high", "low"}, set(), True),
        (["HL", "LL", "HCA"], {"high", "low"}, {"high"}, False),
    ],
    ids=["HL", "spatial only", "high only"],
)
def test_what_a_network_does_not_have_is_not_there(parts, groups, attending, z):
    found = look_inside(build_generator(MODEL, parts).eval(), None, *scene(), SIDE)
    assert set(found.groups) == groups
    assert {name for name, group in found.groups.items() if group.weights is not None} == attending
    assert (found.z is not None) == z
    assert found.patches is None


def test_a_mask_of_another_size(networks):
    photo, mask = scene()
    with pytest.raises(MaganError, match=r"mask is 40 x 39 px and the photograph 40 x 40"):
        look_inside(networks[0], None, photo, mask[1:], SIDE)
