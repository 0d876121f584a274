"""tables.py and typeset.py on invented scores: what stands where, what is refused, and equal bytes."""

import json
import math
import shutil

import pandas as pd
import pytest

from magan_core.errors import MaganError
from magan_core.reporting import claims
from magan_core.reporting.tables import CE_ONLY, COMPARISON, VARIANTS, Own, write_claims, write_tables

ALL = list(claims.NUMBERS)
SETS = {
    "shi": {"source": "synthetic", "character": "objects"},
    "zhao": {"source": "cuhk", "white": "blur"},
    "dut": {"source": "synthetic", "character": "clutter_&_100%"},
    "ctcug": {"source": "szu-bd", "white": "blur"},
    "frd": {"source": "szu-bd", "use": "unlabelled"},
}
ON_DUT = sorted({name for table in ("IV", "V", "VI") for name in VARIANTS[table].values()})
NAMES = [f"{variant}-dut" for variant in ON_DUT]
NAMES += [f"{variant}-{role}" for role in ("shi", "zhao") for variant in ("manet", "magan", "magan-s")]
RUNS = {name: dict(zip(("variant", "set"), name.rsplit("-", 1), strict=True)) for name in NAMES}


def score(run: str, role: str) -> dict[str, float]:
    """Invented, different for each run and set, and with more than three decimals."""
    start = (sum(map(ord, run + role)) % 300) / 1000 + 0.6001234
    return {name: start + 0.01 * k for k, name in enumerate(("f_beta", "mae", "iou", "auc", "auf_beta"))}


def write_score(scores, run: str, role: str, **changes) -> None:
    folder = scores / run / role
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"protocol": "paper", "images": 4} | score(run, role) | changes
    (folder / "summary.json").write_text(json.dumps(summary))


class Folder:
    """A profile's scores and runs, and what params.yaml says of it."""

    def __init__(self, root, listed=NAMES, sets=SETS):
        self.root, self.listed, self.sets = root, list(listed), dict(sets)

    def fill(self, same_as=None):
        same_as = same_as or {}
        for run in self.listed:
            trained = same_as.get(RUNS[run]["set"], RUNS[run]["set"])
            for role in [trained, "ctcug"] if trained == same_as.get("dut", "dut") else [trained]:
                write_score(self.root / "scores", run, role)
            provenance = {"hardware": "Chip_X & Co, 2 threads", "seconds": {"predict_per_image": {}}}
            for index, role in enumerate(self.sets):
                provenance["seconds"]["predict_per_image"][role] = 0.01234 + index
            (self.root / "runs" / run).mkdir(parents=True, exist_ok=True)
            (self.root / "runs" / run / "provenance.json").write_text(json.dumps(provenance))
        return self

    def write(self, numbers=ALL, out="tables"):
        where = {"scores": self.root / "scores", "runs_dir": self.root / "runs", "out": self.root / out}
        tables = write_tables(numbers, runs=RUNS, listed=self.listed, sets=self.sets, **where)
        if numbers == ALL:
            own = Own(RUNS, self.listed, self.sets, where["scores"], where["runs_dir"])
            write_claims(own, where["out"] / "claims.csv")
        return tables

    def read(self, name: str) -> str:
        return (self.root / "tables" / name).read_text(encoding="utf-8")


@pytest.fixture
def full(tmp_path):
    return Folder(tmp_path).fill()


def cell(table: pd.DataFrame, method: str, column: str, dataset: str = "DUT"):
    return table[(table["dataset"] == dataset) & (table["method"] == method)][column].item()


def test_every_own_number_stands_in_its_cell(full):
    tables = full.write()
    expected = {
        ("I", "Shi's", "MANet"): ("manet-shi", "shi"),
        ("I", "DUT", "MA-GANet"): ("magan-dut", "dut"),
        ("I", "CTCUG", "MA-GANet-s"): ("magan-s-dut", "ctcug"),
        ("III", "Shi's (Zhao's split)", "MA-GANet"): ("magan-zhao", "zhao"),
        ("IV", "DUT", "Baseline"): ("baseline-dut", "dut"),
        ("IV", "DUT", "HL+LL+HCA+LCA"): ("hl-ll-hca-lca-dut", "dut"),
        ("IV", "DUT", "MANet"): ("manet-dut", "dut"),
        ("IV", "DUT", CE_ONLY): ("manet-ce-dut", "dut"),
        ("IV", "DUT", "MA-GANet+SSL (MA-GANet-s)"): ("magan-s-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 0, cGAN 0"): ("manet-ce-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 1.0, cGAN 0"): ("manet-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 1.0, cGAN 0.1"): ("magan-adv0.1-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 5.0, cGAN 0.001"): ("magan-iou5-dut", "dut"),
        ("VI", "DUT", "70×70"): ("magan-dut", "dut"),
        ("VI", "DUT", "256×256"): ("magan-rf256-dut", "dut"),
    }
    for (number, dataset, method), (run, role) in expected.items():
        for metric, value in score(run, role).items():
            assert cell(tables[number], method, f"{metric}_own", dataset) == value, (number, method)


def test_every_row_of_the_paper_is_there_and_only_ours_are_filled(full):
    tables = full.write()
    for number in ALL:
        paper = claims.load(number)
        for claim in paper.itertuples():
            value = cell(tables[number], claim.method, f"{claim.metric}_claimed", claim.dataset)
            assert value == claim.value or (math.isnan(value) and math.isnan(claim.value))
    ours = {"MANet", "MA-GANet", "MA-GANet-s"}
    assert set(tables["I"].dropna(subset="f_beta_own")["method"]) == ours
    assert tables["I"].loc[tables["I"]["method"] == "LBP", "mae_own"].isna().all()
    for number in ("IV", "V", "VI"):
        assert tables[number]["auc_own"].notna().all()


def test_manet_of_table_iv_stands_beside_both_readings(full):
    fourth = full.write(["IV"])["IV"]
    assert list(fourth["method"][6:8]) == ["MANet", CE_ONLY]
    for metric in ("f_beta", "mae", "iou", "auc", "auf_beta"):
        assert cell(fourth, "MANet", f"{metric}_claimed") == cell(fourth, CE_ONLY, f"{metric}_claimed")
    assert "equals the CE-only row" in full.read("table_IV.md")


def test_table_ii_has_own_seconds_and_names_the_hardware(full):
    second = full.write(["II"])["II"]
    assert cell(second, "MA-GANet", "seconds_own", "Shi's") == 0.01234
    assert cell(second, "MA-GANet", "seconds_own", "CTCUG") == 3.01234
    assert cell(second, "MA-GANet", "hardware") == "Chip_X & Co, 2 threads"
    assert cell(second, "HiFST", "seconds_claimed") == 1169.57
    assert cell(second, "HiFST", "hardware") == ""
    assert "| HiFST | CPU | 1169.57 |  |  |" in full.read("table_II.md")
    assert r"Chip\_X \& Co" in full.read("table_II.tex")


def test_what_stood_in_is_said(full):
    tables = full.write()
    assert cell(tables["I"], "MANet", "data", "Shi's") == "synthetic: objects"
    assert cell(tables["I"], "MANet", "data", "CTCUG") == "szu-bd, trained on synthetic: clutter_&_100%"
    assert cell(tables["III"], "MANet", "data", "Shi's (Zhao's split)") == "same data"
    assert cell(tables["I"], "LBP", "data", "Shi's") == ""
    assert "**Shi's** (own numbers: synthetic: objects)" in full.read("table_I.md")
    assert "**Shi's (Zhao's split)** (own numbers: same data)" in full.read("table_III.md")
    assert r"own numbers: synthetic: clutter\_\&\_100\%" in full.read("table_I.tex")


def test_comparison_file_is_tidy(full):
    full.write()
    tidy = pd.read_csv(full.root / "tables/claims.csv", keep_default_na=False, dtype=str)
    assert tuple(tidy) == COMPARISON
    row = tidy[(tidy["table"] == "VI") & (tidy["method"] == "1×1") & (tidy["metric"] == "mae")].iloc[0]
    own = score("magan-rf1-dut", "dut")["mae"]
    assert (row["claimed"], row["own"]) == ("0.084", f"{own:.6g}")
    assert float(row["difference"]) == pytest.approx(own - 0.084, abs=1e-6)
    empty = tidy[
        (tidy["method"] == "BTBNet") & (tidy["dataset"] == "CTCUG") & (tidy["metric"] == "iou")
    ].iloc[0]
    assert (empty["claimed"], empty["own"], empty["difference"], empty["data"]) == ("0.731", "", "", "")
    assert not tidy.duplicated(["table", "dataset", "method", "metric"]).any()


def test_best_and_second_best_of_the_paper_are_marked(full):
    full.write(["I", "III"])
    dut = full.read("table_I.md").split("**DUT**")[1].split("**CTCUG**")[0]
    rows = {
        line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1:2]]
        for line in dut.splitlines()[4:]
        if line
    }
    # F_beta, MAE, IoU, AUC, AUF: DefuNetV2 and MA-GANet share the second AUF, MANet has the second AUC
    assert rows["MA-GANet-s"] == ["**0.958**", "**0.068**", "**0.908**", "**0.974**", "**0.954**"]
    assert rows["MA-GANet"] == ["<u>0.954</u>", "<u>0.070</u>", "<u>0.907</u>", "0.967", "<u>0.952</u>"]
    assert rows["MANet"][3] == "<u>0.969</u>"
    assert rows["DefuNetV2"] == ["0.952", "0.082", "0.887", "0.952", "<u>0.952</u>"]
    shi = full.read("table_I.tex").split("(own numbers: synthetic: objects)")[1].split(r"\midrule")[0]
    assert r"\textbf{0.886}" in shi
    assert r"\underline{0.882}" in shi


@pytest.mark.parametrize("number", ALL)
def test_markdown_and_latex_are_well_formed(full, number):
    full.write([number])
    markdown = [line for line in full.read(f"table_{number}.md").splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in markdown}) == 1
    latex = full.read(f"table_{number}.tex")
    body = latex.split(r"\toprule")[1].split(r"\bottomrule")[0].replace(r"\&", "")
    columns = len(latex.split(r"\begin{tabular}{")[1].split("}")[0])
    for line in body.splitlines():
        if line.endswith(r"\\"):
            spans = [int(part.split("}")[0]) - 1 for part in line.split(r"\multicolumn{")[1:]]
            assert line.count("&") + 1 + sum(spans) == columns, line
    plain = latex.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "")
    assert plain.count("{") == plain.count("}")
    assert plain.replace(r"\$", "").count("$") % 2 == 0
    assert not set(latex) & set("β×↑↓λ<>%~") - {"~", "%"}
    assert latex.count("%") == latex.count(r"\%")
    for name in ("table*", "tabular"):
        assert latex.count(rf"\begin{{{name}}}") == latex.count(rf"\end{{{name}}}") == 1


def test_the_same_scores_give_the_same_bytes(full):
    full.write(out="tables")
    full.listed.reverse()
    full.write(out="again")
    files = sorted(path.name for path in (full.root / "tables").iterdir())
    assert files == sorted(
        ["claims.csv", *(f"table_{number}.{kind}" for number in ALL for kind in ("csv", "md", "tex"))]
    )
    for name in files:
        assert (full.root / "tables" / name).read_bytes() == (full.root / "again" / name).read_bytes()


def test_runs_that_a_profile_does_not_list_have_empty_cells(tmp_path):
    folder = Folder(
        tmp_path, listed=["manet-zhao"], sets={role: SETS[role] for role in ("zhao", "frd")}
    ).fill()
    tables = folder.write()
    assert (
        cell(tables["III"], "MANet", "iou_own", "Shi's (Zhao's split)") == score("manet-zhao", "zhao")["iou"]
    )
    assert tables["III"]["iou_own"].notna().sum() == 1
    for number in ("I", "IV", "V", "VI"):
        assert tables[number]["iou_own"].isna().all()
    assert tables["II"]["seconds_own"].isna().all()
    assert "**DUT** (no own numbers)" in folder.read("table_IV.md")


def test_baselines_get_rows_where_they_were_scored(full):
    assert "Constant map" not in set(full.write(["I"])["I"]["method"])
    write_score(full.root / "scores", "laplacian", "ctcug")
    first = full.write(["I"])["I"]
    assert cell(first, "Laplacian threshold", "mae_own", "CTCUG") == score("laplacian", "ctcug")["mae"]
    assert math.isnan(cell(first, "Laplacian threshold", "mae_claimed", "CTCUG"))
    assert list(first[first["dataset"] == "CTCUG"]["method"])[:2] == ["Laplacian threshold", "ASVB"]
    assert list(first["dataset"].unique()) == ["Shi's", "DUT", "CTCUG"]


@pytest.mark.parametrize("listed", [NAMES, [name for name in NAMES if not name.endswith("-zhao")]])
def test_a_set_may_fill_two_roles(tmp_path, listed):
    """With same_as, the run of the set itself is preferred, and a listed twin needs no scores of its own."""
    sets = SETS | {"dut": {"same_as": "zhao"}}
    folder = Folder(tmp_path, listed, sets).fill(same_as={"dut": "zhao"})
    twin = "manet-zhao" in listed
    if twin:
        shutil.rmtree(tmp_path / "scores/manet-dut")
    tables = folder.write()
    run = "manet-zhao" if twin else "manet-dut"
    assert cell(tables["IV"], "MANet", "iou_own") == score(run, "zhao")["iou"]
    assert cell(tables["IV"], "Baseline", "iou_own") == score("baseline-dut", "zhao")["iou"]
    assert cell(tables["IV"], "Baseline", "data") == "cuhk"
    assert cell(tables["III"], "MANet", "iou_own", "Shi's (Zhao's split)") == score(run, "zhao")["iou"]


def test_a_listed_run_without_scores_is_an_error(full):
    shutil.rmtree(full.root / "scores/hl-ll-dut")
    with pytest.raises(
        MaganError, match=r"hl-ll-dut.dut.summary\.json is missing though the profile lists run 'hl-ll-dut'"
    ):
        full.write(["I"])
    assert not (full.root / "tables").exists()


def test_a_run_without_scores_on_the_second_test_set_is_an_error(full):
    shutil.rmtree(full.root / "scores/magan-dut/ctcug")
    with pytest.raises(MaganError, match=r"magan-dut.ctcug.summary\.json is missing"):
        full.write(["I"])
    full.write(["III", "IV"])


def test_scores_of_an_unlisted_run_are_an_error(full):
    full.listed.remove("magan-rf16-dut")
    with pytest.raises(
        MaganError, match=r"scores.magan-rf16-dut holds scores of a run that the profile does not list"
    ):
        full.write(["VI"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"protocol": "adaptive"}, "is of protocol 'adaptive'"), ({"protocol": None}, "is of protocol 'None'")],
)
def test_scores_of_another_protocol_are_an_error(full, changes, message):
    write_score(full.root / "scores", "manet-dut", "dut", **changes)
    with pytest.raises(MaganError, match=message):
        full.write(["IV"])


def test_other_bad_input(full):
    with pytest.raises(MaganError, match="unknown table 'VII'"):
        full.write(["VII"])
    (full.root / "scores/manet-dut/dut/summary.json").write_text('{"protocol": "paper"}')
    with pytest.raises(MaganError, match="has no 'f_beta'"):
        full.write(["IV"])
    write_score(full.root / "scores", "manet-dut", "dut")
    (full.root / "runs/magan-dut/provenance.json").write_text('{"seconds": {"predict_per_image": {}}}')
    with pytest.raises(MaganError, match="has no 'dut' among the timings"):
        full.write(["II"])
    full.listed.append("magan-dutt")
    with pytest.raises(MaganError, match="unknown run 'magan-dutt'"):
        full.write(["I"])
    full.listed.remove("magan-dutt")
    del full.sets["shi"]
    with pytest.raises(MaganError, match="needs the set 'shi', which the profile lacks"):
        full.write(["I"])
