"""Folders of photographs and masks: matched, or refused with the file's name and the remedy."""

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from magan_core.data import sets
from magan_core.data.manifest import read_manifest, verify, write_manifest
from magan_core.data.record import Record
from magan_core.errors import MaganError

ROOT = Path(sets.__file__).parents[2]
HALF = np.zeros((8, 10), np.uint8)
HALF[:, :5] = 255


def put(folder: Path, stem: str, suffix: str = ".jpg", mask: np.ndarray | None = HALF, size=(10, 8)) -> None:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, "grey").save(folder / "images" / f"{stem}{suffix}")
    if mask is not None:
        Image.fromarray(mask).save(folder / "masks" / f"{stem}.png")


def stems(records) -> list[str]:
    return [record["stem"] for record in records]


def test_pairs_are_matched_by_stem_whatever_the_name(tmp_path):
    folder = tmp_path / "mein Satz"
    for stem, suffix in (("b", ".JPG"), ("a b", ".png"), ("Straße ö", ".jpeg"), ("1.5", ".jpg")):
        put(folder, stem, suffix)
    for litter in (".DS_Store", "Thumbs.db", "Icon\r"):
        (folder / "images" / litter).write_bytes(b"x")
    records = sets.pairs(folder, "focus")
    assert stems(records) == ["1.5", "Straße ö", "a b", "b"]
    for record in records:
        assert record["image"].stem == record["mask"].stem == record["stem"]
        photo, mask = sets.load(record)
        assert photo.shape == (8, 10, 3)
        assert np.array_equal(mask, HALF)
    assert np.array_equal(sets.load(sets.pairs(folder, "blur")[0])[1], 255 - HALF)


def test_an_umlaut_is_one_letter_in_both_unicode_forms(tmp_path):
    put(tmp_path, "x")
    composed, split = unicodedata.normalize("NFC", "grün"), unicodedata.normalize("NFD", "grün")
    (tmp_path / "images" / "x.jpg").rename(tmp_path / "images" / f"{split}.jpg")
    (tmp_path / "masks" / "x.png").rename(tmp_path / "masks" / f"{composed}.png")
    records = sets.pairs(tmp_path, "focus")
    assert len(records) == 1
    (tmp_path / "split.txt").write_text(f"{composed}.jpg\n", encoding="utf-8")
    assert sets.select(records, tmp_path / "split.txt") == records


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(MaganError, match=r"images: no such folder.*MAGAN_DATA"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images").mkdir()
    with pytest.raises(MaganError, match="images: no pictures in it"):
        sets.pairs(tmp_path, "focus")
    put(tmp_path, "a", mask=None)
    with pytest.raises(MaganError, match="masks: no pictures in it"):
        sets.pairs(tmp_path, "focus")
    put(tmp_path, "b")
    with pytest.raises(MaganError, match=r"a\.jpg has no mask of the same stem.*add the mask"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "a.jpg").unlink()
    (tmp_path / "masks" / "b.png").rename(tmp_path / "masks" / "c.png")
    put(tmp_path, "b")
    with pytest.raises(MaganError, match=r"c\.png has no photograph of the same stem"):
        sets.pairs(tmp_path, "focus")


def test_duplicate_stems_and_foreign_files_are_named(tmp_path):
    put(tmp_path, "a", ".jpg")
    put(tmp_path, "a", ".png")
    with pytest.raises(MaganError, match=r"a\.jpg and .*a\.png have the same stem"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "a.png").unlink()
    (tmp_path / "images" / "notes.txt").write_text("x")
    with pytest.raises(MaganError, match=r"notes\.txt: not a picture"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "notes.txt").unlink()
    (tmp_path / "images" / "b.png").symlink_to(tmp_path / "unmounted" / "b.png")
    with pytest.raises(MaganError, match=r"b\.png leads to .*unmounted/b\.png, which is not there"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "b.png").unlink()
    put(tmp_path, " c")
    with pytest.raises(MaganError, match=r" c\.jpg: its name has a space at an end"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / " c.jpg").rename(tmp_path / "images" / "c .jpg")
    with pytest.raises(MaganError, match=r"c \.jpg: its name has a space at an end"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "c .jpg").unlink()
    (tmp_path / "images" / "d.png").mkdir()
    with pytest.raises(MaganError, match=r"d\.png: not a picture"):
        sets.pairs(tmp_path, "focus")
    (tmp_path / "images" / "d.png").rmdir()
    (tmp_path / "images" / "a.jpg").rename(tmp_path / "images" / os.fsdecode(b"\xe9.jpg"))
    with pytest.raises(MaganError, match="its name is not UTF-8"):
        sets.pairs(tmp_path, "focus")


def test_sizes_that_differ_and_masks_of_one_class_are_named(tmp_path):
    put(tmp_path, "a", size=(8, 10))
    with pytest.raises(MaganError, match=r"a\.jpg is 8 x 10 but .*a\.png is 10 x 8"):
        sets.load(sets.pairs(tmp_path, "focus")[0])
    put(tmp_path, "a", mask=np.full_like(HALF, 255))
    for white, what in (("focus", "in focus"), ("blur", "blurred")):
        with pytest.raises(MaganError, match=rf"a\.png: every pixel is {what}"):
            sets.load(sets.pairs(tmp_path, white)[0])


def test_photographs_need_no_masks(tmp_path):
    put(tmp_path, "a", mask=None)
    (record,) = sets.photographs(tmp_path)
    photo, mask = sets.load(record)
    assert photo.shape == (8, 10, 3)
    assert mask is None


def test_split_takes_names_with_and_without_extension_in_its_order(tmp_path):
    for stem in ("a", "b", "c.d"):
        put(tmp_path, stem)
    records = sets.pairs(tmp_path, "focus")
    split = tmp_path / "split.txt"
    split.write_bytes("\ufeffc.d.jpg\r\n\r\na\r\n".encode())
    assert stems(sets.select(records, split)) == ["c.d", "a"]
    split.write_text("c.d\n")
    assert stems(sets.select(records, split)) == ["c.d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("a\nz\n", "names 'z', which the set does not hold"), ("a\na.jpg\n", "twice"), ("\n", "is empty")],
)
def test_wrong_splits_are_named(tmp_path, text, message):
    put(tmp_path, "a")
    (tmp_path / "split.txt").write_text(text)
    with pytest.raises(MaganError, match=rf"split\.txt.*{message}"):
        sets.select(sets.pairs(tmp_path, "focus"), tmp_path / "split.txt")


def test_missing_split_is_named(tmp_path):
    with pytest.raises(MaganError, match=r"cannot read the split .*none\.txt"):
        sets.read_names(tmp_path / "none.txt")


def test_exclude_takes_names_and_remarks(tmp_path):
    for stem in ("0001", "0002", "a b", "a"):
        put(tmp_path, stem)
    records = sets.pairs(tmp_path, "focus")
    listing = tmp_path / "duplicates.txt"
    listing.write_text("0002 out_of_focus0136\na b of elsewhere\n")
    assert stems(sets.exclude(records, listing)) == ["0001", "a"]
    listing.write_text("0003 out_of_focus0136\n")
    with pytest.raises(MaganError, match=r"duplicates\.txt names '0003 out.*which the set does not hold"):
        sets.exclude(records, listing)


def fake(names) -> list[Record]:
    return [Record(stem=name, image=Path(name), mask=None, white="focus") for name in names]


@given(
    st.sets(st.text("abcö12", min_size=1), min_size=2, max_size=40), st.floats(0.01, 0.99), st.integers(0, 9)
)
def test_division_is_complete_disjoint_and_the_same_in_any_order(names, share, seed):
    records = fake(sorted(names))
    first, second = sets.divide(records, share, seed)
    assert sorted(stems(first) + stems(second)) == sorted(names)
    assert len(first) == min(max(round(share * len(names)), 1), len(names) - 1)
    assert sets.divide(records[::-1], share, seed) == (first, second)


def test_division_depends_on_the_seed_and_is_no_prefix():
    records = fake(f"{number:04d}" for number in range(100))
    parts = [stems(sets.divide(records, 0.5, seed)[0]) for seed in (1, 2)]
    assert parts[0] != parts[1]
    assert parts[0] != stems(records)[:50]
    assert sets.divide(records, 1, 0) == (records, [])
    assert sets.divide(records, 0, 0) == ([], records)


def test_parts_of_a_division_are_sorted_and_alike_in_both_unicode_forms():
    names = [f"{'aäz'[number % 3]} {number:02d}" for number in range(60)]
    parts = {}
    for form in ("NFC", "NFD"):
        records = fake(unicodedata.normalize(form, name) for name in names)
        halves = [stems(half) for half in sets.divide(records, 0.5, 1)]
        parts[form] = [[unicodedata.normalize("NFC", stem) for stem in half] for half in halves]
    assert parts["NFC"] == parts["NFD"] == [sorted(half) for half in parts["NFC"]]


def test_manifest_names_the_file_that_differs(tmp_path):
    for stem in ("a", "b"):
        put(tmp_path / "set", stem)
    path = tmp_path / "set.csv"
    write_manifest(tmp_path / "set", path)
    manifest = read_manifest(path)
    records = sets.pairs(tmp_path / "set", "focus")
    for record in records:
        verify(record, manifest, "set.csv")
    put(tmp_path / "set", "b", mask=255 - HALF)
    with pytest.raises(MaganError, match=r"b\.png is not the file that the manifest set\.csv describes"):
        verify(records[1], manifest, "set.csv")
    verify(records[1] | {"mask": None}, manifest, "set.csv")
    with pytest.raises(MaganError, match=r"c\.jpg is not in the manifest"):
        verify(fake(["c"])[0] | {"image": Path("c.jpg")}, manifest, "set.csv")
    path.write_text("stem,size\na,1\n")
    with pytest.raises(MaganError, match=r"set\.csv: not a manifest"):
        read_manifest(path)


@pytest.mark.parametrize("name", ["cuhk", "szu-bd"])
def test_committed_manifests_hold_the_real_sets(name):
    real = Path(os.environ.get("MAGAN_DATA", "")) / name
    if not os.environ.get("MAGAN_DATA") or not real.is_dir():
        pytest.skip(f"MAGAN_DATA names no folder with the data set {name}")
    sums = dict(reversed(line.split()) for line in (real / "SHA256SUMS").read_text().splitlines())
    manifest = read_manifest(Path(__file__).parents[1] / "data" / "manifests" / f"{name}.csv")
    for record in sets.pairs(real, "blur"):
        row = manifest.pop(record["stem"])
        assert row["image_sha256"] == sums[f"images/{record['image'].name}"]
        assert row["mask_sha256"] == sums[f"masks/{record['mask'].name}"]
    assert not manifest


@pytest.mark.parametrize(
    ("words", "status", "out", "err"),
    [
        (["a", "a/manifest.csv"], 0, "1 photographs, 1 masks\n", ""),
        (["b", "b/manifest.csv"], 1, "", "manifest: b/images: no such folder; "),
        ([], 2, "", "usage: "),
    ],
)
def test_the_command_that_writes_manifests_fails_in_words(tmp_path, words, status, out, err):
    put(tmp_path / "a", "photo")
    done = subprocess.run([sys.executable, "-m", "magan_core.data.manifest", *words], cwd=tmp_path,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stdout) == (status, out)
    assert done.stderr.startswith(err)
    assert done.stderr.count("\n") == status
    assert (tmp_path / "a/manifest.csv").exists() == (not status)
