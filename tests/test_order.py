"""The two orders of a table's rows, beside each other."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from magan_core.reporting.order import plot_order


def test_rows_stand_by_rank_on_either_side_and_lines_join_them():
    table = pd.DataFrame(
        {
            "method": ["a", "b", "c", "never run"],
            "mae_claimed": [0.3, 0.1, 0.2, 0.05],
            "mae_own": [0.25, 0.15, 0.35, np.nan],
            "mae_deviation": [0.012, np.nan, np.nan, np.nan],
        }
    )
    axes = plt.figure().subplots()
    plot_order(axes, table)
    texts = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert texts == {
        "a  0.300": 3,
        "0.250 ± 0.012  a": 2,
        "b  0.100": 1,
        "0.150  b": 1,
        "c  0.200": 2,
        "0.350  c": 3,
    }
    assert [list(line.get_ydata()) for line in axes.lines] == [[3, 2], [1, 1], [2, 3]]
    assert axes.yaxis_inverted()


def test_a_table_without_own_numbers_is_drawn_empty():
    table = pd.DataFrame(
        {"method": ["a"], "mae_claimed": [0.1], "mae_own": [np.nan], "mae_deviation": [np.nan]}
    )
    axes = plt.figure().subplots()
    plot_order(axes, table)
    assert not axes.lines
