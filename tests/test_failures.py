"""Kinds of errors against slow loops, the evaluation's own error, and maps made to fail in one way."""

import dataclasses

import fake_results
import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import maximum_filter, minimum_filter

from magan_core.errors import MaganError
from magan_core.metrics import PROTOCOLS, histograms, per_image
from magan_core.reporting import failures
from magan_core.reporting.failures import KINDS, all_wrong, error_by_kind, error_picture, kinds_of
from magan_core.reporting.sources import Results

SIDE = 24


@pytest.fixture
def scene():
    """A mask whose left half is in focus, and detail in the upper half of either side."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, : SIDE // 2] = 255
    detail = np.zeros((SIDE, SIDE), bool)
    detail[: SIDE // 2] = True
    return mask, detail


def test_kinds_follow_from_class_detail_and_distance(scene):
    kinds = np.array(list(KINDS))[kinds_of(*scene, reach=3)]
    assert set(kinds[:, 9:15].ravel()) == {"edge"}
    corners = [kinds[0, 0], kinds[-1, 0], kinds[0, -1], kinds[-1, -1]]
    assert corners == ["missed", "homogeneous", "clutter", "invented"]
    assert [(kinds == kind).sum() for kind in ("missed", "homogeneous", "clutter", "invented")] == [
        12 * 9
    ] * 4


def test_the_distance_to_the_edge_counts_round_corners():
    mask = np.full((9, 9), 255, np.uint8)
    mask[4, 4] = 0
    near = kinds_of(mask, np.zeros((9, 9), bool), reach=2) == list(KINDS).index("edge")
    expected = [[np.hypot(y - 4, x - 4) <= 2 for x in range(9)] for y in range(9)]
    assert near.tolist() == expected


@pytest.mark.parametrize(
    ("kind", "rows", "columns"),
    [
        ("missed", slice(0, 12), slice(0, 9)),
        ("homogeneous", slice(12, 24), slice(0, 9)),
        ("clutter", slice(0, 12), slice(15, 24)),
        ("invented", slice(12, 24), slice(15, 24)),
        ("edge", slice(0, 24), slice(9, 15)),
    ],
)
def test_a_map_that_fails_in_one_way_fails_in_that_kind(scene, kind, rows, columns):
    mask, detail = scene
    wrong = mask.copy()
    wrong[rows, columns] = 255 - wrong[rows, columns]
    parts = error_by_kind(wrong, mask, kinds_of(mask, detail, 3))
    area = np.zeros_like(mask)
    area[rows, columns] = 1
    assert parts[kind] == pytest.approx(area.mean())
    assert sum(parts.values()) == parts[kind]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_parts_add_up_to_the_error_of_the_evaluation(seed):
    random = np.random.default_rng(seed)
    mask = np.where(random.random((31, 40)) < 0.5, np.uint8(255), np.uint8(0))
    focus_map = random.integers(0, 256, mask.shape).astype(np.uint8)
    kinds = kinds_of(mask, random.random(mask.shape) < 0.5, 1)
    parts = error_by_kind(focus_map, mask, kinds)
    mae = per_image(histograms(focus_map, mask)[None], PROTOCOLS["paper"])["mae"][0]
    assert sum(parts.values()) == pytest.approx(mae)
    slow = dict.fromkeys(KINDS, 0.0)
    for place in np.ndindex(mask.shape):
        slow[list(KINDS)[kinds[place]]] += abs(int(focus_map[place]) - int(mask[place])) / 255 / mask.size
    assert parts == pytest.approx(slow)


def test_a_map_of_another_size(scene):
    with pytest.raises(MaganError, match="they must agree"):
        error_by_kind(scene[0][1:], scene[0], kinds_of(*scene, 3))


def test_all_wrong_is_what_no_map_gets_right(scene):
    mask = scene[0]
    one, other = mask.copy(), mask.copy()
    one[:6] = 255 - one[:6]
    other[3:9] = 255 - other[3:9]
    assert all_wrong([one], mask) == pytest.approx(6 / SIDE)
    assert all_wrong([one, other], mask) == pytest.approx(3 / SIDE)
    assert all_wrong([one, other, mask], mask) == 0
    with pytest.raises(MaganError, match="no map"):
        all_wrong([], mask)


def test_all_wrong_cuts_maps_at_one_half(scene):
    mask = scene[0]
    assert all_wrong([np.full_like(mask, 127)], mask) == 0.5
    assert all_wrong([np.where(mask > 0, np.uint8(128), np.uint8(127))], mask) == 0


def test_the_picture_of_the_errors(scene):
    mask = scene[0]
    assert (error_picture(mask, mask) == 255).all()
    inverted = error_picture(255 - mask, mask)
    assert inverted[0, 0].tolist() == [0, 114, 178]  # in focus, called blurred
    assert inverted[0, -1].tolist() == [230, 159, 0]  # blurred, called in focus
    half = error_picture(np.where(mask > 0, np.uint8(255), np.uint8(51)), mask)
    assert half[0, -1].tolist() == [250, 236, 204]  # a fifth of the way from white


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fake_results.write_profile("demo", images=3)
    return Results.of("demo", fake_results.PARAMS)


def test_one_row_a_method_and_image_worst_first(results):
    table = failures.failures(results, {"MANet": "manet-dut", "Laplacian": "laplacian"}, "dut")
    assert table["mae"].is_monotonic_decreasing
    assert len(table) == 6
    assert table[list(KINDS)].sum(axis=1).to_numpy() == pytest.approx(table["mae"].to_numpy())
    for method in ("manet-dut", "laplacian"):
        scored = pd.read_csv(results.score(method, "dut", "per_image.csv"), index_col="stem")["mae"]
        name = "MANet" if method == "manet-dut" else "Laplacian"
        own = table[table["method"] == name].set_index("image")["mae"]
        assert own.to_dict() == pytest.approx(scored.to_dict())
    largest = table[list(KINDS)].idxmax(axis=1).map(KINDS)
    assert table["cause"].tolist() == largest.tolist()
    assert table.groupby("image")["all_wrong"].nunique().eq(1).all()


def test_a_map_of_one_shade_hides_nothing_that_all_others_get_wrong(results):
    methods = {"MANet": "manet-dut", "Laplacian": "laplacian"}
    before = failures.failures(results, methods, "dut").groupby("image")["all_wrong"].first()
    both = failures.failures(results, methods | {"Constant": "constant"}, "dut")
    assert before.max() > 0
    assert both.groupby("image")["all_wrong"].first().to_dict() == before.to_dict()
    alone = failures.failures(results, {"Constant": "constant"}, "dut")
    assert (alone["all_wrong"] > 0).all(), "of maps that are all of one shade nothing is left out"


def test_edges_and_detail_are_those_of_the_mask_and_the_laplacian_map(results):
    """The pictures are 48 pixels high: an error counts as the edge's up to 1.5 pixels, the next pixel."""
    table = failures.failures(results, {"MANet": "manet-dut"}, "dut").set_index("image")
    for entry in results.test_images("dut"):
        mask, focus_map = results.mask(entry), results.map("manet-dut", "dut", entry["stem"])
        near = maximum_filter(mask, 3) != minimum_filter(mask, 3)
        detail = results.map("laplacian", "dut", entry["stem"]) > 127
        error = np.abs(focus_map / 255 - mask / 255) / mask.size
        expected = {
            "edge": error[near].sum(),
            "homogeneous": error[~near & (mask > 0) & ~detail].sum(),
            "clutter": error[~near & (mask == 0) & detail].sum(),
            "missed": error[~near & (mask > 0) & detail].sum(),
            "invented": error[~near & (mask == 0) & ~detail].sum(),
        }
        assert table.loc[entry["stem"], list(KINDS)].to_dict() == pytest.approx(expected)
        assert min(expected.values()) > 0


def test_without_the_laplacian_nobody_says_where_detail_is(results):
    bare = dataclasses.replace(results, others=("constant",))
    with pytest.raises(MaganError, match="no baseline 'laplacian'"):
        failures.failures(bare, {"MANet": "manet-dut"}, "dut")
