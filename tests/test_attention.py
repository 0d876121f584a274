"""The pictures of the attention, from arrays made by hand."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb

from magan_core.inside import Group, Patches
from magan_core.reporting import attention, style
from magan_core.reporting.patches import patch_scores

SIDE = 16
PIXEL = (12, 3)  # column, row


def scene():
    """Right half in focus."""
    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:, SIDE // 2 :] = 255
    return photo, mask, mask / np.float32(255)


def group(alpha=0.5, energy="mean"):
    """Four channels on 8 x 8 places: 0 and 2 answer on the left, 1 and 3 on the right, and each takes most
    from its own kind; channel 2 gives most."""
    before = np.zeros((4, 8, 8), np.float32)
    before[[0, 2], :, :4] = [[[1]], [[2]]]
    before[[1, 3], :, 4:] = [[[1]], [[3]]]
    weights = np.array(
        [[0.3, 0.1, 0.5, 0.1], [0.1, 0.4, 0.2, 0.3], [0.3, 0.1, 0.5, 0.1], [0.1, 0.4, 0.2, 0.3]], np.float32
    )
    after = before + alpha * np.einsum("ji,ihw->jhw", weights, before)
    taking_part = {"mean": np.array([3.5, 3.0, 3.9, 3.8]), "raw": np.array([1.0, 1.1, 1.0, 1.0])}
    return Group(np.array([3, 3, 4, 5]), before, after, weights, alpha, energy, taking_part)


def images_of(drawing):
    return {axes.get_title(): axes.images[0] for axes in drawing.figure.axes if axes.images}


def array_of(drawing, title):
    (found,) = [image for name, image in images_of(drawing).items() if title in name]
    return np.asarray(found.get_array())


def test_sorted_and_clustered_orders():
    weights = group().weights
    assert attention.by_weight(weights).tolist() == [2, 1, 0, 3]
    order = attention.clustered(weights).tolist()
    assert sorted(order) == [0, 1, 2, 3]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset((0, 2)), frozenset((1, 3))}
    assert attention.clustered(weights[:1, :1]).tolist() == [0]


@pytest.mark.parametrize("shuffle", [1, 2, 3])
def test_clustering_finds_groups_whatever_the_order(shuffle):
    kinds = np.random.default_rng(shuffle).permutation(np.repeat([0, 1, 2], 5))
    weights = np.where(kinds[:, None] == kinds, 0.16, 0.02)
    found = kinds[attention.clustered(weights)]
    assert (np.diff(found) != 0).sum() == 2


def test_matrices_show_the_same_weights_in_two_orders():
    one = group()
    drawing = attention.matrices({"high": one})
    for title, order in (("most taken", attention.by_weight), ("clustered", attention.clustered)):
        places = order(one.weights)
        expected = np.log2(4 * one.weights[np.ix_(places, places)])
        np.testing.assert_allclose(array_of(drawing, title), expected, rtol=1e-5)
    assert "+0.500 for the high-level features" in drawing.caption
    ticks = [text.get_text() for axes in drawing.figure.axes for text in axes.get_yticklabels()]
    assert ticks == ["×0.4", "×0.63", "×1", "×1.6", "×2.5"]  # 0.1 is 0.4 times 1/4


def test_one_hot_weights_have_a_finite_picture():
    hard = Group(np.array([3, 3, 4, 5]), *[np.ones((4, 2, 2), np.float32)] * 2, np.eye(4), 0.1, "raw")
    shown = array_of(attention.matrices({"low": hard}), "clustered")
    assert set(np.unique(shown)) == {-2, 2}


def test_entropy_says_the_median_of_both_energies():
    drawing = attention.entropy({"high": group(), "low": group(energy="raw")})
    left, right = drawing.figure.axes
    labels = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in (left, right)]
    assert labels[0] == ["divided by N, as in this run: 3.65 of 4", "as printed: 1 of 4"]
    assert labels[1] == ["divided by N: 3.65 of 4", "as printed, as in this run: 1 of 4"]
    assert left.lines[0].get_ydata().tolist() == [3.0, 3.5, 3.8, 3.9]


def test_passed_and_stopped_add_up_to_what_was_there():
    photo, mask, focus_map = scene()
    z = np.full((8, 8), 0.25, np.float32)
    z[:, 4:] = 0.75
    drawing = attention.spatial(photo, mask, focus_map, z, group().after, PIXEL)
    before, passed, stopped = (array_of(drawing, title) for title in ("before", "Passed", "Stopped"))
    np.testing.assert_allclose(before, np.sqrt((group().after ** 2).mean(0)), rtol=1e-6)
    np.testing.assert_allclose(passed + stopped, before, rtol=1e-6)
    np.testing.assert_allclose(passed[:, 4:], 3 * stopped[:, 4:], rtol=1e-6)
    assert "Z is 0.75 where in focus and 0.25 where blurred" in drawing.caption
    assert any("0.75 at the cross" in title for title in images_of(drawing))


@pytest.mark.parametrize(("white", "told"), [(255, "0.50 where in focus"), (0, "0.50 where blurred")])
def test_a_mask_of_one_class_has_one_histogram(white, told):
    photo, mask, focus_map = scene()
    z = np.full((8, 8), 0.5, np.float32)
    drawing = attention.spatial(photo, np.full_like(mask, white), focus_map, z, group().before, PIXEL)
    assert f"Z is {told} on average" in drawing.caption
    (histogram,) = [axes for axes in drawing.figure.axes if "by the true mask" in axes.get_title()]
    color = style.FOCUS_COLOR if white else style.BLUR_COLOR
    (patch,) = histogram.patches
    assert patch.get_facecolor()[:3] == pytest.approx(to_rgb(color))


def test_a_channel_and_those_that_it_takes_from():
    drawing = attention.channel("high", group(), 0, SIDE, PIXEL)
    assert np.array_equal(array_of(drawing, "before attention"), group().before[0])
    assert np.array_equal(array_of(drawing, "After attention"), group().after[0])
    np.testing.assert_allclose(array_of(drawing, "Change"), (group().after - group().before)[0])
    sources = [title for title in images_of(drawing) if "weight" in title]
    assert sources[:2] == ["Channel 2, level 4:\nweight × C = 2.00", "Channel 0, level 3:\nweight × C = 1.20"]
    # on the left 0.5 (0.3 + 0.5 * 2) = 0.65, on the right 0.5 (0.1 + 0.1 * 3) = 0.2; it was 1 and 0
    assert "changes it by 85.0% of its mean strength" in drawing.caption


def test_strongest_change():
    assert attention.strongest_change(group()) == int(
        np.abs(group().after - group().before).mean((1, 2)).argmax()
    )
    assert attention.strongest_change(group(alpha=0.0)) == 3


def test_resemblance_to_a_pixel():
    photo, mask, _ = scene()
    drawing = attention.pixel_view("high", group(alpha=0.0), photo, mask, PIXEL)
    right = np.zeros((8, 8))
    right[:, 4:] = 1
    np.testing.assert_allclose(array_of(drawing, "Alike, before"), right, atol=1e-6)
    assert "1.00 where in focus and 0.00 where blurred" in drawing.caption
    assert "column 12, row 3, in focus in the mask" in drawing.caption
    left = attention.pixel_view("high", group(alpha=0.0), photo, mask, (1, 3))
    np.testing.assert_allclose(array_of(left, "Alike, before"), 1 - right, atol=1e-6)
    mixed = attention.pixel_view("high", group(), photo, mask, PIXEL)
    after = array_of(mixed, "Alike, after")
    a, b = group().after[:, 0, 0].astype(float), group().after[:, 0, 7].astype(float)
    assert after[0, 0] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-5)


def test_alphas_of_a_run_before_those_of_the_others():
    step, nothing = np.array([10.0, 20.0]), np.full(2, np.nan)
    histories = {
        "manet-dut": {"step": step, "alpha_hca": np.array([0.1, 0.2]), "alpha_lca": np.array([0.0, -0.1])},
        "hl-ll-hca-dut": {"step": step, "alpha_hca": np.array([0.3, 0.4]), "alpha_lca": nothing},
    }
    high, low = attention.alphas(histories, "manet-dut").figure.axes
    assert [line.get_ydata().tolist() for line in high.lines[1:]] == [[0.3, 0.4], [0.1, 0.2]]
    assert [line.get_ydata().tolist() for line in low.lines[1:]] == [[0.0, -0.1]]
    drawing = attention.alphas(histories, "hl-ll-hca-dut")
    assert "ends at +0.400 (high-level)." in drawing.caption


def judged(on_map, on_mask):
    scores = [np.asarray(one, np.float32) for one in (on_map, on_mask)]
    return Patches(*scores, first=1.5, step=4, field=7)


def test_patch_scores_lie_where_the_patches_are():
    photo, mask, focus_map = scene()
    scores = np.linspace(0.1, 0.6, 16).reshape(4, 4)
    drawing = patch_scores(photo, mask, focus_map, judged(scores, scores + 0.2), PIXEL)
    on_map, on_mask = (image for title, image in images_of(drawing).items() if "Taken for a mask" in title)
    assert on_map.get_extent() == [0, 16, 16, 0]  # 4 patches of 4 px, the first centred on pixel 1.5
    np.testing.assert_allclose(on_map.get_array(), scores, rtol=1e-6)
    assert on_map.get_clim() == on_mask.get_clim() == pytest.approx((0.1, 0.9))
    assert "0.35 with the network's map and 0.55 with the mask" in drawing.caption
    frames = [patch for axes in drawing.figure.axes for patch in axes.patches if hasattr(patch, "get_xy")]
    frames = {frame.get_xy() for frame in frames if frame.get_width() == 7}
    assert frames == {(13.5 - 3, 1.5 - 3)}  # column 12 is nearest to the patch at 13.5, row 3 to that at 1.5


def drawings():
    photo, mask, focus_map = scene()
    one, z = group(), np.full((8, 8), 0.5, np.float32)
    history = {"step": np.arange(3.0), "alpha_hca": np.arange(3.0), "alpha_lca": np.full(3, np.nan)}
    scores = np.full((4, 4), 0.45)
    yield attention.matrices({"high": one})
    yield attention.entropy({"high": one})
    yield attention.spatial(photo, mask, focus_map, z, one.after, PIXEL)
    yield attention.channel("high", one, 1, SIDE, PIXEL)
    yield attention.pixel_view("low", one, photo, mask, PIXEL)
    yield attention.alphas({"run": history}, "run")
    yield patch_scores(photo, mask, focus_map, judged(scores, scores), PIXEL)


def test_every_picture_has_words_and_leaves_no_figure_open():
    for drawing in drawings():
        assert drawing.caption
        assert drawing.alt
        assert style.encoded(drawing, "png").startswith(b"\x89PNG")
    assert plt.get_fignums() == []
