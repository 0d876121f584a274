"""tables.py and typeset.py on invented scores: what stands where, what is refused, and equal bytes."""

import math
import shutil

import pandas as pd
import pytest
from fake_scores import ALL, RUNS, SETS, Folder, cell, markdown_rows, score, write_score

from magan_core.classical import METHODS
from magan_core.errors import MaganError
from magan_core.reporting import claims
from magan_core.reporting.tables import CE_ONLY, COMPARISON, OURS, RAW, VARIANTS


@pytest.fixture
def full(tmp_path):
    return Folder(tmp_path).fill()


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
        ("IV", "DUT", RAW): ("manet-raw-dut", "dut"),
        ("IV", "DUT", "MA-GANet+SSL (MA-GANet-s)"): ("magan-s-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 0, cGAN 0"): ("manet-ce-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 1.0, cGAN 0"): ("manet-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 1.0, cGAN 0.1"): ("magan-adv1e-1-dut", "dut"),
        ("V", "DUT", "CE 1.0, IoU 5.0, cGAN 0.001"): ("magan-iou5-dut", "dut"),
        ("VI", "DUT", "70×70"): ("magan-dut", "dut"),
        ("VI", "DUT", "256×256"): ("magan-rf256-dut", "dut"),
    }
    for (number, dataset, method), (run, role) in expected.items():
        for metric, value in score(run, role).items():
            assert cell(tables[number], method, f"{metric}_own", dataset) == value, (number, method)


def test_every_row_that_has_a_variant_is_in_its_table(full):
    """A row that no claim has, or a misspelt one, would leave its run out without a word."""
    full.others = ("constant", "laplacian", *METHODS)
    for other in full.others:
        full.write_timing(other)
        for role in ("shi", "dut", "ctcug", "zhao"):
            write_score(full.root / "scores", other, role)
    tables = full.write()
    for number, variants in VARIANTS.items():
        metric = "seconds" if number == "II" else "iou"
        own = tables[number][["method", f"{metric}_own"]].dropna()
        assert set(own["method"]) == set(variants)
        assert len(own) == len(variants) * tables[number]["dataset"].nunique()


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
    assert list(fourth["method"][6:9]) == ["MANet", CE_ONLY, RAW]
    assert math.isnan(cell(fourth, RAW, "mae_claimed"))
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
    assert cell(tables["I"], "MANet", "data", "Shi's") == "synthetic scenes ‘objects’"
    assert (
        cell(tables["I"], "MANet", "data", "CTCUG") == "szu-bd, trained on synthetic scenes ‘clutter_&_100%’"
    )
    assert cell(tables["III"], "MANet", "data", "Shi's (Zhao's split)") == "same data"
    assert cell(tables["I"], "LBP", "data", "Shi's") == ""
    assert "**Shi's** (own numbers: synthetic scenes ‘objects’)" in full.read("table_I.md")
    assert "**Shi's (Zhao's split)** (own numbers: same data)" in full.read("table_III.md")
    assert r"own numbers: synthetic scenes ‘clutter\_\&\_100\%’" in full.read("table_I.tex")


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
    assert (row["seeds"], row["images"], row["deviation"]) == ("1", "4", "")
    assert (empty["seeds"], empty["images"], empty["low"], empty["high"]) == ("0", "0", "", "")
    assert float(row["low"]) == pytest.approx(own - 0.02, abs=1e-6)
    assert float(row["high"]) == pytest.approx(own + 0.01, abs=1e-6)
    assert not tidy.duplicated(["table", "dataset", "method", "metric"]).any()


def test_best_and_second_best_of_the_paper_are_marked(full):
    full.write(["I", "III"])
    dut = full.read("table_I.md").split("**DUT**")[1].split("**CTCUG**")[0]
    rows = {method: cells[::2] for method, cells in markdown_rows(dut).items()}
    # F_beta, MAE, IoU, AUC, AUF: DefuNetV2 and MA-GANet share the second AUF, MANet has the second AUC
    assert rows["MA-GANet-s"] == ["**0.958**", "**0.068**", "**0.908**", "**0.974**", "**0.954**"]
    assert rows["MA-GANet"] == ["<u>0.954</u>", "<u>0.070</u>", "<u>0.907</u>", "0.967", "<u>0.952</u>"]
    assert rows["MANet"][3] == "<u>0.969</u>"
    assert rows["DefuNetV2"] == ["0.952", "0.082", "0.887", "0.952", "<u>0.952</u>"]
    shi = full.read("table_I.tex").split("(own numbers: synthetic scenes ‘objects’)")[1].split(r"\midrule")[0]
    assert r"\textbf{0.886}" in shi
    assert r"\underline{0.882}" in shi


def test_best_and_second_best_of_our_own_are_marked_and_equal_numbers_share_a_rank(full):
    """F is better when high, MAE when low; what is printed as equal shares a rank."""
    for name, f, mae in (("manet", 0.95, 0.2004), ("magan", 0.97, 0.2), ("magan-s", 0.95, 0.3)):
        write_score(full.root / "scores", f"{name}-zhao", "zhao", f_beta=f, mae=mae)
    full.write(["III"])
    rows = markdown_rows(full.read("table_III.md"))
    own = {method: (rows[method][1].split("<br>")[0], rows[method][3].split("<br>")[0]) for method in OURS}
    assert own["MANet"] == ("<u>0.950</u>", "**0.200**")
    assert own["MA-GANet"] == ("**0.970**", "**0.200**")
    assert own["MA-GANet-s"] == ("<u>0.950</u>", "<u>0.300</u>")
    assert rows["DD"][1] == ""
    assert r"\underline{0.950} {\tiny 0.930–0.960}" in full.read("table_III.tex")
    assert rows["MA-GANet"][1] == "**0.970**<br><sub>0.950–0.980</sub>"


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
    full.listed = dict(reversed(full.listed.items()))
    full.write(out="again")
    files = sorted(path.name for path in (full.root / "tables").iterdir())
    assert files == sorted(
        ["claims.csv", *(f"table_{number}.{kind}" for number in ALL for kind in ("csv", "md", "tex"))]
    )
    for name in files:
        assert (full.root / "tables" / name).read_bytes() == (full.root / "again" / name).read_bytes()


def test_runs_that_a_profile_does_not_list_have_empty_cells(tmp_path):
    listed = {"manet-zhao": RUNS["manet-zhao"]}
    folder = Folder(tmp_path, listed, {role: SETS[role] for role in ("zhao", "frd")}).fill()
    tables = folder.write()
    assert (
        cell(tables["III"], "MANet", "iou_own", "Shi's (Zhao's split)") == score("manet-zhao", "zhao")["iou"]
    )
    assert tables["III"]["iou_own"].notna().sum() == 1
    for number in ("I", "IV", "V", "VI"):
        assert tables[number]["iou_own"].isna().all()
    assert tables["II"]["seconds_own"].isna().all()
    assert "**DUT** (no own numbers)" in folder.read("table_IV.md")


def test_baselines_that_the_profile_lists_have_rows_and_must_be_scored(full):
    assert not {"Constant map", "Laplacian threshold"} & set(full.write(["I"])["I"]["method"])
    full.others = ("laplacian",)
    for role in ("shi", "dut"):
        write_score(full.root / "scores", "laplacian", role)
    with pytest.raises(MaganError, match=r"laplacian.ctcug.summary\.json is missing .* lists 'laplacian'"):
        full.write(["I"])
    write_score(full.root / "scores", "laplacian", "ctcug")
    first = full.write(["I"])["I"]
    assert cell(first, "Laplacian threshold", "mae_own", "CTCUG") == score("laplacian", "ctcug")["mae"]
    assert math.isnan(cell(first, "Laplacian threshold", "mae_claimed", "CTCUG"))
    assert cell(first, "Laplacian threshold", "mae_verdict", "CTCUG") == ""
    assert list(first[first["dataset"] == "CTCUG"]["method"])[:2] == ["Laplacian threshold", "ASVB"]
    assert list(first["dataset"].unique()) == ["Shi's", "DUT", "CTCUG"]


@pytest.mark.parametrize("twin", [True, False])
def test_a_set_may_fill_two_roles(tmp_path, twin):
    """With same_as, the run of the set itself is preferred, and a listed twin needs no scores of its own."""
    sets = SETS | {"dut": {"same_as": "zhao"}}
    listed = {name: run for name, run in RUNS.items() if twin or run["set"] != "zhao"}
    folder = Folder(tmp_path, listed, sets).fill(same_as={"dut": "zhao"})
    if twin:
        shutil.rmtree(tmp_path / "scores/manet-dut")
    tables = folder.write()
    run = "manet-zhao" if twin else "manet-dut"
    assert cell(tables["IV"], "MANet", "iou_own") == score(run, "zhao")["iou"]
    assert cell(tables["IV"], "Baseline", "iou_own") == score("baseline-dut", "zhao")["iou"]
    assert cell(tables["IV"], "Baseline", "data") == "cuhk, Shi's (Zhao's split)"
    assert cell(tables["III"], "MANet", "iou_own", "Shi's (Zhao's split)") == score(run, "zhao")["iou"]


def test_a_listed_run_without_scores_is_an_error(full):
    shutil.rmtree(full.root / "scores/hl-ll-dut")
    with pytest.raises(
        MaganError, match=r"hl-ll-dut.dut.summary\.json is missing though the profile lists 'hl-ll-dut'"
    ):
        full.write(["I"])
    assert not (full.root / "tables").exists()


def test_a_run_without_scores_on_the_second_test_set_is_an_error(full):
    shutil.rmtree(full.root / "scores/magan-dut/ctcug")
    with pytest.raises(MaganError, match=r"magan-dut.ctcug.summary\.json is missing"):
        full.write(["I"])
    full.write(["III", "IV"])


def test_scores_of_an_unlisted_run_are_an_error(full):
    del full.listed["magan-rf16-dut"]
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


def test_a_run_whose_variant_no_table_shows_is_an_error(full):
    full.listed["magan-rf7-dut"] = {"variant": "magan-rf7", "set": "dut"}
    full.fill()
    with pytest.raises(
        MaganError, match=r"unknown variant of run magan-rf7-dut .*`rows` of params.*did you mean 'magan-rf"
    ):
        full.write(["I"])
    assert not (full.root / "tables").exists()


def test_other_bad_input(full):
    with pytest.raises(MaganError, match="unknown table 'VII'"):
        full.write(["VII"])
    path = full.root / "scores/manet-dut/dut/summary.json"
    for content, missing in (('{"protocol": "paper"}', "intervals"), ('{"intervals": null}', "protocol")):
        path.write_text(content)
        with pytest.raises(
            MaganError, match=rf"summary\.json has no '{missing}'; `make repro` evaluates 'manet-dut' again"
        ):
            full.write(["IV"])
    write_score(full.root / "scores", "manet-dut", "dut")
    (full.root / "runs/magan-dut/provenance.json").write_text('{"seconds": {"predict_per_image": {}}}')
    with pytest.raises(MaganError, match="has no 'dut' among the timings"):
        full.write(["II"])
    del full.sets["shi"]
    with pytest.raises(MaganError, match="needs the set 'shi', which the profile lacks"):
        full.write(["I"])


def test_a_row_of_ones_own_stands_behind_the_papers_where_it_was_run(full):
    full.rows = ({"table": "I", "row": "MANet, wider", "variant": "wide"},)
    full.listed["wide-shi"] = {"variant": "wide", "set": "shi"}
    full.fill()
    table = full.write(["I"])["I"]
    own = table[table["method"] == "MANet, wider"]
    assert own["dataset"].tolist() == ["Shi's"]
    assert own["f_beta_own"].item() == pytest.approx(score("wide-shi", "shi")["f_beta"])
    assert own["f_beta_claimed"].isna().all()
    assert own["f_beta_verdict"].item() == ""
    shi = table[table["dataset"] == "Shi's"]["method"].tolist()
    assert shi[-1] == "MANet, wider"
    assert table["dataset"].drop_duplicates().tolist() == ["Shi's", "DUT", "CTCUG"]


def test_published_maps_of_a_method_that_the_paper_does_not_have_can_have_a_row(full):
    full.published = {"new": {"method": "New", "set": "shi"}}
    full.rows = ({"table": "I", "row": "New, published", "variant": "new"},)
    write_score(full.root / "scores", "new", "shi", images=100)
    table = full.fill().write(["I"])["I"]
    own = table[table["method"] == "New, published"]
    assert own["data"].tolist() == ["published maps, 100 images"]
    assert own["mae_own"].item() == pytest.approx(score("new", "shi")["mae"])


def test_a_row_of_published_maps_in_a_table_without_their_set_is_refused(full):
    full.published = {"new": {"method": "New", "set": "shi"}}
    full.rows = ({"table": "IV", "row": "New, published", "variant": "new"},)
    write_score(full.root / "scores", "new", "shi", images=100)
    with pytest.raises(MaganError, match="Table IV has no numbers on 'shi', the set of 'new'"):
        full.fill().write(["IV"])


def test_a_row_with_the_label_of_another_is_refused(full):
    full.rows = ({"table": "IV", "row": "MANet", "variant": "magan"},)
    with pytest.raises(MaganError, match="Table IV has a row 'MANet' already"):
        full.fill().write(["IV"])
