"""Print quality: widths, sizes of text, embedded fonts, and colours that everyone can tell apart."""

from itertools import combinations

import fake_results
import numpy as np
import pytest
import tiny
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from magan_core.classical import METHODS
from magan_core.reporting import diagrams, figures, style
from magan_core.reporting.sources import Results

DIAGRAMS = ("figure_2", "figure_3", "figure_4", "figure_6")
# Linear RGB as a person without long- or medium-wave cones sees it (Vienot, Brettel and Mollon 1999); grey.
VISIONS = {
    "usual": np.eye(3),
    "protanopia": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
    "deuteranopia": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    "grey": [[0.2126, 0.7152, 0.0722]] * 3,
}


def lab(color, vision):
    """CIE L*a*b* of a colour, as seen."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)])
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(np.array(VISIONS[vision]) @ linear, 0, 1) / [0.9505, 1, 1.089]
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Every figure of an invented profile by name."""
    folder = tmp_path_factory.mktemp("style")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fake_results.write_profile("demo", images=4)
        results = Results.of("demo", fake_results.PARAMS)
        found = {name: draw(results) for name, draw in figures.FIGURES.items()}
    found |= {name: getattr(diagrams, name)(tiny.MODEL, 64) for name in ("figure_2", "figure_3", "figure_4")}
    judge = {"receptive_field": 70, "channels": 4}
    return found | {"figure_6": diagrams.figure_6(tiny.MODEL, judge, 64, "minimax")}


@pytest.mark.parametrize("name", [*figures.FIGURES, *DIAGRAMS])
def test_a_figure_is_as_wide_as_a_column_or_a_page_and_fits_on_one(name, drawn):
    width, height = drawn[name].figure.get_size_inches()
    assert round(width, 2) in (3.5, 7.16)
    assert height < 9.5


@pytest.mark.parametrize("name", [*figures.FIGURES, *DIAGRAMS])
def test_no_text_is_too_small_to_read_or_runs_out_of_the_figure(name, drawn):
    figure = drawn[name].figure
    figure.canvas.draw()
    limits = figure.bbox.padded(1)
    texts = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    assert texts
    axes = [axis for panel in figure.axes for axis in (panel.xaxis, panel.yaxis)]
    ticks = {axis: [*axis.get_major_ticks(), *axis.get_minor_ticks()] for axis in axes}
    low_high = {axis: sorted(axis.get_view_interval()) for axis in axes}
    unseen = {  # labels of ticks beyond the ends of an axis, which are not drawn
        tick.label1
        for axis in axes
        for tick in ticks[axis]
        if not low_high[axis][0] <= tick.get_loc() <= low_high[axis][1]
    }
    for text in texts:
        assert text.get_fontsize() >= 6, text.get_text()
        extent = text.get_window_extent()
        inside = limits.contains(*extent.min) and limits.contains(*extent.max)
        assert inside or text in unseen, text.get_text()


@pytest.mark.parametrize("name", ["figure_1", "figure_8", "figure_9"])
def test_column_titles_do_not_touch(name, drawn):
    figure = drawn[name].figure
    figure.canvas.draw()
    extents = [text.get_window_extent() for text in figure.texts if text.get_rotation() == 0]
    assert len(extents) > 5
    assert not any(one.overlaps(two) for one, two in combinations(extents, 2))


@pytest.mark.parametrize("name", [*figures.FIGURES, *DIAGRAMS])
def test_fonts_are_embedded_as_truetype(name, drawn, tmp_path):
    pdf = style.save(drawn[name], tmp_path, name)[1].read_bytes()
    assert pdf.count(b"/FontFile2") == pdf.count(b"/Subtype /Type0") > 0
    assert b"/Type3" not in pdf


@pytest.mark.parametrize("vision", VISIONS)
def test_curves_that_share_a_panel_differ_in_colour_or_in_dashes(vision):
    shown = {name: style.look(name) for name in (*figures.OURS.values(), "laplacian", "constant", *METHODS)}
    for (one, own), (two, other) in combinations(shown.items(), 2):
        apart = np.linalg.norm(lab(own.color, vision) - lab(other.color, vision))
        assert apart > 20 or own.line != other.line, f"{one} and {two}: {apart:.0f}"


@pytest.mark.parametrize("vision", VISIONS)
def test_the_two_classes_differ_in_colour(vision):
    focus, blur = (lab(color, vision) for color in (style.FOCUS_COLOR, style.BLUR_COLOR))
    assert np.linalg.norm(focus - blur) > 20


@pytest.mark.parametrize("name", ["manet", "magan", "magan-s", *METHODS])
def test_a_method_has_one_colour_in_every_figure(name):
    """The same name gives the same look, and no two names of the paper's tables share one."""
    assert style.look(name) is style.look(name)
    assert [known for known, look in style.LOOKS.items() if look[1:] == style.look(name)[1:]] == [name]


@pytest.mark.parametrize("name", ["Sobel", "Energy", "CPBD", "MLDBD"])
def test_a_method_of_ones_own_looks_like_none_of_ours(name):
    assert style.look(name)[1:] not in [look[1:] for look in style.LOOKS.values()]
