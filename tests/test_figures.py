"""Figures from invented results: both formats, the same bytes twice, honest about what is missing."""

import copy
import dataclasses
import json
import re
import shutil
from pathlib import Path

import fake_results
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.text import Text
from PIL import Image

from magan_core.errors import MaganError
from magan_core.reporting import figures, photographs, style
from magan_core.reporting.grid import broken
from magan_core.reporting.rectangles import largest_mean
from magan_core.reporting.sources import Results, read_columns
from magan_core.wording import listed


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    """A folder, with a blank and an umlaut in its path, that holds the results of a profile `demo`."""
    folder = tmp_path_factory.mktemp("a würzig place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fake_results.write_profile("demo", stem="Blüte")
    return folder


@pytest.fixture
def results(profile, monkeypatch):
    monkeypatch.chdir(profile)
    return Results.of("demo", fake_results.PARAMS)


@pytest.fixture
def breakable(profile, tmp_path, monkeypatch):
    """A copy of the results that a test may damage."""
    shutil.copytree(profile, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Results.of("demo", fake_results.PARAMS)


def test_without_dut_the_set_of_the_first_run_is_shown(results):
    """Figures 1, 9 and 10 are of one set."""
    shi = {name: run for name, run in results.listed.items() if run["set"] == "shi"}
    alone = dataclasses.replace(results, listed=shi)
    assert alone.judging == "shi"
    for draw in (figures.figure_1, figures.figure_9, figures.figure_10):
        assert results.data_name("shi") in draw(alone).caption


def only(results: Results, *names: str) -> Results:
    """The results of a profile that lists no other runs than these."""
    return dataclasses.replace(results, listed={name: results.listed[name] for name in sorted(names)})


@pytest.mark.parametrize("name", figures.FIGURES)
def test_every_figure_is_written_in_both_formats_with_the_same_bytes_twice(name, results, tmp_path):
    once = style.save(figures.FIGURES[name](results), tmp_path / "once", name)
    twice = style.save(figures.FIGURES[name](results), tmp_path / "twice", name)
    assert [path.name for path in once] == [f"{name}.png", f"{name}.pdf", f"{name}.json"]
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in twice]
    assert once[0].read_bytes().startswith(b"\x89PNG")
    assert once[1].read_bytes().startswith(b"%PDF")
    assert b"CreationDate" not in once[1].read_bytes()
    words = json.loads(once[2].read_text(encoding="utf-8"))
    assert len(words["caption"]) > 60
    assert len(words["alt"]) > 30
    assert len(list((tmp_path / "once").iterdir())) == 3  # no temporary file stays


@pytest.mark.parametrize("name", ["", "a/b", "../up"])
def test_a_name_with_a_folder_in_it_is_refused(name, results, tmp_path):
    with pytest.raises(MaganError, match="plain file name"):
        style.save(figures.figure_10(results), tmp_path, name)


def test_a_file_where_the_folder_should_be_is_one_clear_error(results, tmp_path):
    (tmp_path / "figures").write_text("not a folder")
    with pytest.raises(MaganError, match="cannot write"):
        style.save(figures.figure_10(results), tmp_path / "figures", "figure_10")


def test_a_run_that_the_profile_does_not_list_is_left_out_and_named(results):
    fewer = only(results, *(set(results.listed) - {"magan-s-dut", "hl-ll-sa-dut"}))
    nine = figures.figure_9(fewer)
    assert "no such run was trained here: HL+LL+SA and MA-GANet-s" in nine.caption
    assert "MA-GANet-s" not in {text.get_text() for text in nine.figure.texts}
    seven = figures.figure_7(fewer)
    assert "for DUT [stand-in: synthetic scenes ‘clutter’]: MA-GANet-s" in seven.caption
    assert len(seven.figure.axes[1].lines) == 5  # Shi's: two baselines and three runs
    assert len(seven.figure.axes[5].lines) == 4  # DUT lost one
    assert len(figures.training_curves(fewer).figure.axes) == 8  # seven runs, one empty panel


def test_training_curves_of_several_seeds_share_a_panel(breakable):
    second = breakable.listed["magan-dut"] | {"seed": 2}
    shutil.copytree(breakable.runs / "magan-dut", breakable.runs / "magan-dut-s2")
    both = dataclasses.replace(breakable, listed=breakable.listed | {"magan-dut-s2": second})
    one, two = figures.training_curves(breakable), figures.training_curves(both)
    assert len(two.figure.axes) == len(one.figure.axes)
    panels = [{axes.get_title(): axes for axes in drawing.figure.axes} for drawing in (one, two)]
    shared = panels[1]["magan-dut, 2 seeds"].lines
    assert len(shared) == 2 * len(panels[0]["magan-dut"].lines)
    assert [line.get_alpha() for line in shared] == [0.45] * (len(shared) // 2) + [None] * (len(shared) // 2)
    assert "another seed" in two.caption
    assert "another seed" not in one.caption


def test_a_set_without_runs_shows_baselines_and_dashes(results):
    only_dut = only(results, "manet-dut", "magan-dut")
    eight = figures.figure_8(only_dut)
    assert "that of MANet or, without a run of that, Laplacian threshold" in eight.caption
    assert "no such run was trained here: MA-GANet-s" in eight.caption
    dashes = [axes for axes in eight.figure.axes if not axes.images]
    assert len(dashes) == 2 * 3  # MANet and MA-GANet on three images of Shi's
    caption = figures.figure_7(only_dut).caption
    assert "for Shi's [stand-in: synthetic scenes ‘objects’]: MANet, MA-GANet and" in caption


def test_a_run_that_the_profile_lists_must_have_its_files(breakable):
    shutil.rmtree(breakable.scores / "magan-dut")
    with pytest.raises(MaganError, match=r"magan-dut.*curves\.csv"):
        figures.figure_7(breakable)
    shutil.rmtree(breakable.maps / "magan-dut")
    with pytest.raises(MaganError, match=r"magan-dut.*\.png"):
        figures.figure_9(breakable)
    shutil.rmtree(breakable.runs / "magan-dut")
    with pytest.raises(MaganError, match=r"magan-dut.*history\.csv"):
        figures.training_curves(breakable)


@pytest.mark.parametrize("name", sorted(set(figures.FIGURES) - {"training_curves"}))
def test_without_prepared_data_every_figure_says_what_is_missing(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaganError, match=r"(?s)demo.*(no such file|No such file|Run the stage)"):
        figures.FIGURES[name](Results.of("demo", fake_results.PARAMS))


@pytest.mark.parametrize("draw", [figures.figure_9, figures.figure_10, figures.training_curves])
def test_a_profile_without_runs_has_no_figure_of_them(draw, results):
    with pytest.raises(figures.Absent, match=r"this profile has n.* (run|MA-GANet)"):
        draw(only(results))


@pytest.mark.parametrize("name", [name for name in figures.FIGURES if name != "training_curves"])
def test_a_profile_without_masks_has_no_figure_of_them(name, results):
    pool = dataclasses.replace(results, listed={}, roles={"frd": results.roles["frd"]})
    with pytest.raises(figures.Absent, match=r"this profile has n(o|either)"):
        figures.FIGURES[name](pool)


@pytest.mark.parametrize("draw", [figures.figure_7, figures.figure_8])
def test_without_the_sets_of_the_paper_the_judging_one_is_shown(draw, breakable):
    for folder in (breakable.prepared, *breakable.maps.iterdir(), *breakable.scores.iterdir()):
        if (folder / "shi").exists():
            (folder / "shi").rename(folder / "zhao")
    sets = json.loads((breakable.prepared / "sets.json").read_text(encoding="utf-8"))
    (breakable.prepared / "sets.json").write_text(json.dumps({"zhao": sets["shi"]}), encoding="utf-8")
    runs = {name: run | {"set": "zhao"} for name, run in breakable.listed.items() if run["set"] == "shi"}
    alone = dataclasses.replace(breakable, listed=runs, roles={"zhao": breakable.roles["shi"]})
    drawing = draw(alone)
    assert {"MANet", "MA-GANet"} <= set(re.findall(r"[\w-]+", drawing.alt))
    assert any("Zhao's split" in text.get_text() for text in drawing.figure.findobj(Text))


def test_scores_of_an_image_that_is_not_in_the_test_set_are_refused(breakable):
    path = breakable.score("manet-dut", "dut", "per_image.csv")
    path.write_text(path.read_text(encoding="utf-8") + "stranger,0.5\n", encoding="utf-8")
    with pytest.raises(MaganError, match="stranger"):
        figures.figure_9(breakable)


def test_images_are_chosen_by_quantiles_of_the_error_of_manet(results):
    entries = photographs._picked(results, "dut", (0.0, 0.5, 1.0))
    scored = results.score("manet-dut", "dut", "per_image.csv").read_text(encoding="utf-8").splitlines()[1:]
    by_error = sorted((float(line.rsplit(",", 1)[1]), line.rsplit(",", 1)[0]) for line in scored)
    assert [entry["stem"] for entry in entries] == [by_error[place][1] for place in (0, 2, 4)]


def test_without_any_method_no_image_can_be_chosen(results):
    with pytest.raises(MaganError, match="no run and no baseline on DUT"):
        figures.figure_8(dataclasses.replace(only(results, "manet-shi"), others=()))


def test_a_small_test_set_shows_no_image_twice(results):
    assert len(photographs._picked(results, "dut", np.linspace(0, 1, 40))) == 5


@pytest.mark.parametrize(
    ("draw", "quantiles", "said"),
    [
        (figures.figure_8, (0.0, 0.5, 1.0), False),
        (figures.figure_8, (0.4, 0.5, 0.6, 0.7), True),
        (figures.figure_9, (0.0, 0.5, 1.0), False),
        (figures.figure_9, (0.4, 0.5, 0.6, 0.7), True),
    ],
)
def test_the_caption_says_when_fewer_images_than_quantiles_are_shown(draw, quantiles, said, results):
    drawing = draw(results, quantiles)
    assert ("one image at several of these quantiles" in drawing.caption) == said
    rows = len({round(axes.get_position().y0, 4) for axes in drawing.figure.axes})
    sets = 3 if draw is figures.figure_8 else 1
    assert (rows < sets * len(quantiles)) == said
    assert "  " not in drawing.caption


def test_the_legend_of_figure_10_covers_no_curve(results):
    figure = figures.figure_10(results).figure
    figure.draw_without_rendering()
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert axes.get_legend() is None
    assert legend.get_window_extent().y0 >= axes.get_window_extent().y1
    assert legend.get_window_extent().x0 >= 0
    assert legend.get_window_extent().x1 <= figure.bbox.x1


def test_the_box_is_where_the_laplacian_map_is_wrong(breakable):
    """A planted white patch on out-of-focus ground is found, to the pixel."""
    entry = breakable.test_images("dut")[3]
    planted = np.zeros((48, 64), np.uint8)
    planted[2:18, 40:61] = 255  # 16 x 21: a third of 48 x 64
    for other in breakable.test_images("dut"):
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(
            breakable.maps / f"laplacian/dut/{other['stem']}.png"
        )
    Image.fromarray(planted).save(breakable.maps / f"laplacian/dut/{entry['stem']}.png")
    wrong, *place = photographs._worst_rectangle(breakable, "dut", entry)
    assert place == [2, 40, 16, 21]
    truth = breakable.mask(entry)[2:18, 40:61]
    assert wrong == pytest.approx((truth == 0).mean())
    drawing = figures.figure_1(breakable)
    assert entry["stem"] in drawing.caption
    assert drawing.figure.axes[1].patches[0].get_bbox().bounds == (40, 2, 21, 16)


@given(
    arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0, 1)), st.data()
)
def test_the_rectangle_of_the_largest_mean(values, data):
    height, width = (data.draw(st.integers(1, side)) for side in values.shape)
    means = {
        (top, left): values[top : top + height, left : left + width].mean()
        for top in range(values.shape[0] - height + 1)
        for left in range(values.shape[1] - width + 1)
    }
    mean, *place = largest_mean(values, height, width)
    assert mean == pytest.approx(max(means.values()))
    assert means[tuple(place)] == pytest.approx(mean)


@given(arrays(np.int64, (3, 2, 256), elements=st.integers(0, 1), fill=st.just(0)))
def test_precision_recall_curves_are_pale_where_images_have_no_positive_pixel(statistics):
    statistics[:, 0, 200] = 1  # every image has a pixel
    lowest = [min(value for value in range(256) if one[:, value].any()) for one in statistics]
    expected = [np.mean([100 * (255 - value) < 255 * k for value in lowest]) for k in range(101)]
    assert figures._without_positive(statistics, 101).tolist() == pytest.approx(expected)


def test_figure_10_says_what_the_adversarial_loss_does_over_photographs_or_over_seeds(results, breakable):
    assert re.search(r"MA-GANet minus MANet: \S+% \(.* p ", figures.figure_10(results).caption)
    listed = dict(breakable.listed)
    for variant, seed in (("manet", 2), ("magan", 3), ("magan", 2)):
        name = f"{variant}-dut-s{seed}"
        listed[name] = listed[f"{variant}-dut"] | {"seed": seed}
        shutil.copytree(breakable.scores / f"{variant}-dut", breakable.scores / name)
    halves = np.zeros((5, 2, 256), int)
    halves[:, 0, 0] = halves[:, 1, 128] = 100
    np.save(breakable.scores / "magan-dut-s2/dut/statistics.npy", halves)  # half of the pixels undecided
    breakable = dataclasses.replace(breakable, listed=listed)
    drawing = figures.figure_10(breakable)
    shares = {
        run: figures.behaviour.undecided(breakable.statistics(run, "dut")).mean()
        for run in listed
        if run[:5] in ("manet", "magan") and "-dut" in run
    }
    expected = (
        shares["magan-dut"] - shares["manet-dut"] + shares["magan-dut-s2"] - shares["manet-dut-s2"]
    ) / 2
    assert (
        f"MA-GANet minus MANet: {expected:+.1%}".replace("-", "−").replace("−GANet", "-GANet")
        in drawing.caption
    )
    assert "over 3 seeds" in drawing.caption
    assert "another seed" in drawing.caption
    assert len(drawing.figure.axes[0].lines) == 5
    for figure in (figures.figure_1, figures.figure_7, figures.figure_8, figures.figure_9):
        assert "several seeds: the first" in figure(breakable).caption
        assert "several seeds" not in figure(results).caption


@pytest.mark.parametrize("figure", [figures.figure_8, figures.figure_9])
def test_maps_have_their_error_in_the_corner(figure, results):
    drawing = figure(results)
    (stem,) = re.findall(r"\(here ([^,)]+)", drawing.caption)[:1]
    titles = [text.get_text().replace("\n", " ") for text in drawing.figure.texts]
    role = "shi" if figure is figures.figure_8 else "dut"
    (entry,) = [entry for entry in results.test_images(role) if entry["stem"] == stem]
    mask = results.mask(entry).astype(float)
    for variant in ("manet", "magan"):
        axes = drawing.figure.axes[titles.index(style.look(variant).label)]
        error = np.abs(results.map(f"{variant}-{role}", role, stem) - mask).mean() / 255
        assert [text.get_text() for text in axes.texts] == [f"{error:.3f}"]


def test_figure_1_says_which_networks_suppress_the_clutter(breakable):
    drawing = figures.figure_1(breakable)
    notes = [text.get_text() for text in drawing.figure.texts if "in the box" in text.get_text()]
    networks = dict(zip(("MANet", "MA-GANet", "MA-GANet-s"), notes[1:4], strict=True))
    suppressed = [name for name, note in networks.items() if float(note.split()[0]) < 0.5]
    assert suppressed
    assert f"Clutter suppressed, below one half: {listed(suppressed)}." in drawing.caption
    stem = re.search(r"test image ([^.]+)\.", drawing.caption)[1]
    Image.new("L", (64, 48), 255).save(breakable.maps / "manet-dut/dut" / f"{stem}.png")
    assert "Clutter taken for focus: MANet." in figures.figure_1(breakable).caption


def test_a_set_that_is_only_learnt_from_is_in_figure_5_alone(breakable):
    sets = breakable.sets | {"shi": breakable.sets["shi"] | {"test": 0}}
    (breakable.prepared / "sets.json").write_text(json.dumps(sets))
    (breakable.prepared / "shi/test.csv").unlink()
    del breakable.__dict__["sets"]
    assert "Shi's" in figures.figure_5(breakable).caption.split("No data")[0]
    assert len(figures.figure_7(breakable).figure.axes) == 2 * 4
    assert "no data for Shi's" in figures.figure_7(breakable).caption
    assert not breakable.tests("shi")


def test_figure_7_enlarges_the_networks_and_names_what_is_not_here(results):
    seven = figures.figure_7(results)
    near = seven.figure.axes[3]
    assert len(near.lines) == 3
    (f,) = read_columns(results.score("manet-shi", "shi", "curves.csv"), "f_beta")
    assert any(np.array_equal(line.get_ydata(), f) for line in near.lines)
    assert "12 panels" in seven.alt
    assert "not run here: ASVB, DBDF" in seven.caption
    assert "Last column" not in figures.figure_7(only(results)).caption


def test_focus_shares_count_training_and_test_masks(results):
    shares = figures._focus_shares(results, "dut")
    training = [fake_results.mask_of(index, 32, 32).mean() / 255 for index in range(4)]
    testing = [fake_results.mask_of(index, 48, 64).mean() / 255 for index in range(5)]
    assert shares == pytest.approx(training + testing)


def test_masks_that_a_network_drew_are_not_counted(breakable):
    """They lie behind the set's own."""
    before = figures._focus_shares(breakable, "dut")
    file = breakable.prepared / "dut/train_masks.npy"
    np.save(file, np.concatenate([np.load(file), np.full((3, 32, 32), 255, np.uint8)]))
    assert np.array_equal(figures._focus_shares(breakable, "dut"), before)


def test_a_set_that_fills_two_roles_is_counted_once_and_named_as_a_stand_in(results):
    params = copy.deepcopy(fake_results.PARAMS)
    params["sets"]["dut"] = {"same_as": "shi"}
    shared = Results.of("demo", params)
    assert shared.run("manet", "dut") == "manet-shi"
    assert shared.run("manet", "ctcug") == "manet-shi"
    assert shared.run("baseline", "dut") == "baseline-dut"
    assert shared.run("hl-ll", "dut") is None
    assert shared.data_name("dut") == "DUT [stand-in: synthetic scenes ‘objects’, Shi's]"
    assert "DUT [" not in figures.figure_5(shared).caption
    assert "No data of their own in this profile: " in figures.figure_5(shared).caption


def test_ctcug_is_shown_with_the_runs_of_dut(results):
    assert results.run("manet", "ctcug") == "manet-dut"


def test_an_unknown_role_gets_the_nearest_name(results):
    with pytest.raises(MaganError, match="did you mean 'ctcug'"):
        results.run("manet", "ctcu")


def test_one_colour_a_method_and_no_two_the_same():
    looks = [(one.color, one.line) for one in style.LOOKS.values()]
    assert len(set(looks)) == len(looks)
    assert style.look("somebody-else") == style.look("somebody-else")
    assert style.look("somebody-else").label == "somebody-else"


# Machado, Oliveira and Fernandes (2009), severity 1.0, on linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def lab_of(color: str, blindness: str) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as somebody with this colour vision sees it."""
    srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.asarray(BLINDNESS[blindness]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    ratio = to_xyz @ seen / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("blindness", BLINDNESS)
def test_methods_stay_apart_for_every_colour_vision(blindness):
    """A difference of 10 is plain at a glance; methods that share a line style need it."""
    solid = [style.look(method) for method in figures.OURS.values()]
    pairs = [(one, two) for one in solid for two in solid if one < two]
    pairs.append((style.Look("", style.FOCUS_COLOR), style.Look("", style.BLUR_COLOR)))
    for one, two in pairs:
        difference = lab_of(one.color, blindness) - lab_of(two.color, blindness)
        assert np.linalg.norm(difference) > 10, (one.label, two.label)


@given(st.text(st.sampled_from("abAB+ "), max_size=30))
def test_titles_are_broken_without_losing_a_letter(title):
    lines = broken(title).split("\n")
    assert len(lines) <= 2
    assert "".join(lines).replace(" ", "") == title.replace(" ", "")


@pytest.mark.parametrize(
    ("words", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_of_words(words, text):
    assert listed(words) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [("a,b\n1,x\n", "not a number"), ("a\n1\n", "no column 'b'"), ("a,b\n", "no rows"), ("", "no rows")],
)
def test_broken_score_files_are_named(content, message, tmp_path):
    path: Path = tmp_path / "curves.csv"
    path.write_text(content)
    with pytest.raises(MaganError, match=message) as caught:
        read_columns(path, "a", "b")
    assert str(path) in str(caught.value)


def test_an_empty_cell_is_not_a_number_and_no_error(tmp_path):
    (tmp_path / "history.csv").write_text("step,adv\n1,\n2,0.5\n")
    _, adversarial = read_columns(tmp_path / "history.csv", "step", "adv")
    assert np.isnan(adversarial[0])
    assert adversarial[1] == 0.5


def test_training_curves_are_means_over_a_twentieth():
    values = np.full(100, 1e-9)
    values[50] = 1.0
    smooth = figures._smooth(values)
    assert (smooth > 0.01).sum() == 5
    assert smooth.max() == pytest.approx(0.2)
