"""What notebooks show: the losses of a run, some of its maps, and the rows of a table in two orders."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from magan_core.data.images import read_map, read_mask, read_photo
from magan_core.training.columns import COLUMNS


def plot_losses(history: pd.DataFrame) -> plt.Figure:
    """Cross entropy, IoU and further losses over the steps, and beside them the adversarial losses of a run
    that has them, with a dashed line at log 2. history: the rows of history.csv."""
    further = tuple(name for name in history.columns if name not in COLUMNS)
    panels = [("loss", ("ce", "iou", *further))]
    if history["adv"].notna().any():
        panels.append(("adversarial losses", ("adv", "d_real", "d_fake")))
    figure, grid = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3), squeeze=False)
    for axes, (label, names) in zip(grid[0], panels, strict=True):
        for name in names:
            axes.plot(history["step"], history[name], label=name)
        axes.set(xlabel="step", ylabel=label)
        if "d_real" in names:
            axes.axhline(math.log(2), color="black", linewidth=0.8, linestyle="--", label="chance")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=len(axes.lines), frameon=False)
    figure.tight_layout()
    return figure


def show_maps(records: Sequence[Mapping[str, Any]], maps: Path, title: str) -> plt.Figure:
    """Photographs, their maps and their masks in three rows, a column a record of a test list; maps: folder
    of STEM.png."""
    figure, grid = plt.subplots(3, len(records), figsize=(2.4 * len(records), 6), squeeze=False)
    for column, record in zip(grid.T, records, strict=True):
        column[0].imshow(read_photo(record["image"]))
        column[1].imshow(read_map(maps / f"{record['stem']}.png"), cmap="gray", vmin=0, vmax=255)
        column[2].imshow(read_mask(record["mask"], record["white"]), cmap="gray", vmin=0, vmax=255)
    for axes, label in zip(grid[:, 0], ("photograph", "map", "mask"), strict=True):
        axes.set_ylabel(label)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    figure.suptitle(title)
    figure.tight_layout()
    return figure


def plot_order(axes: plt.Axes, table: pd.DataFrame) -> None:
    """Draw the rows of `tables.wide` that have a claimed and an own MAE: left in the paper's order, right in
    ours, the best on top, joined by lines. A line that goes up is a row that comes out better placed here.
    """
    have = table.dropna(subset=["mae_claimed", "mae_own"])
    claimed, own = (have[column].rank(method="first") for column in ("mae_claimed", "mae_own"))
    for row, left, right in zip(have.itertuples(), claimed, own, strict=True):
        axes.plot([0, 1], [left, right], "o-", ms=4, color="tab:blue" if left == right else "tab:orange")
        told = f"{row.mae_own:.3f}"
        if row.mae_deviation > 0:  # NaN for a single seed
            told += f" ± {row.mae_deviation:.3f}"
        axes.text(-0.05, left, f"{row.method}  {row.mae_claimed:.3f}", ha="right", va="center", size=8)
        axes.text(1.05, right, f"{told}  {row.method}", ha="left", va="center", size=8)
    axes.set(xlim=(-0.1, 1.1), ylim=(max(len(have), 1) + 0.5, 0.5), xticks=[0, 1], yticks=[])
    axes.set_xticklabels(["MAE, paper", "MAE, own"])
    axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
