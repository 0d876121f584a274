"""Preparation: the arrays hold what the files hold, twice the same, whole or not at all."""

import contextlib
import os
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magan_core import params
from magan_core.data import prepare as module
from magan_core.data.images import read_mask, read_photo, write_map
from magan_core.data.manifest import write_manifest
from magan_core.data.parts import folder_parts
from magan_core.data.prepare import prepare
from magan_core.data.prepared import load_test, load_train, training_hash
from magan_core.data.synthetic import scene
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.files import read_json, sha256

SCENES = {"source": "synthetic", "character": "objects", "train": 3, "test": 2, "size": 48}


def profile(**sets) -> dict:
    return {"training_size": 40, "seed": 5, "sets": sets}


@pytest.fixture
def raw(tmp_path) -> Path:
    """A data set of ten photographs, 20 x 30, whose grey level is their number; splits 0-5 and 6-9."""
    folder = tmp_path / "raw" / "eigene Bilder"
    for part in ("images", "masks", "splits"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        Image.new("RGB", (30, 20), (20 * number,) * 3).save(folder / "images" / f"bild {number}.png")
        mask = np.zeros((20, 30), np.uint8)
        mask[:, : 3 * (number + 1) - 1] = 255
        Image.fromarray(mask).save(folder / "masks" / f"bild {number}.png")
    for name, numbers in (("train", range(6)), ("test", range(6, 10)), ("both", range(3, 8))):
        (folder / "splits" / f"{name}.txt").write_text("".join(f"bild {number}\n" for number in numbers))
    (folder / "splits" / "known.txt").write_text("bild 0\nbild 1 of elsewhere\n")
    return tmp_path / "raw"


OWN = {"source": "eigene Bilder", "white": "blur"}


def run(entry_or_profile: dict, raw: Path, out: Path) -> dict:
    whole = entry_or_profile if "sets" in entry_or_profile else profile(own=entry_or_profile)
    return prepare(whole, raw, out, progress=False, manifests=raw / "manifests")


def learnt(folder: Path) -> list[str]:
    """Stems of the photographs in the training arrays of a prepared set."""
    return pd.read_csv(folder / "train.csv", dtype=str)["stem"].tolist()


def files(folder: Path) -> dict[str, bytes]:
    found = {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: path.read_bytes() for name, path in found.items()}


def listed(folder: Path) -> set[str]:
    return {record["stem"] for record in load_test(folder)}


def drawn(raw: Path) -> dict:
    """A set of OWN with three photographs of another folder, without masks, and maps of them."""
    folder, maps = raw / "andere", raw / "maps"
    for path in (folder / "images", folder / "splits", maps):
        path.mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (24, 36), (0, 60 * number, 9)).save(folder / "images" / f"{number}.jpg")
        values = np.full((36, 24), 127, np.uint8)
        values[: 9 * (number + 1) - 1] = 128 + number
        write_map(maps / f"{number}.png", values)
    (folder / "splits/some.txt").write_text("3\n1\n2\n")
    pseudo = {"source": "andere", "split": "some.txt", "maps": str(maps)}
    return OWN | {"train_split": "train.txt", "test_split": "test.txt", "pseudo": pseudo}


def test_maps_serve_as_masks_of_further_photographs(raw, tmp_path):
    entry = drawn(raw)
    write_manifest(raw / "eigene Bilder", raw / "manifests/eigene Bilder.csv")
    summary = run(entry, raw, tmp_path / "out")["own"]
    assert [summary[part] for part in ("train", "pseudo", "test", "unlabelled")] == [6, 3, 4, 0]
    training = load_train(tmp_path / "out/own")
    assert learnt(tmp_path / "out/own")[6:] == ["3", "1", "2"]
    assert training.sizes[6:].tolist() == [[36, 24]] * 3
    for row, number in zip((6, 7, 8), (3, 1, 2), strict=True):
        share = (training.masks[row] == 255).mean()
        assert share == pytest.approx((9 * (number + 1) - 1) / 36, abs=0.02), "128 and above is in focus"
    without = run({key: value for key, value in entry.items() if key != "pseudo"}, raw, tmp_path / "less")[
        "own"
    ]
    assert without["sha256"] != summary["sha256"]
    assert without["test_sha256"] == summary["test_sha256"]
    assert "pseudo" not in without


def test_pseudo_photographs_are_held_against_their_own_manifest(raw, tmp_path):
    entry = drawn(raw)
    lines = ["stem,image_sha256,mask_sha256"]
    lines += [f"{number},{sha256(raw / f'andere/images/{number}.jpg')},none" for number in range(4)]
    (raw / "manifests").mkdir()
    (raw / "manifests/andere.csv").write_text("\n".join(lines) + "\n")
    run(entry, raw, tmp_path / "out")
    Image.new("RGB", (24, 36)).save(raw / "andere/images/2.jpg")
    with pytest.raises(MaganError, match=r"2\.jpg is not the file that the manifest .*andere\.csv describes"):
        run(entry, raw, tmp_path / "again")


def test_photographs_of_two_sources_may_share_a_name(raw, tmp_path):
    entry = drawn(raw)
    for path in ("andere/images/3.jpg", "maps/3.png"):
        old = raw / path
        old.rename(old.with_name(f"bild 7{old.suffix}"))
    (raw / "andere/splits/some.txt").write_text("bild 7\n1\n2\n")
    assert run(entry, raw, tmp_path / "out")["own"]["pseudo"] == 3


def test_pseudo_that_is_not_whole(raw, tmp_path):
    entry = drawn(raw)
    for change in (
        {"pseudo": {"source": "andere"}},
        {"pseudo": "andere"},
        {"pseudo": entry["pseudo"] | {"x": 1}},
    ):
        with pytest.raises(MaganError, match="expected source, split and maps, beside a `train_split`"):
            run(entry | change, raw, tmp_path / "out")
    with pytest.raises(MaganError, match="beside a `train_split`"):
        run(OWN | {"train_share": 0.5, "pseudo": entry["pseudo"]}, raw, tmp_path / "out")
    again = entry["pseudo"] | {"source": "eigene Bilder", "split": "both.txt"}
    for number in range(3, 8):
        write_map(raw / f"maps/bild {number}.png", np.arange(600, dtype=np.uint8).reshape(20, 30))
    with pytest.raises(MaganError, match=r"bild 3\.png is in the split of `pseudo` and in the training"):
        run(entry | {"pseudo": again}, raw, tmp_path / "out")
    write_map(raw / "maps/2.png", np.full((36, 24), 127, np.uint8))
    with pytest.raises(
        MaganError, match=r"2\.png is all on one side of one half.*take '2' out of the split some"
    ):
        run(entry, raw, tmp_path / "out")
    (raw / "maps/1.png").unlink()
    with pytest.raises(MaganError, match=r"1\.jpg of `pseudo` has no map in .*`magan predict"):
        run(entry, raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_synthetic_profile(tmp_path):
    out = tmp_path / "prepared"
    pool = {"source": "synthetic", "character": "pool", "unlabelled": 4, "size": 48}
    sets = run(profile(shi=SCENES, zhao={"same_as": "shi"}, frd=pool), tmp_path, out)
    assert sets == read_json(out / "sets.json")
    assert list(sets) == ["shi", "frd"]
    assert {key: sets["shi"][key] for key in ("train", "test", "unlabelled")} == {
        "train": 3,
        "test": 2,
        "unlabelled": 0,
    }
    train = load_train(out / "shi")
    assert train.images.shape == (3, 40, 40, 3)
    assert train.masks.shape == (3, 40, 40)
    assert train.images.dtype == train.masks.dtype == np.uint8
    assert set(np.unique(train.masks)) == {0, 255}
    assert train.sizes.tolist() == [[48, 48]] * 3
    assert learnt(out / "shi") == ["objects_00000", "objects_00001", "objects_00002"]
    assert (train.masks == 255).mean() == pytest.approx(sets["shi"]["in_focus_share_train"], abs=1e-6)
    pool = load_train(out / "frd")
    assert pool.masks is None
    assert len(pool.images) == len(learnt(out / "frd")) == 4
    assert not (out / "frd" / "test.csv").exists()
    records = load_test(out / "shi")
    assert [record["stem"] for record in records] == ["objects_00003", "objects_00004"]
    for record in records:
        assert read_photo(record["image"]).shape == (48, 48, 3)
        assert set(np.unique(read_mask(record["mask"], record["white"]))) == {0, 255}


def test_the_same_twice_to_the_byte(tmp_path, monkeypatch):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        run(profile(shi=SCENES), tmp_path, Path("data/prepared"))
        run(profile(shi=SCENES), tmp_path, Path("data/prepared"))
    assert files(tmp_path / "one") == files(tmp_path / "two")
    csv = pd.read_csv(tmp_path / "one" / "data/prepared/shi/test.csv")
    assert csv["image"][0] == "synthetic/shi/images/objects_00003.jpg"
    assert read_photo(load_test(Path("data/prepared/shi"))[0]["image"]).shape == (48, 48, 3)


def test_the_hash_tells_data_apart(tmp_path):
    hashes = {
        run(profile(shi=SCENES | change) | {"seed": seed}, tmp_path, tmp_path / "out")["shi"]["sha256"]
        for seed, change in ((1, {}), (2, {}), (1, {"first": 9}), (1, {"train": 4}), (1, {"test": 1}))
    }
    assert len(hashes) == 4  # another number of test scenes leaves the training data as they are


def test_folder_by_splits(tmp_path, raw):
    sets = run(OWN | {"train_split": "train.txt", "test_split": "test.txt"}, raw, tmp_path / "out")
    assert (sets["own"]["train"], sets["own"]["test"]) == (6, 4)
    train = load_train(tmp_path / "out" / "own")
    assert learnt(tmp_path / "out/own") == [f"bild {number}" for number in range(6)]
    assert train.images[:, 0, 0, 0].tolist() == [0, 20, 40, 60, 80, 100]
    assert train.sizes.tolist() == [[20, 30]] * 6
    assert (
        train.masks[0, :, -20:] == 255
    ).all()  # stored white = blurred on the left, so in focus on the right
    assert (train.masks[0, :, :2] == 0).all()
    records = load_test(tmp_path / "out" / "own")
    for kind, what in (("images", "image"), ("masks", "mask")):
        (own,) = (raw / "eigene Bilder" / kind).glob("bild 6.*")
        assert records[0][what].read_bytes() == own.read_bytes()
        assert records[0][what] == tmp_path / "out/own/test" / kind / own.name
    assert records[0]["white"] == "blur"


def test_nothing_depends_on_where_the_photographs_lie(tmp_path, raw):
    entry = OWN | {"train_split": "train.txt", "test_split": "test.txt"}
    run(entry, raw, tmp_path / "out")
    before = files(tmp_path / "out")
    raw.rename(tmp_path / "moved")
    run(entry, tmp_path / "moved", tmp_path / "out")
    assert files(tmp_path / "out") == before
    shutil.rmtree(tmp_path / "moved")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    for record in load_test(tmp_path / "elsewhere/own"):
        photo = read_photo(record["image"])
        assert read_mask(record["mask"], record["white"]).shape == photo.shape[:2]


def test_names_in_either_unicode_form_can_be_scored(tmp_path, raw):
    """macOS writes an umlaut as two characters."""
    folder = raw / OWN["source"]
    for kind in ("images", "masks"):
        for path in list((folder / kind).glob("bild 6.*")):
            path.rename(path.with_stem(unicodedata.normalize("NFD", "bär")))
    run(OWN, raw, tmp_path / "out")
    records = load_test(tmp_path / "out/own")
    for record in records:
        mask = read_mask(record["mask"], record["white"])
        write_map(tmp_path / f"maps/{record['image'].stem}.png", mask)
    assert evaluate(tmp_path / "maps", records)["mae"] == 0


def test_two_processes_that_prepare_one_folder_wait_for_each_other(tmp_path):
    code = (
        "from test_prepare import *; run(profile(shi=SCENES | {'train': 40}), "
        f"Path({str(tmp_path)!r}), Path({str(tmp_path / 'out')!r}))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    both = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(load_train(tmp_path / "out/shi").images) == 40
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_was_there_comes_back_after_a_stop_between_the_two_renames(tmp_path):
    run(profile(shi=SCENES), tmp_path, tmp_path / "out")
    before = files(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.old")
    with pytest.raises(MaganError, match="expected scenes"):
        run(profile(shi=SCENES | {"train": 0, "test": 0}), tmp_path, tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_folder_by_share(tmp_path, raw):
    run(OWN | {"train_share": 0.7}, raw, tmp_path / "out")
    train = set(learnt(tmp_path / "out/own"))
    assert len(train) == 7
    assert train | listed(tmp_path / "out" / "own") == {f"bild {number}" for number in range(10)}


def test_folder_without_more_is_a_test_set(tmp_path, raw):
    assert run(OWN, raw, tmp_path / "out")["own"]["test"] == 10
    with pytest.raises(MaganError, match=r"own: this set only tests.* give it a `train_split`"):
        load_train(tmp_path / "out" / "own")


def test_unlabelled_and_test_parts_of_one_source_are_disjoint(tmp_path, raw):
    common = OWN | {"exclude": "known.txt", "share": 0.5, "seed": 3}
    both = profile(ctcug=common | {"use": "test"}, frd=common | {"use": "unlabelled"})
    run(both, raw, tmp_path / "out")
    pool, test = set(learnt(tmp_path / "out/frd")), listed(tmp_path / "out" / "ctcug")
    assert len(pool) == len(test) == 4
    assert pool | test == {f"bild {number}" for number in range(2, 10)}


@pytest.mark.parametrize("share", [0.1, 0.3, 0.7, 0.9])
@pytest.mark.parametrize("count", [5, 10, 15])
def test_shares_that_sum_to_one_leave_out_nothing_and_share_nothing(tmp_path, raw, share, count):
    """On the edge of rounding, too: a tenth of 15, where 1 - 0.9 is a little less than 0.1."""
    for part in ("images", "masks"):
        folder = raw / "eigene Bilder" / part
        for number in range(10, 15):
            shutil.copyfile(folder / f"bild {number - 10}.png", folder / f"bild {number}.png")
        for number in range(count, 15):
            (folder / f"bild {number}.png").unlink()
    rest = round(1 - share, 1)
    test = folder_parts("a", OWN | {"share": share}, 1, raw, raw).test
    pool = folder_parts("b", OWN | {"use": "unlabelled", "share": rest}, 1, raw, raw).unlabelled
    stems = [record["stem"] for record in test + pool]
    assert len(stems) == len(set(stems)) == count


def test_an_unlabelled_photograph_that_is_tested_on_is_an_error(tmp_path, raw):
    common = OWN | {"share": 0.6}
    with pytest.raises(MaganError, match="in the unlabelled set 'frd' and in the test set 'ctcug'"):
        run(
            profile(ctcug=common | {"use": "test"}, frd=common | {"use": "unlabelled"}), raw, tmp_path / "out"
        )


@pytest.mark.parametrize(("name", "counts"), [("ctcug", {"test": 3}), ("frd", {"unlabelled": 4})])
def test_a_synthetic_scene_is_not_learnt_from_and_tested_on(tmp_path, name, counts):
    """As sets that begin at the same number have it; networks of DUT are tested on CTCUG."""
    entry = {"source": "synthetic", "character": "objects", "size": 48} | counts
    with pytest.raises(MaganError, match=r"scene 'objects_0000\d' is learnt from in set .*another `first`"):
        run(profile(dut=SCENES, **{name: entry}), tmp_path, tmp_path / "out")
    run(profile(dut=SCENES, **{name: entry | {"first": 100}}), tmp_path, tmp_path / "out")


def test_unlabelled_folder_needs_no_masks(tmp_path, raw):
    for mask in (raw / "eigene Bilder" / "masks").iterdir():
        mask.unlink()
    sets = run({"source": "eigene Bilder", "use": "unlabelled"}, raw, tmp_path / "out")
    assert sets["own"]["unlabelled"] == 10
    with pytest.raises(MaganError, match=r"own: this set has no photographs to test on; test on another"):
        load_test(tmp_path / "out" / "own")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (OWN | {"wite": "blur"}, "unknown key of set own 'wite'; did you mean 'white'"),
        ({"source": "eigene Bilder"}, "`white` is None; expected focus or blur"),
        (OWN | {"use": "train"}, "unknown use of set own 'train'"),
        (OWN | {"share": 1.5}, "share is 1.5; expected a number above 0 and at most 1"),
        (OWN | {"train_share": True}, "train_share is True"),
        (OWN | {"train_share": 0.5, "train_split": "train.txt"}, "not several of them"),
        (
            OWN | {"train_split": "train.txt", "test_split": "both.txt"},
            "'bild 3' is in the training split and",
        ),
        (OWN | {"train_split": "none.txt"}, r"cannot read the split .*none\.txt"),
        (OWN | {"exclude": ["bild 0"]}, r"set 'own': exclude is \['bild 0'\]; expected a name, as text"),
        (OWN | {"train_split": ["bild 0"]}, r"train_split is \['bild 0'\]; expected a name"),
        ({"source": 3, "white": "blur"}, "source is 3; expected a name"),
        (OWN | {"source": "eigene Bilder/"}, "source is 'eigene Bilder/'; write 'eigene Bilder'"),
        (
            OWN | {"train_split": "train.txt", "pseudo": {"source": "./x", "split": "y", "maps": "z"}},
            "source of pseudo is './x'; write 'x'",
        ),
        (
            OWN | {"train_split": "train.txt", "pseudo": {"source": "x", "split": 7, "maps": "y"}},
            "split of pseudo is 7; expected a name",
        ),
        ({"source": "nowhere", "white": "blur"}, r"nowhere/images: no such folder"),
        ({"same_as": "onw"}, "unknown set that 'own' is the same as 'onw'"),
        (SCENES | {"chracter": "x"}, "did you mean 'character'"),
        (SCENES | {"character": "objekts"}, "unknown character of scenes 'objekts'; did you mean 'objects'"),
        (SCENES | {"train": "3"}, "train is '3'; expected a whole number"),
        (
            SCENES | {"train": 0, "test": 0},
            "expected scenes for `train` and `test`, or for `unlabelled` alone",
        ),
        (SCENES | {"unlabelled": 3}, "or for `unlabelled` alone"),
        (SCENES | {"size": 8}, "at least 32 pixels"),
        ({"source": "synthetic", "character": "hard", "test": 3}, "needs `size`"),
        ({"character": "hard"}, "`source` is missing"),
    ],
)
def test_wrong_entries_say_so_and_leave_nothing(tmp_path, raw, entry, message):
    with pytest.raises(MaganError, match=message):
        run(entry, raw, tmp_path / "out" / "here")
    assert not list((tmp_path / "out").iterdir())


def test_every_pair_is_verified_also_those_for_testing(tmp_path, raw):
    Image.new("L", (30, 20), 255).save(raw / "eigene Bilder" / "masks" / "bild 9.png")
    with pytest.raises(MaganError, match=r"bild 9\.png: every pixel is blurred"):
        run(OWN | {"train_split": "train.txt", "test_split": "test.txt"}, raw, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_manifest_is_checked_where_there_is_one(tmp_path, raw):
    write_manifest(raw / "eigene Bilder", raw / "manifests" / "eigene Bilder.csv")
    run(OWN, raw, tmp_path / "out")
    Image.new("RGB", (30, 20), "red").save(raw / "eigene Bilder" / "images" / "bild 4.png")
    with pytest.raises(MaganError, match=r"bild 4\.png is not the file that the manifest"):
        run(OWN, raw, tmp_path / "out")


def test_failure_keeps_the_old_folder_and_success_replaces_all_of_it(tmp_path, raw):
    out = tmp_path / "out"
    run(profile(shi=SCENES), raw, out)
    before = files(out)
    with pytest.raises(MaganError):
        run(profile(shi=SCENES | {"first": 3}, own=OWN | {"test_split": "none.txt"}), raw, out)
    assert files(out) == before
    run(OWN, raw, out)
    assert not (out / "shi").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


def test_rest_of_a_killed_run_is_cleared(tmp_path, raw):
    (tmp_path / ".out.partial" / "shi").mkdir(parents=True)
    run(profile(shi=SCENES), raw, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path, raw):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(MaganError, match="thesis is there already and is no folder of prepared data"):
        run(OWN, raw, tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_full_disk(tmp_path, raw, monkeypatch):
    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.np, "save", full)
    with pytest.raises(MaganError, match=r"cannot write .*out: No space left on device"):
        run(profile(shi=SCENES), raw, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["raw"]


def test_folder_that_cannot_be_made(tmp_path, raw):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MaganError, match=r"cannot write .*file.out"):
        run(profile(shi=SCENES), raw, tmp_path / "file" / "out")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(tmp_path, raw):
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    with pytest.raises(MaganError, match=r"cannot write .*Permission denied"):
        run(profile(shi=SCENES), raw, closed / "out")


def test_damaged_arrays_are_named(tmp_path):
    run(profile(shi=SCENES), tmp_path, tmp_path / "out")
    path = tmp_path / "out" / "shi" / "train_images.npy"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(MaganError, match="shi: cannot read its training arrays"):
        load_train(tmp_path / "out" / "shi")
    with pytest.raises(MaganError, match=r"test\.csv: cannot read the list of test photographs"):
        load_test(tmp_path / "out")


def test_a_list_of_photographs_that_was_cut_is_named(tmp_path):
    run(profile(shi=SCENES), tmp_path, tmp_path / "out")
    sizes, test = (tmp_path / f"out/shi/{name}" for name in ("train_sizes.npy", "test.csv"))
    np.save(sizes, np.load(sizes)[:2])
    with pytest.raises(MaganError, match=r"as many .*, found 3 in train_images\.npy, 2 in train_s.*again"):
        load_train(tmp_path / "out/shi")
    sizes.write_bytes(b"")
    with pytest.raises(MaganError, match=r"shi: cannot read its training arrays"):
        load_train(tmp_path / "out/shi")
    whole = test.read_text()
    for end in (whole.rindex(","), whole.rindex("mask") - 2, whole.index("\n") + 1, 3, 0):
        test.write_text(whole[:end])
        with pytest.raises(MaganError, match=r"test\.csv: cannot read the list .*; prepare the data again"):
            load_test(tmp_path / "out/shi")


@pytest.mark.parametrize("content", ["{}", "[]", '{"shi": 5}'])
def test_a_summary_without_the_set_is_named(tmp_path, content):
    sets = run(profile(shi=SCENES), tmp_path, tmp_path / "out")
    assert training_hash(tmp_path / "out/shi") == sets["shi"]["sha256"]
    (tmp_path / "out/sets.json").write_text(content, encoding="utf-8")
    with pytest.raises(MaganError, match=r"sets\.json says nothing of the set shi; prepare the data again"):
        training_hash(tmp_path / "out/shi")


def test_arrays_need_no_pickle(tmp_path):
    run(profile(shi=SCENES), tmp_path, tmp_path / "out")
    for path in (tmp_path / "out" / "shi").glob("*.npy"):
        assert np.load(path, allow_pickle=False).dtype in (np.uint8, np.int32)


def test_real_profile(tmp_path):
    root, real = Path(__file__).parents[1], os.environ.get("MAGAN_DATA")
    if not real or not (Path(real) / "cuhk").is_dir() or not (Path(real) / "szu-bd").is_dir():
        pytest.skip("MAGAN_DATA names no folder with the data sets cuhk and szu-bd")
    sets = params.load(root / "params.yaml")["profiles"]["cuhk"]["sets"]
    small = {
        "training_size": 32,
        "seed": 1,
        "sets": {key: sets[key] for key in ("zhao", "dut", "ctcug", "frd")},
    }
    found = prepare(
        small, Path(real), tmp_path / "out", progress=False, manifests=root / "data" / "manifests"
    )
    assert (found["zhao"]["train"], found["zhao"]["test"]) == (604, 100)
    assert found["ctcug"]["test"] + found["frd"]["unlabelled"] == 709 - 15
    assert 0.2 < found["zhao"]["in_focus_share_train"] < 0.5


@pytest.mark.parametrize("count", [3, 4, 8])
def test_masks_of_the_other_polarity_are_refused_from_four_photographs_on(tmp_path, count):
    raw = tmp_path / "raw"
    for kind in ("images", "masks"):
        (raw / "own" / kind).mkdir(parents=True)
    for index in range(count):
        photo, mask = scene(seed=1, index=index, character="objects", size=48)
        Image.fromarray(photo).save(raw / f"own/images/{index}.png")
        Image.fromarray(mask).save(raw / f"own/masks/{index}.png")
    entry = {"source": "own", "white": "focus", "train_share": 0.5}
    run(entry, raw, tmp_path / "right")
    refused = pytest.raises(
        MaganError,
        match=rf"set own: white is blur .* in \d of {count} photographs.* write `white: focus` there",
    )
    with refused if count > 3 else contextlib.nullcontext():
        run(entry | {"white": "blur"}, raw, tmp_path / "wrong")
    assert (tmp_path / "wrong").exists() == (count == 3)
