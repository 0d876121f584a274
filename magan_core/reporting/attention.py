"""Pictures of the attention of a network: its matrices, weights and scales, and the features on their way.

Every function takes arrays (see magan_core.inside) and returns a `Drawing`; `style.save` writes it. Pictures
are laid out in the square that the network sees, whatever the resolution of the features; a white cross marks
the chosen pixel.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.colors import ListedColormap, PowerNorm
from matplotlib.patches import Rectangle
from scipy.cluster.hierarchy import leaves_list, linkage

from magan_core.data.images import CUT
from magan_core.inside import Group
from magan_core.limits import ENERGIES
from magan_core.reporting import style
from magan_core.reporting.panels import CHANGE, SHARE, STRENGTH, by_mask, panel, photographs, scale
from magan_core.reporting.style import Drawing, styled
from magan_core.wording import counted, listed

NAMES = {"high": "high-level features", "low": "low-level features"}
LEVEL_COLORS = {1: "#56B4E9", 2: "#0072B2", 3: "#F0E442", 4: "#E69F00", 5: "#D55E00"}
ENERGY_LOOKS = {"mean": ("divided by N", "#0072B2"), "raw": ("as printed", "#D55E00")}
ALPHA_LOOKS = {"alpha_hca": ("high-level", "#D55E00"), "alpha_lca": ("low-level", "#0072B2")}


def by_weight(weights: np.ndarray) -> np.ndarray:
    """Order of the channels, those that the others take most from first; weights: float (C, C)."""
    return np.argsort(-weights.sum(axis=0), kind="stable")


def clustered(weights: np.ndarray) -> np.ndarray:
    """Order of the channels in which those that take from the same channels are neighbours: the leaves of an
    average-linkage tree over the rows of log weights; weights: float (C, C)."""
    if len(weights) < 2:
        return np.arange(len(weights))
    return leaves_list(linkage(_doublings(weights), "average"))


@styled
def matrices(groups: Mapping[str, Group]) -> Drawing:
    """The channel-attention matrices, sorted by weight and clustered, as multiples of the uniform weight 1/C.

    groups: those with `weights`, by name. A strip at the left gives the backbone level of each channel.
    """
    figure = style.new_figure(style.PAGE, 0.2 + 3.15 * len(groups))
    rows = figure.subplots(len(groups), 2, squeeze=False)
    for row, (name, group) in zip(rows, groups.items(), strict=True):
        doublings = _doublings(group.weights)
        limit = max(np.abs(doublings).max(), 0.1)
        orders = {"most taken from first": by_weight(group.weights), "clustered": clustered(group.weights)}
        for axes, (title, order) in zip(row, orders.items(), strict=True):
            size = len(order)
            drawn = axes.imshow(
                doublings[np.ix_(order, order)], cmap=CHANGE, vmin=-limit, vmax=limit, interpolation="none"
            )
            axes.grid(False)
            strip = axes.inset_axes([-0.05, 0, 0.035, 1])
            levels = group.levels[order][:, None] - 1
            colors = ListedColormap(list(LEVEL_COLORS.values()))
            strip.imshow(levels, cmap=colors, vmin=0, vmax=4, aspect="auto", interpolation="none")
            style.bare(strip)
            axes.set_yticks([])
            axes.set_xticks([0, size - 1], ["1", str(size)])
            axes.set_title(f"{NAMES[name].capitalize()}, {title}")
            axes.set_xlabel("channel taken from", labelpad=-4)
        row[0].set_ylabel("output channel", labelpad=14)
        bar = figure.colorbar(drawn, ax=row, fraction=0.03, pad=0.02)
        ticks = np.array([-1, -0.5, 0, 0.5, 1]) * limit
        bar.set_ticks(ticks, labels=[f"×{_two_digits(2**tick)}" for tick in ticks])
        bar.set_label("weight, as a multiple of 1/C")
    levels = sorted({int(level) for group in groups.values() for level in group.levels})
    handles = [Rectangle((0, 0), 1, 1, color=LEVEL_COLORS[level]) for level in levels]
    labels = [f"level {level}" for level in levels]
    figure.legend(handles, labels, loc="outside lower center", ncols=len(levels), handlelength=1)
    scales = listed([f"{group.alpha:+.3f} for the {NAMES[name]}" for name, group in groups.items()])
    caption = (
        "Channel attention (Eq. 1): a row is an output channel, a column one that it takes from; orange is "
        "more and violet less than if all were taken alike. Left: those that all take most from come first. "
        "Right: channels that take from the same ones stand side by side, so that groups show as blocks. "
        f"What is taken is added times alpha: {scales}. The strip gives the backbone level."
    )
    return Drawing(figure, caption, f"Matrices of channel attention, {len(groups)} x 2.")


@styled
def entropy(groups: Mapping[str, Group]) -> Drawing:
    """How many channels take part in each output channel, exp(entropy), with each energy on the same
    features.

    groups: those with `taking_part`, by name.
    """
    figure = style.new_figure(style.PAGE, 2.6)
    texts = []
    for axes, (name, group) in zip(
        figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True
    ):
        size = len(group.levels)
        place = (np.arange(size) + 0.5) / size
        for energy in ENERGIES:
            label, color = ENERGY_LOOKS.get(energy, (energy, "#009E73"))
            own = energy == group.energy
            values = np.sort(group.taking_part[energy])
            middle = float(np.median(values))
            text = f"{label}{', as in this run' if own else ''}: {middle:.3g} of {size}"
            axes.plot(place, values, color=color, lw=2.4 if own else 1.2, ls="-" if own else "--", label=text)
            texts.append(f"{middle:.3g} of {size} {name} ({label})")
        axes.set_yscale("log")
        axes.set(ylim=(0.85, size * 1.8), xlim=(0, 1), xlabel="output channels, sorted")
        axes.set_xticks([0, 0.5, 1], ["0 %", "50 %", "100 %"])
        axes.set_yticks([1, size], ["1: one takes all", f"{size}: all alike"])
        axes.minorticks_off()
        axes.set_title(NAMES[name].capitalize())
        axes.legend(
            loc="center", title="energies, and the median", title_fontsize=7,
            frameon=True, facecolor="white", edgecolor="none", framealpha=0.9,
        )  # fmt: skip
    figure.supylabel("channels that take part, exp(entropy)", size=7.5)
    caption = (
        "How many channels take part in each output channel of the channel attention: exp of the entropy of "
        "its weights, from the same features of this photograph, with the energies of Eq. 1 as printed and "
        "divided by the number of positions N. At the bottom a channel only copies one other; at the top it "
        "takes the plain mean of all, which tells it nothing either. A channel that is silent in this "
        "photograph lies at the top with both. Medians: " + listed(texts) + "."
    )
    return Drawing(figure, caption, f"Sorted curves of the channels that take part: {listed(texts)}.")


@styled
def spatial(
    photo: np.ndarray,
    mask: np.ndarray,
    focus_map: np.ndarray,
    z: np.ndarray,
    low: np.ndarray,
    pixel: tuple[int, int],
) -> Drawing:
    """What the spatial attention passes and stops of the low-level features (Eq. 3).

    photo: uint8 (S, S, 3); mask: uint8 (S, S), 255 = in focus; focus_map: float (S, S), 0..1; z: float
    (h, w), 0..1; low: float (C, h, w), what z multiplies; pixel: (column, row) of the chosen one, below S.
    """
    side = len(photo)
    figure = style.new_figure(style.PAGE, 3.9)
    upper, lower = figure.subplots(2, 4)
    strength = _strength(low)
    photographs(upper[:3], photo, {"True mask": mask, "Map": focus_map}, pixel)
    column, row = pixel[0] * z.shape[1] // side, pixel[1] * z.shape[0] // side
    drawn = panel(upper[3], z, f"Weight Z, {z[row, column]:.2f} at the cross", side, SHARE, (0, 1), pixel)
    scale(figure, drawn, upper[3])
    parts = {"Fine features before": strength, "Passed": strength * z, "Stopped": strength * (1 - z)}
    for axes, (title, values) in zip(lower[:3], parts.items(), strict=True):
        drawn = panel(axes, values, title, side, STRENGTH, (0, max(strength.max(), 1e-9)), pixel)
        drawn.set_norm(PowerNorm(0.5, 0, max(strength.max(), 1e-9)))  # faint features are what is stopped
    scale(figure, drawn, lower[2])
    told = by_mask(lower[3], z, mask, np.linspace(0, 1, 41))
    lower[3].set(xlabel="weight Z", title="Z by the true mask")
    lower[3].set_box_aspect(0.8)
    caption = (
        "Spatial attention: the low-level features (their root mean square over the channels) are multiplied "
        "with the weight Z that the high-level ones give each place (Eq. 3). What is passed and what is "
        f"stopped add up to what was there. Z is {told} on average: the further apart, the more it selects; "
        f"it ranges from {z.min():.2f} to {z.max():.2f}, and a uniform Z selects nothing."
    )
    return Drawing(
        figure, caption, f"Photograph, mask, map, weight Z, features passed and stopped. Z: {told}"
    )


@styled
def channel(name: str, group: Group, number: int, side: int, pixel: tuple[int, int]) -> Drawing:
    """One channel before and after its attention, and the channels that it takes most from.

    name: of the group, high or low, with `weights`. number: of the channel, from 0. side: of the square that
    the network sees, in pixels. pixel: (column, row) of the chosen pixel in it.
    """
    before, after = group.before[number], group.after[number]
    figure = style.new_figure(style.PAGE, 3.7)
    upper, lower = figure.subplots(2, 4)
    limits = min(before.min(), after.min(), 0.0), max(before.max(), after.max(), 1e-9)
    for axes, title, values in (
        (upper[0], f"Channel {number}, level {group.levels[number]}:\nbefore attention", before),
        (upper[1], "After attention", after),
    ):
        drawn = panel(axes, values, title, side, STRENGTH, limits, pixel)
    scale(figure, drawn, upper[1])
    change = after - before
    limit = max(float(np.abs(change).max()), 1e-9)
    drawn = panel(upper[2], change, "Change", side, CHANGE, (-limit, limit), pixel)
    scale(figure, drawn, upper[2])
    row = group.weights[number]
    uniform = 1 / len(row)
    order = np.argsort(-row, kind="stable")
    upper[3].plot(np.arange(len(row)) + 1, row[order] / uniform, color=style.INK)
    upper[3].axhline(1, color=style.SOFT, lw=0.8, ls="--")
    upper[3].set(title="Where it takes from", xlabel="channels, sorted", ylabel="weight × C")
    upper[3].set(ylim=(0, max(1.1 * row.max() / uniform, 1.2)))
    upper[3].set_xticks([1, len(row)])
    upper[3].set_box_aspect(0.8)
    for axes, source in zip(lower, order, strict=False):
        title = f"Channel {source}, level {group.levels[source]}:\nweight × C = {row[source] / uniform:.2f}"
        values = group.before[source]
        panel(axes, values, title, side, STRENGTH, (min(values.min(), 0), max(values.max(), 1e-9)), pixel)
    for axes in lower[len(order) :]:
        axes.set_visible(False)
    lower[0].set_ylabel("takes most from", size=7.5)
    mean = float(np.abs(before).mean())
    share = float(np.abs(change).mean()) / mean if mean else 0.0
    caption = (
        f"Channel {number} of the {len(row)} {NAMES[name]} before and after channel attention (Eq. 2, alpha "
        f"{group.alpha:+.3f}), which changes it by {share:.1%} of its mean strength: violet less, orange "
        "more. Below: the channels with the largest weights in its sum, as multiples of 1/C, each with its "
        "own colour scale. Dashed: the weight if all channels were taken alike."
    )
    return Drawing(
        figure, caption, f"Maps of channel {number} before and after attention, change {share:.1%}."
    )


@styled
def pixel_view(
    name: str, group: Group, photo: np.ndarray, mask: np.ndarray, pixel: tuple[int, int]
) -> Drawing:
    """What resembles the chosen pixel to the network, before and after channel attention, and the strongest
    channels there.

    Resemblance is the cosine of the feature vectors. photo: uint8 (S, S, 3); mask: uint8 (S, S); pixel:
    (column, row), below S.
    """
    side = len(photo)
    height, width = group.before.shape[1:]
    column, row = pixel[0] * width // side, pixel[1] * height // side
    figure = style.new_figure(style.PAGE, 3.9)
    upper, lower = figure.subplots(2, 3, width_ratios=[1, 1, 1.25])
    photographs(upper[:2], photo, {"True mask": mask}, pixel)
    alike = [_cosines(features, row, column) for features in (group.before, group.after)]
    low = min(float(one.min()) for one in alike)
    for axes, title, values in zip(lower, ("Alike, before", "Alike, after attention"), alike, strict=False):
        drawn = panel(axes, values, title, side, SHARE, (min(low, 0.999), 1), pixel)
    scale(figure, drawn, lower[1])
    vectors = [features[:, row, column] for features in (group.before, group.after)]
    order = np.argsort(-np.abs(vectors[0]), kind="stable")[:10]
    place = np.arange(len(order))
    for values, label, color, shift in zip(
        vectors, ("before", "after"), ("#bbbbbb", "#0072B2"), (-0.2, 0.2), strict=True
    ):
        upper[2].bar(place + shift, values[order], 0.4, color=color, label=label)
    upper[2].set_xticks(place, [str(one) for one in order])
    upper[2].set(xlabel="channel", title="Strongest channels at the cross")
    upper[2].grid(axis="x", visible=False)
    upper[2].margins(y=0.25)  # room for the legend above the bars
    upper[2].legend(loc="upper right", ncols=2)
    told = by_mask(lower[2], alike[1], mask, np.linspace(min(low, 0.999), 1, 31))
    lower[2].set(xlabel="resemblance, after attention", title="Resemblance by the true mask")
    state = "in focus" if mask[pixel[1], pixel[0]] >= CUT else "blurred"
    caption = (
        f"The {NAMES[name]} at the cross (column {pixel[0]}, row {pixel[1]}, {state} in the mask): how much "
        "every other place resembles it, as the cosine of the features, before and after channel attention; "
        f"after it, {told} on average. Features that know focus from blur resemble their own side more. "
        "Upper right: the channels that answer most at the cross."
    )
    return Drawing(figure, caption, f"Resemblance to the pixel at column {pixel[0]}, row {pixel[1]}: {told}.")


@styled
def alphas(histories: Mapping[str, Mapping[str, np.ndarray]], run: str) -> Drawing:
    """The learnt scales of the channel attention over training: those of `run`, with the other runs in grey.

    histories: for each run the columns step, alpha_hca and alpha_lca of history.csv, float (n,), NaN where
    the run has no such attention.
    """
    figure = style.new_figure(style.PAGE, 2.5)
    told = []
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (name, (label, color)) in zip(panels, ALPHA_LOOKS.items(), strict=True):
        axes.axhline(0, color=style.INK, lw=0.6)
        others = {other: history for other, history in histories.items() if other != run}
        grey = [history for history in others.values() if np.isfinite(history[name]).any()]
        for index, history in enumerate(grey):
            legend = counted(len(grey), "other run") if index == 0 else None
            axes.plot(history["step"], history[name], color="#bbbbbb", lw=0.7, label=legend)
        own = histories[run]
        axes.set(title=f"{label.capitalize()} features ({name})", xlabel="training step")
        axes.margins(x=0.02)
        if np.isfinite(own[name]).any():
            axes.plot(
                own["step"], own[name], color=color, lw=2, label=f"{run}: {own[name][-1]:+.3f} at the end"
            )
            told.append(f"{own[name][-1]:+.3f} ({label})")
        if grey or len(axes.lines) > 1:
            axes.legend(loc="best")
    panels[0].set_ylabel("alpha")
    caption = (
        f"How far the channel attention has come into play in {run}: its scale alpha (Eq. 2) starts at zero, "
        "where the module is the identity, and is learnt. It ends at "
        f"{listed(told)}. A negative alpha takes from a channel what it shares with those like it. "
        "Grey: the other runs of the profile."
    )
    return Drawing(figure, caption, f"Curves of alpha over the training steps; {run} ends at {listed(told)}.")


def strongest_change(group: Group) -> int:
    """The channel that the attention changes most on average; the strongest one where it changes none."""
    change = np.abs(group.after - group.before).mean(axis=(1, 2))
    return int((change if change.any() else np.abs(group.before).mean(axis=(1, 2))).argmax())


def _two_digits(value: float) -> str:
    return np.format_float_positional(value, precision=2, fractional=False, trim="-")


def _doublings(weights: np.ndarray) -> np.ndarray:
    """How many times a weight doubles the uniform 1/C, cut off at the largest possible and its negative."""
    size = len(weights)
    limit = np.log2(max(size, 2))
    return np.clip(np.log2(np.maximum(weights * size, 2.0**-limit)), -limit, limit)


def _strength(features: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(features).mean(axis=0))


def _cosines(features: np.ndarray, row: int, column: int) -> np.ndarray:
    norms = np.maximum(np.linalg.norm(features, axis=0), 1e-12)
    unit = features / norms
    return np.tensordot(unit[:, row, column], unit, axes=1)
