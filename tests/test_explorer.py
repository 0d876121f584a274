"""The attention explorer on runs trained for a second: choices, errors, and the widgets called directly."""

import json

import matplotlib.pyplot as plt
import pytest
import torch
from PIL import Image
from tiny import PROFILE, RUN, prepared, scenes

from magan_core import paths
from magan_core.errors import MaganError
from magan_core.files import write_text
from magan_core.reporting import style
from magan_core.reporting.explorer import PICTURES, Choice, Explorer
from magan_core.reporting.widgets import Panel
from magan_core.training.run import train_run

PLAIN = {key: value for key, value in RUN.items() if key not in ("receptive_field", "unlabelled")}
PLAIN |= {"loss": {"ce": 1.0, "iou": 1.0, "adv": 0.0}}
RUNS = {
    "magan-shi": {key: value for key, value in RUN.items() if key != "unlabelled"} | {"variant": "magan"},
    "hl-ll-hca-shi": PLAIN | {"variant": "hl-ll-hca", "parts": ["HL", "LL", "HCA"]},
    "hl-ll-sa-shi": PLAIN | {"variant": "hl-ll-sa", "parts": ["HL", "LL", "SA"]},
    "baseline-shi": PLAIN | {"variant": "baseline", "parts": ["HL"]},
    "manet-shi": PLAIN | {"variant": "manet"},  # not trained
}
PARAMS = PROFILE | {"runs": RUNS, "sets": {"shi": {"source": "own"}}}
MAGAN = Choice("magan-shi", x=0.25)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with prepared data of two test photographs and all runs but the last trained."""
    root = tmp_path_factory.mktemp("a project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        data = prepared(paths.prepared("tiny"))
        rows = ["stem,image,mask,white"]
        for number, (photo, mask) in enumerate(zip(*scenes(2, 40, seed=5), strict=True)):
            files = [f"{kind}{number}.png" for kind in ("image", "mask")]
            for file, picture in zip(files, (photo, mask), strict=True):
                Image.fromarray(picture[:, :30]).save(data / file)
            rows.append(",".join([f"test{number}", *files, "focus"]))
        write_text(data / "shi/test.csv", "\n".join(rows) + "\n")
        for name in list(RUNS)[:-1]:
            train_run(
                RUNS[name],
                PARAMS,
                labelled=data / "shi",
                unlabelled=None,
                weights_folder=root,
                out=paths.runs("tiny") / name,
                device=torch.device("cpu"),
                progress=False,
            )
    return root


@pytest.fixture
def explorer(project, monkeypatch):
    monkeypatch.chdir(project)
    return Explorer("tiny", PARAMS)


def test_runs_are_those_that_are_trained_and_have_attention(explorer):
    assert explorer.runs() == ["magan-shi", "hl-ll-hca-shi", "hl-ll-sa-shi"]


@pytest.mark.parametrize(
    ("run", "missing"),
    [
        ("magan-shi", set()),
        ("hl-ll-hca-shi", {"spatial", "patches"}),
        ("hl-ll-sa-shi", set(PICTURES) - {"spatial"}),
    ],
)
def test_a_run_has_the_pictures_of_its_parts(explorer, run, missing):
    assert explorer.pictures(Choice(run)) == [name for name in PICTURES if name not in missing]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"run": "magan-sh"}, "did you mean 'magan-shi'"),
        ({"run": "baseline-shi"}, "unknown run with attention"),
        ({"run": "manet-shi"}, r"there is no file .*manet-shi.model\.safetensors"),
        ({"image": 2}, r"image 2 is not there: magan-shi has 2 test photographs\. Choose 0 to 1"),
        ({"image": -1}, "image -1 is not there"),
        ({"channel": 99}, "channel 99 is not there: the high features of magan-shi have 80"),
        ({"channel": -2}, "channel -2 is not there"),
        ({"features": "hihg"}, "did you mean 'high'"),
        ({"run": "hl-ll-hca-shi", "features": "low"}, "unknown group of features with attention"),
        ({"run": "hl-ll-sa-shi"}, "unknown picture of hl-ll-sa-shi"),
        ({"x": 1.01}, r"x is 1\.01; it must be a share of the picture"),
    ],
)
def test_a_choice_that_is_not_there(explorer, changed, message):
    with pytest.raises(MaganError, match=message):
        explorer.draw("channel", MAGAN._replace(**changed))


def test_the_corners_of_the_picture_are_in_it(explorer):
    for x, y, told in (
        (0.0, 0.0, "column 0, row 0"),
        (1.0, 1.0, "column 31, row 31"),
        (0.25, 0.75, "column 8, row 24"),
    ):
        assert told in explorer.draw("pixel", MAGAN._replace(x=x, y=y)).caption


def test_a_run_without_its_discriminator_or_with_an_old_history_is_an_error(explorer):
    folder = paths.runs("tiny") / "magan-shi"
    kept = (folder / "discriminator.safetensors").read_bytes(), (folder / "history.csv").read_text()
    try:
        (folder / "discriminator.safetensors").unlink()
        with pytest.raises(MaganError, match=r"there is no file .*magan-shi.discriminator\.safetensors"):
            explorer.pictures(MAGAN)
        (folder / "discriminator.safetensors").write_bytes(kept[0])
        (folder / "history.csv").write_text("step,ce\n1,0.5\n")
        with pytest.raises(MaganError, match=r"history\.csv has no column 'alpha_hca'"):
            explorer.draw("alphas", MAGAN)
    finally:
        (folder / "discriminator.safetensors").write_bytes(kept[0])
        (folder / "history.csv").write_text(kept[1])


# ---- the widgets ----


def shown(panel):
    """The picture as it is on the screen."""
    return bytes(panel.shown.value)


def test_another_choice_gives_another_picture_and_the_same_choice_the_same_bytes(explorer):
    panel = Panel(explorer, MAGAN)
    first = shown(panel)
    assert first == style.encoded(explorer.draw("spatial", panel.choice()), "png")
    seen = {first}
    for control, value in ((panel.x, 0.8), (panel.image, 1), (panel.picture, "channel"), (panel.channel, 3)):
        control.value = value
        assert shown(panel).startswith(b"\x89PNG")
        assert shown(panel) not in seen
        seen.add(shown(panel))
    assert panel.choice() == Choice("magan-shi", 1, "high", 3, 0.8, 0.5)
    for control, value in ((panel.picture, "spatial"), (panel.image, 0), (panel.x, 0.25)):
        control.value = value
    assert shown(panel) == first
    assert plt.get_fignums() == []


def test_controls_follow_the_run(explorer):
    panel = Panel(explorer, MAGAN)
    panel.features.value = "low"
    low = len(explorer.inside(MAGAN).groups["low"].levels)
    assert (panel.channel.max, panel.channel.disabled) == (low - 1, False)
    panel.picture.value = "patches"
    panel.run.value = "hl-ll-hca-shi"
    assert panel.picture.value == "matrices"
    assert (panel.features.options, panel.features.value) == (("high",), "high")
    assert panel.channel.value == explorer.channel(Choice("hl-ll-hca-shi"))
    panel.run.value = "hl-ll-sa-shi"
    assert [name for _, name in panel.picture.options] == ["spatial"]
    assert panel.channel.disabled
    assert shown(panel).startswith(b"\x89PNG")
    panel.run.value = "magan-shi"
    assert panel.features.options == ("high", "low")


def test_an_error_takes_the_place_of_the_picture(explorer, monkeypatch):
    panel = Panel(explorer, MAGAN)

    def broken(*args):
        raise MaganError("the file <x> is gone")

    with monkeypatch.context() as patch:
        patch.setattr(explorer, "draw", broken)
        panel.image.value = 1
    assert shown(panel) == b""
    assert "the file &lt;x&gt; is gone" in panel.words.value
    panel.image.value = 0
    assert shown(panel).startswith(b"\x89PNG")


def test_the_button_saves_what_is_shown(explorer):
    panel = Panel(explorer, Choice("hl-ll-sa-shi", image=1))
    panel.save.click()
    folder = paths.attention("tiny") / "hl-ll-sa-shi" / "test1"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"spatial-x16-y16.{kind}" for kind in ("json", "pdf", "png")
    ]
    assert (folder / "spatial-x16-y16.png").read_bytes() == shown(panel)
    assert "3 files in" in panel.words.value
    words = json.loads((folder / "spatial-x16-y16.json").read_text())
    assert words["caption"].startswith("Spatial attention")


def test_a_panel_needs_a_trained_run(explorer, tmp_path, monkeypatch):
    with pytest.raises(MaganError, match="unknown trained run with attention in profile tiny 'manet-shi'"):
        Panel(explorer, Choice("manet-shi"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaganError, match="make repro PROFILE=tiny"):
        Panel(explorer, MAGAN)
