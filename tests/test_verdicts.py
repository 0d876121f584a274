"""What stands beside a number: its verdict, whose maps it is of, how many seeds, how sure it is."""

import math
import shutil
import statistics
from dataclasses import replace

import pytest
from fake_scores import RUNS, TOLERANCE, Folder, cell, markdown_rows, score, write_score

from magan_core.errors import MaganError
from magan_core.reporting import typeset
from magan_core.reporting.sources import REAL
from magan_core.reporting.tables import RAW, write_claims

ZHAO = "Shi's (Zhao's split)"


@pytest.fixture
def full(tmp_path):
    return Folder(tmp_path).fill()


def verdict(folder, metric: str, own: float, **options) -> str:
    """The verdict on MANet of Table III with this score on the paper's data."""
    write_score(folder.root / "scores", "manet-zhao", "zhao", **{metric: own})
    return cell(folder.write(["III"], **options)["III"], "MANet", f"{metric}_verdict", ZHAO)


@pytest.mark.parametrize(
    ("metric", "own", "expected"),
    [
        ("f_beta", 0.960, "reproduced"),  # as claimed
        ("f_beta", 0.9699, "reproduced"),
        (
            "f_beta",
            0.970,
            "reproduced",
        ),  # at the tolerance; 0.970 - 0.960 is a little more than 0.01 in binary
        ("f_beta", 0.9701, "better"),
        ("f_beta", 0.9499, "not reproduced"),
        ("mae", 0.064, "reproduced"),  # at the tolerance, on the worse side
        ("mae", 0.044, "reproduced"),  # and on the better
        ("mae", 0.0641, "not reproduced"),
        ("mae", 0.0439, "better"),  # too good is another number, too
    ],
)
def test_a_difference_up_to_the_tolerance_is_reproduced(full, metric, own, expected):
    assert verdict(full, metric, own) == expected


def test_each_metric_has_its_own_tolerance(full):
    assert verdict(full, "iou", 0.900, tolerance=TOLERANCE | {"iou": 0.03}) == "reproduced"
    assert verdict(full, "auc", 0.986, tolerance=TOLERANCE | {"auc": None}) == "not judged"


def test_stand_ins_are_never_a_verdict_on_the_paper(full):
    """Not even with the very number of the paper, nor on its test set with a model trained on other data."""
    for role, claimed in (("dut", 0.078), ("ctcug", 0.119)):
        write_score(full.root / "scores", "manet-dut", role, mae=claimed)
    full.sets["ctcug"] = REAL["ctcug"] | {"white": "focus"}
    first = full.write(["I"])["I"]
    for dataset, data in (
        ("DUT", "synthetic scenes ‘"),
        ("CTCUG", "same data, trained on synthetic scenes ‘"),
    ):
        assert cell(first, "MANet", "mae_own", dataset) == cell(first, "MANet", "mae_claimed", dataset)
        assert cell(first, "MANet", "mae_verdict", dataset) == "not judged"
        assert cell(first, "MANet", "data", dataset).startswith(data)
    full.sets["dut"] = REAL["dut"] | {"white": "focus"}
    assert cell(full.write(["I"])["I"], "MANet", "mae_verdict", "CTCUG") == "reproduced"


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ({"train_split": "zhao_fit.txt"}, "same data, trained on cuhk, train_split zhao_fit.txt"),
        ({"test_split": "last100_test.txt"}, "cuhk, test_split last100_test.txt"),
        ({"exclude": "some.txt"}, "cuhk, exclude some.txt"),
    ],
)
def test_the_papers_photographs_divided_otherwise_are_no_verdict_on_it(full, entry, data):
    full.sets["zhao"] = full.sets["zhao"] | entry
    assert verdict(full, "f_beta", 0.960) == "not judged"
    assert cell(full.write(["III"])["III"], "MANet", "data", ZHAO) == data


def test_a_share_of_the_papers_photographs_is_no_verdict_on_it(full):
    full.sets["zhao"] = {"source": "cuhk", "white": "blur", "train_share": 0.3}
    assert verdict(full, "f_beta", 0.960) == "not judged"
    told = cell(full.write(["III"])["III"], "MANet", "data", ZHAO)
    assert told == "cuhk, train_share 0.3"


def test_photographs_that_a_network_labelled_are_told(full):
    """MANet was trained on them; LBP, on the same test photographs, was not."""
    for role in ("ctcug", "dut"):
        full.sets[role] = REAL[role] | {"white": "focus"}
    full.sets["dut"]["pseudo"] = {"source": "garden", "split": "all.txt", "maps": "build/pseudo"}
    full.others = ("LBP",)
    for role in ("shi", "dut", "ctcug"):
        write_score(full.root / "scores", "LBP", role, mae=0.25)
    first = full.write(["I"])["I"]
    told = "same data, also trained on garden, labelled by a network"
    assert cell(first, "MANet", "data", "CTCUG") == told
    assert cell(first, "MANet", "mae_verdict", "CTCUG") == "not judged"
    assert cell(first, "LBP", "data", "CTCUG") == "same data"


def test_a_number_that_was_not_run_and_one_that_the_paper_lacks(full):
    tables = full.write()
    assert cell(tables["I"], "LBP", "iou_verdict") == "not run"
    assert cell(tables["I"], "BTBNet", "iou_verdict", "CTCUG") == "not run"
    assert cell(tables["I"], "BTBNet", "iou_verdict", "Shi's") == ""
    assert cell(tables["IV"], RAW, "iou_verdict") == ""
    assert cell(tables["II"], "MA-GANet", "seconds_verdict") == "not judged"


# ---- methods without training ----


def test_a_detector_without_training_stands_on_the_test_set_alone(full):
    full.sets["ctcug"] = REAL["ctcug"] | {"white": "focus"}
    full.others = ("LBP", "laplacian")
    for role in ("shi", "dut", "ctcug"):
        for other in full.others:
            write_score(full.root / "scores", other, role, mae=0.25)
    first = full.write(["I"])["I"]
    assert cell(first, "LBP", "data", "CTCUG") == "same data"
    assert cell(first, "LBP", "mae_verdict", "CTCUG") == "reproduced"  # 0.242
    assert cell(first, "LBP", "mae_verdict", "DUT") == "not judged"
    assert cell(first, "MANet", "mae_verdict", "CTCUG") == "not judged"
    full.write_timing("LBP")
    assert cell(full.write(["II"])["II"], "LBP", "seconds_own", "CTCUG") == 3.01234


def test_a_detector_keeps_the_papers_rows_of_sets_that_are_not_there(full):
    """Listing it, or not, changes own cells alone."""
    del full.sets["ctcug"], full.sets["dut"]
    full.listed = {name: run for name, run in full.listed.items() if run["set"] != "dut"}
    for name in RUNS.keys() - full.listed.keys():
        shutil.rmtree(full.root / "scores" / name)
    before = full.write(["I"])["I"]
    full.others = ("LBP",)
    write_score(full.root / "scores", "LBP", "shi", mae=0.25)
    after = full.write(["I"])["I"]
    rows = ["dataset", "method", "mae_claimed"]
    assert after[rows].equals(before[rows])
    assert cell(after, "LBP", "mae_own", "Shi's") == 0.25
    assert cell(after, "LBP", "mae_verdict", "CTCUG") == "not run"


def test_a_listed_detector_must_be_scored(full):
    full.others = ("HiFST",)
    with pytest.raises(MaganError, match=r"HiFST.shi.summary\.json is missing .* lists 'HiFST'"):
        full.write(["I"])


# ---- maps that others published ----


@pytest.fixture
def with_published(full):
    full.published = {"DBDF-published": {"method": "DBDF", "set": "shi"}}
    write_score(full.root / "scores", "DBDF-published", "shi", images=100, mae=0.323)
    return full


def test_published_maps_have_a_row_beside_their_method_on_their_data(with_published):
    first = with_published.write(["I"])["I"]
    rows = first[first["method"] == "DBDF, published maps"]
    assert list(rows["dataset"]) == ["Shi's"]
    assert list(first["method"][:3]) == ["ASVB", "DBDF", "DBDF, published maps"]
    assert rows["iou_own"].item() == score("DBDF-published", "shi")["iou"]
    assert rows["data"].item() == "published maps, 100 images"
    assert math.isnan(cell(first, "DBDF", "iou_own", "Shi's"))
    assert cell(first, "MANet", "data", "Shi's") == "synthetic scenes ‘objects’"
    text = with_published.read("table_I.md")
    assert "| DBDF, published maps, 100 images |  |" in text
    assert "**Shi's** (own numbers: synthetic scenes ‘objects’)" in text
    assert "DBDF, published maps, 100 images & " in with_published.read("table_I.tex")


def test_published_maps_are_no_verdict_on_the_paper(with_published):
    """Nobody says that they are what the paper scored. Our own maps of the same method have one."""
    with_published.sets["shi"] = REAL["shi"] | {"white": "blur"}
    with_published.others = ("DBDF", "HiFST")
    for role in ("shi", "dut", "ctcug"):
        for method in ("DBDF", "HiFST"):
            write_score(with_published.root / "scores", method, role, mae=0.4)
    first = with_published.write(["I"])["I"]
    assert cell(first, "DBDF, published maps", "mae_own", "Shi's") == 0.323
    assert cell(first, "DBDF, published maps", "mae_verdict", "Shi's") == ""
    assert cell(first, "DBDF", "mae_own", "Shi's") == 0.4
    assert cell(first, "DBDF", "mae_verdict", "Shi's") == "not judged", "a re-trained port"
    assert cell(first, "HiFST", "mae_verdict", "Shi's") == "not reproduced", "an exact port"


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (
            {"method": "DBFD", "set": "shi"},
            "unknown method of published maps theirs 'DBFD'; did you mean",
        ),
        ({"method": "DBDF", "set": "zhao"}, "no table has a row of DBDF on 'zhao'"),
    ],
)
def test_published_maps_that_no_table_shows_are_an_error(full, published, message):
    full.published = {"theirs": published}
    with pytest.raises(MaganError, match=message):
        full.write(["I"])


def test_another_network_or_unlabelled_set_is_no_verdict_on_the_paper(tmp_path):
    """MANet on the paper's own data is judged; MA-GANet-s, which learnt from other unlabelled data, is not,
    and nothing is with another backbone."""
    folder = Folder(tmp_path).fill()
    for name in ("manet-zhao", "magan-s-zhao"):
        assert folder.listed[name]["set"] == "zhao"
    folder.listed["magan-s-zhao"] = folder.listed["magan-s-zhao"] | {"unlabelled": "frd"}
    third = folder.write(["III"])["III"]
    split = "Shi's (Zhao's split)"
    assert cell(third, "MANet", "data", split) == "same data"
    assert cell(third, "MANet", "mae_verdict", split) in ("reproduced", "better", "not reproduced")
    assert cell(third, "MA-GANet-s", "data", split) == "same data, unlabelled szu-bd"
    assert cell(third, "MA-GANet-s", "mae_verdict", split) == "not judged"
    other = replace(folder.results(), backbone="resnet18")
    claims_of_other = write_claims(other, TOLERANCE, tmp_path / "claims.csv")
    manet = claims_of_other[(claims_of_other["table"] == "III") & (claims_of_other["method"] == "MANet")]
    assert set(manet["data"]) == {"same data, network resnet18"}
    assert set(manet["verdict"]) == {"not judged"}


def test_published_maps_that_are_not_there_have_no_row(with_published):
    shutil.rmtree(with_published.root / "scores/DBDF-published")
    first = with_published.write(["I"])["I"]
    assert "DBDF, published maps" not in set(first["method"])
    assert cell(first, "DBDF", "iou_verdict", "Shi's") == "not run"


# ---- several seeds ----

SEEDS = ("magan-dut", "magan-dut-s1", "magan-dut-s9")


@pytest.fixture(params=[SEEDS, SEEDS[::-1]], ids=["in order", "reversed"])
def with_seeds(request, tmp_path):
    """Three runs of MA-GANet on DUT."""
    listed = {name: run for name, run in RUNS.items() if name != "magan-dut"}
    for name in request.param:
        seed = {"seed": int(name.rsplit("-s", 1)[1])} if "-s" in name else {}
        listed[name] = {"variant": "magan", "set": "dut"} | seed
    return Folder(tmp_path, listed).fill()


def own(folder, number: str, method: str, metric: str) -> dict:
    """The row of claims.csv."""
    rows = write_claims(folder.results(), TOLERANCE, folder.root / "claims.csv")
    assert rows.index.is_unique, "pandas 3.0 cannot count rows that share labels"
    found = rows[(rows["table"] == number) & (rows["method"] == method) & (rows["metric"] == metric)]
    return found[found["dataset"] == "DUT"].iloc[0].to_dict()


def test_seeds_give_their_mean_and_deviation(with_seeds):
    row = own(with_seeds, "VI", "70×70", "iou")
    values = [score(name, "dut")["iou"] for name in SEEDS]
    assert row["own"] == pytest.approx(statistics.mean(values), abs=1e-12)
    assert row["deviation"] == pytest.approx(statistics.stdev(values), abs=1e-12)
    assert row["difference"] == pytest.approx(statistics.mean(values) - 0.907, abs=1e-12)
    assert (row["seeds"], row["images"]) == (3, 4)
    assert math.isnan(row["low"]), "an interval of one seed says nothing about their mean"
    single = own(with_seeds, "VI", "1×1", "iou")
    assert single["seeds"] == 1
    assert math.isnan(single["deviation"])


def test_the_order_of_the_seeds_does_not_count(with_seeds):
    with_seeds.write(out="tables")
    with_seeds.listed = dict(sorted(with_seeds.listed.items(), key=lambda item: item[0], reverse=True))
    with_seeds.write(out="again")
    for path in (with_seeds.root / "tables").iterdir():
        assert path.read_bytes() == (with_seeds.root / "again" / path.name).read_bytes()


def test_seeds_are_said_beside_the_number(with_seeds):
    with_seeds.write(["VI"])
    values = [score(name, "dut")["f_beta"] for name in SEEDS]
    shown = markdown_rows(with_seeds.read("table_VI.md"))["70×70"][1]
    expected = f"{statistics.mean(values):.3f}<br><sub>± {statistics.stdev(values):.3f}, 3 seeds</sub>"
    assert shown.replace("*", "").replace("<u>", "").replace("</u>", "") == expected


def test_the_seconds_are_those_of_the_profiles_own_seed(with_seeds):
    path = with_seeds.root / "runs/magan-dut/provenance.json"
    path.write_text(path.read_text().replace("2.01234", "7.5"))
    assert cell(with_seeds.write(["II"])["II"], "MA-GANet", "seconds_own") == 7.5


def test_every_seed_must_have_scores(with_seeds):
    shutil.rmtree(with_seeds.root / "scores/magan-dut-s9")
    with pytest.raises(MaganError, match=r"magan-dut-s9.dut.summary\.json is missing"):
        with_seeds.write(["VI"])


def test_a_single_test_image_has_a_number_and_no_interval(full):
    write_score(full.root / "scores", "manet-zhao", "zhao", images=1, intervals=None, iou=0.9)
    full.write(["III"])
    assert markdown_rows(full.read("table_III.md"))["MANet"][5].strip("*<u>/") == "0.900"


def test_a_run_with_another_backbone_is_no_verdict_on_the_paper(full):
    full.listed = {
        **full.listed,
        "manet-zhao": full.listed["manet-zhao"] | {"model": {"backbone": "resnet18"}},
    }
    assert verdict(full, "f_beta", 0.960) == "not judged"
    table = full.write(["III"])["III"]
    assert cell(table, "MANet", "data", ZHAO) == "same data, network resnet18"


def test_a_small_deviation_keeps_a_digit_that_is_not_nought():
    cell = {"seeds": 3, "low": math.nan}
    assert typeset.spread(cell | {"deviation": 0.0004}) == "± 0.0004, 3 seeds"
    assert typeset.spread(cell | {"deviation": 0.0005}) == "± 0.001, 3 seeds"
