"""results/*/scored: what tables are made from says what they say."""

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from magan_core import metrics
from magan_core.reporting.behaviour import matching_contrast, undecided, with_contrast

ROOT = Path(__file__).resolve().parent.parent
PROFILES = ("cuhk", "cuhk-cpu", "cuhk-cpu-shi")
RESULTS = ROOT / "results/cuhk"
RUNS = sorted(
    (profile, path.name.removesuffix(".tar.gz"))
    for profile in PROFILES
    for path in (ROOT / f"results/{profile}/scored").glob("*.tar.gz")
)
DIFFERENCES = pd.read_csv(RESULTS / "tables/differences.csv")
PAPER = metrics.get_protocol("paper")


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Folder with PROFILE/runs/RUN and PROFILE/scores/RUN/SET of all archives."""
    folder = tmp_path_factory.mktemp("scored")
    for profile, run in RUNS:
        (folder / profile).mkdir(exist_ok=True)
        archive = ROOT / f"results/{profile}/scored/{run}.tar.gz"
        subprocess.run(["tar", "xzf", archive, "-C", folder / profile], check=True)
    return folder


@pytest.fixture(scope="module")
def scored(archives):
    """Those of cuhk."""
    return archives / "cuhk"


def statistics(scored, run, role):
    return np.load(scored / "scores" / run / role / "statistics.npy")


@pytest.mark.parametrize(("profile", "run"), RUNS)
def test_a_run_has_the_scores_and_the_history_of_the_tables(archives, profile, run):
    results, here = ROOT / "results" / profile, archives / profile
    told = json.loads((results / "metrics.json").read_text(encoding="utf-8"))[run]
    assert told
    for role, scores in told.items():
        found = metrics.summary(statistics(here, run, role), PAPER)
        assert {name: round(found[name], 4) for name in metrics.SCORES} == scores
    history = pd.read_csv(here / "runs" / run / "history.csv")
    histories = pd.read_csv(results / "tables/histories.csv")
    table = histories[histories["run"] == run].drop(columns="run").reset_index(drop=True)
    pd.testing.assert_frame_equal(history, table[history.columns], check_dtype=False)
    origin = json.loads((here / "runs" / run / "provenance.json").read_text(encoding="utf-8"))
    assert origin == json.loads((results / "tables/provenance.json").read_text(encoding="utf-8"))[run]


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


@pytest.mark.parametrize("profile", PROFILES)
def test_all_runs_of_the_tables_are_here(profile):
    file = ROOT / f"results/{profile}/tables/provenance.json"
    origins = json.loads(file.read_text(encoding="utf-8"))
    trained = [run for run, origin in origins.items() if "run" in origin]
    assert [(profile, run) for run in sorted(trained)] == [one for one in RUNS if one[0] == profile]


@pytest.mark.parametrize(("without", "method"), [("manet", "magan"), ("magan", "magan-s")])
@pytest.mark.parametrize("score", metrics.SCORES)
def test_differences_over_seeds_are_those_of_the_same_seeds(archives, without, method, score):
    """As many as three have a t of 2 degrees of freedom: 4.3027 times the standard error."""
    here = archives / "cuhk-cpu-shi"
    by_seed = [
        metrics.summary(statistics(here, f"{method}-shi{seed}", "shi"), PAPER)[score]
        - metrics.summary(statistics(here, f"{without}-shi{seed}", "shi"), PAPER)[score]
        for seed in ("", "-s2", "-s3")
    ]
    half = 4.302653 * np.std(by_seed, ddof=1) / 3**0.5
    rows = pd.read_csv(ROOT / "results/cuhk-cpu-shi/tables/differences.csv").set_index(
        ["without", "with", "metric"]
    )
    row = rows.loc[without, method, score]
    expected = [np.mean(by_seed), np.mean(by_seed) - half, np.mean(by_seed) + half]
    assert list(row[["difference", "low", "high"]]) == pytest.approx(expected, abs=2e-6)


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
    text = (ROOT / "docs/experiments.md").read_text(encoding="utf-8")
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
    ("number", "name", "run"),
    [(43, "MANet", "manet"), (43, "MA-GANet", "magan"), (46, "MA-GANet-s", "magan-s")],
)
def test_an_experiment_tells_the_means_over_seeds_of_the_tables(number, name, run):
    told = json.loads((ROOT / "results/cuhk-cpu-shi/metrics.json").read_text(encoding="utf-8"))
    scores = [told[f"{run}-shi{seed}"]["shi"] for seed in ("", "-s2", "-s3")]
    cells = [" / ".join(f"{one['mae']:.4f}" for one in scores)]
    claims = pd.read_csv(ROOT / "results/cuhk-cpu-shi/tables/claims.csv").set_index(
        ["table", "dataset", "method", "metric"]
    )
    for metric in ("mae", "f_beta", "iou", "auc", "auf_beta"):
        own, deviation = claims.loc[("I", "Shi's", name, metric), ["own", "deviation"]]
        assert own == pytest.approx(np.mean([one[metric] for one in scores]), abs=1e-4)
        cells.append(f"{own:.3f} ± {deviation:.{3 if deviation >= 0.0005 else 4}f}")
    assert f"| {name} | {' | '.join(cells)} |" in section(number)
    (row,) = re.findall(r"\| own, three seeds \| (.*) \|", (ROOT / "results/README.md").read_text("utf-8"))
    assert cells[1] in row.split(" | ")


NAMED_44 = {
    "baseline": "baseline-dut",
    "HL+LL": "hl-ll-dut",
    "HL+LL+HCA": "hl-ll-hca-dut",
    "HL+LL+HCA+SA": "hl-ll-hca-sa-dut",
    "HL+LL+HCA+LCA": "hl-ll-hca-lca-dut",
    "HL+LL+SA": "hl-ll-sa-dut",
    "MANet": "manet-zhao",
    "attention as printed": "manet-raw-dut",
    "MANet without IoU": "manet-ce-dut",
    "MA-GANet": "magan-zhao",
    "1 × 1": "magan-rf1-dut",
    "16 × 16": "magan-rf16-dut",
    "256 × 256": "magan-rf256-dut",
    "cGAN 0.01": "magan-adv1e-2-dut",
    "cGAN 0.1": "magan-adv1e-1-dut",
    "MA-GANet without IoU": "magan-noiou-dut",
    "IoU 5.0": "magan-iou5-dut",
}


@pytest.mark.parametrize(("name", "run"), NAMED_44.items())
def test_experiment_44_tells_three_seeds_of_every_row(archives, name, run):
    seeds = [archives / f"cuhk-cpu/scores/{run}{seed}" for seed in ("", "-s2", "-s3")]
    found = {
        role: pd.DataFrame([json.loads((one / role / "summary.json").read_text("utf-8")) for one in seeds])
        for role in ("zhao", "ctcug")
    }
    cells = [" / ".join(f"{one:.4f}" for one in found["zhao"]["mae"])]
    told = [("zhao", score) for score in ("mae", "f_beta", "auc", "auf_beta")]
    for role, score in [*told, ("ctcug", "mae"), ("ctcug", "auf_beta")]:
        cells.append(f"{found[role][score].mean():.4f} ± {found[role][score].std():.4f}")
    assert f"| {name} | {' | '.join(cells)} |" in section(44)


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
