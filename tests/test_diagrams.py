"""The diagrams show the sizes that the networks have."""

import pytest
import torch

from magan_core.errors import MaganError
from magan_core.models import build_generator
from magan_core.reporting import diagrams, style

SETTINGS = {
    "backbone": "slim_vgg",
    "width": 0.125,
    "head_channels": 24,
    "head_norm": True,
    "dilation": 2,
    "dropout": 0.1,
    "energy": "mean",
    "axis": "sources",
}
DISCRIMINATOR = {"receptive_field": 70, "channels": 8}
DRAWINGS = {
    "figure_2": lambda settings: diagrams.figure_2(settings, 64),
    "figure_3": lambda settings: diagrams.figure_3(settings, 64),
    "figure_4": lambda settings: diagrams.figure_4(settings, 64),
    "figure_6": lambda settings: diagrams.figure_6(settings, DISCRIMINATOR, 64, "minimax"),
}


def texts(drawing: style.Drawing) -> list[str]:
    return [text.get_text() for text in drawing.figure.axes[0].texts]


def test_sizes_of_the_slim_network():
    """VGG-16's channels over eight, strides 1 to 16, groups by section III-A."""
    found = diagrams.generator_sizes(SETTINGS, 64)
    channels = (8, 16, 32, 64, 64)
    for level, count in enumerate(channels, 1):
        side = 64 // 2 ** (level - 1)
        assert found[f"level{level}"] == (count, side, side)
    assert found["low"] == (8 + 16, 64, 64)
    assert found["high"] == (32 + 64 + 64, 16, 16)
    assert found["hidden"] == (24, 16, 16)
    assert found["spatial"] == (1, 16, 16)
    assert found["high_head"] == (24, 16, 16)
    assert found["low_head"] == (24, 64, 64)
    assert found["fused"] == (48, 64, 64)
    assert found["map"] == (1, 64, 64)


def test_the_map_has_the_size_that_the_network_gives_without_hooks():
    output = build_generator(SETTINGS).eval()(torch.zeros(1, 3, 48, 48))
    assert diagrams.generator_sizes(SETTINGS, 48)["map"] == tuple(output.shape[1:])


@pytest.mark.parametrize(("field", "sides"), [(70, [32, 16, 8, 7, 6]), (1, [64, 64, 64]), (16, [32, 31, 30])])
def test_sizes_of_the_discriminator(field, sides):
    layers = diagrams.discriminator_layers({"receptive_field": field, "channels": 8}, 64)
    assert [out[1] for _, out in layers] == sides
    assert layers[-1][1][0] == 1


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_diagram_is_written_in_both_formats_with_the_same_bytes_twice(name, tmp_path):
    once = style.save(DRAWINGS[name](SETTINGS), tmp_path / "once", name)
    twice = style.save(DRAWINGS[name](SETTINGS), tmp_path / "twice", name)
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in twice]
    assert [path.suffix for path in once] == [".png", ".pdf", ".json"]


@pytest.mark.parametrize("name", DRAWINGS)
def test_all_text_lies_inside_the_figure(name):
    drawing = DRAWINGS[name](SETTINGS)
    edge = drawing.figure.bbox
    for text in drawing.figure.axes[0].texts:
        box = text.get_window_extent()
        assert edge.x0 <= box.x0, text.get_text()
        assert box.x1 <= edge.x1, text.get_text()
        assert edge.y0 <= box.y0, text.get_text()
        assert box.y1 <= edge.y1, text.get_text()


@pytest.mark.parametrize("name", DRAWINGS)
def test_no_text_runs_over_another(name):
    drawing = DRAWINGS[name](SETTINGS)
    boxes = [
        (text.get_text(), text.get_window_extent().shrunk(0.9, 0.6)) for text in drawing.figure.axes[0].texts
    ]
    for i, (one, first) in enumerate(boxes):
        for two, second in boxes[i + 1 :]:
            assert not first.overlaps(second), (one, two)


def test_other_settings_change_what_is_drawn():
    assert "160×16×16" in texts(diagrams.figure_2(SETTINGS, 64))
    assert "80×16×16" in texts(diagrams.figure_2(SETTINGS | {"width": 0.0625}, 64))
    assert "divided by N" in diagrams.figure_3(SETTINGS, 64).caption
    assert "as printed" in diagrams.figure_3(SETTINGS | {"energy": "raw"}, 64).caption
    assert "batch norm" not in texts(diagrams.figure_2(SETTINGS | {"head_norm": False}, 64))
    assert "batch norm" in texts(diagrams.figure_2(SETTINGS | {"head_norm": True}, 64))
    printed = diagrams.figure_3(SETTINGS | {"energy": "raw", "axis": "printed"}, 64)
    assert "not its Eq. 1" not in printed.caption
    assert "not its Eq. 1" in diagrams.figure_3(SETTINGS | {"axis": "sources"}, 64).caption
    assert "−log D" in diagrams.figure_6(SETTINGS, DISCRIMINATOR, 64, "non_saturating").caption
    assert "−log D" not in diagrams.figure_6(SETTINGS, DISCRIMINATOR, 64, "minimax").caption
    assert any("rate 3" in text for text in texts(diagrams.figure_4(SETTINGS | {"dilation": 3}, 64)))


def test_photographs_too_small_for_the_network_are_refused():
    with pytest.raises(MaganError, match="8×8 pixels"):
        diagrams.generator_sizes(SETTINGS, 8)
