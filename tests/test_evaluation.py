"""evaluation.py: files in, five files out; every bad input is named."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from magan_core import cli, metrics, score_files
from magan_core.data.images import read_map
from magan_core.errors import MaganError
from magan_core.evaluation import compare, evaluate, published_test_list
from magan_core.score_files import common_protocol, mask_fingerprint

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


def found(*words, **options) -> dict[str, object]:
    """The summary, without which folders were scored."""
    summary = evaluate(*words, **options)
    summary.pop("scored", None)
    return summary


def scored(pairs) -> dict[str, float]:
    return metrics.summary(np.stack([metrics.histograms(*pair) for pair in pairs.values()]), PAPER)


def test_writes_the_files_of_the_contract(folders):
    folder, pairs = folders
    summary = evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert sorted(os.listdir(folder / "out")) == [
        "curves.csv",
        "histogram.csv",
        "per_image.csv",
        "statistics.npy",
        "summary.json",
    ]
    assert json.loads((folder / "out/summary.json").read_text()) == summary
    assert set(summary) == {"protocol", "rules", "images", "intervals", "scored", *metrics.SCORES}
    assert summary["scored"] == {
        "maps": str(folder / "maps"),
        "maps_white": "focus",
        "suffix": "",
        "masks": str(folder / "masks"),
        "masks_white": "focus",
        "masks_suffix": "",
        "split": None,
        "resample": False,
        "bits": 8,
    }
    assert (summary["protocol"], summary["images"]) == ("paper", 5)
    assert summary["rules"] == str(PAPER)
    assert {name: summary[name] for name in metrics.SCORES} == pytest.approx(scored(pairs), abs=1e-8)

    curves = pd.read_csv(folder / "out/curves.csv")
    assert list(curves) == ["threshold", "precision", "recall", "f_beta", "tpr", "fpr"]
    assert curves["threshold"].tolist() == [k / 100 for k in range(101)]
    assert curves["f_beta"].max() == pytest.approx(summary["f_beta"], abs=1e-7)
    each = pd.read_csv(folder / "out/per_image.csv")
    assert list(each) == ["stem", *metrics.SCORES, "mask"]
    assert each["stem"].tolist() == sorted(pairs)
    assert each["mae"].mean() == pytest.approx(summary["mae"], abs=1e-7)
    histogram = pd.read_csv(folder / "out/histogram.csv")
    assert histogram["value"].tolist() == list(range(256))
    assert histogram["count"].sum() == pytest.approx(SHAPE[0] * SHAPE[1])


def test_any_protocol_follows_from_the_statistics_without_the_maps(folders):
    folder, pairs = folders
    evaluate(folder / "maps", folder / "masks", out=folder / "out")
    statistics = np.load(folder / "out/statistics.npy", allow_pickle=False)
    assert (statistics.dtype, statistics.shape) == (np.int32, (5, 2, 256))
    for one, stem in zip(statistics, sorted(pairs), strict=True):
        focus_map, mask = pairs[stem]
        for kind, value in ((metrics.BLURRED, 0), (metrics.FOCUS, 255)):
            assert np.array_equal(one[kind], np.bincount(focus_map[mask == value], minlength=256))
    other = evaluate(folder / "maps", folder / "masks", protocol="pysodmetrics")
    found = metrics.summary(statistics, metrics.get_protocol("pysodmetrics"))
    assert {name: other[name] for name in metrics.SCORES} == pytest.approx(found, abs=1e-8)
    assert other["rules"] != str(PAPER)


def test_intervals_are_of_the_resampling_that_was_asked_for(folders):
    folder, pairs = folders
    found = evaluate(folder / "maps", folder / "masks", resamples=200, seed=4)["intervals"]
    statistics = np.stack([metrics.histograms(*pairs[stem]) for stem in sorted(pairs)])
    expected = metrics.intervals(statistics, PAPER, resamples=200, seed=4)
    assert list(found) == list(metrics.SCORES)
    for name, ends in found.items():
        assert ends == pytest.approx(list(expected[name]), abs=1e-8)
    assert found["mae"][0] < found["mae"][1]
    assert evaluate(folder / "maps", folder / "masks", resamples=200, seed=5)["intervals"] != found


def test_a_single_image_has_scores_and_no_interval(folders):
    folder, pairs = folders
    (folder / "split.txt").write_text("a\n")
    found = evaluate(folder / "maps", folder / "masks", split=folder / "split.txt", out=folder / "out")
    assert found["mae"] == pytest.approx(scored({"a": pairs["a"]})["mae"], abs=1e-8)
    assert found["intervals"] is None
    assert json.loads((folder / "out/summary.json").read_text()) == found


def test_a_second_evaluation_gives_the_same_bytes(folders):
    folder, _ = folders
    for out in ("one", "two"):
        evaluate(folder / "maps", folder / "masks", out=folder / out)
    for name in os.listdir(folder / "one"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()


def test_maps_as_magan_predict_and_macos_write_them(folders):
    """Overlays lie beside the maps; an umlaut may be two characters in one folder and one in the other."""
    folder, pairs = folders
    save(pairs["a"][0], folder / "maps" / "a.overlay.jpg")
    name = "fünf mit v1.2.png"
    (folder / "maps" / name).rename(folder / "maps" / unicodedata.normalize("NFD", name))
    summary = evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert {name: summary[name] for name in metrics.SCORES} == pytest.approx(scored(pairs), abs=1e-8)


def test_other_polarities_suffix_and_extension_give_the_same_scores(folders):
    folder, pairs = folders
    for stem, (focus_map, mask) in pairs.items():
        save(255 - focus_map, folder / "theirs" / f"{stem}_lbp.bmp")
        save(255 - mask, folder / "blurred" / f"{stem}_gt.png")
    expected = found(folder / "maps", folder / "masks")
    for name in ("theirs/Thumbs.db", "blurred/desktop.ini"):  # of file managers
        (folder / name).write_bytes(b"litter")
    words = {"maps_white": "blur", "masks_white": "blur", "suffix": "_lbp", "masks_suffix": "_gt"}
    assert found(folder / "theirs", folder / "blurred", **words) == expected
    first, *others = pairs
    for listed in (
        first,
        f"{first}_lbp.bmp",
        unicodedata.normalize("NFD", first),
        f"{first}_gt.png",
        f"{first}_gt",
    ):
        (folder / "split.txt").write_text("\n".join([listed, *others]))
        assert found(folder / "theirs", folder / "blurred", **words, split=folder / "split.txt") == expected


def test_a_suffix_in_either_unicode_form(folders):
    folder, pairs = folders
    for stem, (focus_map, _) in pairs.items():
        save(focus_map, folder / "theirs" / unicodedata.normalize("NFD", f"{stem}_schärfe.png"))
    expected = found(folder / "maps", folder / "masks")
    for form in ("NFC", "NFD"):
        suffix = unicodedata.normalize(form, "_schärfe")
        (folder / "split.txt").write_text("\n".join(f"{stem}_schärfe" for stem in pairs), encoding="utf-8")
        split = {"split": folder / "split.txt"}
        assert found(folder / "theirs", folder / "masks", suffix=suffix) == expected
        assert found(folder / "theirs", folder / "masks", suffix=suffix, **split) == expected


def test_records_carry_their_own_polarity(folders):
    folder, pairs = folders
    save(255 - pairs["a"][1], folder / "inverted" / "a.png")
    records = [
        {"stem": stem, "mask": str(folder / "masks" / f"{stem}.png"), "white": "focus"} for stem in pairs
    ]
    records[0] |= {"mask": str(folder / "inverted" / "a.png"), "white": "blur"}
    assert found(folder / "maps", records) == found(folder / "maps", folder / "masks")
    with pytest.raises(MaganError, match="names 'a' twice"):
        evaluate(folder / "maps", [records[0], *records])
    with pytest.raises(MaganError, match="list of test images is empty"):
        evaluate(folder / "maps", [])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])  # editors on Windows write the second
def test_split_takes_names_and_stems(folders, encoding):
    folder, pairs = folders
    split = folder / "split.txt"
    split.write_text("b\n\nfünf mit v1.2\n  d.JPG \n", encoding=encoding)
    for stem in ("a", "c"):
        (folder / "maps" / f"{stem}.png").unlink()
    found = evaluate(folder / "maps", folder / "masks", split=split, out=folder / "out")
    assert found["images"] == 3
    assert pd.read_csv(folder / "out/per_image.csv")["stem"].tolist() == ["b", "fünf mit v1.2", "d"]
    chosen = {stem: pairs[stem] for stem in ("b", "d", "fünf mit v1.2")}
    assert found["mae"] == pytest.approx(scored(chosen)["mae"], abs=1e-8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("b\nx\n", "'x' of .* is not in the"),
        ("a\nb.bak\n", r"'b\.bak' of .* is not in the"),
        ("b\nb.png\n", "names 'b' more than once"),
        ("\n", "is empty"),
    ],
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
    with pytest.raises(
        MaganError, match=r"c\.png: the map is 32 x 24 and its mask 16 x 12 .*allow resampling"
    ):
        evaluate(folder / "maps", folder / "masks")
    found = evaluate(folder / "maps", folder / "masks", resample=True)
    assert found["notes"] == ["1 of 5 maps had another size than their mask and were resized (bicubic)"]
    assert found["mae"] == pytest.approx(scored(pairs)["mae"], abs=0.01)


def test_sub_folders_of_maps_are_counted(folders):
    """As `magan predict --recursive` writes them."""
    folder, _ = folders
    (folder / "maps/day 1").mkdir()
    (note,) = evaluate(folder / "maps", folder / "masks")["notes"]
    assert note.endswith("maps, which are not looked into: 1")


def test_maps_that_say_nothing_are_counted(folders):
    folder, pairs = folders
    for stem, value in (("a", 0), ("b", 0), ("c", 77)):
        save(np.full_like(pairs[stem][0], value), folder / "maps" / f"{stem}.png")
    found = evaluate(folder / "maps", folder / "masks")
    assert found["notes"] == ["3 of 5 maps are of one value throughout"]


def test_maps_that_are_black_throughout_are_scored(folders):
    """As of a network that finds nothing in focus: they are not maps of 0 and 1."""
    folder, pairs = folders
    for stem, (focus_map, _) in pairs.items():
        save(np.zeros_like(focus_map), folder / "maps" / f"{stem}.png")
    found = evaluate(folder / "maps", folder / "masks")
    assert found["mae"] == pytest.approx(np.mean([mask.mean() / 255 for _, mask in pairs.values()]), abs=1e-8)
    dark, flat = found["notes"]
    assert dark.startswith("no map value is above 0 of 255")
    assert flat == "5 of 5 maps are of one value throughout"


def test_a_mask_with_grey_levels_is_cut_and_noted(folders):
    folder, pairs = folders
    expected = evaluate(folder / "maps", folder / "masks")
    assert "notes" not in expected
    for stem in ("a", "b"):
        mask = pairs[stem][1].copy()
        mask[mask == 255] = 128
        mask[:, 0] = 127
        save(mask, folder / "masks" / f"{stem}.png")
    save(np.where(pairs["c"][1] == 255, np.uint8(200), np.uint8(0)), folder / "masks" / "c.png")
    found = evaluate(folder / "maps", folder / "masks")
    assert found.pop("notes") == ["3 of 5 masks have grey levels and were cut at 128"]
    assert found == expected


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


def damage_scale(folder):
    for path in (folder / "maps").iterdir():
        save(np.uint8(np.array(Image.open(path)) > 127), path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_scale, r"maps hold 0 and 1; expected 0 to 255"),
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


def test_maps_of_twelve_bits_in_sixteen_are_noted_and_masks_refused(folders):
    folder, pairs = folders
    for stem, (_, mask) in pairs.items():
        Image.fromarray(mask.astype(np.uint16) * 16).save(folder / f"maps/{stem}.png")  # to 4080
    deep, dark = evaluate(folder / "maps", folder / "masks")["notes"]
    assert deep == "5 of 5 maps have 16 bits and were scored with 8"
    assert dark.startswith("no map value is above 16 of 255")
    for factor, highest in ((16, 16), (2, 2), (1.2, 1)):  # of 4080, 510 and 306
        for stem, (_, mask) in pairs.items():
            Image.fromarray((mask * float(factor)).astype(np.uint16)).save(folder / f"masks/{stem}.png")
        with pytest.raises(MaganError, match=rf"no mask value is above {highest} of 255; expected 0 and 255"):
            evaluate(folder / "maps", folder / "masks")


def test_a_single_map_may_be_nearly_black(folders):
    folder, _ = folders
    save(np.uint8(np.arange(192).reshape(SHAPE) > 100), folder / "maps/a.png")
    assert evaluate(folder / "maps", folder / "masks")["images"] == 5


def test_stems_are_one_in_either_unicode_form(folders):
    folder, _ = folders
    spelt = {form: unicodedata.normalize(form, "bär") for form in ("NFC", "NFD")}
    for kind in ("maps", "masks"):
        (folder / f"{kind}/a.png").rename(folder / f"{kind}/{spelt['NFD']}.png")
    expected = evaluate(folder / "maps", folder / "masks")
    masks = {path.stem: path for path in (folder / "masks").iterdir()}
    masks[spelt["NFC"]] = masks.pop(spelt["NFD"])
    for spelling in spelt.values():
        records = [
            {"stem": spelling if stem == spelt["NFC"] else stem, "mask": masks[stem], "white": "focus"}
            for stem in sorted(masks)
        ]
        assert evaluate(folder / "maps", records)["mae"] == expected["mae"]
    with pytest.raises(MaganError, match="names 'bär' twice"):
        evaluate(folder / "maps", [*records, {**records[0], "stem": spelt["NFC"]}])


def test_a_folder_whose_name_is_no_unicode(folders):
    folder, _ = folders
    named = Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9"))
    (folder / "maps").rename(named)
    masks, split = (Path(f"{named}-{kind}") for kind in ("masks", "split"))
    (folder / "masks").rename(masks)
    split.write_text("a\nb\n")
    summary = evaluate(named, masks, split=split, out=folder / "out")
    assert json.loads((folder / "out/summary.json").read_text()) == summary
    told = [summary["scored"][name] for name in ("maps", "masks", "split")]
    assert told == [str(folder / f"caf\\xe9{kind}") for kind in ("", "-masks", "-split")]


@pytest.mark.parametrize(
    "content", ['{"protocol": "https"}', "[]", '"protocol"', "3", "not JSON", "", b"\xff"]
)
def test_a_summary_of_another_program_is_not_replaced(folders, content):
    folder, _ = folders
    (folder / "out").mkdir()
    content = content if isinstance(content, bytes) else content.encode()
    (folder / "out/summary.json").write_bytes(content)
    with pytest.raises(MaganError, match=r"summary\.json is there already and not of an evaluation"):
        evaluate(folder / "none", folder / "masks", out=folder / "out")  # before anything is read
    assert [path.name for path in (folder / "out").iterdir()] == ["summary.json"]
    assert (folder / "out/summary.json").read_bytes() == content


@pytest.mark.parametrize("place", ["out", "out/summary.json"])
def test_scores_that_cannot_be_written_are_an_error_in_words(folders, place):
    folder, _ = folders
    if place == "out":
        (folder / place).write_text("a file")
    else:
        (folder / place).mkdir(parents=True)
    with pytest.raises(MaganError, match=r"(cannot write|is there already and not of).*another folder"):
        evaluate(folder / "maps", folder / "masks", out=folder / "out")


@pytest.mark.parametrize("name", ["curves.csv", "per_image.csv", "statistics.npy"])
def test_a_file_of_someone_else_is_not_replaced(folders, name):
    folder, _ = folders
    (folder / "out").mkdir()
    (folder / "out" / name).write_text("mine", encoding="utf-8")
    with pytest.raises(MaganError, match=f"{name} is there already and not of an evaluation"):
        evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert [path.read_text(encoding="utf-8") for path in (folder / "out").iterdir()] == ["mine"]


def test_an_evaluation_that_was_stopped_is_replaced(folders):
    folder, _ = folders
    expected = evaluate(folder / "maps", folder / "masks", out=folder / "out")
    for name in ("summary.json", "curves.csv"):
        (folder / "out" / name).unlink()
    assert evaluate(folder / "maps", folder / "masks", out=folder / "out") == expected


def test_names_that_are_no_unicode_are_scored(folders):
    folder, _ = folders
    for kind in ("maps", "masks"):
        (folder / f"{kind}/a.png").rename(folder / kind / os.fsdecode(b"\xe9.png"))
    evaluate(folder / "maps", folder / "masks", out=folder / "out")
    assert "\\xe9" in pd.read_csv(folder / "out/per_image.csv")["stem"].tolist()
    compare(folder / "out", folder / "out")


@pytest.mark.parametrize("content", [b"[]", b"{}", b"{"])
def test_comparing_with_a_summary_of_something_else_is_an_error_in_words(folders, content):
    folder, _ = folders
    evaluate(folder / "maps", folder / "masks", out=folder / "out")
    (folder / "out/summary.json").write_bytes(content)
    with pytest.raises(MaganError, match=r"summary\.json is not of an evaluation, or damaged; evaluate"):
        common_protocol(folder / "out", folder / "out")


def test_wrong_words_are_answered_with_the_right_ones(folders):
    folder, _ = folders
    with pytest.raises(MaganError, match="unknown protocol 'best'"):
        evaluate(folder / "maps", folder / "masks", protocol="best")
    for option in ("maps_white", "masks_white"):
        with pytest.raises(MaganError, match="did you mean 'blur'"):
            evaluate(folder / "maps", folder / "masks", **{option: "blurred"})
    with pytest.raises(MaganError, match=r"a\.png: the stem does not end in the suffix '_lbp'"):
        evaluate(folder / "maps", folder / "masks", suffix="_lbp")
    with pytest.raises(MaganError, match=r"masks/a\.png: the stem does not end in the suffix '_gt'"):
        evaluate(folder / "maps", folder / "masks", masks_suffix="_gt")


# ---- maps that others published ----


def test_published_maps_are_scored_on_the_images_that_they_cover(folders):
    folder, pairs = folders
    for stem in ("b", "d"):
        save(255 - pairs[stem][0], folder / "theirs" / f"{stem}_lbp.png")
        save(255 - pairs[stem][1], folder / "blurred" / f"{stem}.png")
    save(pairs["a"][1], folder / "blurred" / "a.png")
    records = published_test_list(folder / "theirs", folder / "blurred", "blur", "_lbp")
    found = evaluate(folder / "theirs", records, maps_white="blur", suffix="_lbp")
    assert found["images"] == 2
    expected = scored({stem: pairs[stem] for stem in ("b", "d")})
    assert {name: found[name] for name in metrics.SCORES} == pytest.approx(expected, abs=1e-8)


def test_a_published_map_without_a_mask_is_named(folders):
    folder, _ = folders
    (folder / "masks/c.png").unlink()
    with pytest.raises(
        MaganError, match=r"maps.c\.png has no mask in .*masks; remove it, or correct the suf"
    ):
        published_test_list(folder / "maps", folder / "masks", "focus")


# ---- two methods ----


@pytest.fixture
def two(folders):
    """one/ and two/: scores of the maps, and of the maps with every value halved."""
    folder, pairs = folders
    for stem, (focus_map, _) in pairs.items():
        save(focus_map // 2, folder / "halved" / f"{stem}.png")
    evaluate(folder / "maps", folder / "masks", out=folder / "one")
    evaluate(folder / "halved", folder / "masks", out=folder / "two")
    return folder


def test_compare_is_second_minus_first(two):
    found = compare(two / "one", two / "two", resamples=100)
    one, other = (json.loads((two / name / "summary.json").read_text()) for name in ("one", "two"))
    assert list(found) == list(metrics.SCORES)
    for name in metrics.SCORES:
        assert found[name].difference == pytest.approx(other[name] - one[name], abs=2e-8)
        assert found[name].low <= found[name].difference <= found[name].high
        assert 0 < found[name].p <= 1
    back = compare(two / "two", two / "one", resamples=100)
    assert back["mae"].difference == pytest.approx(-found["mae"].difference)
    assert compare(two / "one", two / "two", resamples=100, seed=2)["mae"] != found["mae"]


def test_compare_follows_its_protocol(two):
    found = compare(two / "one", two / "two", protocol="paper-focus", resamples=10)
    summaries = [
        evaluate(two / name, two / "masks", protocol="paper-focus")["iou"] for name in ("maps", "halved")
    ]
    assert found["iou"].difference == pytest.approx(summaries[1] - summaries[0], abs=2e-8)
    assert found["iou"] != compare(two / "one", two / "two", resamples=10)["iou"]
    with pytest.raises(MaganError, match="did you mean 'paper'"):
        compare(two / "one", two / "two", protocol="papper")


def test_the_command_compares_by_the_protocol_that_both_were_scored_by(two, capsys):
    folders = [str(two / name) for name in ("one", "two")]
    cli.main(["compare", *folders, "--resamples", "10"])
    assert capsys.readouterr().out.startswith("protocol paper; ")
    for name in ("one", "two"):
        summary = json.loads((two / name / "summary.json").read_text())
        (two / name / "summary.json").write_text(json.dumps(summary | {"protocol": "paper-focus"}))
        if name == "one":
            with pytest.raises(SystemExit):
                cli.main(["compare", *folders])
            told = capsys.readouterr().err
            assert "one was scored by protocol paper-focus" in told
            assert "two by paper; name the one" in told
    cli.main(["compare", *folders, "--resamples", "10"])
    assert capsys.readouterr().out.startswith("protocol paper-focus; ")
    cli.main(["compare", *folders, "--resamples", "10", "--protocol", "paper"])
    assert capsys.readouterr().out.startswith("protocol paper; ")
    with pytest.raises(SystemExit):
        cli.main(["compare", folders[0], str(two / "none")])
    assert "no such folder; name the --out folder" in capsys.readouterr().err


def test_compare_matches_images_by_name_not_by_place(two):
    """The images of the second folder were scored in another order."""
    (two / "split.txt").write_text("\n".join(["d", "fünf mit v1.2", "a", "c", "b"]), encoding="utf-8")
    evaluate(two / "halved", two / "masks", split=two / "split.txt", out=two / "shuffled")
    stems = [pd.read_csv(two / name / "per_image.csv")["stem"].tolist() for name in ("two", "shuffled")]
    assert stems[0] != stems[1]
    expected = compare(two / "one", two / "two", resamples=50)
    assert compare(two / "one", two / "shuffled", resamples=50) == expected


def test_odd_names_are_names(two):
    """pandas would read 007 as 7 and NA as empty, and a carriage return as the end of a line."""
    for name in ("maps", "halved", "masks"):
        for old, new in (("a", "007"), ("b", "NA"), ("d", "d\r\t")):
            (two / name / f"{old}.png").rename(two / name / f"{new}.png")
    for name, out in (("maps", "one"), ("halved", "two")):
        evaluate(two / name, two / "masks", out=two / out)
    (two / "split.txt").write_text("NA\n007\n")
    evaluate(two / "maps", two / "masks", split=two / "split.txt", out=two / "fewer")
    assert compare(two / "one", two / "two", resamples=10)["mae"].difference != 0
    with pytest.raises(MaganError, match=r"'c' \(and 2 more\) is in only one of"):
        compare(two / "one", two / "fewer")


def test_compare_refuses_other_images(two):
    (two / "halved/e.png").write_bytes((two / "halved/a.png").read_bytes())
    (two / "masks/e.png").write_bytes((two / "masks/a.png").read_bytes())
    evaluate(two / "halved", two / "masks", out=two / "more")
    with pytest.raises(MaganError, match=r"'e' is in only one of .*one and .*more; .* with a split file"):
        compare(two / "one", two / "more")


@pytest.mark.parametrize("change", [np.fliplr, lambda mask: mask.T.reshape(SHAPE), lambda mask: 255 - mask])
def test_compare_refuses_other_masks(two, change):
    """Two of these have as many pixels in focus as the mask that was there before."""
    path = two / "masks/b.png"
    before = read_map(path)
    mask = np.ascontiguousarray(change(before))
    assert not np.array_equal(mask, before)
    save(mask, path)
    evaluate(two / "halved", two / "masks", out=two / "other")
    with pytest.raises(
        MaganError,
        match=r"1 of 5 masks, such as that of 'b', are others in .*one than in .*other; .* same masks",
    ):
        compare(two / "one", two / "other")


def test_the_file_of_a_mask_does_not_matter_but_what_it_says(two):
    """Stored the other way round, and with levels that are cut to the same mask."""
    for path in (two / "masks").iterdir():
        save(np.where(read_map(path) > 0, np.uint8(20), np.uint8(230)), path)
    evaluate(two / "halved", two / "masks", masks_white="blur", out=two / "other")
    assert compare(two / "two", two / "other", resamples=10)["mae"].difference == 0


def test_masks_of_another_shape_have_another_fingerprint():
    mask = np.zeros((4, 6), np.uint8)
    mask[0, :3] = 255
    assert mask_fingerprint(mask) != mask_fingerprint(mask.reshape(6, 4))
    assert mask_fingerprint(mask) == mask_fingerprint(mask // 255)


def test_scores_of_an_older_version_are_to_be_evaluated_again(two):
    table = pd.read_csv(two / "one/per_image.csv").drop(columns="mask")
    table.to_csv(two / "one/per_image.csv", index=False)
    with pytest.raises(
        MaganError, match=r"one/per_image\.csv has no column 'mask'.*evaluate these maps again"
    ):
        compare(two / "one", two / "two")


def test_what_is_no_folder_of_scores(two):
    with pytest.raises(MaganError, match=r"maps is no folder of scores: it has no .*`magan evaluate`"):
        compare(two / "maps", two / "two")
    statistics = two / "one/statistics.npy"
    np.save(statistics, np.load(statistics)[:3])  # left by an evaluation of other images
    with pytest.raises(MaganError, match=r"one: statistics\.npy \(3, 2, 256\) does not go with the 5 images"):
        compare(two / "one", two / "two")
    statistics.write_bytes(b"")
    with pytest.raises(MaganError, match=r"one/statistics\.npy.*evaluate these maps again"):
        compare(two / "one", two / "two")
    np.save(statistics, np.array([print] * 5, dtype=object), allow_pickle=True)
    with pytest.raises(MaganError, match=r"one/statistics\.npy.*evaluate these maps again"):
        compare(two / "one", two / "two")
    evaluate(two / "maps", two / "masks", out=two / "one")
    (two / "one/per_image.csv").write_text("name\na\n")
    with pytest.raises(MaganError, match=r"one/per_image\.csv is no table.*evaluate these maps again"):
        compare(two / "one", two / "two")


def test_a_protocol_of_ones_own(folders):
    folder, pairs = folders
    mine = metrics.Protocol("mine", "own", "focus", beta2=1.0, f_rule="fixed")
    for name in ("a", "b"):
        summary = evaluate(folder / "maps", folder / "masks", protocol=mine, out=folder / name)
    assert (summary["protocol"], summary["rules"]) == ("mine", str(mine))
    focus = {stem: (values >= 128, mask == 255) for stem, (values, mask) in pairs.items()}
    f1 = [2 * (found & true).sum() / (found.sum() + true.sum()) for found, true in focus.values()]
    assert summary["f_beta"] == pytest.approx(np.mean(f1), abs=1e-7)
    assert compare(folder / "a", folder / "b", protocol=mine)["f_beta"].difference == 0


def test_one_map_of_zeros_and_ones_among_others_is_told(folders):
    folder, pairs = folders
    save((pairs["a"][0] >= 128).astype(np.uint8), folder / "maps" / "a.png")
    notes = evaluate(folder / "maps", folder / "masks")["notes"]
    assert "1 of 5 maps hold nothing above 1 of 255: are theirs 0 and 1 of 1?" in notes


@pytest.mark.parametrize("factor", [1, 2])
def test_a_map_that_is_turned_by_a_quarter_is_not_stretched(folders, factor):
    folder, pairs = folders
    values, _ = pairs["b"]
    height, width = (factor * side for side in SHAPE)
    Image.fromarray(values).resize((width, height)).rotate(90, expand=True).save(folder / "maps" / "b.png")
    with pytest.raises(
        MaganError, match=rf"b\.png: the map is {height} x {width} and its mask 16 x 12 .*quarter"
    ):
        evaluate(folder / "maps", folder / "masks", resample=True)


def test_a_square_map_of_another_size_is_not_taken_for_a_turned_one(folders):
    folder, pairs = folders
    for stem, (values, mask) in pairs.items():
        save(np.kron(values[:, :12], np.ones((2, 2), np.uint8)), folder / "square" / f"{stem}.png")
        save(mask[:, :12], folder / "masks" / f"{stem}.png")
    (note,) = evaluate(folder / "square", folder / "masks", resample=True)["notes"]
    assert note.startswith("5 of 5 maps had another size")


@pytest.mark.parametrize("size", [(20, 20), (16, 13), (12, 11), (160, 121), (50, 60)])
def test_a_map_of_another_shape_that_is_not_turned_is_resized(folders, size):
    folder, pairs = folders
    Image.fromarray(pairs["b"][0]).resize(size).save(folder / "maps" / "b.png")
    assert (
        "1 of 5 maps had another size"
        in evaluate(folder / "maps", folder / "masks", resample=True)["notes"][0]
    )


def test_a_write_of_scores_that_stops_leaves_no_summary_of_before(folders, tmp_path, monkeypatch):
    folder, _ = folders
    evaluate(folder / "maps", folder / "masks", out=tmp_path / "out")

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(score_files, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        evaluate(folder / "maps", folder / "masks", out=tmp_path / "out")
    assert not (tmp_path / "out/summary.json").exists()


def test_maps_of_one_value_are_not_said_to_have_the_wrong_polarity(folders):
    folder, pairs = folders
    for stem, (focus_map, _) in pairs.items():
        save(np.full_like(focus_map, 77), folder / "maps" / f"{stem}.png")
    assert evaluate(folder / "maps", folder / "masks")["notes"] == ["5 of 5 maps are of one value throughout"]
