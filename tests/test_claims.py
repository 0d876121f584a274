"""data/paper_tables against a second transcription, typed separately in the paper's layout."""

import pandas as pd
import pytest

from magan_core import paths
from magan_core.errors import MaganError
from magan_core.reporting import claims

METHODS = [
    *("ASVB", "DBDF", "SS", "LBP", "HiFST", "BTBNet", "CENet", "DefuNet", "DMENet", "DD", "DefuNetV2"),
    *("MANet", "MA-GANet", "MA-GANet-s"),
]
TABLE_I = {
    ("Shi's", "f_beta"): "731 841 787 866 865 - - 917 914 - 925 951 953 955",
    ("Shi's", "mae"): "636 323 298 186 232 - - 116 155 - 102 96 84 80",
    ("Shi's", "iou"): "40 547 742 757 732 - - 833 826 - 845 869 886 882",
    ("Shi's", "auc"): "592 839 829 873 829 - - 922 880 - 924 951 952 953",
    ("Shi's", "auf_beta"): "192 761 800 834 828 - - 920 702 - 930 938 946 948",
    ("DUT", "f_beta"): "747 802 784 874 866 887 903 922 930 932 952 950 954 958",
    ("DUT", "mae"): "651 369 296 173 302 190 135 115 314 113 82 78 70 68",
    ("DUT", "iou"): "52 529 529 782 635 803 839 857 846 857 887 899 907 908",
    ("DUT", "auc"): "582 779 779 859 866 856 898 889 846 901 952 969 967 974",
    ("DUT", "auf_beta"): "219 730 730 840 792 844 881 894 753 898 952 934 952 954",
    ("CTCUG", "f_beta"): "605 740 741 805 785 827 - 891 845 905 899 899 910 926",
    ("CTCUG", "mae"): "505 344 302 242 267 177 - 138 301 122 127 119 105 92",
    ("CTCUG", "iou"): "66 466 670 650 606 731 - 758 754 774 761 788 802 809",
    ("CTCUG", "auc"): "649 770 827 821 839 910 - 897 899 926 930 938 942 957",
    ("CTCUG", "auf_beta"): "266 637 731 681 754 832 - 865 693 869 866 892 900 912",
}
TIMED = ["ASVB", "DBDF", "SS", "LBP", "HiFST", "BTBNet", "CENet", "DefuNet", "DefuNetV2", "MA-GANet"]
TABLE_II = {
    "Shi's": "2040 214830 2760 57340 2576240 25000 64 94 97 62",
    "DUT": "1590 110370 1200 30380 1169570 25000 64 56 59 50",
    "CTCUG": "1650 120240 2010 34550 1204710 - - - 68 60",
}
# the others as printed: MAE, F, IoU, AUC, AUF
PRINTED = ("mae", "f_beta", "iou", "auc", "auf_beta")
OTHERS = {
    "III": {
        "BTBNet": (109, 950, 909, 980, 913),
        "CENet": (60, 956, 921, 951, 944),
        "DD": (48, 966, 936, 972, 960),
        "MANet": (54, 960, 926, 986, 949),
        "MA-GANet": (43, 969, 940, 983, 968),
        "MA-GANet-s": (40, 970, 941, 986, 968),
    },
    "IV": {
        "Baseline": (132, 924, 865, 947, 914),
        "HL+LL": (101, 937, 886, 951, 932),
        "HL+LL+HCA": (92, 938, 878, 955, 926),
        "HL+LL+HCA+SA": (88, 944, 888, 962, 932),
        "HL+LL+HCA+LCA": (89, 938, 883, 965, 928),
        "HL+LL+SA": (87, 940, 882, 963, 929),
        "MANet": (78, 950, 899, 969, 934),
        "MANet+adv (MA-GANet)": (70, 954, 907, 967, 952),
        "MA-GANet+SSL (MA-GANet-s)": (68, 958, 908, 974, 954),
    },
    "V": {
        "CE 1.0, IoU 0, cGAN 0": (78, 950, 899, 969, 934),
        "CE 1.0, IoU 1.0, cGAN 0": (76, 950, 902, 960, 938),
        "CE 1.0, IoU 1.0, cGAN 0.001": (70, 954, 907, 967, 952),
        "CE 1.0, IoU 1.0, cGAN 0.01": (77, 951, 901, 969, 949),
        "CE 1.0, IoU 1.0, cGAN 0.1": (88, 948, 879, 959, 927),
        "CE 1.0, IoU 0, cGAN 0.001": (72, 953, 905, 967, 947),
        "CE 1.0, IoU 5.0, cGAN 0.001": (75, 951, 909, 966, 947),
    },
    "VI": {
        "1×1": (84, 948, 878, 957, 939),
        "16×16": (73, 954, 901, 964, 950),
        "70×70": (70, 954, 907, 967, 952),
        "256×256": (88, 941, 868, 961, 937),
    },
}


def thousandths(number: str) -> dict[tuple[str, str, str], int | None]:
    table = claims.load(number)
    keys = zip(table["dataset"], table["method"], table["metric"], strict=True)
    values = [None if pd.isna(value) else round(value * 1000) for value in table["value"]]
    found = dict(zip(keys, values, strict=True))
    assert len(found) == len(table), "a cell is given twice"
    return found


def cells(text: str) -> list[int | None]:
    return [None if cell == "-" else int(cell) for cell in text.split()]


def test_table_i():
    expected = {
        (dataset, method, metric): value
        for (dataset, metric), row in TABLE_I.items()
        for method, value in zip(METHODS, cells(row), strict=True)
    }
    assert thousandths("I") == expected
    assert list(claims.load("I")["method"].unique()) == METHODS
    assert list(claims.load("I")["dataset"].unique()) == ["Shi's", "DUT", "CTCUG"]


def test_table_ii():
    expected = {
        (dataset, method, "seconds"): value
        for dataset, row in TABLE_II.items()
        for method, value in zip(TIMED, cells(row), strict=True)
    }
    assert thousandths("II") == expected
    device = claims.load("II").groupby("method")["device"].unique()
    assert {method: list(found) for method, found in device.items()} == {
        method: ["CPU" if method in METHODS[:5] else "GPU"] for method in TIMED
    }


@pytest.mark.parametrize("number", OTHERS)
def test_other_tables(number):
    dataset = "Shi's (Zhao's split)" if number == "III" else "DUT"
    expected = {
        (dataset, method, metric): value
        for method, row in OTHERS[number].items()
        for metric, value in zip(PRINTED, row, strict=True)
    }
    assert thousandths(number) == expected
    assert list(claims.load(number)["method"].unique()) == list(OTHERS[number])


def test_numbers_keep_their_printed_digits():
    first = claims.load("I").set_index(["dataset", "method", "metric"])["printed"]
    assert first["Shi's", "ASVB", "iou"] == "0.04"
    assert first["DUT", "MANet", "f_beta"] == "0.950"
    assert first["Shi's", "BTBNet", "f_beta"] == ""


def test_rows_that_appear_twice_in_the_paper_agree():
    """MANet, MA-GANet and MA-GANet-s on DUT in Tables I and IV; MA-GANet also in V and VI."""
    first, fourth, fifth, sixth = (claims.load(number) for number in ("I", "IV", "V", "VI"))

    def row(table, method):
        part = table[(table["dataset"] == "DUT") & (table["method"] == method)]
        return dict(zip(part["metric"], part["value"], strict=True))

    assert row(first, "MANet") == row(fourth, "MANet") == row(fifth, "CE 1.0, IoU 0, cGAN 0")
    assert row(first, "MANet") != row(fifth, "CE 1.0, IoU 1.0, cGAN 0")
    assert row(first, "MA-GANet") == row(fourth, "MANet+adv (MA-GANet)") == row(sixth, "70×70")
    assert row(first, "MA-GANet") == row(fifth, "CE 1.0, IoU 1.0, cGAN 0.001")
    assert row(first, "MA-GANet-s") == row(fourth, "MA-GANet+SSL (MA-GANet-s)")


def test_unknown_and_missing_tables(monkeypatch, tmp_path):
    with pytest.raises(MaganError, match="unknown table '1'"):
        claims.load("1")
    monkeypatch.setattr(paths, "PAPER_TABLES", tmp_path)
    with pytest.raises(MaganError, match=r"cannot read .*table_I\.csv.*part of the repository"):
        claims.load("I")
