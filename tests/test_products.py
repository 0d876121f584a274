"""Products in place of convolutions and sums, as a GPU is given them, against torch's own in float64."""

import pytest
import torch
from tiny import NO_GPU
from torch.nn import functional as F

from magan_core.models import products
from magan_core.models.attention import InnerProducts, Mixture
from magan_core.models.products import ShiftedProduct, ThinConv, inner_products

LAYOUTS = [torch.contiguous_format, torch.channels_last]
KERNELS = [(1, 0, 1), (3, 1, 1), (3, 2, 2), (3, 4, 4), (3, 0, 1), (4, 1, 1)]  # side, padding, dilation


def with_slopes(call, *inputs):
    """Output of call(*inputs) and the gradients of a weighted sum of it, in float64."""
    out = call(*inputs)
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64, device=out.device)
    total = (out.double() * weights.cos().reshape(out.shape)).sum()
    return [one.detach().double() for one in (out, *torch.autograd.grad(total, inputs))]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize(("side", "padding", "dilation"), KERNELS)
def test_a_shifted_product_is_a_convolution(side, padding, dilation, layout):
    torch.manual_seed(0)
    features = torch.randn(2, 6, 11, 9, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    kernel = torch.randn(3, 6, side, side, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)
    inputs = features, kernel, bias
    found = with_slopes(
        lambda *three: ShiftedProduct.apply(*three, padding, dilation).permute(0, 3, 1, 2), *inputs
    )
    expected = with_slopes(lambda *three: F.conv2d(*three, padding=padding, dilation=dilation), *inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("count", [7, 16], ids="{} pixels".format)  # in one part and in eight
@pytest.mark.parametrize("channels", [3, 512])
def test_products_are_inner_products_over_the_pixels(count, channels):
    torch.manual_seed(1)
    one = torch.randn(2, count, channels, dtype=torch.float64)
    other = torch.randn(2, count, 5, dtype=torch.float64)
    expected = torch.einsum("bnc,bnd->bcd", one, other)
    torch.testing.assert_close(inner_products(one, other), expected)


def test_energies_and_mixture_have_the_gradients_of_their_own_outputs():
    torch.manual_seed(2)
    x = torch.randn(2, 8, 4, dtype=torch.float64, requires_grad=True)
    matrix = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(InnerProducts.apply, (x,))
    assert torch.autograd.gradcheck(Mixture.apply, (x, matrix))
    torch.testing.assert_close(Mixture.apply(x, matrix), torch.baddbmm(x, x, matrix.transpose(1, 2)))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("outputs", [1, 4])
@pytest.mark.parametrize(("side", "padding", "dilation"), KERNELS)
def test_the_way_of_a_gpu_is_that_of_the_cpu(side, padding, dilation, outputs, bias, monkeypatch):
    torch.manual_seed(3)
    layer = ThinConv(6, outputs, side, padding=padding, dilation=dilation, bias=bias).double()
    features = torch.randn(2, 6, 12, 10, dtype=torch.float64, requires_grad=True)
    inputs = (features, *layer.parameters())
    expected = with_slopes(lambda *_: layer(features).relu_(), *inputs)
    monkeypatch.setattr(products, "bfloat16_on_gpu", lambda features: True)
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    monkeypatch.setattr(products, "full_product", torch.bmm)
    found = with_slopes(lambda *_: layer(features).relu_(), *inputs)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.gpu
@NO_GPU
@pytest.mark.parametrize(("channels", "outputs"), [(160, 16), (64, 1)])
@pytest.mark.parametrize(("side", "padding", "dilation"), KERNELS)
def test_a_gpu_convolves_in_bfloat16_as_the_formula_says(channels, outputs, side, padding, dilation):
    torch.manual_seed(4)
    layer = ThinConv(channels, outputs, side, padding=padding, dilation=dilation).cuda()
    features = torch.randn(4, channels, 40, 24, device="cuda", dtype=torch.bfloat16)
    features = features.to(memory_format=torch.channels_last).requires_grad_()
    with torch.autocast("cuda", torch.bfloat16):
        found = with_slopes(lambda *_: layer(features), features, layer.weight, layer.bias)
    expected = with_slopes(
        lambda *three: F.conv2d(*three, padding=padding, dilation=dilation),
        *(one.detach().double().requires_grad_() for one in (features, layer.weight, layer.bias)),
    )
    for one, other in zip(found, expected, strict=True):
        assert (one - other).norm() < 5e-3 * other.norm()
