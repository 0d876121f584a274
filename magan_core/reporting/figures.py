"""Figures 1, 5, 7, 8, 9 and 10 of the paper, and the training curves, drawn from the result files of a
profile.

Every function takes `Results` and returns a `Drawing`; `style.save` writes it. Which images are shown follows
from a rule that the caption states, never from choice. What the profile has no run or no data for is left
out, and the caption says so, or the whole figure is `Absent`; what it should have and cannot be read is a
MaganError that names the file.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from string import ascii_lowercase
from textwrap import fill

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from magan_core.errors import MaganError
from magan_core.reporting import behaviour, style
from magan_core.reporting.grid import grid
from magan_core.reporting.rectangles import largest_mean
from magan_core.reporting.sources import OURS, PAPER_NAMES, Results, read_columns, read_rows
from magan_core.reporting.style import Drawing, listed, look, styled
from magan_core.training.columns import COLUMNS
from magan_core.wording import counted

ABLATION = ("baseline", "hl-ll-sa", "hl-ll-hca-lca", *OURS.values())
JUDGES = (*OURS.values(), "laplacian", "constant")  # the first that is there says which images are shown
COMPARED = ("shi", "dut", "ctcug")


class Absent(MaganError):
    """A figure for which the profile has no run or no data, and why."""


@styled
def figure_1(results: Results) -> Drawing:
    """Figure 1: clutter in the background, the Laplacian map, our maps, the ground truth (the judging role).

    Image and rectangle: of all test images and all rectangles of a third of the height and width, the one in
    which the Laplacian map wrongly claims the most focus. Under each map stands its mean in-focus value in
    the rectangle.
    """
    role = _tested(results)
    if "laplacian" not in results.others:
        raise Absent("this profile does not list the Laplacian threshold among its baselines")
    entries = results.test_images(role)
    found = [_worst_rectangle(results, role, entry) for entry in entries]
    best = max(range(len(entries)), key=lambda index: found[index][0])
    entry, (_, top, left, height, width) = entries[best], found[best]

    methods, missing = _methods(results, role, ("laplacian", *OURS.values()))
    truth = results.mask(entry)
    titles, pictures, notes = ["Photograph"], [results.photo(entry)], [""]
    for variant, method in methods:
        values = results.map(method, role, entry["stem"])
        inside = values[top : top + height, left : left + width].mean() / 255
        titles.append(look(variant).label)
        pictures.append(values)
        notes.append(f"{inside:.2f} in the box")
    inside = truth[top : top + height, left : left + width].mean() / 255
    figure, cells = grid(
        [[*pictures, truth]], [*titles, "Ground truth"], [""], notes=[*notes, f"{inside:.2f} in the box"]
    )
    for axes in cells[0]:
        for color, line in (("white", 2.2), (style.BLUR_COLOR, 1.1)):
            axes.add_patch(
                Rectangle((left, top), width, height, fill=False, ec=color, lw=line, clip_on=False)
            )
    caption = (
        f"Clutter in the background; {results.data_name(role)}, test image {entry['stem']}. White is in "
        "focus. Rule: of all test images and all rectangles of a third of the height and width, the one in "
        "which the Laplacian map wrongly claims the most focus. It is therefore the classical map's worst "
        "case, not a typical image. The number under a map is its mean value inside the rectangle."
    )
    alt = (
        "A photograph with a cluttered background, in-focus maps by "
        + listed(titles[1:])
        + ", and the ground truth."
    )
    return Drawing(figure, caption + _left_out(missing), alt)


@styled
def figure_5(results: Results) -> Drawing:
    """Figure 5: shares of in-focus and out-of-focus pixels of each data set, and their spread over images."""
    roles = [
        role
        for role in ("shi", "zhao", "dut", "ctcug")
        if results.filled_by(role) == role and results.has(role)
    ]
    if not roles:
        raise Absent("this profile has no set with masks")
    shares = [_focus_shares(results, role) for role in roles]
    figure = style.new_figure(style.PAGE, 0.9 + 0.42 * len(roles))
    bars, spread = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(roles))
    means = np.array([share.mean() for share in shares])
    bars.barh(places, means, 0.62, color=style.FOCUS_COLOR, label="in focus")
    bars.barh(places, 1 - means, 0.62, left=means, color=style.BLUR_COLOR, label="out of focus")
    for place, mean in zip(places, means, strict=True):
        bars.text(mean / 2, place, f"{mean:.0%}", ha="center", va="center", color="white", weight="bold")
        bars.text(
            (1 + mean) / 2, place, f"{1 - mean:.0%}", ha="center", va="center", color=style.INK, weight="bold"
        )
    bars.set(xlim=(0, 1), xlabel="share of pixels (mean over images)")
    bars.set_yticks(places, [_two_lines(results.data_name(role, "")) for role in roles])
    bars.invert_yaxis()
    bars.grid(axis="y", visible=False)
    spread.boxplot(
        shares,
        positions=places,
        orientation="horizontal",
        widths=0.5,
        whis=(5, 95),
        manage_ticks=False,
        medianprops={"color": style.FOCUS_COLOR, "linewidth": 1.6},
        flierprops={"marker": ".", "markersize": 2.5, "markeredgecolor": style.SOFT},
        boxprops={"linewidth": 0.8},
    )
    spread.set(xlim=(-0.02, 1.02), xlabel="in-focus share of an image")
    spread.grid(axis="y", visible=False)
    figure.legend(*bars.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    names = [results.data_name(role, "") for role in roles]
    counts = [f"{name}: {len(share)} images" for name, share in zip(names, shares, strict=True)]
    caption = (
        "In-focus and out-of-focus pixels of the masks, training and test images together "
        f"({'; '.join(counts)}). Left: mean over images. Right: median, quartiles, 5th to 95th percentile, "
        "and the images beyond, as dots."
    )
    shown = (f"{name} {mean:.0%}" for name, mean in zip(names, means, strict=True))
    return Drawing(
        figure, caption, "Bars and box plots of the in-focus share of pixels: " + ", ".join(shown) + "."
    )


@styled
def figure_7(results: Results) -> Drawing:
    """Figure 7: precision-recall, F_beta and ROC curves on Shi's, DUT and CTCUG, one colour a method."""
    roles = _compared(results)
    figure = style.new_figure(style.PAGE, 0.7 + 2.05 * len(roles))
    panels = figure.subplots(len(roles), 3, squeeze=False)
    shown, missing = {}, {}
    for role, (pr, f_beta, roc) in zip(roles, panels, strict=True):
        methods, absent = _methods(results, role, (*results.others, *OURS.values()))
        missing[role] = absent
        for variant, method in methods:
            file = results.score(method, role, "curves.csv")
            threshold, precision, recall, f, tpr, fpr = read_columns(
                file, "threshold", "precision", "recall", "f_beta", "tpr", "fpr"
            )
            label, color, line = look(variant)
            points = {"ls": "none", "marker": "x", "ms": 4} if variant == "constant" else {"ls": line}
            under = {"zorder": 1.9 if line == "-" else 2}
            pr.plot(recall, precision, color=color, **points, **under)
            (shown[label],) = f_beta.plot(threshold, f, color=color, ls=line, **under)
            roc.plot(fpr, tpr, color=color, **points, **under)
        pr.set(xlabel="recall", ylabel=f"{_two_lines(results.data_name(role))}\n\nprecision")
        f_beta.set(xlabel="threshold", ylabel=r"$F_\beta$")
        roc.set(xlabel="false positive rate", ylabel="true positive rate")
        for axes in (pr, f_beta, roc):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=np.arange(0, 1.1, 0.25))
    for letter, axes in zip(ascii_lowercase, panels.flat, strict=False):
        axes.set_title(f"({letter})", loc="left", size=7)
    for axes, title in zip(
        panels[0], ("Precision and recall", r"$F_\beta$ over the threshold", "ROC"), strict=True
    ):
        axes.set_title(title)
    columns = min(len(shown), 5)
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=columns)
    caption = (
        "Precision-recall, F-beta and ROC curves, means over the test images at 101 thresholds; the "
        "positive class is the blurred one (protocol 'paper'). The constant map has at most two points on "
        "every image, so it appears as crosses in the outer columns. Where a threshold leaves nothing "
        "positive, precision counts as 0, which bends the left end of some precision-recall curves."
    )
    for role in roles:
        caption += _left_out(missing[role], on=results.data_name(role))
    for role in COMPARED:
        caption += "" if role in roles else f" This profile has no data for {PAPER_NAMES[role]}."
    names = listed([results.data_name(role) for role in roles])
    alt = f"{3 * len(roles)} panels of curves for {listed(list(shown))} on {names}."
    return Drawing(figure, caption, alt)


@styled
def figure_8(results: Results, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> Drawing:
    """Figure 8: maps of all methods on test images of Shi's, DUT and CTCUG.

    Images: of each set those at the given quantiles (0..1) of the MAE of the MANet run.
    """
    roles = _compared(results)
    methods = {role: _methods(results, role, (*results.others, *OURS.values())) for role in roles}
    variants = [
        variant
        for variant in (*results.others, *OURS.values())
        if variant != "constant" and any(variant in dict(found) for found, _ in methods.values())
    ]
    rows, labels, stems, fewest = [], [], [], len(quantiles)
    for role in roles:
        available = dict(methods[role][0])
        entries = _picked(results, role, quantiles)
        fewest = min(fewest, len(entries))
        for entry in entries:
            maps = [
                results.map(available[variant], role, entry["stem"]) if variant in available else None
                for variant in variants
            ]
            rows.append([results.photo(entry), *maps, results.mask(entry)])
            labels.append(_two_lines(results.data_name(role)))
            stems.append(entry["stem"])
    titles = ["Photograph", *(look(variant).label for variant in variants), "Ground truth"]
    figure, _ = grid(rows, titles, labels)
    found = {_judge(results, role)[0] for role in roles}
    judges = " or, without a run of that, ".join(
        look(name).label for name in JUDGES if look(name).label in found
    )
    caption = (
        "Maps of the available methods; white is in focus. Rule: of each set the test images at the "
        f"{_percent(quantiles)} quantiles of the mean absolute error of {judges} (here {', '.join(stems)}). "
        f"{_coinciding(fewest, quantiles)}"
        "The constant map is one shade everywhere and not shown. A dash marks a method without a run on "
        "that set."
    )
    absent = [variant for variant in OURS.values() if variant not in variants]
    return Drawing(
        figure, caption + _left_out(absent), f"A grid of {len(rows)} photographs with maps: {listed(titles)}."
    )


@styled
def figure_9(results: Results, quantiles: Sequence[float] = (0.2, 0.4, 0.6, 0.8)) -> Drawing:
    """Figure 9: what each part of the network changes, on test images of the judging role (paper,
    IV-E.4).

    Images: those at the given quantiles (0..1) of the MAE of the MANet run.
    """
    role = results.judging
    methods, missing = _methods(results, role, ABLATION)
    if not methods:
        raise Absent(f"this profile has no run on {PAPER_NAMES[role]} of {', '.join(ABLATION)}")
    entries = _picked(results, role, quantiles)
    rows = [
        [
            results.photo(entry),
            *(results.map(run, role, entry["stem"]) for _, run in methods),
            results.mask(entry),
        ]
        for entry in entries
    ]
    titles = ["Photograph", *(look(variant).label for variant, _ in methods), "Ground truth"]
    figure, _ = grid(rows, titles, [""] * len(rows))
    caption = (
        f"The parts of the network, on {results.data_name(role)}; white is in focus. Rule: the test images "
        f"at the {_percent(quantiles)} quantiles of the mean absolute error of {_judge(results, role)[0]} "
        f"(here {', '.join(entry['stem'] for entry in entries)}). {_coinciding(len(entries), quantiles)}"
    ).rstrip()
    return Drawing(
        figure,
        caption + _left_out(missing),
        f"A grid of {len(rows)} photographs with maps: {listed(titles)}.",
    )


@styled
def figure_10(results: Results) -> Drawing:
    """Figure 10: how often MANet and MA-GANet predict each value: mean pixels an image, logarithmic (the
    judging role).
    """
    role = results.judging
    methods, missing = _methods(results, role, ("manet", "magan"))
    if not methods:
        raise Absent(f"this profile has neither MANet nor MA-GANet on {PAPER_NAMES[role]}")
    figure = style.new_figure(style.COLUMN, 2.5)
    axes = figure.subplots()
    undecided = []
    for variant, run in methods:
        value, count = read_columns(results.score(run, role, "histogram.csv"), "value", "count")
        label, color, line = look(variant)
        axes.plot(
            value / 255,
            np.where(count > 0, count, np.nan),
            color=color,
            ls=line,
            label=label,
            drawstyle="steps-mid",
            zorder=1.9 if line == "-" else 2,
        )
        share = behaviour.undecided(results.statistics(run, role)).mean()
        undecided.append(f"{label} {share:.1%}")
    axes.set_yscale("log")
    axes.set(
        xlabel="map value (0 = out of focus, 1 = in focus)",
        ylabel="pixels an image (mean)",
        xlim=(-0.01, 1.01),
    )
    figure.legend(loc="outside upper center", ncols=len(methods))
    caption = (
        f"Distribution of map values on {results.data_name(role)}, mean number of pixels an image, "
        "logarithmic. Mean share of undecided pixels, with values between 0.1 and 0.9: "
        f"{', '.join(undecided)}."
    )
    alt = f"Histograms of map values; undecided pixels: {', '.join(undecided)}."
    return Drawing(figure, caption + _left_out(missing), alt)


TERMS = {
    "total": ("total", style.INK, "-"),
    "ce": ("cross entropy", "#0072B2", "-"),
    "iou": ("IoU", "#E69F00", style.SHORT),
    "adv": ("adversarial", "#CC79A7", style.DASHDOT),
    "d_real": ("discriminator, real", "#009E73", style.DOTTED),
    "d_fake": ("discriminator, fake", "#D55E00", style.SPARSE),
}


@styled
def training_curves(results: Results) -> Drawing:
    """The loss terms of every run of the profile over its steps, unweighted, each smoothed over a twentieth
    of the run; runs that differ in the seed share a panel, in which all but the first are pale.
    """
    if not results.listed:
        raise Absent("this profile has no run")
    alike: dict[tuple[str, str], list[str]] = {}
    for name, run in results.listed.items():
        alike.setdefault((run["variant"], run["set"]), []).append(name)
    columns = min(4, len(alike))
    rows = -(-len(alike) // columns)
    figure = style.new_figure(style.PAGE, 0.5 + 1.35 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    shown = {}
    for names, axes in zip(alike.values(), panels, strict=False):
        for name in reversed(names):  # the first on top
            strength = {"lw": 1, "marker": ".", "ms": 2} if name == names[0] else {"lw": 0.6, "alpha": 0.45}
            for label, style_of, step, values in _terms(results.runs / name / "history.csv"):
                (drawn,) = axes.plot(step, values, **style_of, **strength)
                if name == names[0]:
                    shown[label] = drawn
        axes.set_title(names[0] if len(names) == 1 else f"{names[0]}, {len(names)} seeds")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.02)
    for axes in list(panels):
        axes.set_visible(False)
    figure.supxlabel("training step", size=7.5)
    figure.supylabel("loss term", size=7.5)
    figure.legend(shown.values(), shown, loc="outside upper center", ncols=len(shown), handlelength=2)
    caption = (
        "Loss terms over the training steps of every run, before weighting, running means over at most a "
        "twentieth of the run; total is the weighted sum that the generator minimises. Logarithmic; a run "
        "without a discriminator has no adversarial terms."
    )
    if len(alike) < len(results.listed):
        caption += " Pale: the same with another seed."
    return Drawing(
        figure,
        caption,
        f"Training curves of {counted(len(results.listed), 'run')}: {listed(list(results.listed))}.",
    )


def _terms(file: Path) -> Iterator[tuple[str, dict[str, str], np.ndarray, np.ndarray]]:
    """Label, line style, steps and smoothed values of the loss terms that a history has."""
    further = [term for term in read_rows(file)[0] if term not in COLUMNS]
    step, *terms = read_columns(file, "step", *TERMS, *further)
    for (label, color, line), values in zip([*TERMS.values(), *map(look, further)], terms, strict=True):
        if np.nansum(values) > 0:
            yield label, {"color": color, "ls": line}, step, _smooth(values)


FIGURES = {
    "figure_1": figure_1,
    "figure_5": figure_5,
    "figure_7": figure_7,
    "figure_8": figure_8,
    "figure_9": figure_9,
    "figure_10": figure_10,
    "training_curves": training_curves,
}


def _methods(results: Results, role: str, wanted: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Of the wanted variants and other methods: (name, folder of its maps) where available, and the names
    that are not.
    """
    found = [(name, name if name in results.others else results.run(name, role)) for name in wanted]
    return [pair for pair in found if pair[1]], [name for name, run in found if not run]


def _compared(results: Results) -> list[str]:
    """The roles that Figures 7 and 8 show: the paper's, or else the judging one."""
    return [role for role in COMPARED if results.has(role)] or [_tested(results)]


def _tested(results: Results) -> str:
    """The judging role, if it has photographs to test on."""
    role = results.judging
    if not results.has(role) or not results.sets[results.filled_by(role)].get("test"):
        raise Absent("this profile has no set to test on")
    return role


def _left_out(missing: Sequence[str], on: str = "") -> str:
    if not missing:
        return ""
    names = listed([look(name).label for name in missing])
    return f" Left out, because no such run was trained here{f' for {on}' if on else ''}: {names}."


def _judge(results: Results, role: str) -> tuple[str, str]:
    """The label and folder of the method whose errors choose the images: MANet, or what there is instead."""
    methods, _ = _methods(results, role, JUDGES)
    if not methods:
        raise Absent(f"this profile has no run and no baseline on {PAPER_NAMES[role]} to choose images by")
    variant, method = methods[0]
    return look(variant).label, method


def _picked(results: Results, role: str, quantiles: Sequence[float]) -> list[dict[str, str]]:
    """The test images at quantiles of the per-image MAE, ties broken by name; fewer if the set is small."""
    file = results.score(_judge(results, role)[1], role, "per_image.csv")
    entries = {entry["stem"]: entry for entry in results.test_images(role)}
    (mae,) = read_columns(file, "mae")
    stems = [row.get("stem", "") for row in read_rows(file)]
    unknown = sorted(set(stems) - set(entries))
    if unknown:
        raise MaganError(
            f"{file} has scores of '{unknown[0]}', which is no test image of {role}; "
            "`make repro` evaluates it again."
        )
    order = [stem for _, stem in sorted(zip(mae, stems, strict=True))]
    places = dict.fromkeys(round(quantile * (len(order) - 1)) for quantile in quantiles)
    return [entries[order[place]] for place in places]


def _coinciding(shown: int, quantiles: Sequence[float]) -> str:
    """That a set is too small for as many images as quantiles; "" where it is not."""
    if shown == len(quantiles):
        return ""
    return "A set this small has one image at several of these quantiles, which is shown once. "


def _worst_rectangle(results: Results, role: str, entry: dict[str, str]) -> tuple[float, int, int, int, int]:
    """(wrongly claimed focus 0..1, top, left, height, width) of the worst rectangle of the Laplacian map of
    one image.
    """
    wrong = np.where(results.mask(entry) == 0, results.map("laplacian", role, entry["stem"]), 0) / 255
    height, width = max(1, wrong.shape[0] // 3), max(1, wrong.shape[1] // 3)
    return *largest_mean(wrong, height, width), height, width


def _focus_shares(results: Results, role: str) -> np.ndarray:
    """The in-focus share of every image of a set, training images first, float64 (n,), 0..1."""
    file = results.prepared / role / "train_masks.npy"
    training = np.array([])
    if labelled := results.sets[role].get("train"):  # masks that a network drew come after these
        try:
            training = (np.load(file, mmap_mode="r")[:labelled] > 127).mean(axis=(1, 2))
        except (OSError, ValueError) as error:
            raise MaganError(f"cannot read {file}: {error}. `make repro` prepares {role} again.") from error
    test = [(results.mask(entry) > 127).mean() for entry in results.test_images(role)]
    return np.concatenate([training, test])


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the points; NaN where there is nothing positive (the term is off)."""
    on = values > 0
    kernel = np.ones(max(1, len(values) // 20))
    count = np.convolve(on, kernel, "same")
    return np.where(on, np.convolve(np.where(on, values, 0), kernel, "same") / np.maximum(count, 1), np.nan)


def _two_lines(name: str) -> str:
    """The name of a data set, and what stands in for it below, in lines that fit beside a panel."""
    return "\n".join(fill(line, 31) for line in name.replace(" [", "\n[").split("\n"))


def _percent(quantiles: Sequence[float]) -> str:
    return listed([f"{quantile:.0%}" for quantile in quantiles])
