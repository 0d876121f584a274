"""Boxes and arrows for the architecture diagrams, placed in inches, so that the text in them fits or visibly
does not.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from magan_core.reporting import style

FILLS = {
    "data": "#ffffff",
    "layer": "#d9e8f4",
    "attention": "#f5deec",
    "loss": "#fbe7c0",
    "discriminator": "#d3ece3",
}
TEXT = 6.3  # points


class Box(NamedTuple):
    """A drawn box or circle: its centre and size in inches."""

    x: float
    y: float
    width: float
    height: float

    def left(self, up: float = 0.0) -> tuple[float, float]:
        """Middle of the left edge, moved up by `up` inches."""
        return self.x - self.width / 2, self.y + up

    def right(self, up: float = 0.0) -> tuple[float, float]:
        """Middle of the right edge, moved up."""
        return self.x + self.width / 2, self.y + up

    def top(self) -> tuple[float, float]:
        """Middle of the top edge."""
        return self.x, self.y + self.height / 2

    def bottom(self) -> tuple[float, float]:
        """Middle of the bottom edge."""
        return self.x, self.y - self.height / 2


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` inches with axes whose coordinates are inches from the lower left."""
    figure = style.new_figure(width, height)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    style.bare(axes)
    return figure, axes


def box(
    axes: Axes, x: float, y: float, name: str, detail: str = "", kind: str = "layer", size: tuple = (0.8, 0.4)
) -> Box:
    """A rounded box centred at (x, y): `name` in bold, `detail` (a shape such as 64×80×80) below it."""
    width, height = size
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.04",
            fc=FILLS[kind],
            ec=style.SOFT,
            lw=0.7,
        )
    )
    lines = name.count("\n") + 1, detail.count("\n") + 1 if detail else 0
    pitch = TEXT * 1.25 / 72
    start = y + pitch * (sum(lines) - 1) / 2
    for number, line in enumerate([*name.split("\n"), *(detail.split("\n") if detail else [])]):
        weight = "bold" if number < lines[0] else "normal"
        axes.text(
            x,
            start - number * pitch,
            line,
            ha="center",
            va="center",
            size=TEXT,
            weight=weight,
            color=style.INK,
        )
    return Box(x, y, width, height)


def operator(axes: Axes, x: float, y: float, sign: str) -> Box:
    """A small circle with a sign in it: × for products, + for sums, C for concatenation."""
    axes.add_patch(Circle((x, y), 0.1, fc="#ffffff", ec=style.INK, lw=0.8))
    axes.text(x, y - 0.003, sign, ha="center", va="center", size=7.5, color=style.INK)
    return Box(x, y, 0.2, 0.2)


def arrow(axes: Axes, *points: tuple[float, float], dashed: bool = False) -> None:
    """An arrow through all points to the last one, in straight pieces."""
    line = (0, (3, 2)) if dashed else "-"
    for start, end in pairwise(points[:-1]):
        axes.plot(
            [start[0], end[0]], [start[1], end[1]], color=style.INK, lw=0.8, ls=line, solid_capstyle="butt"
        )
    axes.add_patch(
        FancyArrowPatch(
            points[-2],
            points[-1],
            arrowstyle="-|>",
            mutation_scale=6,
            shrinkA=0,
            shrinkB=0,
            lw=0.8,
            ls=line,
            color=style.INK,
        )
    )


def note(axes: Axes, x: float, y: float, text: str, ha: str = "center") -> None:
    """Small grey text."""
    axes.text(x, y, text, ha=ha, va="center", size=TEXT - 0.3, color=style.SOFT)


def shape(sizes: Sequence[int]) -> str:
    """(64, 80, 80) -> '64×80×80'."""
    return "×".join(str(size) for size in sizes)
