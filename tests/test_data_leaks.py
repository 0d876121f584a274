"""Photographs that two sets share are found by content, whatever was done to the file."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from magan_core import cli, metrics, params
from magan_core.data import leaks, sets
from magan_core.data.agreement import masks_as_maps
from magan_core.data.manifest import read_manifest
from magan_core.data.prepare import prepare
from magan_core.data.splits import by_rule, split_file
from magan_core.errors import MaganError

ROOT = Path(__file__).parents[1]
real = pytest.mark.skipif(
    not all((Path(os.environ.get("MAGAN_DATA", "/nowhere")) / name).is_dir() for name in ("cuhk", "szu-bd")),
    reason="MAGAN_DATA names no folder with the data sets cuhk and szu-bd",
)


def scene(seed: int) -> Image.Image:
    """Smooth blotches: thumbnails of different ones correlate little."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC)


@pytest.fixture
def scenes(tmp_path):
    """a/images: scenes 0 to 4; as records."""
    (tmp_path / "a/images").mkdir(parents=True)
    for seed in range(5):
        scene(seed).save(tmp_path / f"a/images/{seed}.png")
    return sets.photographs(tmp_path / "a")


COPIES = {
    "smaller": lambda picture: picture.resize((150, 113)),
    "brighter": lambda picture: picture.point(lambda value: value * 0.6 + 90),
    "mirrored": ImageOps.mirror,
    "grey": lambda picture: picture.convert("L"),
    "framed": lambda picture: ImageOps.expand(picture, 2, "white"),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_is_found_and_nothing_else(scenes, tmp_path, change):
    (tmp_path / "b/images").mkdir(parents=True)
    COPIES[change](scene(3)).save(tmp_path / "b/images/copy.jpg", quality=60)
    scene(9).save(tmp_path / "b/images/other.jpg")
    (found,) = leaks.between(scenes, sets.photographs(tmp_path / "b"))
    assert (found.a["stem"], found.b["stem"]) == ("3", "copy")
    assert 0.95 < found.correlation <= 1.0001


def test_a_photograph_turned_by_its_exif_entry_is_the_same_one(scenes, tmp_path):
    (tmp_path / "b/images").mkdir(parents=True)
    exif = Image.Exif()
    exif[274] = 6  # the viewer turns it a quarter clockwise
    scene(2).rotate(90, expand=True).save(tmp_path / "b/images/turned.jpg", exif=exif)
    assert [pair.a["stem"] for pair in leaks.between(scenes, sets.photographs(tmp_path / "b"))] == ["2"]


def test_within_a_set_no_photograph_is_its_own_copy(scenes, tmp_path):
    assert leaks.within(scenes) == []
    scene(1).save(tmp_path / "a/images/again.png")
    (found,) = leaks.within(sets.photographs(tmp_path / "a"))
    assert {found.a["stem"], found.b["stem"]} == {"1", "again"}


def test_correlations_are_pearsons(scenes):
    small = leaks.thumbnails(scenes)
    found = leaks.correlations(small, small)
    for i, record in enumerate(scenes):
        for j, other in enumerate(scenes):
            one, two = (
                np.asarray(Image.open(r["image"]).convert("L").resize((32, 32), Image.Resampling.BOX), float)
                for r in (record, other)
            )
            plain, mirrored = (
                np.corrcoef(x.ravel(), two.ravel())[0, 1] for x in (one, np.ascontiguousarray(one[:, ::-1]))
            )
            assert found[i, j] == pytest.approx(max(plain, mirrored), abs=1e-4)


def test_pictures_without_any_contrast_are_like_nothing(tmp_path):
    (tmp_path / "images").mkdir()
    for stem in "ab":
        Image.new("RGB", (50, 40), "grey").save(tmp_path / f"images/{stem}.png")
    assert leaks.within(sets.photographs(tmp_path)) == []


def test_a_photograph_that_cannot_be_read_is_named(scenes, tmp_path):
    (tmp_path / "a/images/4.png").write_bytes((tmp_path / "a/images/4.png").read_bytes()[:500])
    with pytest.raises(MaganError, match=r"4\.png: damaged or unreadable"):
        leaks.within(scenes)


def raw_sets(tmp_path, same: bool) -> Path:
    """Two sets of four scenes; `same`: scene 2 of the first is also in the second, smaller."""
    mask = np.zeros((240, 320), np.uint8)
    mask[:, :160] = 255
    for name, seeds in (("one", (0, 1, 2, 3)), ("two", (10, 11, 12, 2 if same else 13))):
        for part in ("images", "masks", "splits"):
            (tmp_path / name / part).mkdir(parents=True)
        for number, seed in enumerate(seeds):
            size = (320, 240) if name == "one" else (160, 120)
            scene(seed).resize(size).save(tmp_path / name / f"images/{name}{number}.jpg")
            Image.fromarray(mask).resize(size).save(tmp_path / name / f"masks/{name}{number}.png")
        for part, numbers in (("train", (0, 1)), ("test", (2, 3))):
            text = "".join(f"{name}{number}\n" for number in numbers)
            (tmp_path / name / f"splits/{part}.txt").write_text(text)
    return tmp_path


DIVIDED = {"white": "focus", "train_split": "train.txt", "test_split": "test.txt"}
TESTED = {"shi": {"source": "one", "white": "focus"}}
TRAINED_ELSEWHERE = TESTED | {"ctcug": {"source": "two", "white": "focus", "train_share": 1}}
UNLABELLED = TESTED | {"frd": {"source": "two", "use": "unlabelled"}}


@pytest.mark.parametrize("entries", [TRAINED_ELSEWHERE, UNLABELLED])
def test_preparation_refuses_a_test_photograph_that_is_trained_on(tmp_path, entries):
    profile = {"training_size": 32, "seed": 1, "sets": entries}
    prepare(profile, raw_sets(tmp_path / "apart", same=False), tmp_path / "out", progress=False)
    with pytest.raises(MaganError, match=r"two3\.jpg of set .* and .*one2\.jpg of the test set 'shi'"):
        prepare(profile, raw_sets(tmp_path / "leak", same=True), tmp_path / "leaked", progress=False)
    assert not (tmp_path / "leaked").exists()


@pytest.mark.parametrize("trained", ["dut", "zhao"])
def test_preparation_refuses_what_duts_networks_meet_again_in_ctcug(tmp_path, trained):
    """DUT's runs, or those of the set in its place, are tested on CTCUG's too: one folder may fill both."""
    raw = raw_sets(tmp_path / "raw", same=False)
    (raw / "one/splits/apart.txt").write_text("one2\n")
    (raw / "one/splits/seen.txt").write_text("one1\none2\n")
    trains = {"source": "one", "white": "focus", "train_split": "train.txt"}
    entries = {"dut": trains} if trained == "dut" else {"zhao": trains, "dut": {"same_as": "zhao"}}
    profile = {"training_size": 32, "seed": 1}
    for name in ("apart", "seen"):
        tests = {"ctcug": {"source": "one", "white": "focus", "test_split": f"{name}.txt"}}
        if name == "seen":
            with pytest.raises(MaganError, match=rf"one1\.jpg of set '{trained}' .* of the test set 'ctcug'"):
                prepare(profile | {"sets": entries | tests}, raw, tmp_path / name, progress=False)
        else:
            prepare(profile | {"sets": entries | tests}, raw, tmp_path / name, progress=False)


@pytest.mark.parametrize("tested", ["one3", "two3"], ids=["apart", "in the test set"])
def test_preparation_refuses_a_test_photograph_that_a_network_has_labelled(tmp_path, tested):
    """two3 is one2 of the test set, smaller."""
    raw = raw_sets(tmp_path / "raw", same=True)
    (raw / "two/splits/pool.txt").write_text("two0\ntwo1\n" + "two3\n" * (tested == "two3"))
    pseudo = {"source": "two", "split": "pool.txt", "maps": str(raw / "two/masks")}
    profile = {"training_size": 32, "seed": 1, "sets": {"shi": {"source": "one", "pseudo": pseudo} | DIVIDED}}
    if tested == "one3":
        prepare(profile, raw, tmp_path / "out", progress=False)
        return
    with pytest.raises(MaganError, match=r"two3\.jpg of set 'shi' \(pseudo\) and .*one2\.jpg of the"):
        prepare(profile, raw, tmp_path / "out", progress=False)


def test_preparation_refuses_a_leak_inside_one_set_but_not_between_two_divisions_of_it(tmp_path):
    raw = raw_sets(tmp_path / "raw", same=False)
    (raw / "one/splits/other.txt").write_text("one0\none1\n")
    two = {"shi": {"source": "one"} | DIVIDED}
    two |= {"zhao": {"source": "one", "white": "focus", "test_split": "other.txt"}}
    profile = {"training_size": 32, "seed": 1, "sets": two}
    prepare(profile, raw, tmp_path / "out", progress=False)
    scene(0).save(raw / "one/images/one3.jpg")
    with pytest.raises(MaganError, match=r"one0\.jpg of set 'shi' \(train\) and .*one3\.jpg of the test set"):
        prepare(profile, raw, tmp_path / "out", progress=False)


def test_command_lists_the_pairs_for_exclude(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(raw_sets(tmp_path / "raw", same=True)))
    cli.main(["data", "leaks", "one", "two", "--write", str(tmp_path / "both.txt")])
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("alike  in one (splits)  in two")
    assert out[1].split()[1:] == ["one2", "two3"]
    assert out[2].startswith("1 pair of photographs in one and two looks the same")
    assert (tmp_path / "both.txt").read_text() == "two3 one2\n"
    left = sets.exclude(sets.photographs(tmp_path / "raw/two"), tmp_path / "both.txt")
    assert [record["stem"] for record in left] == ["two0", "two1", "two2"]
    cli.main(["data", "leaks", str(tmp_path / "raw/one")])
    assert capsys.readouterr().out.startswith("0 pairs")


def test_without_a_pair_there_is_no_file_for_exclude_which_would_refuse_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(raw_sets(tmp_path / "raw", same=False)))
    cli.main(["data", "leaks", "one", "two", "--write", str(tmp_path / "both.txt")])
    assert "both.txt is not written: nothing needs to be left out" in capsys.readouterr().out
    assert not (tmp_path / "both.txt").exists()


def test_a_path_is_a_folder_and_no_name_of_a_set(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(raw_sets(tmp_path / "raw", same=True)))
    raw_sets(tmp_path / "else/raw", same=True)
    for file in ("params.yaml", "data"):
        (tmp_path / "else/raw/one" / file).symlink_to(Path(file).absolute())
    monkeypatch.chdir(tmp_path / "else/raw/one")
    for name in (".", "../one", str(tmp_path / "raw/one")):
        cli.main(["data", "leaks", name])
        assert f"0 pairs of photographs in {name} look" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cuhk", "--limit", "1"], "--limit is 1.0; expected"),
        (["cuhk", "--write", "x.txt"], "name B"),
        (["nothing here"], "no such folder"),
        (["cuhk", "--masks"], "name B"),
        (["mine", "cuhk", "--masks"], "mine is none of them"),
        (["frd", "cuhk", "--masks"], "frd is none of them"),
    ],
)
def test_command_refuses(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    with pytest.raises(SystemExit):
        cli.main(["data", "leaks", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("mirrored", [False, True])
def test_masks_of_shared_photographs_are_held_against_each_other(tmp_path, mirrored):
    """The second set has the photograph at half the size, white means the other class, and eight columns more
    are in focus: 8 of 160."""
    raw = raw_sets(tmp_path / "raw", same=True)
    other = np.zeros((120, 160), np.uint8)
    other[:, 88:] = 255
    photo = Image.open(raw / "two/images/two3.jpg")
    if mirrored:
        photo, other = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT), other[:, ::-1]
    photo.save(raw / "two/images/two3.jpg")
    Image.fromarray(np.ascontiguousarray(other)).save(raw / "two/masks/two3.png")
    pairs = leaks.between(sets.pairs(raw / "one", "focus"), sets.pairs(raw / "two", "blur"))
    counts = masks_as_maps(pairs)
    assert counts.shape == (1, 2, 256)
    assert counts.sum() == 240 * 320
    assert metrics.summary(counts, metrics.get_protocol("paper"))["mae"] == pytest.approx(8 / 160)
    assert counts[0, 0, 255] == 240 * 16, "the eight columns are claimed"


# ---- the divisions of the real sets


def test_the_committed_splits_are_what_the_rules_give():
    for path, stems in by_rule(ROOT / "data/manifests", ROOT / "data/splits").items():
        assert sets.read_names(ROOT / "data/splits" / path) == stems


def committed(path):
    return {line.split(" ")[0] for line in sets.read_names(ROOT / "data/splits" / path)}


def test_the_divisions_are_complete_and_share_nothing():
    held = {name: set(read_manifest(ROOT / f"data/manifests/{name}.csv")) for name in ("cuhk", "szu-bd")}
    for train, test in (("first604_train", "last100_test"), ("zhao_train", "zhao_test")):
        one, two = committed(f"cuhk/{train}.txt"), committed(f"cuhk/{test}.txt")
        assert (len(one), len(two), len(one & two)) == (604, 100, 0)
        assert one | two == held["cuhk"]
    parts = [committed(f"szu-bd/{name}.txt") for name in ("unlabelled", "test", "duplicates_of_cuhk")]
    assert [len(part) for part in parts] == [347, 347, 15]
    assert set.union(*parts) == held["szu-bd"]


def test_a_committed_split_comes_before_the_one_in_the_folder(tmp_path):
    (tmp_path / "splits/cuhk").mkdir(parents=True)
    (tmp_path / "splits/cuhk/a.txt").touch()
    found = [split_file("cuhk", name, tmp_path / "raw", tmp_path / "splits") for name in ("a.txt", "b.txt")]
    assert found == [tmp_path / "splits/cuhk/a.txt", tmp_path / "raw/splits/b.txt"]


@real
def test_the_shared_photographs_of_the_real_sets_are_those_that_are_left_out(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    cli.main(["data", "leaks", "cuhk", "szu-bd", "--write", str(tmp_path / "both.txt")])
    committed = ROOT / "data/splits/szu-bd/duplicates_of_cuhk.txt"
    assert (tmp_path / "both.txt").read_text() == committed.read_text()
    capsys.readouterr()
    cli.main(["data", "leaks", "cuhk", "szu-bd", "--masks"])
    out = capsys.readouterr().out
    assert out.count("masks differ in ") == 15
    assert "\nmae      0.0255  (0.00" in out
    for name in ("cuhk", "szu-bd"):
        assert leaks.within(sets.photographs(Path(os.environ["MAGAN_DATA"]) / name)) == []


@real
def test_the_lists_divide_szu_bd_as_share_and_seed_did(tmp_path):
    rule = {"source": "szu-bd", "white": "blur", "exclude": "duplicates_of_cuhk.txt", "share": 0.5, "seed": 1}
    by_share = {"ctcug": rule | {"use": "test"}, "frd": rule | {"use": "unlabelled"}}
    by_name = {name: params.load(ROOT / "params.yaml")["profiles"]["cuhk"]["sets"][name] for name in by_share}
    found = [
        prepare(
            {"training_size": 32, "seed": 7, "sets": entries},
            Path(os.environ["MAGAN_DATA"]),
            tmp_path / "out",
            progress=False,
            manifests=ROOT / "data/manifests",
            splits=ROOT / "data/splits",
        )
        for entries in (by_share, by_name)
    ]
    assert found[0] == found[1]
