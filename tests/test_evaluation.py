"""evaluation.py: files in, four files out; every bad input is named."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magan_core import metrics
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate

PAPER = metrics.PROTOCOLS["paper"]
SHAPE = (12, 16)


def save(array: np.ndarray, path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def folders(tmp_path):
    """maps/, masks/ (both white = in focus) of five images; one name has a space, an umlaut and a dot."""
    random = np.random.default_rng(0)
    pairs = {}
    for stem in ("a", "b", "c", "d", "fünf mit v1.2"):
        mask = np.zeros(SHAPE, np.uint8)
        mask[:, random.integers(3, 12) :] = 255
        pairs[stem] = np.clip(mask * 0.5 + random.integers(0, 128, SHAPE), 0, 255).astype(np.uint8), mask
        save(pairs[stem][0], tmp_path / "maps" / f"{stem}.png")
        save(mask, tmp_path / "masks" / f"{stem}.png")
    return tmp_path, pairs


def scored(pairs) -> dict[str, float]:
    return metrics.summary(np.stack([metrics.histograms(*pair) for pair in pairs.values()]), PAPER)


def test_writes_the_four_files_of_the_contract(folders):
    folder, pairs = folders
    summary = evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert sorted(os.listdir(folder / "out")) == [
        "curves.csv",
        "histogram.csv",
        "per_image.csv",
        "summary.json",
    ]
    assert json.loads((folder / "out/summary.json").read_text()) == summary
    assert set(summary) == {"protocol", "images", "f_beta", "mae", "iou", "auc", "auf_beta"}
    assert (summary["protocol"], summary["images"]) == ("paper", 5)
    assert {name: summary[name] for name in metrics.SCORES} == pytest.approx(scored(pairs), abs=1e-8)

    curves = pd.read_csv(folder / "out/curves.csv")
    assert list(curves) == ["threshold", "precision", "recall", "f_beta", "tpr", "fpr"]
    assert curves["threshold"].tolist() == [k / 100 for k in range(101)]
    assert curves["f_beta"].max() == pytest.approx(summary["f_beta"], abs=1e-7)
    each = pd.read_csv(folder / "out/per_image.csv")
    assert list(each) == ["stem", *metrics.SCORES]
    assert each["stem"].tolist() == sorted(pairs)
    assert each["mae"].mean() == pytest.approx(summary["mae"], abs=1e-7)
    histogram = pd.read_csv(folder / "out/histogram.csv")
    assert histogram["value"].tolist() == list(range(256))
    assert histogram["count"].sum() == pytest.approx(SHAPE[0] * SHAPE[1])


def test_a_second_evaluation_gives_the_same_bytes(folders):
    folder, _ = folders
    for out in ("one", "two"):
        evaluate(folder / "maps", folder / "masks", out=folder / out)
    for name in os.listdir(folder / "one"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()


def test_other_polarities_suffix_and_extension_give_the_same_scores(folders):
    folder, pairs = folders
    for stem, (focus_map, mask) in pairs.items():
        save(255 - focus_map, folder / "theirs" / f"{stem}_lbp.bmp")
        save(255 - mask, folder / "blurred" / f"{stem}.png")
    expected = evaluate(folder / "maps", folder / "masks")
    found = evaluate(
        folder / "theirs", folder / "blurred", maps_white="blur", masks_white="blur", suffix="_lbp"
    )
    assert found == expected


def test_records_carry_their_own_polarity(folders):
    folder, pairs = folders
    save(255 - pairs["a"][1], folder / "inverted" / "a.png")
    records = [
        {"stem": stem, "mask": str(folder / "masks" / f"{stem}.png"), "white": "focus"} for stem in pairs
    ]
    records[0] |= {"mask": str(folder / "inverted" / "a.png"), "white": "blur"}
    assert evaluate(folder / "maps", records) == evaluate(folder / "maps", folder / "masks")
    with pytest.raises(MaganError, match="names 'a' twice"):
        evaluate(folder / "maps", [records[0], *records])
    with pytest.raises(MaganError, match="list of test images is empty"):
        evaluate(folder / "maps", [])


def test_split_takes_names_and_stems(folders):
    folder, pairs = folders
    split = folder / "split.txt"
    split.write_text("b\n\nfünf mit v1.2\n  d.JPG \n", encoding="utf-8")
    for stem in ("a", "c"):
        (folder / "maps" / f"{stem}.png").unlink()
    found = evaluate(folder / "maps", folder / "masks", split=split, out=folder / "out")
    assert found["images"] == 3
    assert pd.read_csv(folder / "out/per_image.csv")["stem"].tolist() == ["b", "fünf mit v1.2", "d"]
    chosen = {stem: pairs[stem] for stem in ("b", "d", "fünf mit v1.2")}
    assert found["mae"] == pytest.approx(scored(chosen)["mae"], abs=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [("b\nx\n", "'x' of .* is not in the"), ("b\nb.png\n", "names 'b' more than once"), ("\n", "is empty")],
)
def test_bad_splits_are_refused(folders, text, message):
    folder, _ = folders
    (folder / "split.txt").write_text(text)
    with pytest.raises(MaganError, match=message):
        evaluate(folder / "maps", folder / "masks", split=folder / "split.txt")
    with pytest.raises(MaganError, match=r"cannot read .*none.txt"):
        evaluate(folder / "maps", folder / "masks", split=folder / "none.txt")


def test_wrong_polarity_is_said_in_the_summary(folders):
    folder, _ = folders
    found = evaluate(folder / "maps", folder / "masks", maps_white="blur")
    assert found["auc"] < 0.5
    assert "polarity looks wrong; are maps white = focus" in found["notes"][0]


def test_maps_of_another_size_need_leave_and_are_counted(folders):
    folder, pairs = folders
    save(np.kron(pairs["c"][0], np.ones((2, 2), np.uint8)), folder / "maps" / "c.png")
    with pytest.raises(MaganError, match=r"c\.png: the map is 32x24 and its mask 16x12 .*allow resampling"):
        evaluate(folder / "maps", folder / "masks")
    found = evaluate(folder / "maps", folder / "masks", resample=True)
    assert found["notes"] == ["1 of 5 maps had another size than their mask and were resized (bicubic)"]
    assert found["mae"] == pytest.approx(scored(pairs)["mae"], abs=0.01)


def damage_unmatched_map(folder):
    shutil.copy(folder / "maps/a.png", folder / "maps/extra.png")


def damage_missing_map(folder):
    (folder / "maps/b.png").unlink()
    (folder / "maps/c.png").unlink()


def damage_duplicate(folder):
    Image.open(folder / "maps/a.png").save(folder / "maps/a.bmp")


def damage_truncated(folder):
    whole = (folder / "maps/a.png").read_bytes()
    (folder / "maps/a.png").write_bytes(whole[: len(whole) // 2])


def damage_text(folder):
    (folder / "masks/a.png").write_text("not an image")


def damage_one_class(folder):
    save(np.full(SHAPE, 255, np.uint8), folder / "masks/d.png")


def damage_empty(folder):
    shutil.rmtree(folder / "maps")
    (folder / "maps").mkdir()
    (folder / "maps/.gitkeep").touch()


def damage_no_folder(folder):
    shutil.rmtree(folder / "masks")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_unmatched_map, r"extra\.png has no mask in the masks folder"),
        (damage_missing_map, r"'b' \(and 1 more\) has a mask and no map in .*maps"),
        (damage_duplicate, r"a\.png and a\.bmp share the stem 'a'"),
        (damage_truncated, r"maps.a\.png"),
        (damage_text, r"masks.a\.png"),
        (damage_one_class, r"masks.d\.png: the whole mask is in focus"),
        (damage_empty, "maps: no images in this folder"),
        (damage_no_folder, "masks: no such folder"),
    ],
)
def test_bad_files_are_named_and_nothing_is_written(folders, damage, message):
    folder, _ = folders
    damage(folder)
    with pytest.raises(MaganError, match=message):
        evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert not (folder / "out").exists()


def test_wrong_words_are_answered_with_the_right_ones(folders):
    folder, _ = folders
    with pytest.raises(MaganError, match="unknown protocol 'best'"):
        evaluate(folder / "maps", folder / "masks", protocol="best")
    for option in ("maps_white", "masks_white"):
        with pytest.raises(MaganError, match="did you mean 'blur'"):
            evaluate(folder / "maps", folder / "masks", **{option: "blurred"})
    with pytest.raises(MaganError, match=r"a\.png: the stem does not end in the suffix '_lbp'"):
        evaluate(folder / "maps", folder / "masks", suffix="_lbp")
