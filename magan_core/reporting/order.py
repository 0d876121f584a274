"""The rows of a table in the paper's order and in ours."""

import pandas as pd
from matplotlib.axes import Axes


def plot_order(axes: Axes, table: pd.DataFrame) -> None:
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
