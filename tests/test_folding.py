"""Batch norm folded into convolutions."""

import copy

import pytest
import torch
from tiny import MODEL
from torch import nn

from magan_core.models import build_generator
from magan_core.models.folding import fold_batch_norm

LITE = MODEL | {"backbone": "tf_efficientnet_lite0", "width": 1.0}


def learnt(network):
    """In evaluation mode, with statistics, scales and shifts as far from 0 and 1 as training brings them."""
    random = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in (
                (module.running_mean, -0.5, 0.5),
                (module.running_var, 0.5, 2),
                (module.weight, 0.5, 1.5),
                (module.bias, -0.5, 0.5),
            ):
                nn.init.uniform_(values, low, high, generator=random)
    return network.eval()


def norms(network):
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(("settings", "left"), [(MODEL, 0), (LITE, 1)], ids=["slim_vgg", "lite0"])
@torch.inference_mode()
def test_the_network_says_the_same(settings, left):
    network = learnt(build_generator(settings))
    before = norms(network)
    images = torch.rand(2, 3, 50, 66, generator=torch.Generator().manual_seed(2))
    expected = network(images)
    folded = fold_batch_norm(copy.deepcopy(network))
    assert norms(folded) == left < before
    torch.testing.assert_close(folded(images), expected, rtol=1e-4, atol=1e-4)


class WithReLU(nn.BatchNorm2d):
    """As timm has them: more than a scale and a shift."""

    def forward(self, x):
        return super().forward(x).relu()


@pytest.mark.parametrize(
    "layers",
    [
        (nn.Conv2d(3, 4, 3), WithReLU(4)),
        (nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
        (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
    ],
    ids=["of another kind", "after another layer", "of the batch"],
)
@torch.inference_mode()
def test_other_layers_stay(layers):
    network = nn.Sequential(*layers).eval()
    expected = [copy.deepcopy(layer) for layer in layers]
    fold_batch_norm(network)
    assert [type(layer) for layer in network] == [type(layer) for layer in expected]


@torch.inference_mode()
def test_only_a_convolution_takes_the_batch_norm_after_it():
    network = learnt(
        nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    )
    images = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(2))
    expected = network(images)
    assert norms(fold_batch_norm(network)) == 2
    torch.testing.assert_close(network(images), expected)
