"""Panels that the pictures of the attention and of the discriminator have in common."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from magan_core.data.images import CUT, resize_mask
from magan_core.reporting import style
from magan_core.wording import listed

STRENGTH, SHARE, CHANGE = "magma", "cividis", "PuOr_r"  # readable with every common form of colour blindness


def photographs(
    panels: Sequence[Axes], photo: np.ndarray, others: Mapping[str, np.ndarray], pixel: tuple[int, int]
) -> None:
    """The photograph, and beside it maps or masks by their titles: uint8, or float from 0 to 1."""
    side = len(photo)
    panel(panels[0], photo, "Photograph", side, None, (None, None), pixel)
    for axes, (title, picture) in zip(panels[1:], others.items(), strict=True):
        top = 255 if picture.dtype == np.uint8 else 1
        panel(axes, picture, title, side, "gray", (0, top), pixel)


def panel(
    axes: Axes,
    values: np.ndarray,
    title: str,
    side: int,
    colors: str | None,
    limits: tuple[float | None, float | None],
    pixel: tuple[int, int] | None,
) -> AxesImage:
    """Show values over the whole square of `side` pixels, with the cross if there is one."""
    style.bare(axes)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#b0b0b0", linewidth=0.4)
    drawn = axes.imshow(
        values, cmap=colors, vmin=limits[0], vmax=limits[1], interpolation="none", extent=(0, side, side, 0)
    )
    axes.set_title(title, size=7.5)
    if pixel is not None:
        for color, line in (("black", 2.2), ("white", 1.0)):
            axes.plot(pixel[0] + 0.5, pixel[1] + 0.5, "+", ms=9, mew=line, color=color)
    return drawn


def scale(figure: Figure, drawn: AxesImage, axes: Axes) -> None:
    """A colour bar beside a panel, which keeps its place."""
    figure.colorbar(drawn, cax=axes.inset_axes([1.03, 0, 0.05, 1]))


def by_mask(axes: Axes, values: np.ndarray, mask: np.ndarray, edges: np.ndarray) -> str:
    """Histograms of values (h, w) in focus and out of focus by the mask; returns the means as words."""
    inside = resize_mask(mask, *values.shape) >= CUT
    means, shown = [], []
    for name, color, part in (
        ("in focus", style.FOCUS_COLOR, values[inside]),
        ("blurred", style.BLUR_COLOR, values[~inside]),
    ):
        if part.size:
            shown.append((f"{name}, mean {part.mean():.2f}", color, part))
            means.append(f"{part.mean():.2f} where {name}")
    histograms(axes, shown, edges)
    return listed(means)


def histograms(axes: Axes, parts: Sequence[tuple[str, str, np.ndarray]], edges: np.ndarray) -> None:
    """Histograms over one another, each as shares of its own values; parts: label, colour and values."""
    highest = 0.0
    for label, color, values in parts:
        share = np.histogram(values, edges)[0] / values.size
        highest = max(highest, float(share.max()))
        axes.stairs(share, edges, color=color, fill=True, alpha=0.55, label=label)
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.3 * highest or 1), yticks=[], ylabel="share")
    axes.legend(loc="upper left", fontsize=6.5, handlelength=1)
