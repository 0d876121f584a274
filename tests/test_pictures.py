"""What notebooks show: losses, maps, and the two orders of a table's rows, beside each other."""

import math

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magan_core.errors import MaganError
from magan_core.reporting.pictures import plot_losses, plot_order, show_maps


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def history(**adversarial) -> pd.DataFrame:
    columns = {"step": [10, 20], "ce": [0.6, 0.4], "iou": [0.8, 0.5], "total": [1.4, 0.9]}
    return pd.DataFrame(columns | dict.fromkeys(("adv", "d_real", "d_fake"), np.nan) | adversarial)


def lines(axes: plt.Axes) -> dict[str, list[tuple[float, float]]]:
    return {line.get_label(): list(zip(*line.get_data(), strict=True)) for line in axes.lines}


def test_losses_of_a_run_without_a_discriminator_are_one_panel():
    (axes,) = plot_losses(history()).axes
    assert lines(axes) == {"ce": [(10, 0.6), (20, 0.4)], "iou": [(10, 0.8), (20, 0.5)]}


def test_a_run_with_a_discriminator_has_a_second_panel():
    _, second = plot_losses(history(adv=[0.7, 0.9], d_real=[0.6, 0.5], d_fake=[0.5, 0.4])).axes
    chance = second.lines[-1]
    assert list(chance.get_ydata()) == [math.log(2)] * 2
    chance.remove()
    assert lines(second) == {
        "adv": [(10, 0.7), (20, 0.9)],
        "d_real": [(10, 0.6), (20, 0.5)],
        "d_fake": [(10, 0.5), (20, 0.4)],
    }


def test_maps_stand_between_photograph_and_mask_white_in_focus(tmp_path):
    """Also where the mask is stored white = blurred."""
    records, stored = [], {}
    for number, white in enumerate(("focus", "blur")):
        random = np.random.default_rng(number)
        photo, values = (random.integers(0, 256, shape, np.uint8) for shape in ((6, 8, 3), (6, 8)))
        mask = np.where(values > 100, np.uint8(255), np.uint8(0))
        stored[f"s{number}"] = photo, values, mask
        record = {"stem": f"s{number}", "white": white}
        saved = {"image": photo, "mask": mask if white == "focus" else 255 - mask}
        for kind, picture in saved.items():
            record[kind] = tmp_path / f"{kind}{number}.png"
            Image.fromarray(picture).save(record[kind])
        (tmp_path / "maps").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "maps" / f"s{number}.png")
        records.append(record)
    grid = np.array(show_maps(records, tmp_path / "maps", "a run on a set").axes).reshape(3, 2)
    for column, expected in zip(grid.T, stored.values(), strict=True):
        for axes, picture in zip(column, expected, strict=True):
            (shown,) = axes.images
            assert np.array_equal(shown.get_array(), picture)
            assert picture.ndim == 3 or shown.get_clim() == (0, 255)
    (tmp_path / "maps/s1.png").unlink()
    with pytest.raises(MaganError, match=r"s1\.png: no such file"):
        show_maps(records, tmp_path / "maps", "a run on a set")


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
