"""Pictures in rows and columns: Figures 1, 8 and 9."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from magan_core.data.images import resize
from magan_core.reporting import style

SMALLEST = 6.0  # points: less is not read in print
LONGER_SIDE = 360  # pixels of a picture inside a figure: 1.2 inch at 300 dpi


def grid(
    rows: list[list[np.ndarray | None]],
    titles: list[str],
    labels: list[str],
    notes: Sequence[str] = (),
    corners: Sequence[Sequence[str]] = (),
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of the page's width, and its axes row by row.

    rows: uint8 (H, W, 3) or (H, W) pictures, None for one that does not exist (a dash). titles: one a column,
    above. labels: one a row, at the left; equal ones, which are neighbours, share one. notes: one a column,
    below the last row. corners: one a picture, on its lower right.
    """
    lines = max(label.count("\n") + 1 for label in labels) if any(labels) else 0
    left, top, bottom, gap = (0.12 * (1 + lines) if lines else 0.02), 0.34, (0.2 if notes else 0.02), 0.035
    cell = (style.PAGE - left - gap * len(titles)) / len(titles)
    heights = [cell * min(1.0, row[0].shape[0] / row[0].shape[1]) for row in rows]
    total = top + bottom + sum(heights) + gap * len(rows)
    figure = style.new_figure(style.PAGE, total)
    figure.set_layout_engine("none")
    cells, lower = [], total - top
    for row, height in zip(rows, heights, strict=True):
        lower -= height
        cells.append([])
        for column, picture in enumerate(row):
            across = (left + column * (cell + gap)) / style.PAGE
            axes = figure.add_axes((across, lower / total, cell / style.PAGE, height / total))
            _show(axes, picture)
            cells[-1].append(axes)
        lower -= gap
    for line, own in zip(cells, corners, strict=False):
        for axes, text in zip(line, own, strict=True):
            _tell(axes, text)
    for axes, title in zip(cells[0], titles, strict=True):
        size = min(7.5, max(SMALLEST, 9.5 * cell))
        figure.text(
            _middle(axes), 1 - (top - 0.05) / total, broken(title), ha="center", va="bottom", size=size
        )
    for axes, note in zip(cells[-1], notes, strict=False):
        figure.text(_middle(axes), 0.05 / total, note, ha="center", va="bottom", color=style.SOFT, size=6.5)
    for label in dict.fromkeys(filter(None, labels)):
        group = [line[0].get_position() for line, own in zip(cells, labels, strict=True) if own == label]
        height = (group[0].y1 + group[-1].y0) / 2
        figure.text(0.004, height, label, rotation=90, ha="left", va="center", multialignment="center")
    return figure, cells


def broken(title: str) -> str:
    """A long column title in two lines, broken at the blank or plus sign nearest its middle."""
    breaks = [place for place, sign in enumerate(title) if sign in " +"]
    if len(title) <= 10 or not breaks:
        return title
    place = min(breaks, key=lambda at: abs(at - len(title) / 2))
    return title[: place + (title[place] == "+")] + "\n" + title[place + 1 :]


def _show(axes: Axes, picture: np.ndarray | None) -> None:
    style.bare(axes)
    if picture is None:
        axes.text(0.5, 0.5, "–", ha="center", va="center", color=style.SOFT, transform=axes.transAxes)
        return
    for spine in axes.spines.values():  # so that a white map does not melt into the page
        spine.set(visible=True, color="#b0b0b0", linewidth=0.4)
    height, width = picture.shape[:2]
    scale = min(1.0, LONGER_SIDE / max(height, width))
    small = resize(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    axes.imshow(small, cmap="gray", vmin=0, vmax=255, interpolation="none", extent=(0, width, height, 0))


def _tell(axes: Axes, text: str) -> None:
    if text:
        box = {"fc": style.INK, "alpha": 0.7, "lw": 0, "pad": 1}
        axes.text(
            0.97,
            0.04,
            text,
            ha="right",
            va="bottom",
            transform=axes.transAxes,
            color="white",
            size=SMALLEST,
            bbox=box,
        )


def _middle(axes: Axes) -> float:
    place = axes.get_position()
    return (place.x0 + place.x1) / 2
