"""Generator and discriminator against slow loops, known sizes and their own gradients."""

import math

import numpy as np
import pytest
import torch
from tiny import MODEL, NO_GPU
from torch import nn
from torch.nn import functional as F

from magan_core import limits
from magan_core.errors import MaganError
from magan_core.inside import look_inside
from magan_core.models import PARTS, build_discriminator, build_generator, patch_grid, receptive_field
from magan_core.models.attention import ENERGIES, ChannelAttention, SpatialAttention
from magan_core.models.backbone import TimmBackbone, build_backbone
from magan_core.models.efficientnet_lite import NAME as LITE
from magan_core.models.generator import upsample_by_products

TABLE_IV = [
    ["HL"],
    ["HL", "LL"],
    ["HL", "LL", "HCA"],
    ["HL", "LL", "HCA", "SA"],
    ["HL", "LL", "HCA", "LCA"],
    ["HL", "LL", "SA"],
    ["HL", "LL", "HCA", "SA", "LCA"],
]


def slow_channel_attention(features, alpha, energy, axis):
    """Eq. 1 and 2 with loops over channels i and j of one image (C, H, W)."""
    x = features.reshape(len(features), -1).astype(np.float64)
    channels, n = x.shape
    r = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            r[i, j] = math.exp(x[i] @ x[j] / (n if energy == "mean" else 1))
    for j in range(channels):
        r[:, j] /= r[:, j].sum()  # Eq. 1: over i
    out = np.zeros_like(x)
    for j in range(channels):
        for i in range(channels):
            out[j] += (r[i, j] if axis == "sources" else r[j, i]) * x[i]  # Eq. 2 prints r_ji
    return (alpha * out + x).reshape(features.shape)


@pytest.mark.parametrize("energy", ["mean", "raw"])
@pytest.mark.parametrize("axis", ["sources", "printed"])
def test_channel_attention_is_eq_1_and_2(energy, axis):
    features = np.random.default_rng(0).normal(size=(2, 5, 3, 4)) * 0.7
    module = ChannelAttention(energy, axis)
    module.alpha.data.fill_(0.8)
    found = module(torch.tensor(features, dtype=torch.float32)).detach().numpy()
    expected = np.stack([slow_channel_attention(image, 0.8, energy, axis) for image in features])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


LAYOUTS = [torch.contiguous_format, torch.channels_last]
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]


def plain_channel_attention(features, alpha, energy, axis):
    """Eq. 1 and 2 by einsum, term by term: (B, C, H, W) -> (B, C, H, W)."""
    energies = torch.einsum("bihw,bjhw->bji", features, features)
    if energy == "mean":
        energies = energies / features[0, 0].numel()
    weights = energies.softmax(2 if axis == "sources" else 1)
    return alpha * torch.einsum("bji,bihw->bjhw", weights, features) + features


def outcomes(call, features, alpha, layout):
    """Output of call(features, alpha), and the gradients of a weighted sum of it by features and alpha."""
    features = features.detach().clone(memory_format=layout).requires_grad_()
    alpha = alpha.detach().clone().requires_grad_()
    out = call(features, alpha)
    weights = torch.linspace(-1, 1, out.numel(), dtype=torch.float64, device=out.device)
    weights = weights.reshape(out.shape).cos()
    (out.double() * weights).sum().backward()
    return out.detach(), features.grad, alpha.grad


def attend(energy, axis):
    """The module as a function of features and alpha."""
    module = ChannelAttention(energy, axis)

    def call(features, alpha):
        return torch.func.functional_call(module, {"alpha": alpha}, (features,))

    return call


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("energy", ["mean", "raw"])
@pytest.mark.parametrize("axis", ["sources", "printed"])
@pytest.mark.parametrize(("reduced", "tolerance"), [(False, 1e-5), (True, 2e-2)], ids=["fp32", "bf16"])
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(5, 7), (8, 12)], ids=str)  # on a GPU in one part and in eight
def test_channel_attention_and_its_gradients_are_those_of_the_plain_formula(
    energy, axis, layout, reduced, tolerance, device, size
):
    """The module computes less than the formula asks for; tolerances are of the largest value."""
    torch.manual_seed(0)
    features = (torch.randn(2, 6, *size) * 0.5).to(device, torch.bfloat16 if reduced else torch.float32)
    alpha = torch.tensor([0.8], device=device)
    with torch.autocast(device, torch.bfloat16, enabled=reduced):
        found = outcomes(attend(energy, axis), features, alpha, layout)
    expected = outcomes(
        lambda features, alpha: plain_channel_attention(features, alpha, energy, axis),
        features.double(), alpha.double(), torch.contiguous_format,
    )  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=0, atol=tolerance * other.abs().max().item())


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("energy", ["mean", "raw"])
@pytest.mark.parametrize("axis", ["sources", "printed"])
def test_channel_attention_has_the_gradient_of_its_own_output(energy, axis, layout, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # energies in float64, to difference them
    torch.manual_seed(1)
    features = torch.randn(1, 4, 3, 2, dtype=torch.float64).contiguous(memory_format=layout)
    alpha = torch.tensor([0.6], dtype=torch.float64)
    inputs = features.requires_grad_(), alpha.requires_grad_()
    assert torch.autograd.gradcheck(attend(energy, axis), inputs)


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_large_raw_energies_choose_what_float64_chooses(layout):
    """Energies of 1e9, as loud features have: float32 rounds them by hundreds, and the softmax must neither
    overflow nor choose another channel."""
    torch.manual_seed(2)
    features = torch.rand(2, 8, 40, 40) * 1e3 * torch.linspace(1, 2, 8).view(1, 8, 1, 1)
    weights = ChannelAttention("raw").weights(features.contiguous(memory_format=layout))
    energies = torch.einsum("bihw,bjhw->bji", features.double(), features.double())
    assert energies.max() > 1e9
    torch.testing.assert_close(weights.double(), energies.softmax(2), rtol=0, atol=1e-6)


def test_channel_attention_starts_as_the_identity_and_can_leave_it():
    module = ChannelAttention()
    features = torch.randn(2, 6, 4, 4)
    assert torch.equal(module(features), features)
    module(features).square().sum().backward()
    assert module.alpha.grad.abs() > 0


def test_sources_weigh_to_one_and_printed_ones_do_not():
    features = torch.randn(1, 6, 4, 4) * torch.arange(1, 7).view(1, 6, 1, 1)
    ones = torch.ones(1, 6)
    torch.testing.assert_close(ChannelAttention("mean", "sources").weights(features).sum(2), ones)
    printed = ChannelAttention("mean", "printed").weights(features)
    torch.testing.assert_close(printed.sum(1), ones)
    assert (printed.sum(2) - 1).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("energy", ["mean", "raw"])
def test_loud_half_precision_features_stay_finite(dtype, energy):
    """Squares of 300 exceed fp16's 65504, and so would the energies of any such channel."""
    features = (torch.rand(1, 8, 32, 32) * 300).to(dtype)
    module = ChannelAttention(energy).to(dtype)
    module.alpha.data.fill_(1.0)
    with torch.autocast("cpu", dtype=dtype):
        weights, out = module.weights(features), module(features)
    assert weights.dtype == torch.float32
    assert torch.isfinite(weights).all()
    assert torch.isfinite(out).all()


def test_mean_energy_does_not_depend_on_the_number_of_pixels():
    small = torch.randn(1, 4, 6, 6)
    large = small.repeat(1, 1, 3, 3)
    module = ChannelAttention("mean")
    torch.testing.assert_close(module.weights(small), module.weights(large))


def test_raw_energy_is_one_hot_where_mean_is_not():
    features = torch.rand(1, 8, 40, 40) * torch.linspace(1, 2, 8).view(1, 8, 1, 1)
    assert ChannelAttention("raw").weights(features).amax(2).min() > 0.99
    assert ChannelAttention("mean").weights(features).amax(2).max() < 0.7


def test_spatial_attention_is_a_map_of_weights_with_two_atrous_convolutions():
    module = SpatialAttention(6, hidden=4, dilation=2)
    out = module(torch.randn(2, 6, 9, 7) * 5)
    assert out.shape == (2, 1, 9, 7)
    assert out.min() >= 0
    assert out.max() <= 1
    convolutions = [layer for layer in module.layers if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation for layer in convolutions] == [(2, 2), (2, 2)]


@pytest.mark.parametrize("dilation", [1, 3])
def test_spatial_attention_is_its_formula_written_out(dilation):
    torch.manual_seed(0)
    module = SpatialAttention(6, hidden=4, dilation=dilation)
    high = torch.randn(2, 6, 9, 7) * 5
    first, second = (layer for layer in module.layers if isinstance(layer, nn.Conv2d))
    x = F.conv2d(high, first.weight, first.bias, padding=dilation, dilation=dilation)
    x = torch.where(x > 0, x, 0.0)
    x = F.conv2d(x, second.weight, second.bias, padding=dilation, dilation=dilation)
    torch.testing.assert_close(module(high), 1 / (1 + torch.exp(-x)))


@pytest.mark.parametrize("parts", TABLE_IV, ids="+".join)
def test_every_row_of_table_iv_at_odd_sizes(parts):
    torch.manual_seed(0)
    generator = build_generator(MODEL, parts)
    images = torch.rand(2, 3, 37, 51)
    logits, attention = generator(images, attention=True)
    assert logits.shape == (2, 1, 37, 51)
    expected = {
        "HL": {"high"},
        "LL": {"low"},
        "HCA": {"high_channels", "high_attended"},
        "LCA": {"low_channels", "low_attended"},
        "SA": {"spatial", "low_passed"},
    }
    assert set(attention) == set().union(*(expected[part] for part in parts))
    assert set(generator.alphas()) == {f"alpha_{part.lower()}" for part in parts if part.endswith("CA")}
    logits.square().mean().backward()
    silent = [name for name, p in generator.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent


def test_table_iv_rows_differ_by_exactly_their_parts():
    """HCA and LCA are one scale each, as alpha is the only parameter of Eq. 2."""
    count = {
        "+".join(parts): sum(p.numel() for p in build_generator(MODEL, parts).parameters())
        for parts in TABLE_IV
    }
    assert count["HL+LL+HCA"] == count["HL+LL"] + 1
    assert count["HL+LL+HCA+LCA"] == count["HL+LL"] + 2
    assert count["HL+LL+HCA+SA+LCA"] == count["HL+LL+SA"] + 2
    assert count["HL"] < count["HL+LL"] < count["HL+LL+SA"]


def test_attention_maps_are_those_of_the_forward_pass():
    generator = build_generator(MODEL).eval()
    low, high = sum(generator.backbone.channels[:2]), sum(generator.backbone.channels[2:])
    images = torch.rand(1, 3, 32, 48)
    with torch.no_grad():
        logits, attention = generator(images, attention=True)
        assert torch.equal(generator(images), logits)
    assert attention["high_channels"].shape == (1, high, high)
    assert attention["low_channels"].shape == (1, low, low)
    assert attention["spatial"].shape == (1, 1, 32, 48)
    assert 0 < attention["spatial"].min() <= attention["spatial"].max() < 1


def test_features_are_shown_as_eq_2_and_3_change_them():
    torch.manual_seed(0)
    generator = build_generator(MODEL).eval()
    for module, alpha in ((generator.high_attention, 0.5), (generator.low_attention, -0.25)):
        module.alpha.data.fill_(alpha)
    seen = {}
    for name in ("high_head", "low_head"):
        keep = {name: lambda module, args, name=name: seen.update({name: args[0]})}
        getattr(generator, name).register_forward_pre_hook(keep[name])
    with torch.no_grad():
        _, kept = generator(torch.rand(1, 3, 32, 32), attention=True)
    for name, alpha in (("high", 0.5), ("low", -0.25)):
        mixed = torch.einsum("bji,bihw->bjhw", kept[f"{name}_channels"], kept[name])
        torch.testing.assert_close(kept[f"{name}_attended"], kept[name] + alpha * mixed)
        assert not torch.equal(kept[f"{name}_attended"], kept[name])
    assert torch.equal(seen["high_head"], kept["high_attended"])
    torch.testing.assert_close(kept["low_passed"], kept["low_attended"] * kept["spatial"])
    assert torch.equal(seen["low_head"], kept["low_passed"])
    assert generator.alphas() == {"alpha_hca": 0.5, "alpha_lca": -0.25}


def test_the_generator_is_its_formula_written_out():
    """Section III-A: the backbone, channel attention on both groups of levels, spatial attention of the
    attended high-level features on the low-level ones, a head each and one on both."""
    torch.manual_seed(0)
    network = build_generator(MODEL).eval()
    network.high_attention.alpha.data.fill_(0.5)
    network.low_attention.alpha.data.fill_(-0.25)
    network.spatial_attention.layers[-1].weight.data.mul_(100)  # Z that is not nearly flat

    def enlarged(features, like):
        return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=False)

    def head(layers, features):
        convolution, norm, _ = layers
        found = norm(F.conv2d(features, convolution.weight, convolution.bias, padding=1))
        return torch.where(found > 0, found, 0.0)

    with torch.no_grad():
        images = torch.rand(2, 3, 37, 51)
        levels = network.backbone((images - 0.5) / 0.25)
        low = torch.cat([enlarged(level, levels[0]) for level in levels[:2]], dim=1)
        high = torch.cat([enlarged(level, levels[2]) for level in levels[2:]], dim=1)
        low = plain_channel_attention(low, -0.25, "mean", "sources")
        high = plain_channel_attention(high, 0.5, "mean", "sources")
        low = low * enlarged(network.spatial_attention(high), low)
        both = [enlarged(head(network.high_head, high), low), head(network.low_head, low)]
        last = network.head[2]
        logits = F.conv2d(head(network.head[1], torch.cat(both, dim=1)), last.weight, last.bias)
        torch.testing.assert_close(network(images), enlarged(logits, images))


def test_spatial_attention_weighs_the_low_level_features():
    """With Z = 0 the low-level branch sees nothing (Eq. 3); the picture's fine detail cannot reach it."""
    generator = build_generator(MODEL, ["HL", "LL", "SA"]).eval()
    seen = []
    generator.low_head.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    generator.spatial_attention.layers[-1].bias.data.fill_(-200)
    with torch.no_grad():
        generator(torch.rand(1, 3, 32, 32))
    assert not seen[0].any()


def test_dropout_is_the_noise_of_training_only():
    generator = build_generator(MODEL | {"dropout": 0.5, "head_norm": False})
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(generator(images), generator(images))
        generator.eval()
        assert torch.equal(generator(images), generator(images))


def test_dropout_takes_whole_channels_as_often_as_it_is_told():
    generator = build_generator(MODEL | {"dropout": 0.25, "head_channels": 64}).train()
    seen = []
    generator.head[1].register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    generator.head[0].register_forward_pre_hook(lambda module, args: seen.append(args[0].clone()))
    with torch.no_grad():
        for seed in range(8):
            generator(torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)))
    kept = []
    for before, after in zip(seen[::2], seen[1::2], strict=True):
        there = before.any(3).any(2)  # channels that say something: B, C
        alive = after.any(3).any(2)[there]
        expected = torch.where(after.any(3).any(2)[..., None, None], before / 0.75, 0.0)
        torch.testing.assert_close(after, expected)
        kept.append(alive.float())
    assert torch.cat(kept).mean().item() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize(
    ("name", "strides"),
    [
        ("slim_vgg", [1, 2, 4, 8, 16]),
        ("vgg16", [1, 2, 4, 8, 16]),
        ("vgg16.tv_in1k", [1, 2, 4, 8, 16]),
        ("tf_efficientnet_lite0", [2, 4, 8, 16, 32]),
        ("resnet18", [2, 4, 8, 16, 32]),
    ],
)
def test_backbones_say_what_they_give(name, strides):
    backbone = build_backbone(name, width=0.0625).eval()
    assert backbone.strides == strides
    with torch.no_grad():
        levels = backbone(torch.rand(1, 3, 64, 96))
    assert [tuple(level.shape[1:]) for level in levels] == [
        (channels, 64 // stride, 96 // stride)
        for channels, stride in zip(backbone.channels, strides, strict=True)
    ]


def test_backbones_normalise_as_they_were_trained():
    vgg, lite = build_backbone("vgg16"), build_backbone("tf_efficientnet_lite0")
    assert vgg.mean == pytest.approx((0.485, 0.456, 0.406))
    assert vgg.std == pytest.approx((0.229, 0.224, 0.225))
    assert (lite.mean, lite.std) == ((0.5,) * 3, (0.5,) * 3)
    slim = build_backbone("slim_vgg", width=0.125)  # of which files of older models say nothing
    assert (slim.mean, slim.std) == ((0.5,) * 3, (0.25,) * 3)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0.in1k", "resnet18"])
def test_generator_on_pretrained_backbones_has_the_size_of_its_input(name):
    generator = build_generator(MODEL | {"backbone": name}).eval()
    with torch.no_grad():
        assert generator(torch.rand(1, 3, 65, 50)).shape == (1, 1, 65, 50)


@pytest.mark.parametrize("training", [True, False], ids=["training", "mapping"])
def test_our_efficientnet_lite0_is_timms(training):
    """Same seed: same weights, levels (also where strides do not divide the sides), gradients and state."""
    networks = []
    for build in (lambda: TimmBackbone("tf_efficientnet_lite0"), lambda: build_backbone(LITE)):
        torch.manual_seed(5)
        networks.append(build().train(training))
        networks[-1].after = torch.rand(3)
    theirs, ours = networks
    assert torch.equal(theirs.after, ours.after)
    assert (theirs.channels, theirs.strides) == (ours.channels, ours.strides)
    assert (theirs.mean, theirs.std) == (ours.mean, ours.std)
    for height, width in ((64, 64), (77, 130), (33, 95)):
        images = torch.rand(2, 3, height, width)
        levels = [network(images) for network in networks]
        assert all(torch.equal(a, b) for a, b in zip(*levels, strict=True))
        for outputs in levels:
            sum(output.square().mean() for output in outputs).backward()
    assert list(theirs.state_dict()) == list(ours.state_dict())
    for a, b in zip(theirs.state_dict().values(), ours.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    for a, b in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert a.grad is not None
        assert torch.equal(a.grad, b.grad)


def test_vgg16_has_its_thirteen_convolutions():
    count = sum(p.numel() for p in build_backbone("vgg16").parameters())
    assert count == 14_714_688  # VGG-16 without its classifier


@pytest.mark.parametrize("width", [1.0, 0.25])
def test_the_slim_network_has_the_convolutions_of_vgg16_at_its_width(width):
    shapes = [
        [
            (layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride)
            for layer in network.modules()
            if isinstance(layer, nn.Conv2d)
        ]
        for network in (build_backbone("slim_vgg", width=width), build_backbone("vgg16"))
    ]
    slim, vgg = shapes
    expected = [(int(i * width) if i > 3 else i, int(o * width), *others) for i, o, *others in vgg]
    assert slim == expected


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"backbone": "vggg16"}, "did you mean 'vgg16'"),
        ({"backbone": "slim-vgg"}, "did you mean 'slim_vgg'"),
        ({"energy": "means"}, "did you mean 'mean'"),
        ({"axis": "source"}, "did you mean 'sources'"),
    ],
)
def test_unknown_names_get_the_nearest_one(change, hint):
    with pytest.raises(MaganError, match=hint) as caught:
        build_generator(MODEL | change)
    assert len(str(caught.value)) < 1500  # timm knows more than a thousand networks


def test_a_tag_of_weights_that_timm_does_not_know():
    with pytest.raises(MaganError, match="nonsense"):
        build_backbone(f"{LITE}.nonsense")


def test_unknown_and_impossible_parts():
    with pytest.raises(MaganError, match="did you mean 'HCA'"):
        build_generator(MODEL, ["HL", "HCB"])
    for parts in (["LL"], ["HL", "SA"], ["HL", "LCA"]):
        with pytest.raises(MaganError, match="do not make a network"):
            build_generator(MODEL, parts)
    assert PARTS == ("HL", "LL", "HCA", "SA", "LCA")


@pytest.mark.parametrize("dilation", [0, -1, 1.5, True])
def test_a_dilation_that_is_none(dilation):
    with pytest.raises(MaganError, match="it must be a whole number from 1 on"):
        build_generator(MODEL | {"dilation": dilation})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("convnext_atto", r"no pyramid of five feature levels in timm \(it has 4\)"),
        ("tresnet_m", r"no pyramid of five feature levels in timm \(Return layers .* not present"),
        ("vit_tiny_patch16_224", "is one of a fixed size, 224 x 224 px"),
        ("maxvit_tiny_tf_224", "is one of a fixed size, 224 x 224 px"),
        ("resnet18.foo", "unknown tag of timm's weights for resnet18 'foo'"),
        ("resnet18.tv_in", "did you mean 'tv_in1k'"),
        ("vgg16.", "unknown tag of timm's weights for vgg16 ''"),
    ],
)
def test_a_backbone_that_does_not_do_says_why(name, message):
    with pytest.raises(MaganError, match=message):
        build_backbone(name)


class Halved(nn.Module):
    """A channel attention of another kind, without alpha and weights."""

    def forward(self, features):
        return features / 2


def test_an_attention_of_another_kind_may_take_its_place(monkeypatch):
    monkeypatch.setattr("magan_core.models.generator.ChannelAttention", lambda energy, axis: Halved())
    network = build_generator(MODEL).eval()
    assert network.alphas() == {}
    photo, mask = np.full((32, 32, 3), 99, np.uint8), np.full((32, 32), 255, np.uint8)
    groups = look_inside(network, None, photo, mask, 32).groups
    for group in groups.values():
        assert group.weights is None
        assert np.array_equal(group.after, group.before / 2)


def test_every_energy_that_settings_may_name_is_there():
    assert tuple(ENERGIES) == limits.ENERGIES


@pytest.mark.parametrize("name", ["slim_vgg", "vgg16"])
def test_without_poolings_every_level_has_full_size(name):
    backbone = build_backbone(name, width=0.0625, pooling=False).eval()
    assert not any(isinstance(module, nn.MaxPool2d) for module in backbone.modules())
    with torch.no_grad():
        assert {tuple(level.shape[2:]) for level in backbone(torch.rand(1, 3, 18, 20))} == {(18, 20)}


def test_only_vgg_can_do_without_poolings():
    for name in ("resnet18", "tf_efficientnet_lite0"):
        with pytest.raises(MaganError, match="cannot do without poolings"):
            build_backbone(name, pooling=False)


# ---- discriminator ----


def footprint(discriminator, side):
    """Side of the square of input pixels that move one output in the middle."""
    images = torch.rand(1, 3, side, side, requires_grad=True)
    logits = discriminator.eval()(images, torch.rand(1, 1, side, side))
    middle = logits.shape[2] // 2
    logits[0, 0, middle, middle].backward()
    rows = images.grad[0].abs().sum(0).sum(1).nonzero()
    columns = images.grad[0].abs().sum(0).sum(0).nonzero()
    assert len(rows) == len(columns)
    return int(rows.max() - rows.min()) + 1


@pytest.mark.parametrize(("name", "field", "side"), [(1, 1, 9), (16, 16, 48), (70, 70, 160), (256, 286, 640)])
def test_receptive_field_is_what_the_gradient_sees(name, field, side):
    torch.manual_seed(0)
    discriminator = build_discriminator(name, channels=2)
    assert receptive_field(discriminator) == field
    assert footprint(discriminator, side) == field


@pytest.mark.parametrize(("name", "side"), [(1, 9), (16, 48), (70, 160), (256, 400)])
def test_patches_lie_where_the_gradient_sees_them(name, side):
    torch.manual_seed(0)
    discriminator = build_discriminator(name, channels=2).eval()
    first, step = patch_grid(discriminator)
    images = torch.rand(1, 3, side, side, requires_grad=True)
    logits = discriminator(images, torch.rand(1, 1, side, side))
    reach = (receptive_field(discriminator) - 1) / 2
    for row, column in ((0, 0), (1, logits.shape[3] - 1), (logits.shape[2] // 2, 1)):
        (gradient,) = torch.autograd.grad(logits[0, 0, row, column], images, retain_graph=True)
        for index, axis in ((row, 1), (column, 0)):
            touched = gradient[0].abs().sum(0).sum(axis).nonzero()
            centre = first + index * step
            assert int(touched.min()) == max(0, centre - reach)
            assert int(touched.max()) == min(side - 1, centre + reach)


@pytest.mark.parametrize(("name", "smallest"), [(1, 1), (16, 6), (70, 24), (256, 96)])
def test_smallest_picture_of_a_discriminator(name, smallest):
    discriminator = build_discriminator(name, channels=2)
    fits = discriminator(torch.rand(1, 3, smallest, smallest), torch.rand(1, 1, smallest, smallest))
    assert fits.shape == (1, 1, 1, 1)
    with pytest.raises(MaganError, match=f"{smallest} px"):
        discriminator(torch.rand(1, 3, smallest - 1, 300), torch.rand(1, 1, smallest - 1, 300))


def test_unknown_receptive_field():
    for wrong in (71, "70", None):
        with pytest.raises(MaganError, match="1, 16, 70, 256"):
            build_discriminator(wrong)


def convolutions(discriminator):
    return [layer for layer in discriminator.layers if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize(
    ("field", "widths"),
    [(1, [2, 4]), (16, [2, 4]), (70, [2, 4, 8, 16]), (256, [2, 4, 8, 16, 16, 16])],
)
def test_a_discriminator_doubles_its_channels_up_to_eight_times(field, widths):
    found = convolutions(build_discriminator(field, channels=2))
    assert [layer.out_channels for layer in found] == [*widths, 1]
    assert [layer.in_channels for layer in found] == [4, *widths]


def test_the_usual_discriminator_sees_70_pixels_and_begins_with_64_channels():
    usual = build_discriminator()
    assert receptive_field(usual) == 70
    assert convolutions(usual)[0].out_channels == 64


def test_weights_come_from_a_normal_distribution_of_0_02():
    torch.manual_seed(0)
    for layer in convolutions(build_discriminator(70, channels=32)):
        original = layer.parametrizations.weight.original
        assert abs(original.mean()) < 5 * 0.02 / original.numel() ** 0.5
        assert original.std().item() == pytest.approx(0.02, rel=4 / (2 * original.numel()) ** 0.5)
        assert not layer.bias.any()


def largest_singular_values(discriminator):
    return [
        torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        for layer in convolutions(discriminator)
    ]


def test_spectral_norm_follows_changing_weights():
    """Eq. 8: after the weights moved, forwards in training mode bring the largest singular values to 1."""
    torch.manual_seed(0)
    discriminator = build_discriminator(16, channels=8)
    images, maps = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        for layer in convolutions(discriminator):
            layer.parametrizations.weight.original.normal_(0, 0.5)
        discriminator.eval()
        stale = largest_singular_values(discriminator)
        assert max(abs(value - 1) for value in stale) > 0.1
        discriminator.train()
        for _ in range(100):
            discriminator(images, maps)
        discriminator.eval()
    assert largest_singular_values(discriminator) == pytest.approx([1] * 3, abs=0.02)


def vectors(discriminator):
    return [buffer.clone() for buffer in discriminator.buffers()]


def test_only_forwards_in_training_mode_move_the_power_iteration():
    discriminator = build_discriminator(16, channels=4)
    images, maps = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    before = vectors(discriminator)
    assert len(before) == 6  # u and v of three convolutions
    discriminator.eval()(images, maps)
    assert all(map(torch.equal, before, vectors(discriminator)))
    with torch.no_grad():
        discriminator.train()(images, maps)
    assert not all(map(torch.equal, before, vectors(discriminator)))


def test_discriminator_sees_image_and_map():
    discriminator = build_discriminator(16, channels=4).eval()
    images, maps = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    logits = discriminator(images, maps)
    assert logits.shape[:2] == (1, 1)
    assert not torch.equal(logits, discriminator(1 - images, maps))
    assert not torch.equal(logits, discriminator(images, 1 - maps))


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("before", "after"), [((5, 7), (20, 14)), ((10, 9), (13, 29)), ((8, 6), (4, 3))], ids=str
)
def test_upsampling_by_products_is_bilinear_interpolation(layout, channels, before, after):
    torch.manual_seed(0)
    features = torch.randn(2, channels, *before, dtype=torch.float64).to(memory_format=layout)
    features.requires_grad_()
    expected = F.interpolate(features, size=after, mode="bilinear", align_corners=False)
    found = upsample_by_products(features, torch.Size(after))
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(expected)
    slopes = [torch.autograd.grad((one * weights).sum(), features)[0] for one in (found, expected)]
    torch.testing.assert_close(*slopes)


@pytest.mark.gpu
@NO_GPU
def test_a_gpu_computes_what_the_cpu_does():
    """Logits and gradients of the whole network, in float32 on both."""
    torch.manual_seed(0)
    generator = build_generator(MODEL).eval()
    with torch.no_grad():
        generator.high_attention.alpha.fill_(0.5)
        generator.low_attention.alpha.fill_(-0.25)
    images = torch.rand(2, 3, 40, 56)
    found = []
    for device in ("cpu", "cuda"):
        generator.to(device).zero_grad()
        logits = generator(images.to(device))
        logits.square().mean().backward()
        slopes = torch.cat([parameter.grad.flatten().cpu() for parameter in generator.parameters()])
        found.append((logits.detach().cpu(), slopes))
    for one, other in zip(*found, strict=True):
        assert (one - other).norm() < 2e-3 * other.norm()  # convolutions in tf32


@pytest.mark.parametrize("field", [1, 16, 70])
def test_the_discriminator_is_its_formula_written_out(field):
    torch.manual_seed(0)
    judge = build_discriminator(field, channels=4).eval()
    images, maps = torch.rand(2, 3, 48, 48), torch.rand(2, 1, 48, 48)
    x = torch.cat([2 * images - 1, 2 * maps - 1], dim=1)
    layers = [layer for layer in judge.layers if isinstance(layer, nn.Conv2d)]
    for index, layer in enumerate(layers):
        x = F.conv2d(x, layer.weight, layer.bias, layer.stride, layer.padding)
        if index < len(layers) - 1:
            x = torch.where(x > 0, x, 0.2 * x)
    torch.testing.assert_close(judge(images, maps), x)
