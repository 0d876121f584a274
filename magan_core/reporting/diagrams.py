"""Figures 2, 3, 4 and 6: the networks, drawn from the networks.

The sizes in the boxes are those of a forward pass of one blank photograph, taken by hooks.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from magan_core.errors import MaganError
from magan_core.models import build_discriminator, build_generator, receptive_field
from magan_core.reporting.boxes import arrow, box, canvas, note, operator, shape
from magan_core.reporting.style import PAGE, Drawing, styled

Sizes = dict[str, tuple[int, ...]]
VGG_LEVELS = ("conv1_2", "conv2_2", "conv3_3", "conv4_3", "conv5_3")


def generator_sizes(settings: Mapping[str, Any], size: int) -> Sizes:
    """Sizes, without the batch dimension, of what MANet computes from a photograph of `size` x `size` pixels.

    settings: the `model` section of params.yaml. Keys: level1 to level5, high, low (after concatenation),
    spatial, hidden (between the atrous convolutions), high_head, low_head, fused (input of the head), map.
    """
    found: Sizes = {}
    with torch.inference_mode():
        model = build_generator(dict(settings)).eval()

        def keep(output: str, given: str = "") -> Any:
            def hook(_: nn.Module, inputs: tuple[Tensor, ...], result: Tensor) -> None:
                found[output] = tuple(result.shape[1:])
                if given:
                    found[given] = tuple(inputs[0].shape[1:])

            return hook

        def levels(_: nn.Module, __: tuple[Tensor, ...], results: list[Tensor]) -> None:
            found.update({f"level{i}": tuple(result.shape[1:]) for i, result in enumerate(results, 1)})

        model.backbone.register_forward_hook(levels)
        model.high_attention.register_forward_hook(keep("high"))
        model.low_attention.register_forward_hook(keep("low"))
        model.spatial_attention.register_forward_hook(keep("spatial"))
        model.spatial_attention.layers[0].register_forward_hook(keep("hidden"))
        model.high_head.register_forward_hook(keep("high_head"))
        model.low_head.register_forward_hook(keep("low_head"))
        model.head.register_forward_hook(keep("logits", "fused"))
        found["map"] = tuple(_run(model, size, 3).shape[1:])
    return found


def discriminator_layers(settings: Mapping[str, Any], size: int) -> list[tuple[nn.Conv2d, tuple[int, ...]]]:
    """Every convolution of the discriminator and the size of its output for a photograph of `size` x `size`
    pixels.

    settings: the keyword arguments of `build_discriminator`.
    """
    found = []
    with torch.inference_mode():
        model = build_discriminator(**settings).eval()
        for layer in model.layers:
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(
                    lambda own, _, result: found.append((own, tuple(result.shape[1:])))
                )
        _run(model, size, 3, 1)
    return found


@styled
def figure_2(settings: Mapping[str, Any], size: int) -> Drawing:
    """Figure 2: MANet, from photograph to map. settings: the `model` section of params.yaml; size: pixels a
    side.
    """
    at = generator_sizes(settings, size)
    figure, axes = canvas(PAGE, 3.3)
    rows = [2.95, 2.35, 1.55, 0.95, 0.35]
    low_row, high_row = 2.65, 0.95
    photo = box(axes, 0.43, rows[0], "Photograph", shape((3, size, size)), "data", (0.74, 0.4))
    vgg, pooled = "vgg" in settings["backbone"], settings.get("pooling")
    names = VGG_LEVELS if vgg else tuple(f"level {i}" for i in range(1, 6))
    levels = [
        box(axes, 1.42, row, name, shape(at[f"level{i}"]))
        for i, (row, name) in enumerate(zip(rows, names, strict=True), 1)
    ]
    arrow(axes, photo.right(), levels[0].left())
    for upper, lower in pairwise(levels):
        arrow(axes, upper.bottom(), lower.top())
    told = f"{'with' if pooled else 'without'} its poolings\n" * vgg
    note(axes, 0.43, 1.55, f"backbone\n{settings['backbone']}\n{told}".rstrip())

    low = box(axes, 2.47, low_row, "Low level", shape(at["low"]), "data", (0.86, 0.4))
    high = box(axes, 2.47, high_row, "High level", shape(at["high"]), "data", (0.86, 0.4))
    for level, target, up in (
        (0, low, 0.08),
        (1, low, -0.08),
        (2, high, 0.1),
        (3, high, 0.0),
        (4, high, -0.1),
    ):
        start = levels[level].right()
        bend = 1.93
        end = target.left(up)
        points = [start, end] if start[1] == end[1] else [start, (bend, start[1]), (bend, end[1]), end]
        arrow(axes, *points)
    note(axes, 2.02, low_row + 0.3, "up-sampled, concatenated", ha="left")
    note(axes, 2.02, high_row - 0.3, "up-sampled, concatenated", ha="left")

    lca = box(axes, 3.52, low_row, "Channel\nattention", kind="attention", size=(0.7, 0.4))
    hca = box(axes, 3.52, high_row, "Channel\nattention", kind="attention", size=(0.7, 0.4))
    arrow(axes, low.right(), lca.left())
    arrow(axes, high.right(), hca.left())
    times = operator(axes, 4.4, low_row, "×")
    spatial = box(axes, 4.4, 1.8, "Spatial\nattention", shape(at["spatial"]), "attention", (0.76, 0.5))
    arrow(axes, lca.right(), times.left())
    arrow(axes, (4.4, high_row), spatial.bottom())
    arrow(axes, spatial.top(), times.bottom())
    note(axes, 4.46, 2.28, "up-sampled", ha="left")

    norm = "\nbatch norm" * settings.get("head_norm", False)
    low_head = box(axes, 5.3, low_row, f"3×3 conv{norm}", shape(at["low_head"]), size=(0.8, 0.5))
    high_head = box(axes, 5.3, high_row, f"3×3 conv{norm}", shape(at["high_head"]), size=(0.8, 0.5))
    arrow(axes, times.right(), low_head.left())
    arrow(axes, hca.right(), high_head.left())
    joined = operator(axes, 5.3, 1.8, "C")
    arrow(axes, low_head.bottom(), joined.top())
    arrow(axes, high_head.top(), joined.bottom())
    note(axes, 5.36, 1.38, "up-sampled", ha="left")
    head = box(axes, 5.97, 1.8, f"Dropout\n3×3 conv{norm}\n1×1 conv", size=(0.7, 0.62))
    arrow(axes, joined.right(), head.left())
    note(axes, 5.97, 2.2, f"in: {shape(at['fused'])}")
    prediction = box(axes, 6.79, 1.8, "Map", shape(at["map"]), "data", (0.64, 0.4))
    arrow(axes, head.right(), prediction.left())
    note(axes, 6.79, 1.5, "sigmoid")
    caption = (
        f"MANet as built here, with backbone {settings['backbone']}; sizes are channels×height×width for a "
        f"photograph of {size}×{size} pixels, taken from the network. C: concatenation of channels; ×: "
        "element-wise product. The map is up-sampled to the photograph's size before the sigmoid."
        + (" Unlike the paper's, the backbone keeps its poolings." if vgg and pooled else "")
        + (" Batch norm, of which the paper says nothing, is this project's." if norm else "")
    )
    alt = (
        "Block diagram of MANet: five backbone levels, low and high groups with channel attention, spatial "
        "attention from high to low, fusion."
    )
    return Drawing(figure, caption, alt)


@styled
def figure_3(settings: Mapping[str, Any], size: int) -> Drawing:
    """Figure 3: the channel attention (Eq. 1 and 2) on the high-level features."""
    at = generator_sizes(settings, size)
    channels, height, width = at["high"]
    pixels = height * width
    figure, axes = canvas(PAGE, 1.75)
    middle, upper, lower = 0.95, 1.3, 0.6
    features = box(axes, 0.5, middle, "Features X*", shape(at["high"]), "data", (0.84, 0.4))
    flat = box(axes, 1.7, upper, "X", f"{channels}×{pixels}", size=(0.84, 0.36))
    turned = box(axes, 1.7, lower, "X transposed", f"{pixels}×{channels}", size=(0.84, 0.36))
    for target in (flat, turned):
        arrow(axes, features.right(), (1.08, middle), (1.08, target.y), target.left())
    product = operator(axes, 2.45, middle, "⊗")
    arrow(axes, flat.right(), (2.45, upper), product.top())
    arrow(axes, turned.right(), (2.45, lower), product.bottom())
    energy = settings.get("energy", "raw")
    scaled = energy == "mean"
    soft = box(
        axes,
        3.2,
        middle,
        "softmax" + (" of\nenergy ÷ N" if scaled else ""),
        kind="attention",
        size=(0.82, 0.4),
    )
    arrow(axes, product.right(), soft.left())
    weights = box(axes, 4.2, middle, "R", f"{channels}×{channels}", "attention", (0.72, 0.4))
    arrow(axes, soft.right(), weights.left())
    second = operator(axes, 4.85, middle, "⊗")
    arrow(axes, weights.right(), second.left())
    arrow(axes, flat.top(), (flat.x, 1.62), (4.85, 1.62), second.top())
    alpha = box(axes, 5.42, middle, "× α", "starts at 0", "attention", (0.62, 0.36))
    arrow(axes, second.right(), alpha.left())
    plus = operator(axes, 5.98, middle, "+")
    arrow(axes, alpha.right(), plus.left())
    arrow(axes, features.bottom(), (features.x, 0.22), (5.98, 0.22), plus.bottom())
    output = box(axes, 6.68, middle, "Output Y", shape(at["high"]), "data", (0.86, 0.4))
    arrow(axes, plus.right(), output.left())
    caption = (
        f"Channel attention on the high-level features, N = {height}×{width} = {pixels} positions. ⊗: matrix "
        "product; +: sum; α: learned scale. "
        + {
            "mean": "The energies are divided by N before the softmax, unlike the paper's.",
            "raw": "The energies are as printed.",
        }.get(energy, f"The energies are those of '{energy}', not the paper's.")
        + (
            " The weights of one output channel sum to one, as the paper's text has it, not its Eq. 1."
            if settings.get("axis") == "sources"
            else ""
        )
    )
    alt = (
        "Block diagram: features times their transpose, softmax to a channel by channel matrix, product "
        "with the features, scaled, added."
    )
    return Drawing(figure, caption, alt)


@styled
def figure_4(settings: Mapping[str, Any], size: int) -> Drawing:
    """Figure 4: the spatial attention (Eq. 3), from the high-level on the low-level features."""
    at = generator_sizes(settings, size)
    figure, axes = canvas(PAGE, 1.45)
    upper, lower = 1.05, 0.35
    high = box(axes, 0.5, upper, "High level", shape(at["high"]), "data", (0.86, 0.4))
    dilation = settings["dilation"]
    first = box(
        axes, 1.72, upper, f"3×3 atrous conv\nrate {dilation}, ReLU", shape(at["hidden"]), size=(1.06, 0.54)
    )
    second = box(
        axes, 3.1, upper, f"3×3 atrous conv\nrate {dilation}", shape(at["spatial"]), size=(1.06, 0.54)
    )
    sigmoid = box(axes, 4.22, upper, "sigmoid: Z", shape(at["spatial"]), "attention", (0.76, 0.4))
    sampled = box(axes, 5.22, upper, "up-sampled", shape((1, *at["low"][1:])), "attention", (0.76, 0.4))
    low = box(axes, 0.5, lower, "Low level", shape(at["low"]), "data", (0.86, 0.4))
    times = operator(axes, 5.22, lower, "×")
    output = box(axes, 6.45, lower, "Weighted low level", shape(at["low"]), "data", (1.16, 0.4))
    arrow(axes, high.right(), first.left())
    arrow(axes, first.right(), second.left())
    arrow(axes, second.right(), sigmoid.left())
    arrow(axes, sigmoid.right(), sampled.left())
    arrow(axes, sampled.bottom(), times.top())
    arrow(axes, low.right(), times.left())
    arrow(axes, times.right(), output.left())
    caption = (
        "Spatial attention: two consecutive atrous convolutions on the high-level features and a sigmoid "
        "give one weight in 0..1 for every place, by which all low-level channels are multiplied (×)."
    )
    alt = (
        "Block diagram: high-level features, two atrous convolutions, sigmoid, up-sampling, product with "
        "the low-level features."
    )
    return Drawing(figure, caption, alt)


@styled
def figure_6(
    settings: Mapping[str, Any],
    discriminator: Mapping[str, Any],
    size: int,
    adversarial: str,
) -> Drawing:
    """Figure 6: MA-GANet: MANet as generator, and the conditional PatchGAN.

    discriminator: the keyword arguments of `build_discriminator` (receptive_field, channels). adversarial:
    the form of the generator's loss, as in params.yaml.
    """
    at = generator_sizes(settings, size)
    layers = discriminator_layers(discriminator, size)
    figure, axes = canvas(PAGE, 3.1)
    photo = box(axes, 0.45, 2.1, "Photograph", shape((3, size, size)), "data", (0.78, 0.4))
    network = box(axes, 1.6, 2.1, "Generator\nMANet", "Figure 2", size=(0.78, 0.54))
    prediction = box(axes, 2.75, 2.1, "Map", shape(at["map"]), "data", (0.78, 0.4))
    mask = box(axes, 2.75, 2.8, "Ground truth", shape(at["map"]), "data", (0.86, 0.4))
    loss = box(axes, 4.15, 2.45, "CE + IoU loss", "Eq. 4 and 5", "loss", (0.92, 0.4))
    arrow(axes, photo.right(), network.left())
    arrow(axes, network.right(), prediction.left())
    arrow(axes, mask.right(), (3.45, 2.8), (3.45, 2.53), loss.left(0.08))
    arrow(axes, prediction.right(), (3.45, 2.1), (3.45, 2.37), loss.left(-0.08))
    joined = operator(axes, 2.75, 1.4, "C")
    arrow(axes, prediction.bottom(), joined.top())
    arrow(axes, photo.bottom(), (photo.x, 1.4), joined.left())
    arrow(axes, mask.right(-0.1), (3.3, 2.7), (3.3, 1.4), joined.right(), dashed=True)
    note(axes, 3.36, 1.5, "or the ground truth:\nthe real pair", ha="left")

    step = min(1.25, (PAGE - 1.2) / len(layers))
    previous = (joined.bottom(), (2.75, 0.82), (0.55, 0.82))
    for number, (layer, out) in enumerate(layers):
        place = 0.55 + number * step
        name = f"{layer.kernel_size[0]}×{layer.kernel_size[1]} conv\nstride {layer.stride[0]}"
        shown = box(axes, place, 0.42, name, shape(out), "discriminator", (step - 0.18, 0.54))
        arrow(axes, *previous, shown.top() if number == 0 else shown.left())
        previous = (shown.right(),)
    verdict = box(axes, PAGE - 0.42, 0.42, "real or fake?", "every patch", "loss", (0.76, 0.54))
    arrow(axes, *previous, verdict.left())
    field = receptive_field(build_discriminator(**discriminator))
    note(axes, 4.4, 0.98, f"PatchGAN, spectral norm, {field}×{field} pixels a patch")
    term = box(axes, 5.6, 1.6, "Adversarial loss", "Eq. 7", "loss", (0.98, 0.4))
    arrow(axes, verdict.top(), (verdict.x, 1.6), term.right())
    total = box(axes, 5.6, 2.45, "Total", "Eq. 9", "loss", (0.8, 0.4))
    arrow(axes, loss.right(), total.left())
    arrow(axes, term.top(), total.bottom())
    caption = (
        "MA-GANet: the discriminator sees the photograph together with a map (C: concatenation of "
        f"channels), either predicted or true (dashed), and judges {shape(layers[-1][1][1:])} patches of "
        f"{field}×{field} pixels. Sizes are channels×height×width for a photograph of {size}×{size} pixels, "
        "taken from the networks."
        + (
            " The generator minimises −log D of its maps, not log(1 − D) as Eq. 7 has it: the same aim, with "
            "a gradient that does not fade while the discriminator wins."
            if adversarial == "non_saturating"
            else ""
        )
    )
    alt = (
        "Block diagram of MA-GANet: generator, conditional patch discriminator, cross entropy, IoU and "
        "adversarial losses."
    )
    return Drawing(figure, caption, alt)


def _run(model: nn.Module, size: int, *channels: int) -> Tensor:
    try:
        return model(*(torch.zeros(1, count, size, size) for count in channels))
    except RuntimeError as error:
        raise MaganError(
            f"the network does not take {size}×{size} pixels ({error}); use a larger size."
        ) from error
