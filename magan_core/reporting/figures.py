"""Figures 5, 7 and 10 of the paper, and the training curves, drawn from the result files of a profile;
`FIGURES` has all, those of `photographs` as well.

Every function takes `Results` and returns a `Drawing`; `style.save` writes it. Which images are shown follows
from a rule that the caption states, never from choice. What the profile has no run or no data for is left
out, and the caption says so, or the whole figure is `Absent`; what it should have and cannot be read is a
MaganError that names the file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from string import ascii_lowercase

import numpy as np
from matplotlib.ticker import LogLocator, NullFormatter

from magan_core.errors import MaganError
from magan_core.metrics import difference_over_seeds, paired_mean
from magan_core.reporting import behaviour, style
from magan_core.reporting.photographs import figure_1, figure_8, figure_9
from magan_core.reporting.shown import (
    COMPARED,
    Absent,
    compared,
    first_seeds,
    left_out,
    methods_of,
    not_here,
    two_lines,
)
from magan_core.reporting.sources import OURS, PAPER_NAMES, Results, read_columns, read_rows
from magan_core.reporting.style import Drawing, look, styled
from magan_core.training.columns import COLUMNS
from magan_core.wording import counted, listed, signed

WITH_MASKS = ("shi", "zhao", "dut", "ctcug")
MARKED = 50  # points of a curve that are few enough to be seen
PALE = 1 / 20  # of the images without a positive pixel: precision and recall say little beyond
ENLARGED = 0.1  # of F_beta, below its best


@styled
def figure_5(results: Results) -> Drawing:
    """Figure 5: shares of in-focus and out-of-focus pixels of each data set, and their spread over images."""
    own = [role for role in WITH_MASKS if results.filled_by(role) == role and results.has(role)]
    roles = [role for role in own if results.tests(role) or results.sets[role].get("train")]
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
        bars.text(mean / 2, place, f"{mean:.1%}", ha="center", va="center", color="white", weight="bold")
        bars.text(
            (1 + mean) / 2, place, f"{1 - mean:.1%}", ha="center", va="center", color=style.INK, weight="bold"
        )
    bars.set(xlim=(0, 1), xlabel="share of pixels (mean over images)")
    bars.set_yticks(places, [two_lines(results.data_name(role, "")) for role in roles])
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
    focused = [name for name, mean in zip(names, means, strict=True) if mean >= 0.5]
    if focused:
        caption += f" In focus in the majority, unlike in the paper: {listed(focused)}."
    else:
        caption += " Out of focus in the majority in every set, as in the paper."
    if {"shi", "zhao"} <= {role for role in roles if results.is_real(role)}:
        caption += f" {PAPER_NAMES['shi']} and {PAPER_NAMES['zhao']} are the same photographs."
    if absent := [PAPER_NAMES[role] for role in WITH_MASKS if role not in roles]:
        caption += f" No data of their own in this profile: {listed(absent)}."
    shown = (f"{name} {mean:.1%}" for name, mean in zip(names, means, strict=True))
    return Drawing(
        figure, caption, "Bars and box plots of the in-focus share of pixels: " + ", ".join(shown) + "."
    )


@styled
def figure_7(results: Results) -> Drawing:
    """Figure 7: precision-recall, F_beta and ROC curves on Shi's, DUT and CTCUG, one colour a method, and
    beside them the networks' F_beta once more, enlarged."""
    roles = compared(results)
    figure = style.new_figure(style.PAGE, 0.7 + 1.75 * len(roles))
    panels = figure.subplots(len(roles), 4, squeeze=False)
    shown, missing, ranges = {}, {}, {}
    for role, (pr, f_beta, roc, near) in zip(roles, panels, strict=True):
        methods, absent = methods_of(results, role, (*results.others, *OURS.values()))
        missing[role] = absent
        for variant, method in methods:
            file = results.score(method, role, "curves.csv")
            threshold, precision, recall, f, tpr, fpr = read_columns(
                file, "threshold", "precision", "recall", "f_beta", "tpr", "fpr"
            )
            label, color, line = look(variant)
            points = {"ls": "none", "marker": "x", "ms": 4} if variant == "constant" else {"ls": line}
            under = {"zorder": 1.9 if line == "-" else 2}
            told = len(recall)
            if variant != "constant":
                share = _without_positive(results.statistics(method, role), len(recall))
                told = int(share.searchsorted(PALE, "right"))
                pr.plot(recall[told - 1 :], precision[told - 1 :], color=color, lw=0.5, alpha=0.4, **under)
            pr.plot(recall[:told], precision[:told], color=color, **points, **under)
            (shown[label],) = f_beta.plot(threshold, f, color=color, ls=line, **under)
            roc.plot(fpr, tpr, color=color, **points, **under)
            if variant in OURS.values():
                near.plot(threshold, f, color=color, ls=line, **under)
                low, high = behaviour.plateau(threshold, f)
                ranges.setdefault(results.data_name(role), []).append(f"{label} {low:.2f} to {high:.2f}")
        top = max((line.get_ydata().max() for line in near.lines), default=1.0)
        near.set(xlabel="threshold", xlim=(-0.02, 1.02), xticks=np.arange(0, 1.1, 0.5))
        near.set(ylim=(top - ENLARGED, top + ENLARGED / 10), ylabel=r"$F_\beta$")
        pr.set(xlabel="recall", ylabel=f"{two_lines(results.data_name(role))}\n\nprecision")
        f_beta.set(xlabel="threshold", ylabel=r"$F_\beta$")
        roc.set(xlabel="false positive rate", ylabel="true positive rate")
        for axes in (pr, f_beta, roc):
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xticks=np.arange(0, 1.1, 0.5))
    titles = ("precision and recall", r"$F_\beta$ over the threshold", "ROC")
    for number, axes in enumerate(panels[:, :3].flat):  # those of the paper, with its letters
        title = f" {titles[number]}" if number < 3 else ""
        axes.set_title(f"({ascii_lowercase[number]}){title}", loc="left", size=7)
    panels[0, 3].set_title(r"$F_\beta$, enlarged", loc="left", size=7)
    columns = min(len(shown), 5)
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=columns)
    caption = (
        "Precision-recall, F-beta and ROC curves, means over the test images at 101 thresholds; the "
        "positive class is the blurred one (protocol 'paper'). The constant map has at most two points on "
        "every image, so it appears as crosses. Where a threshold leaves an image without positive pixels "
        "its precision counts as 0, which bends precision-recall curves down at the left: they are pale "
        "where that is more than a twentieth of the images, and do not tell methods apart there."
    )
    if ranges:
        told = "; ".join(f"on {name} {listed(each)}" for name, each in ranges.items())
        caption += (
            f" Last column: the networks' F-beta from {ENLARGED} below its best on. Thresholds with "
            f"an F-beta within 1 % of its best: {told}."
        )
    caption += first_seeds(results, roles, OURS.values()) + not_here(results)
    for role in roles:
        caption += left_out(missing[role], on=results.data_name(role))
    for role in COMPARED:
        caption += "" if role in roles else f" This profile has no data for {PAPER_NAMES[role]}."
    names = listed([results.data_name(role) for role in roles])
    alt = f"{4 * len(roles)} panels of curves for {listed(list(shown))} on {names}."
    return Drawing(figure, caption, alt)


@styled
def figure_10(results: Results) -> Drawing:
    """Figure 10: how often MANet and MA-GANet predict each value: mean pixels an image, logarithmic (the
    judging role).
    """
    role = results.judging
    methods, missing = methods_of(results, role, ("manet", "magan"))
    if not methods:
        raise Absent(f"this profile has neither MANet nor MA-GANet on {PAPER_NAMES[role]}")
    figure = style.new_figure(style.COLUMN, 2.5)
    axes = figure.subplots()
    shares, undecided = {}, []
    for variant, _ in methods:
        label, color, line = look(variant)
        runs = results.seeds(variant, role)
        for run in reversed(runs):  # the first on top
            value, count = read_columns(results.score(run, role, "histogram.csv"), "value", "count")
            strength = {"label": label} if run == runs[0] else {"lw": 0.6, "alpha": 0.45}
            axes.plot(
                value / 255,
                np.where(count > 0, count, np.nan),
                color=color,
                ls=line,
                drawstyle="steps-mid",
                zorder=1.9 if line == "-" else 2,
                **strength,
            )
        shares |= {run: behaviour.undecided(results.statistics(run, role)) for run in runs}
        means = [shares[run].mean() for run in runs]
        spread = f" ± {np.std(means, ddof=1):.1%} over {len(means)} seeds" if len(means) > 1 else ""
        undecided.append(f"{label} {np.mean(means):.1%}{spread}")
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
        f"{', '.join(undecided)}.{_fewer(results, role, shares)}"
    )
    if len(shares) > len(methods):
        caption += " Pale: the same with another seed."
    alt = f"Histograms of map values; undecided pixels: {', '.join(undecided)}."
    return Drawing(figure, caption + left_out(missing), alt)


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
            for label, style_of, step, values in _terms(results.runs / name / "history.csv"):
                strength = {"lw": 1, "marker": "." if len(step) < MARKED else "", "ms": 2}
                if name != names[0]:
                    strength = {"lw": 0.6, "alpha": 0.45}
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


def _without_positive(statistics: np.ndarray, points: int) -> np.ndarray:
    """Share of the images in which no pixel reaches each of `points` thresholds 0..1 as blurred.

    statistics: int (n, 2, 256). Returns float64 (points,), which never falls.
    """
    top, steps = statistics.shape[-1] - 1, points - 1
    highest = top - statistics.any(axis=1).argmax(axis=1)  # (n,): 255 - the lowest value of each map
    return (highest[:, None] < -(-np.arange(points) * top // steps)).mean(axis=0)


def _fewer(results: Results, role: str, shares: Mapping[str, np.ndarray]) -> str:
    """What MA-GANet does to the undecided share beside MANet. shares: of each run, float (n,) over images."""
    pairs = results.same_seed("manet", "magan", role)
    if len(pairs) > 1:
        means = [shares[after].mean() - shares[before].mean() for before, after in pairs]
        found = difference_over_seeds(means)
    elif pairs and len(shares[pairs[0][0]]) > 1:
        found = paired_mean(*(shares[run] for run in pairs[0]), **results.bootstrap)
    else:
        return ""
    spread = f"({found.low:+.1%} to {found.high:+.1%}, p {found.p:.2g})"
    told = signed(f"{found.difference:+.1%} {spread}")
    return f" MA-GANet minus MANet: {told}; in the paper MA-GANet has fewer."


def _focus_shares(results: Results, role: str) -> np.ndarray:
    """The in-focus share of every image of a set, training images first, float64 (n,), 0..1."""
    file = results.prepared / role / "train_masks.npy"
    training = np.array([])
    if labelled := results.sets[role].get("train"):  # masks that a network drew come after these
        try:
            training = (np.load(file, mmap_mode="r")[:labelled] > 127).mean(axis=(1, 2))
        except (OSError, ValueError) as error:
            raise MaganError(f"cannot read {file}: {error}. `make repro` prepares {role} again.") from error
    tested = results.test_images(role) if results.tests(role) else []
    test = [(results.mask(entry) > 127).mean() for entry in tested]
    return np.concatenate([training, test])


def _smooth(values: np.ndarray) -> np.ndarray:
    """Running mean over a twentieth of the points; NaN where there is nothing positive (the term is off)."""
    on = values > 0
    kernel = np.ones(max(1, len(values) // 20))
    count = np.convolve(on, kernel, "same")
    return np.where(on, np.convolve(np.where(on, values, 0), kernel, "same") / np.maximum(count, 1), np.nan)
