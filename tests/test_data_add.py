"""Taking in downloads: by the folders of their authors, or by content."""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magan_core import cli
from magan_core.data import polarity, sets
from magan_core.data.add import add_known, add_parts
from magan_core.data.catalogue import CATALOGUE, DataSet, Part
from magan_core.data.fetch import Wanted
from magan_core.data.polarity import check_polarity, contradicted
from magan_core.data.prepare import prepare
from magan_core.data.prepared import load_test
from magan_core.data.state import inspect
from magan_core.errors import MaganError
from magan_core.files import sha256

TWO_PARTS = DataSet(
    "invented", 5, "", "focus", "",
    parts=(Part("train", 3, ("a600",), ("a600-gt",)), Part("test", 2, ("a500",), ("a500-gt",))),
)  # fmt: skip
NO_MASKS = DataSet("invented", 4, "", None, "", parts=(Part("unlabelled", 4, ("images", "image")),))


def photographs(folder: Path, count: int, masks: Path | None = None, suffix: str = ".bmp") -> None:
    """Noise on the left half, grey on the right; in the masks white is the left half."""
    rng = np.random.default_rng(count)
    for number in range(1, count + 1):
        photo = np.full((30, 40, 3), 128, np.uint8)
        photo[:, :20] = rng.integers(0, 256, (30, 20, 3))
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / f"{number}{suffix}")
        if masks:
            masks.mkdir(parents=True, exist_ok=True)
            mask = np.zeros((30, 40), np.uint8)
            mask[:, :20] = 255
            Image.fromarray(mask).save(masks / f"{number}.bmp")


@pytest.fixture
def download(tmp_path):
    top = tmp_path / "download/un packed"
    photographs(top / "train/A600", 3, top / "train/a600-gt")
    photographs(top / "test/a500", 2, top / "test/a500-gt")
    (top / "readme.txt").write_text("hello")
    return tmp_path / "download"


def add(data_set, download, folder, **options):
    return add_parts(data_set, download, folder, **options)


def test_what_a_mac_leaves_in_an_archive_is_passed_over(download, tmp_path):
    shadow = tmp_path / "download/un packed/__MACOSX/test/a500"
    shadow.mkdir(parents=True)
    (shadow / "._1.bmp").touch()
    assert add(TWO_PARTS, download, tmp_path / "raw/own") == {"train": 3, "test": 2}


def test_parts_become_one_set_with_splits_that_prepare_reads(download, tmp_path):
    assert add(TWO_PARTS, download, tmp_path / "raw/own") == {"train": 3, "test": 2}
    assert inspect("own", tmp_path / "raw/own", tmp_path).intact
    assert [path.name for path in (tmp_path / "raw").iterdir()] == ["own"]
    entry = {"source": "own", "white": "focus", "train_split": "train.txt", "test_split": "test.txt"}
    profile = {"training_size": 32, "seed": 1, "sets": {"dut": entry}}
    prepare(profile, tmp_path / "raw", tmp_path / "out", progress=False)
    learnt = (tmp_path / "out/dut/train.csv").read_text(encoding="utf-8")
    assert learnt.split() == ["stem", "train-1", "train-2", "train-3"]
    tested = load_test(tmp_path / "out/dut")
    assert [record["stem"] for record in tested] == ["test-1", "test-2"]
    original = download / "un packed/test/a500/1.bmp"
    assert tested[0]["image"].read_bytes() == original.read_bytes()
    photographs = tmp_path / "raw/own/images"
    (photographs / "train-2.bmp").write_bytes((photographs / "train-1.bmp").read_bytes())
    with pytest.raises(MaganError, match=r"train-2\.bmp is not the file that the manifest .* describes"):
        prepare(profile, tmp_path / "raw", tmp_path / "out", progress=False)


def test_a_set_without_masks(tmp_path):
    photographs(tmp_path / "FocusBox/Image", 4, suffix=".jpg")
    assert add(NO_MASKS, tmp_path / "FocusBox", tmp_path / "raw/frd") == {"unlabelled": 4}
    assert inspect("frd", tmp_path / "raw/frd", tmp_path).whole == 4
    assert not (tmp_path / "raw/frd/masks").exists()
    assert add(NO_MASKS, tmp_path / "FocusBox/Image", tmp_path / "raw/again") == {"unlabelled": 4}


def remove(path):
    def change(top):
        (top / path).unlink()

    return change


def damage(top):
    (top / "test/a500/2.bmp").write_bytes(b"BM")


def smaller(top):
    Image.new("L", (20, 15)).save(top / "test/a500-gt/2.bmp")


def twice(top):
    photographs(top / "again/a500", 2)


def renamed(top):
    (top / "test/a500-gt").rename(top / "test/masks of a500")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("train/A600/2.bmp"), "2.bmp has no photograph of the same stem"),
        (remove("test/a500-gt/1.bmp"), "1.bmp has no mask of the same stem"),
        (damage, "2.bmp: "),
        (smaller, "give them the same size"),
        (twice, "2 folders .* named a500; expected one"),
        (renamed, "no folder below .* named a500-gt; expected one"),
    ],
)
def test_what_is_wrong_with_a_download_is_named_and_nothing_is_left(download, tmp_path, change, message):
    change(download / "un packed")
    with pytest.raises(MaganError, match=message):
        add(TWO_PARTS, download, tmp_path / "raw/own")
    assert not list((tmp_path / "raw").iterdir())


def test_a_photograph_that_cannot_be_read_is_named(download, tmp_path, monkeypatch):
    blocked = sorted(download.rglob("*.bmp"))[0]
    real = Path.open

    def opened(path, *arguments, **options):
        if path == blocked:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(MaganError, match=rf"cannot read .*{blocked.name}: Permission denied"):
        add(TWO_PARTS, download, tmp_path / "raw/own")
    assert not any((tmp_path / "raw").iterdir())


def test_another_number_of_photographs_has_to_be_meant(download, tmp_path):
    for folder in ("A600", "a600-gt"):
        (download / "un packed/train" / folder / "3.bmp").unlink()
    with pytest.raises(MaganError, match=r"holds 2 photographs; expected 3: .* --partial"):
        add(TWO_PARTS, download, tmp_path / "own")
    assert add(TWO_PARTS, download, tmp_path / "own", partial=True) == {"train": 2, "test": 2}


def test_masks_of_the_other_polarity_are_refused(download, tmp_path):
    with pytest.raises(MaganError, match=r"white should be blur .* 5 of 5 photographs .* --white focus"):
        add(TWO_PARTS, download, tmp_path / "own", white="blur")
    assert not (tmp_path / "own").exists()
    for folder in ("A600", "a600-gt"):
        for number in (2, 3):
            (download / "un packed/train" / folder / f"{number}.bmp").unlink()
    assert add(TWO_PARTS, download, tmp_path / "own", white="blur", partial=True), "three tell too little"


def test_a_set_that_is_there_is_not_overwritten(download, tmp_path):
    add(TWO_PARTS, download, tmp_path / "own")
    before = sha256(tmp_path / "own/manifest.csv")
    with pytest.raises(MaganError, match="own is there already"):
        add(TWO_PARTS, download, tmp_path / "own")
    assert sha256(tmp_path / "own/manifest.csv") == before


def test_a_download_that_was_unpacked_where_the_set_is_to_lie(download, tmp_path):
    folder = tmp_path / "raw/own"
    (tmp_path / "raw").mkdir()
    (download / "un packed").rename(folder)
    assert not inspect("own", folder, tmp_path).here
    with pytest.raises(MaganError, match="own, where the set is to lie, is there and no set yet: move what"):
        add(TWO_PARTS, folder, folder)
    assert (folder / "train/A600/1.bmp").exists()


def test_a_set_that_is_divided_by_share_must_be_whole(download, tmp_path):
    add(TWO_PARTS, download, tmp_path / "raw/own")
    entry = {"source": "own", "white": "focus", "train_share": 0.5}
    profile = {"training_size": 32, "seed": 1, "sets": {"dut": entry}}
    found = prepare(profile, tmp_path / "raw", tmp_path / "out", progress=False)
    assert found["dut"]["train"] + found["dut"]["test"] == 5
    for kind in ("images", "masks"):
        (tmp_path / "raw/own" / kind / "train-2.bmp").unlink()
    with pytest.raises(MaganError, match=r"images lacks 1 of the 5 photographs .* \(first: train-2\)"):
        prepare(profile, tmp_path / "raw", tmp_path / "out", progress=False)


def known(download):
    """As the list of a set in Git: other folders and names than in the download."""
    originals = {"images/x.bmp": "train/A600/1.bmp", "masks/x.png": "train/a600-gt/1.bmp"}
    top = download / "un packed"
    return [Wanted(file, "", sha256(top / original)) for file, original in originals.items()]


def test_a_known_set_is_found_by_content(download, tmp_path):
    assert add_known(known(download), download, tmp_path / "own") == 2
    names = {str(path.relative_to(tmp_path / "own")) for path in (tmp_path / "own").rglob("*.*")}
    assert names == {"images/x.bmp", "masks/x.png"}


def test_a_known_set_that_is_not_all_there(download, tmp_path):
    files = [*known(download), Wanted("images/y.bmp", "", "0" * 64)]
    with pytest.raises(MaganError, match=r"1 of 3 files are nowhere below .* \(first: images/y\.bmp\)"):
        add_known(files, download, tmp_path / "own")
    with pytest.raises(MaganError, match="no such folder"):
        add_known(files, tmp_path / "elsewhere", tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_masks_contradict_the_white_that_they_do_not_have(download):
    top = download / "un packed/train"

    def found(white):
        return contradicted(sets.pairs(top, white, "A600", "a600-gt"))

    assert (found("focus"), found("blur")) == (None, (3, 3))
    for file in (top / "a600-gt").iterdir():
        mask = Image.open(file).convert("L").point(lambda value: 255 - value)
        mask.save(file)
    assert (found("focus"), found("blur")) == ((3, 3), None)


@pytest.mark.parametrize(
    ("signs", "refused"),
    [((1, 1, 1, -1), False), ((1, 1, 1, 0), False), ((1, 1, 1, 1), True), ((1, 1, 1), False)],
)
def test_three_of_four_photographs_are_no_proof_nor_are_three_in_all(monkeypatch, signs, refused):
    monkeypatch.setattr(polarity, "_sharper", lambda record: record["sign"])
    records = [{"white": "blur", "sign": sign} for sign in signs]
    message = (
        "^blur, it says, but in 4 of 4 photographs it looks as if it were focus: look .* If it is, say so$"
    )
    with pytest.raises(MaganError, match=message) if refused else contextlib.nullcontext():
        check_polarity(records, "blur, it says", "say so")


@pytest.mark.parametrize("name", ["cuhk", "szu-bd"])
def test_polarity_of_the_real_sets(name):
    real = Path(os.environ.get("MAGAN_DATA", "")) / name
    if not os.environ.get("MAGAN_DATA") or not real.is_dir():
        pytest.skip(f"MAGAN_DATA names no folder with the data set {name}")
    white = CATALOGUE[name].white
    assert contradicted(sets.pairs(real, white)) is None
    against, looked_at = contradicted(sets.pairs(real, "focus" if white == "blur" else "blur"))
    assert looked_at >= 100
    assert against > 0.95 * looked_at


def test_command_takes_in_a_download(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path / "raw"))
    photographs(tmp_path / "CTCUG/image", 2, tmp_path / "CTCUG/gt")
    cli.main(["data", "add", "ctcug", str(tmp_path / "CTCUG"), "--partial", "--white", "focus"])
    assert "2 test photographs" in capsys.readouterr().out
    assert inspect("ctcug", tmp_path / "raw/ctcug").intact
    cli.main(["data", "list"])
    assert "150 photographs with masks (white = in focus)" in capsys.readouterr().out
    photographs(tmp_path / "raw/dut/dut600-source", 1)  # unpacked where the set is to lie
    cli.main(["data", "leaks", "ctcug/", "ctcug", "--masks"])
    told = capsys.readouterr().out
    assert "1 (test.txt)  1 (test.txt)  masks differ in 0.00 %" in told
    with pytest.raises(SystemExit):
        cli.main(["data", "add", "ctcug", str(tmp_path / "CTCUG"), "--partial"])
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frd", "--white", "focus"], "frd has no masks"),
        (["cuhk", "--white", "focus"], "the manifest says what cuhk is"),
        (["szu-bd", "--partial"], "the manifest says what szu-bd is"),
        (["duts"], "unknown data set 'duts'; did you mean 'dut'"),
        (["garden"], "A set of your own needs no command"),
    ],
)
def test_command_refuses_what_makes_no_sense(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path / "raw"))
    with pytest.raises(SystemExit):
        cli.main(["data", "add", *arguments[:1], str(tmp_path), *arguments[1:]])
    assert message in capsys.readouterr().err
