"""Whether a set is here: what `magan data list` and `verify` say."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magan_core import cli
from magan_core.data.catalogue import CATALOGUE
from magan_core.data.manifest import write_manifest
from magan_core.data.state import inspect
from magan_core.errors import MaganError


@pytest.fixture
def own(tmp_path):
    """raw/cuhk of two pairs, and manifests/ that describe it."""
    for part in ("images", "masks"):
        (tmp_path / "raw/cuhk" / part).mkdir(parents=True)
    for number, stem in enumerate(("a", "grün")):
        half = np.zeros((8, 10), np.uint8)
        half[:, : 4 + number] = 255
        Image.fromarray(half).save(tmp_path / f"raw/cuhk/images/{stem}.png")
        Image.fromarray(half).save(tmp_path / f"raw/cuhk/masks/{stem}.png")
    (tmp_path / "manifests").mkdir()
    write_manifest(tmp_path / "raw/cuhk", tmp_path / "manifests/cuhk.csv")
    return tmp_path


def nothing(folder):
    (folder / "images/.DS_Store").touch()


def one_missing(folder):
    (folder / "masks/a.png").unlink()


def no_masks(folder):
    (folder / "masks").rename(folder / "maskes")


def one_changed(folder):
    with open(folder / "images/a.png", "ab") as file:
        file.write(b"\0")


def one_more(folder):
    (folder / "images/b.png").touch()


def another_suffix(folder):
    (folder / "images/a.jpg").write_bytes((folder / "images/a.png").read_bytes())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (nothing, "here and intact, 4 files"),
        (one_missing, "here, but 1 missing (first: masks/a)"),
        (no_masks, "here, but 2 missing (first: masks/a)"),
        (one_changed, "here, but 1 changed (first: images/a.png)"),
        (one_more, "here, but 1 not of the set (first: images/b.png)"),
        (another_suffix, "here, but 1 not of the set (first: images/a.png)"),
    ],
)
def test_state_in_words(own, change, message):
    change(own / "raw/cuhk")
    state = inspect("cuhk", own / "raw/cuhk", own / "manifests")
    assert str(state) == message
    assert state.intact == (change is nothing)


def test_a_set_that_is_not_here_and_one_without_a_manifest(own):
    assert str(inspect("cuhk", own / "raw/dut", own / "manifests")) == "not here"
    state = inspect("mine", own / "raw/cuhk", own / "manifests")
    assert state.intact is None
    assert "no manifest" in str(state)
    (own / "manifests/cuhk.csv").write_text("a,b\n1,2\n")
    with pytest.raises(MaganError, match=r"cuhk\.csv: not a manifest"):
        inspect("cuhk", own / "raw/cuhk", own / "manifests")


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'stem,image_sha256,mask_sha256\n"\r\0', None])
def test_a_manifest_that_cannot_be_read_is_named(own, content):
    path = own / "manifests/cuhk.csv"
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(MaganError, match=r"cuhk\.csv: not a manifest"):
        inspect("cuhk", own / "raw/cuhk", own / "manifests")


def test_how_to_get_a_set_is_said_only_while_it_is_wanting(own, monkeypatch, capsys):
    """CTCUG is here, with the manifest that adding it wrote."""
    monkeypatch.setenv("MAGAN_DATA", str(own / "raw"))
    ctcug = (own / "raw/cuhk").rename(own / "raw/ctcug")
    write_manifest(ctcug, ctcug / "manifest.csv")
    cli.main(["data", "list"])
    whole = entry(capsys.readouterr().out, "ctcug")
    assert f"here and intact, 4 files: 2 of {CATALOGUE['ctcug'].count} photographs" in whole
    assert "to get it" not in whole
    one_missing(ctcug)
    cli.main(["data", "list"])
    broken = entry(capsys.readouterr().out, "ctcug")
    assert f"to get it: download it, remove {ctcug}, then magan data add ctcug FOLDER" in broken


def test_a_file_too_many_is_not_got_rid_of_by_getting_the_set_again(own, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(own / "raw"))
    ctcug = (own / "raw/cuhk").rename(own / "raw/ctcug")
    write_manifest(ctcug, ctcug / "manifest.csv")
    one_more(ctcug)
    cli.main(["data", "list"])
    listed = entry(capsys.readouterr().out, "ctcug")
    assert "1 not of the set" in listed
    assert "to get it" not in listed


def entry(listed, name):
    """What `magan data list` says of one set."""
    return re.search(rf"^{name}: .*(?:\n    .*)*", listed, re.M)[0]


@pytest.mark.parametrize("name", [name for name, known in CATALOGUE.items() if known.parts])
def test_the_command_and_the_page_name_the_folders_that_are_looked_for(name, own, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(own / "none"))
    cli.main(["data", "list"])
    expects = entry(capsys.readouterr().out, name).split("expects in it ")[1].splitlines()[0]
    page = (Path(__file__).parent.parent / "data/README.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{name}` .*", page, re.M)[0]
    wanted = [folder for part in CATALOGUE[name].parts for folder in (*part.images, *part.masks)]
    assert re.split(", | or ", expects) == wanted
    assert re.findall(r"`([\w-]+)/`", row) == wanted


def test_commands(own, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(own / "none"))
    cli.main(["data", "list"])
    listed = capsys.readouterr().out
    for part in (
        "magan data fetch cuhk",
        "dut600-source",
        "FocusBox",
        "white = in focus",
        "licence",
        "not here",
    ):
        assert part in listed
    with pytest.raises(SystemExit):
        cli.main(["data", "verify"])
    assert "does not exist; see `magan data list`" in capsys.readouterr().err

    monkeypatch.setenv("MAGAN_DATA", str(own / "raw"))
    cli.main(["data", "list"])
    listed = capsys.readouterr().out
    assert "here, but 1408 missing" in listed.replace("4 not of the set", "")
    assert "to get it: magan data fetch cuhk" in listed
    with pytest.raises(SystemExit) as stop:
        cli.main(["data", "verify", "cuhk", "szu-bd"])
    assert stop.value.code == 1
    out, err = capsys.readouterr()
    assert "szu-bd: not here" in out
    assert "not verified: cuhk, szu-bd: `magan data list`" in err


def test_a_set_without_a_manifest_cannot_be_verified_until_one_is_written(tmp_path, capsys, monkeypatch):
    """Neither one of the catalogue nor one's own; the command that the message names mends it."""
    for name in ("dut", "garden"):
        for kind in ("images", "masks"):
            (tmp_path / name / kind).mkdir(parents=True)
            Image.new("L", (8, 8)).save(tmp_path / name / kind / "a.png")
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    cli.main(["data", "list"])
    assert (
        f"garden: a set of your own\n    {tmp_path / 'garden'}: here; no manifest" in capsys.readouterr().out
    )
    for name, part in (("dut", ": 1 of 1,100 photographs"), ("garden", "")):
        with pytest.raises(SystemExit):
            cli.main(["data", "verify", name])
        err = capsys.readouterr().err
        assert f"not verified: {name}: no manifest says what the files should be" in err
        words = re.search(r"`python (-m .*?)`", err)[1].split()
        subprocess.run([sys.executable, *words], check=True)
        cli.main(["data", "verify", name])
        assert capsys.readouterr().out == f"{name}: here and intact, 2 files{part}\n"
    (tmp_path / "garden/images/a.png").rename(tmp_path / "garden/images/b.png")
    with pytest.raises(SystemExit):
        cli.main(["data", "verify"])
    assert "not verified: garden: put back what is missing" in capsys.readouterr().err
    (tmp_path / "garden/images/a.png").write_bytes((tmp_path / "garden/images/b.png").read_bytes())
    with pytest.raises(SystemExit):
        cli.main(["data", "verify"])
    assert "not verified: garden: remove what is not of the set" in capsys.readouterr().err


def test_a_manifest_of_photographs_alone(tmp_path, capsys, monkeypatch):
    (tmp_path / "garden/images").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "garden/images/a.png")
    write_manifest(tmp_path / "garden", tmp_path / "garden/manifest.csv")
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    cli.main(["data", "verify", "garden"])
    assert capsys.readouterr().out == "garden: here and intact, 1 file\n"
