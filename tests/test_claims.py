"""data/paper_tables against a second transcription, typed from the paper without a look at the first."""

from fractions import Fraction
from pathlib import Path

import pandas as pd
import pytest

from magan_core import limits, paths
from magan_core.errors import MaganError
from magan_core.metrics import SCORES
from magan_core.reporting import claims

SECOND = pd.read_csv(Path(__file__).with_name("second_transcription.csv"), dtype=str, keep_default_na=False)


def name_here(number: str, method: str) -> str:
    """What data/paper_tables call a row that the paper prints as `method`."""
    if number == "V":
        return "CE {}, IoU {}, cGAN {}".format(*method.split())
    return method.replace(" ", "") if number == "VI" else method


def typed_again(number: str) -> dict[tuple[str, str, str], str]:
    """Digits by data set, method and metric; "" for a dash."""
    cells = {}
    for row in SECOND[SECOND["table"] == number].to_dict("records"):
        dataset = "Shi's (Zhao's split)" if number == "III" else row["dataset"]
        for metric in ("seconds",) if number == "II" else ("f_beta", "mae", "iou", "auc", "auf_beta"):
            cells[dataset, name_here(number, row["method"]), metric] = row[metric]
    return cells


@pytest.mark.parametrize("number", limits.TABLES)
def test_both_transcriptions_agree_cell_by_cell(number):
    table = claims.load(number)
    keys = list(zip(table["dataset"], table["method"], table["metric"], strict=True))
    assert len(set(keys)) == len(keys), "a cell is given twice"
    expected = typed_again(number)
    assert dict(zip(keys, table["printed"], strict=True)) == expected
    assert list(dict.fromkeys(key[:2] for key in keys)) == list(dict.fromkeys(key[:2] for key in expected))
    assert set(table["table"]) == {number}
    for value, digits in zip(table["value"], table["printed"], strict=True):
        assert value == float(digits) if digits else pd.isna(value)


# How many numbers the paper prints in each table and metric, and their sum in thousandths.
SUMS = {
    "I": {
        "f_beta": (38, 32944),
        "mae": (38, 8105),
        "iou": (38, 26924),
        "auc": (38, 32966),
        "auf_beta": (38, 30070),
    },
    "II": {"seconds": (27, 5580154)},
    "III": {"mae": (6, 354), "f_beta": (6, 5771), "iou": (6, 5573), "auc": (6, 5858), "auf_beta": (6, 5702)},
    "IV": {"mae": (9, 805), "f_beta": (9, 8483), "iou": (9, 7996), "auc": (9, 8653), "auf_beta": (9, 8401)},
    "V": {"mae": (7, 536), "f_beta": (7, 6657), "iou": (7, 6302), "auc": (7, 6757), "auf_beta": (7, 6594)},
    "VI": {"mae": (4, 315), "f_beta": (4, 3797), "iou": (4, 3554), "auc": (4, 3849), "auf_beta": (4, 3778)},
}


@pytest.mark.parametrize("number", limits.TABLES)
def test_the_sums_of_the_papers_tables(number):
    found = {
        metric: (len(part), sum(Fraction(digits) * 1000 for digits in part))
        for metric, part in claims.load(number).query("printed != ''").groupby("metric")["printed"]
    }
    assert found == SUMS[number]


def test_the_device_of_table_ii():
    device = claims.load("II").groupby("method")["device"].unique()
    cpu = {"ASVB", "DBDF", "SS", "LBP", "HiFST"}
    assert {method: list(found) for method, found in device.items()} == {
        method: ["CPU" if method in cpu else "GPU"] for method in device.index
    }


def test_rows_that_appear_twice_in_the_paper_agree():
    """MANet, MA-GANet and MA-GANet-s on DUT in Tables I and IV; MA-GANet also in V and VI."""
    first, fourth, fifth, sixth = (claims.load(number) for number in ("I", "IV", "V", "VI"))

    def row(table, method):
        part = table[(table["dataset"] == "DUT") & (table["method"] == method)]
        assert len(part) == 5
        return dict(zip(part["metric"], part["value"], strict=True))

    assert row(first, "MANet") == row(fourth, "MANet") == row(fifth, "CE 1.0, IoU 0, cGAN 0")
    assert row(first, "MANet") != row(fifth, "CE 1.0, IoU 1.0, cGAN 0")
    assert row(first, "MA-GANet") == row(fourth, "MANet+adv (MA-GANet)") == row(sixth, "70×70")
    assert row(first, "MA-GANet") == row(fifth, "CE 1.0, IoU 1.0, cGAN 0.001")
    assert row(first, "MA-GANet-s") == row(fourth, "MA-GANet+SSL (MA-GANet-s)")


def test_what_the_text_says_and_the_tables_do_not():
    """The slips of docs/paper-notes.md that are numbers."""
    value = {
        (row["table"], row["dataset"], row["method"], row["metric"]): row["value"]
        for number in limits.TABLES
        for row in claims.load(number).to_dict("records")
    }

    def better(one, other, table="I", dataset="DUT", other_dataset=None):
        """The scores in which a row is better than another."""
        found = set()
        for metric in SCORES:
            first = value[table, dataset, one, metric]
            second = value[table, other_dataset or dataset, other, metric]
            if first < second if metric == "mae" else first > second:
                found.add(metric)
        return found

    methods = {key[2] for key in value if key[:2] == ("I", "CTCUG") and value[key] == value[key]}
    easier = {
        method: better(method, method, dataset="CTCUG", other_dataset="Shi's")
        | better(method, method, dataset="CTCUG", other_dataset="DUT")
        for method in methods
    }
    assert len(methods) == 13
    assert len([method for method, found in easier.items() if found]) == 10
    assert easier["ASVB"] == set(SCORES) - {"f_beta"}
    assert not any("f_beta" in found for found in easier.values())
    assert better("DefuNetV2", "MANet") == {"f_beta", "auf_beta"}
    assert value["I", "DUT", "DefuNetV2", "auf_beta"] == value["I", "DUT", "MA-GANet", "auf_beta"]
    assert better("DD", "MANet", dataset="CTCUG") == {"f_beta"}
    assert better("MANet", "MA-GANet") == {"auc"}
    zhao = "Shi's (Zhao's split)"
    assert better("DD", "MANet", "III", dataset=zhao) == {"mae", "f_beta", "iou", "auf_beta"}
    assert better("MA-GANet", "MA-GANet-s", dataset="Shi's") == {"iou"}
    assert "auf_beta" not in better("MA-GANet-s", "MA-GANet", "III", dataset=zhao)
    assert {"iou", "auf_beta"} <= better("HL+LL", "HL+LL+HCA", "IV")
    assert {"iou", "auf_beta"} <= better("HL+LL", "HL+LL+SA", "IV")
    assert {"iou", "auf_beta"} <= better("HL+LL", "HL+LL+HCA+LCA", "IV")
    weights = "CE 1.0, IoU {}, cGAN {}".format
    assert better(weights("0", "0"), weights("1.0", "0"), "V") == {"auc"}
    assert "f_beta" not in better(weights("1.0", "0"), weights("0", "0"), "V")
    assert better(weights("5.0", "0.001"), weights("1.0", "0.001"), "V") == {"iou"}
    assert "auc" in better(weights("1.0", "0.01"), weights("1.0", "0.001"), "V")
    cpu = [
        value["II", dataset, method, "seconds"] for dataset in ("Shi's", "DUT") for method in ("ASVB", "SS")
    ]
    assert max(cpu) < value["II", "DUT", "BTBNet", "seconds"]


def test_unknown_and_missing_tables(monkeypatch, tmp_path):
    with pytest.raises(MaganError, match="unknown table '1'"):
        claims.load("1")
    monkeypatch.setattr(paths, "PAPER_TABLES", tmp_path)
    with pytest.raises(MaganError, match=r"cannot read .*table_I\.csv.*part of the repository"):
        claims.load("I")
