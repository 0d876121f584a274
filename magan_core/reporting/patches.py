"""The picture of what the discriminator says, patch by patch."""

import numpy as np
from matplotlib.patches import Rectangle

from magan_core.inside import Patches
from magan_core.reporting import style
from magan_core.reporting.panels import CHANGE, histograms, panel, scale
from magan_core.reporting.style import Drawing, styled


@styled
def patch_scores(
    photo: np.ndarray, mask: np.ndarray, focus_map: np.ndarray, patches: Patches, pixel: tuple[int, int]
) -> Drawing:
    """What the discriminator says of every patch of the photograph with the network's map, and with the mask.

    photo: uint8 (S, S, 3); mask: uint8 (S, S); focus_map: float (S, S), 0..1; pixel: (column, row), below S;
    the patch whose centre is nearest to it is framed.
    """
    side, count = len(photo), len(patches.on_map)
    place = [int(np.clip(round((at - patches.first) / patches.step), 0, count - 1)) for at in pixel]
    column, row = place
    left, top = (patches.first + index * patches.step - (patches.field - 1) / 2 for index in place)
    start = patches.first + 0.5 - patches.step / 2
    end = start + count * patches.step
    figure = style.new_figure(style.PAGE, 4.1)
    upper, lower = figure.subplots(2, 3)
    limit = max(float(np.abs(scores - 0.5).max()) for scores in (patches.on_map, patches.on_mask))
    limit = max(limit, 0.01)
    panel(upper[0], photo, "Photograph", side, None, (None, None), None)
    shown = (
        (upper, "Network's map", focus_map, 1, patches.on_map),
        (lower, "True mask", mask, 255, patches.on_mask),
    )
    for line, name, picture, white, scores in shown:
        panel(line[1], picture, name, side, "gray", (0, white), None)
        title = f"Taken for a mask: mean {scores.mean():.2f}, framed {scores[row, column]:.2f}"
        drawn = panel(line[2], scores, title, side, CHANGE, (0.5 - limit, 0.5 + limit), None)
        drawn.set_extent((start, end, end, start))
        line[2].set(xlim=(0, side), ylim=(side, 0))
        scale(figure, drawn, line[2])
    for axes in (upper[0], upper[1], lower[1]):
        for color, width in (("white", 2.4), (style.BLUR_COLOR, 1.2)):
            frame = Rectangle((left, top), patches.field, patches.field, fill=False, ec=color, lw=width)
            axes.add_patch(frame)
    told = [
        ("with the mask", style.FOCUS_COLOR, patches.on_mask),
        ("with the map", style.BLUR_COLOR, patches.on_map),
    ]
    histograms(lower[0], told, np.linspace(0.5 - limit, 0.5 + limit, 31))
    lower[0].axvline(0.5, color=style.INK, lw=0.8)
    lower[0].set(xlabel="probability of a true mask", title="All patches")
    means = (
        f"{patches.on_map.mean():.2f} with the network's map and {patches.on_mask.mean():.2f} with the mask"
    )
    caption = (
        f"The discriminator looks at {count} × {count} patches of {patches.field} px (framed: the one at the "
        "chosen pixel; those at the rim reach beyond the picture) and says of each whether the map in it is "
        f"a true mask: {means} on average. At 0.50 it cannot tell. Orange: taken for a mask; violet: for a "
        "network's map. The two rows share their colours."
    )
    return Drawing(figure, caption, f"Patch scores of the discriminator: {means}.")
