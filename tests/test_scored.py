"""results/cuhk/scored: what its tables are made from says what they say."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magan_core import metrics
from magan_core.reporting.behaviour import matching_contrast, undecided, with_contrast

RESULTS = Path(__file__).resolve().parent.parent / "results/cuhk"
RUNS = sorted(path.name.removesuffix(".tar.gz") for path in (RESULTS / "scored").glob("*.tar.gz"))
DIFFERENCES = pd.read_csv(RESULTS / "tables/differences.csv")
PAPER = metrics.get_protocol("paper")


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """Folder with runs/RUN and scores/RUN/SET of all archives."""
    folder = tmp_path_factory.mktemp("scored")
    for run in RUNS:
        subprocess.run(["tar", "xzf", RESULTS / f"scored/{run}.tar.gz", "-C", folder], check=True)
    return folder


def statistics(scored, run, role):
    return np.load(scored / "scores" / run / role / "statistics.npy")


@pytest.mark.parametrize("run", RUNS)
def test_a_run_has_the_scores_and_the_history_of_the_tables(scored, run):
    told = json.loads((RESULTS / "metrics.json").read_text(encoding="utf-8"))[run]
    assert told
    for role, scores in told.items():
        found = metrics.summary(statistics(scored, run, role), PAPER)
        assert {name: round(found[name], 4) for name in metrics.SCORES} == scores
    history = pd.read_csv(scored / "runs" / run / "history.csv")
    histories = pd.read_csv(RESULTS / "tables/histories.csv")
    table = histories[histories["run"] == run].drop(columns="run").reset_index(drop=True)
    pd.testing.assert_frame_equal(history, table[history.columns], check_dtype=False)
    origin = json.loads((scored / "runs" / run / "provenance.json").read_text(encoding="utf-8"))
    assert origin == json.loads((RESULTS / "tables/provenance.json").read_text(encoding="utf-8"))[run]


@pytest.mark.parametrize("method", ["ASVB", "DBDF", "HiFST", "LBP", "SS"])
def test_a_classical_method_has_the_scores_of_the_tables(method, tmp_path):
    archive = RESULTS / f"scored/classical/{method}.tar.gz"
    subprocess.run(["tar", "xzf", archive, "-C", tmp_path], check=True)
    table = pd.read_csv(RESULTS / "tables/table_I.csv")
    table = table[table["method"] == method].set_index("dataset")
    for role, dataset in {"shi": "Shi's", "zhao": "DUT", "ctcug": "CTCUG"}.items():
        found = metrics.summary(statistics(tmp_path, method, role), PAPER)
        for name in metrics.SCORES:
            assert table.loc[dataset, f"{name}_own"] == pytest.approx(found[name], abs=1e-5)


def test_all_runs_of_the_tables_are_here():
    origins = json.loads((RESULTS / "tables/provenance.json").read_text(encoding="utf-8"))
    assert [run for run, origin in origins.items() if "run" in origin] == RUNS


@pytest.mark.parametrize(
    ("without", "run_without", "method", "run"),
    [
        ("manet-ce", "manet-ce-dut", "magan", "magan-zhao"),
        ("hl-ll", "hl-ll-dut", "manet", "manet-zhao"),
        ("magan", "magan-zhao", "magan-s", "magan-s-zhao"),
    ],
)
@pytest.mark.parametrize(("role", "dataset"), [("zhao", "DUT"), ("ctcug", "CTCUG")])
def test_differences_are_those_of_the_same_photographs(
    scored, without, run_without, method, run, role, dataset
):
    pair = [pd.read_csv(scored / "scores" / one / role / "per_image.csv") for one in (run_without, run)]
    assert pair[0]["stem"].tolist() == pair[1]["stem"].tolist()
    change = (pair[1]["mae"] - pair[0]["mae"]).mean()
    rows = DIFFERENCES[(DIFFERENCES["without"] == without) & (DIFFERENCES["with"] == method)]
    (row,) = rows[(rows["dataset"] == dataset) & (rows["metric"] == "mae")].to_dict("records")
    assert row["difference"] == pytest.approx(change, abs=2e-6)
    assert row["low"] < change < row["high"]


def section(number: int) -> str:
    """Of docs/experiments.md."""
    text = (RESULTS.parent.parent / "docs/experiments.md").read_text(encoding="utf-8")
    return re.search(rf"\n## {number}\. .*?(?=\n## )", text, re.DOTALL)[0]


NAMED_39 = {
    "baseline (HL)": "baseline-dut",
    "HL + LL": "hl-ll-dut",
    "MANet (CE + IoU)": "manet-zhao",
    "MANet, CE alone": "manet-ce-dut",
    "CE + adversarial": "magan-noiou-dut",
    "MA-GANet (all three)": "magan-zhao",
}
TOLD = [
    (39, name, place, run, role)
    for name, run in NAMED_39.items()
    for place, role in enumerate(("zhao", "ctcug"))
]
TOLD += [
    (42, "MANet", 0, "manet-shi", "shi"),
    (42, "MA-GANet", 0, "magan-shi", "shi"),
    (42, "MA-GANet-s", 0, "magan-s-shi", "shi"),
    (42, "HL + LL + HCA", 0, "hl-ll-hca-dut", "zhao"),
    (42, "HL + LL + HCA", 1, "hl-ll-hca-dut", "ctcug"),
    (42, "MA-GANet-s", 2, "magan-s-zhao", "zhao"),  # 1: the paper's
    (42, "MA-GANet-s", 3, "magan-s-zhao", "ctcug"),
]


@pytest.mark.parametrize(("number", "name", "place", "run", "role"), TOLD)
def test_an_experiment_tells_these_scores(scored, number, name, place, run, role):
    """place: of the rows of this name."""
    found = json.loads((scored / "scores" / run / role / "summary.json").read_text(encoding="utf-8"))
    low, high = found["intervals"]["mae"]
    cells = [f"{found['mae']:.4f} ({low:.4f}–{high:.4f})"]
    cells += [f"{found[metric]:.4f}" for metric in ("f_beta", "iou", "auc", "auf_beta")]
    cells.append(f"{100 * undecided(statistics(scored, run, role)).mean():.1f} %")
    rows = [[cell.strip() for cell in line.split("|")] for line in section(number).splitlines()]
    told = [row[3:-1] for row in rows if len(row) > 3 and row[1].rpartition("**: ")[2] == name]
    assert told[place] == cells


@pytest.mark.parametrize(
    ("run", "gain", "mae", "area"),
    [("manet", "1.83", "0.0439", "0.9700"), ("magan", "1.92", "0.0437", "0.9701")],
)
def test_contrast_does_most_of_what_the_losses_do(scored, run, gain, mae, area):
    plain, trained = (statistics(scored, name, "zhao") for name in ("manet-ce-dut", f"{run}-zhao"))
    matched = matching_contrast(plain, undecided(trained).mean())
    turned = with_contrast(plain, matched)
    found = metrics.summary(turned, PAPER)
    assert (f"{matched:.2f}", f"{found['mae']:.4f}", f"{found['auf_beta']:.4f}") == (gain, mae, area)
    _, _, told = section(39).partition(f"by {gain}" if run == "manet" else f"By {gain}")
    assert {mae, area} <= set(re.findall(r"0\.\d{4}", told[:200]))
    change = metrics.paired_difference(turned, trained, PAPER)
    assert min(change[metric].p for metric in ("mae", "auf_beta", "f_beta", "iou")) > 0.15
    assert change["auc"].low > 0
