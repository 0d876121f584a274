"""Figures 1, 8 and 9 of the paper: photographs and their maps, drawn from the result files of a profile.

Which images are shown follows from a rule that the caption states, never from choice; else as `figures`.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.patches import Rectangle

from magan_core.errors import MaganError
from magan_core.reporting import style
from magan_core.reporting.grid import grid
from magan_core.reporting.rectangles import largest_mean
from magan_core.reporting.shown import (
    ABLATION,
    JUDGES,
    Absent,
    compared,
    first_seeds,
    judge,
    left_out,
    methods_of,
    not_here,
    tested,
    two_lines,
)
from magan_core.reporting.sources import OURS, PAPER_NAMES, Results, read_columns, read_rows
from magan_core.reporting.style import Drawing, look, styled
from magan_core.wording import listed


@styled
def figure_1(results: Results) -> Drawing:
    """Figure 1: clutter in the background, the Laplacian map, our maps, the ground truth (the judging role).

    Image and rectangle: of all test images and all rectangles of a third of the height and width, the one in
    which the Laplacian map wrongly claims the most focus. Under each map stands its mean in-focus value in
    the rectangle.
    """
    role = tested(results)
    if "laplacian" not in results.others:
        raise Absent("this profile does not list the Laplacian threshold among its baselines")
    entries = results.test_images(role)
    found = [_worst_rectangle(results, role, entry) for entry in entries]
    best = max(range(len(entries)), key=lambda index: found[index][0])
    entry, (_, top, left, height, width) = entries[best], found[best]

    methods, missing = methods_of(results, role, ("laplacian", *OURS.values()))
    truth = results.mask(entry)
    titles, pictures, notes = ["Photograph"], [results.photo(entry)], [""]
    taken: dict[bool, list[str]] = {False: [], True: []}  # for focus: networks
    for variant, method in methods:
        values = results.map(method, role, entry["stem"])
        inside = values[top : top + height, left : left + width].mean() / 255
        titles.append(look(variant).label)
        pictures.append(values)
        notes.append(f"{inside:.2f} in the box")
        if variant in OURS.values():
            taken[bool(inside >= 0.5)].append(look(variant).label)
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
        "case, not a typical image. The number under a map is its mean value inside the rectangle. Where the "
        "Laplacian map stands the paper shows those of two networks that are not run here."
    )
    if taken[False]:
        caption += f" Clutter suppressed, below one half: {listed(taken[False])}."
    if taken[True]:
        caption += f" Clutter taken for focus: {listed(taken[True])}."
    alt = (
        "A photograph with a cluttered background, in-focus maps by "
        + listed(titles[1:])
        + ", and the ground truth."
    )
    return Drawing(figure, caption + first_seeds(results, [role], dict(methods)) + left_out(missing), alt)


@styled
def figure_8(results: Results, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> Drawing:
    """Figure 8: maps of all methods on test images of Shi's, DUT and CTCUG.

    Images: of each set those at the given quantiles (0..1) of the MAE of the MANet run.
    """
    roles = compared(results)
    methods = {role: methods_of(results, role, (*results.others, *OURS.values())) for role in roles}
    variants = [
        variant
        for variant in (*results.others, *OURS.values())
        if variant != "constant" and any(variant in dict(found) for found, _ in methods.values())
    ]
    rows, labels, stems, corners, fewest = [], [], [], [], len(quantiles)
    for role in roles:
        available = dict(methods[role][0])
        entries = _picked(results, role, quantiles)
        fewest = min(fewest, len(entries))
        for entry in entries:
            maps = [
                results.map(available[variant], role, entry["stem"]) if variant in available else None
                for variant in variants
            ]
            truth = results.mask(entry)
            rows.append([results.photo(entry), *maps, truth])
            corners.append(["", *(_error(one, truth) for one in maps), ""])
            labels.append(two_lines(results.data_name(role)))
            stems.append(entry["stem"])
    titles = ["Photograph", *(look(variant).label for variant in variants), "Ground truth"]
    figure, _ = grid(rows, titles, labels, corners=corners)
    found = {judge(results, role)[0] for role in roles}
    judges = " or, without a run of that, ".join(
        look(name).label for name in JUDGES if look(name).label in found
    )
    caption = (
        "Maps of the available methods; white is in focus; in the corner the mean absolute error. Rule: of "
        f"each set the test images at the {_percent(quantiles)} quantiles of that of {judges} "
        f"(here {', '.join(stems)}). {_coinciding(fewest, quantiles)}"
        "The constant map is one shade everywhere and not shown. A dash marks a method without a run on "
        "that set."
    )
    absent = [variant for variant in OURS.values() if variant not in variants]
    caption += first_seeds(results, roles, OURS.values()) + not_here(results) + left_out(absent)
    return Drawing(figure, caption, f"A grid of {len(rows)} photographs with maps: {listed(titles)}.")


@styled
def figure_9(results: Results, quantiles: Sequence[float] = (0.2, 0.4, 0.6, 0.8)) -> Drawing:
    """Figure 9: what each part of the network changes, on test images of the judging role (paper,
    IV-E.4).

    Images: those at the given quantiles (0..1) of the MAE of the MANet run.
    """
    role = results.judging
    methods, missing = methods_of(results, role, ABLATION)
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
    corners = [["", *(_error(one, truth) for one in maps), ""] for _, *maps, truth in rows]
    figure, _ = grid(rows, titles, [""] * len(rows), corners=corners)
    caption = (
        f"The parts of the network, on {results.data_name(role)}; white is in focus; in the corner the mean "
        "absolute error. HL+LL+SA has no channel attention, HL+LL+HCA+LCA no spatial one. Rule: the test "
        f"images at the {_percent(quantiles)} quantiles of that of {judge(results, role)[0]} "
        f"(here {', '.join(entry['stem'] for entry in entries)}). {_coinciding(len(entries), quantiles)}"
    ).rstrip()
    return Drawing(
        figure,
        caption + first_seeds(results, [role], dict(methods)) + left_out(missing),
        f"A grid of {len(rows)} photographs with maps: {listed(titles)}.",
    )


def _error(focus_map: np.ndarray | None, mask: np.ndarray) -> str:
    """The mean absolute error of a map, for its corner."""
    return "" if focus_map is None else f"{np.abs(focus_map.astype(float) - mask).mean() / 255:.3f}"


def _picked(results: Results, role: str, quantiles: Sequence[float]) -> list[dict[str, str]]:
    """The test images at quantiles of the per-image MAE, ties broken by name; fewer if the set is small."""
    file = results.score(judge(results, role)[1], role, "per_image.csv")
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


def _percent(quantiles: Sequence[float]) -> str:
    return listed([f"{quantile:.0%}" for quantile in quantiles])


def _worst_rectangle(results: Results, role: str, entry: dict[str, str]) -> tuple[float, int, int, int, int]:
    """(wrongly claimed focus 0..1, top, left, height, width) of the worst rectangle of the Laplacian map of
    one image.
    """
    wrong = np.where(results.mask(entry) == 0, results.map("laplacian", role, entry["stem"]), 0) / 255
    height, width = max(1, wrong.shape[0] // 3), max(1, wrong.shape[1] // 3)
    return *largest_mean(wrong, height, width), height, width
