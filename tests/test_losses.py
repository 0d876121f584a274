"""Losses against numpy, probabilities and finite differences."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from magan_core.errors import MaganError
from magan_core.losses import cross_entropy, discriminator_loss, generator_adversarial_loss, iou_loss

SHAPE = (2, 1, 3, 4)
maps = hnp.arrays(np.float64, SHAPE, elements=st.floats(0, 1))
binary = hnp.arrays(np.float64, SHAPE, elements=st.sampled_from([0.0, 1.0]))
SOFTPLUS = 3e-9  # torch's softplus is the identity above 20: off by log(1 + exp(-20)) = 2.1e-9 at most
logits = hnp.arrays(np.float64, SHAPE, elements=st.floats(-30, 30))


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


@given(logits, binary)
def test_cross_entropy_is_eq_5_averaged(values, masks):
    p = sigmoid(values)
    expected = -np.mean(masks * np.log(p) + (1 - masks) * np.log(sigmoid(-values)))
    assert cross_entropy(torch.tensor(values), torch.tensor(masks)).item() == pytest.approx(
        expected, abs=1e-9
    )


def test_cross_entropy_of_sure_logits_is_finite():
    assert cross_entropy(torch.full((1, 1, 2, 2), 1e4), torch.zeros(1, 1, 2, 2)).item() == 1e4


def slow_iou(p, y):
    losses = []
    for one, mask in zip(p, y, strict=True):
        intersection = np.abs(one * mask).sum()
        union = np.abs(one).sum() + np.abs(mask).sum() - intersection
        losses.append(1 - intersection / union if union > 0 else 0)
    return np.mean(losses)


@given(maps, binary)
def test_iou_is_eq_4_image_by_image(p, y):
    found = iou_loss(torch.tensor(p), torch.tensor(y)).item()
    assert found == pytest.approx(slow_iou(p, y), abs=1e-9)
    assert -1e-12 <= found <= 1 + 1e-12


@given(binary)
def test_iou_of_the_mask_itself_is_0_and_of_its_complement_1(y):
    mask = torch.tensor(y)
    assert iou_loss(mask, mask).item() == pytest.approx(0, abs=1e-12)
    assert iou_loss(1 - mask, mask).item() == pytest.approx(1, abs=1e-12)


@given(maps.filter(lambda p: p.sum() > 0.1), st.integers(2, 4))
def test_iou_does_not_change_when_every_pixel_is_repeated(p, times):
    """A scale of the picture, unlike the sum of Eq. 5, is no scale of the loss."""
    y = (p > 0.5).astype(float)

    def repeat(array):
        return torch.tensor(array.repeat(times, axis=2).repeat(times, axis=3))

    assert iou_loss(repeat(p), repeat(y)).item() == pytest.approx(slow_iou(p, y), abs=1e-9)


@given(st.floats(0.01, 1))
def test_iou_of_a_map_of_one_value_over_a_full_mask(value):
    full = torch.ones(SHAPE, dtype=torch.float64)
    assert iou_loss(full * value, full).item() == pytest.approx(1 - value)


def test_iou_of_empty_images_is_0_with_finite_gradients():
    empty = torch.zeros(2, 1, 4, 4, requires_grad=True)
    loss = iou_loss(empty, torch.zeros(2, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(empty.grad).all()
    some = torch.full((1, 1, 4, 4), 0.3)
    assert iou_loss(some, torch.zeros_like(some)).item() == 1


def random(seed, *shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", [0, 1])
def test_gradients_are_those_of_finite_differences(seed):
    masks = (random(seed, *SHAPE) > 0).double()
    values = random(seed + 10, *SHAPE).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, masks), values)
    assert torch.autograd.gradcheck(lambda x: iou_loss(x.sigmoid(), masks), values)
    other = random(seed + 20, *SHAPE).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: sum(discriminator_loss(x, y)), (values, other))
    for kind in ("minimax", "non_saturating"):
        assert torch.autograd.gradcheck(lambda x, kind=kind: generator_adversarial_loss(x, kind), values)


@given(logits, logits)
@settings(max_examples=50)
def test_adversarial_losses_are_eq_7(real, fake):
    d_real, d_fake = discriminator_loss(torch.tensor(real), torch.tensor(fake))
    log_real, log_not_fake = np.mean(np.log(sigmoid(real))), np.mean(np.log(sigmoid(-fake)))
    assert d_real.item() == pytest.approx(-log_real, abs=SOFTPLUS)
    assert d_fake.item() == pytest.approx(-log_not_fake, abs=SOFTPLUS)
    minimax = generator_adversarial_loss(torch.tensor(fake), "minimax").item()
    assert minimax == pytest.approx(log_not_fake, abs=SOFTPLUS)
    assert minimax == -d_fake.item()  # the generator minimises what the discriminator maximises
    non_saturating = generator_adversarial_loss(torch.tensor(fake)).item()
    assert non_saturating == pytest.approx(-np.mean(np.log(sigmoid(fake))), abs=SOFTPLUS)


def test_both_kinds_push_the_same_way_and_only_one_where_the_discriminator_is_sure():
    gradients = {}
    for kind in ("minimax", "non_saturating"):
        fake = torch.full((1, 1, 1, 1), -12.0, requires_grad=True)  # surely a prediction
        generator_adversarial_loss(fake, kind).backward()
        gradients[kind] = fake.grad.item()
    assert -1e-4 < gradients["minimax"] < 0
    assert gradients["non_saturating"] == pytest.approx(-1, abs=1e-4)


def test_unknown_kind():
    with pytest.raises(MaganError, match="did you mean 'non_saturating'"):
        generator_adversarial_loss(torch.zeros(1), "non-saturating")
