"""The report: complete, self-contained, escaped, the same every time; errors that name the missing file."""

import copy
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import fake_results
import pytest
from matplotlib.figure import Figure

from magan_core import params
from magan_core.errors import MaganError
from magan_core.files import read_json, write_json
from magan_core.reporting import paper, style
from magan_core.reporting.report import build_report
from magan_core.reporting.sources import REAL, read_rows

PAGES = "pages/index.html"  # the one link that leaves the page
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Elements and text of a page, rows of cells and marked words by section; fails on a tag closed in the
    wrong place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.text = ""
        self.open: list[str] = []
        self.sections: list[str] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.items: list[tuple[str, str]] = []
        self.marked: list[tuple[str, str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.sections.append(dict(attributes)["id"])
        elif tag == "tr":
            self.rows.setdefault(self.sections[-1], []).append([])
        elif tag in ("td", "th"):
            self.rows[self.sections[-1]][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "section":
            self.sections.pop()

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] == "li":
            self.items.append((self.sections[-1], data.strip()))
        if self.sections and self.open[-1] in ("strong", "u"):
            self.marked.append((self.sections[-1], self.open[-1], data))
        if {"td", "th"} & set(self.open):
            self.rows[self.sections[-1]][-1][-1] += f" {data}" if self.open[-1] == "span" else data

    def row(self, section: str, *start: str) -> list[str]:
        """The rest of the first row of a section that starts with these cells."""
        return next(row[len(start) :] for row in self.rows[section] if row[: len(start)] == list(start))

    def marks(self, section: str) -> list[tuple[str, str]]:
        """Tags and words of what is bold (strong) or underlined (u) in a section."""
        return [(tag, text) for where, tag, text in self.marked if where == section]

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The results of the profile `demo`: figures are small stand-ins with invented words."""
    folder = tmp_path_factory.mktemp("results")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fake_results.write_profile("demo", images=2, height=16, width=16)
        fake_results.write_tables("demo")
        for name in paper.FIGURES:
            drawing = style.Drawing(Figure((1, 0.5)), f"caption of {name} <b>", f'alt of {name} "quoted"')
            style.save(drawing, "results/demo/figures", name)
    return folder


@pytest.fixture
def project(results, tmp_path, monkeypatch):
    """A copy of the results that a test may damage, as the current folder."""
    shutil.copytree(results, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")


def build(params: dict = fake_results.PARAMS) -> str:
    build_report("demo", params, Path("results/demo"), Path("results/demo/report.html"))
    return Path("results/demo/report.html").read_text(encoding="utf-8")


def test_every_table_and_figure_has_a_section_and_a_link_to_it(project):
    page = Page(build())
    sections = [attributes["id"] for attributes in page.all("section")]
    assert len(sections) == len(set(sections))
    assert {f"table-{number}" for number in ("I", "II", "III", "IV", "V", "VI")} <= set(sections)
    assert {f"figure-{number}" for number in range(1, 11)} <= set(sections)
    assert {"data", "verdicts", "differences", "provenance", "training-curves"} <= set(sections)
    linked = [link["href"][1:] for link in page.all("a") if link["href"] != PAGES]
    assert linked == [name for name in sections if name not in ("tables", "figures")]
    targets = {attributes["href"].removeprefix("#") for attributes in page.all("a")} - {PAGES}
    assert targets <= set(sections)
    assert len(targets) == 6 + 11 + 4


def test_the_page_needs_nothing_from_outside(project):
    text = build()
    assert re.search(r"https?:|//[a-z]", re.sub(r"base64,[^\"]+", "", text)) is None
    page = Page(text)
    assert page.all("script") == page.all("link") == page.all("iframe") == []
    assert all(
        attributes["href"].startswith("#") or attributes["href"] == PAGES for attributes in page.all("a")
    )
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_every_picture_is_inside_and_has_an_alternative_text_and_a_caption(project):
    page = Page(build())
    pictures = page.all("img")
    assert len(pictures) == 11
    assert all(picture["src"].startswith("data:image/png;base64,iVBOR") for picture in pictures)
    assert [picture["alt"] for picture in pictures] == [f'alt of {name} "quoted"' for name in paper.FIGURES]
    assert {(picture["width"], picture["height"]) for picture in pictures} == {("160", "80")}
    assert len(page.all("figcaption")) == 11
    assert page.all("html")[0]["lang"] == "en"


def test_names_are_escaped(project):
    text = build()
    assert "<b>" not in text
    assert "caption of figure_1 &lt;b&gt;" in text
    assert "a &lt;fast&gt; machine" in text
    assert "made up &amp; small" in text
    assert "DBDF &lt;old&gt;" in text


def test_claimed_and_own_stand_side_by_side_and_empty_cells_stay_empty(project):
    page = Page(build())
    assert ["DUT (here: synthetic scenes ‘clutter’)"] in page.rows["table-V"]
    assert page.row("table-V", "MA-GANet") == ["0.940", "0.880 −0.060 0.860–0.890"] * 5
    assert page.row("table-V", "DBDF <old>") == ["0.780", "–"] * 5
    assert page.row("table-V", "Constant map") == ["–", "0.700 0.680–0.710"] * 5
    assert "No program and no maps of these here" in page.text
    assert ("table-V", "DBDF <old>") in page.items


def test_only_numbers_on_the_papers_data_are_marked_as_reproduced_or_not(project):
    page = Page(build())
    assert page.row("table-I", "MANet") == ["0.860", "0.820 −0.040 ✓ 0.800–0.830"] * 5
    worse, better = (["0.940", f"0.880 −0.060 {mark} 0.860–0.890"] for mark in "✗▲")
    assert page.row("table-I", "MA-GANet") == [*worse, *better, *worse * 3]  # less MAE is better
    assert not re.search("[✓✗▲]", str([page.rows[f"table-{number}"] for number in ("II", "III", "IV", "V")]))


def test_several_seeds_show_their_deviation_in_place_of_the_interval(project):
    assert Page(build()).row("table-IV", "MANet") == ["0.860", "0.820 −0.040 ± 0.004, 3 seeds"] * 5


def test_published_maps_are_named_in_their_row_and_not_as_the_groups_data(project):
    page = Page(build())
    cells = page.row("table-I", "DBDF <old>, published maps 100 images")
    assert cells == ["–", "0.700 0.680–0.710"] * 5
    assert ["CTCUG (here: synthetic scenes ‘clutter’)"] in page.rows["table-I"]


def test_a_group_says_once_what_its_numbers_share_and_then_what_some_have_beside(project):
    file = Path("results/demo/tables/claims.csv")
    rows = read_rows(file)
    for row in rows:
        if row["data"] and row["dataset"] == "CTCUG" and row["method"].startswith("MA"):
            row["data"] += ", trained on x" + ", unlabelled y" * (row["method"] == "MA-GANet")
    fake_results.write_rows(file, rows)
    expected = "synthetic scenes ‘clutter’; MANet: trained on x; MA-GANet: trained on x, unlabelled y"
    assert [f"CTCUG (here: {expected})"] in Page(build()).rows["table-I"]


def test_seconds_have_digits_that_can_be_read(project):
    file = Path("results/demo/tables/claims.csv")
    rows = read_rows(file)
    for row in rows:
        if (row["table"], row["dataset"], row["method"]) == ("II", "DUT", "MANet"):
            row |= {"claimed": "2576.3", "own": "0.1469", "difference": "-2576.1531"}
        if (row["table"], row["dataset"], row["method"]) == ("II", "DUT", "MA-GANet"):
            row |= {"claimed": "0.05", "own": "12.345", "difference": "12.295"}
    fake_results.write_rows(file, rows)
    shown = Page(build()).rows["table-II"]
    assert [row[1:] for row in shown[-2:]] == [
        ["2576.3", "0.147 1/17,538 0.800–0.830"],
        ["0.05", "12.3 ×247 0.860–0.890"],
    ]


def test_verdicts_are_counted_by_table_and_data_set(project):
    """Of four methods, one has no claim and one was not run; five scores each."""
    rows = Page(build()).rows["verdicts"]
    assert rows[0] == ["Table", "Data set", "reproduced", "better", "not reproduced", "not judged", "not run"]
    assert rows[1:4] == [
        ["I", "Shi's", "5", "1", "4", "–", "5"],
        ["I", "DUT", "–", "–", "–", "10", "5"],
        ["I", "CTCUG", "–", "–", "–", "10", "5"],
    ]
    assert rows[4] == ["II", "Shi's", "–", "–", "–", "2", "1"]
    assert len(rows) == 1 + 3 + 2 + 4 + 1
    assert rows[-1][:2] == ["all", ""]
    assert rows[-1][2:] == [str(sum(int(row[k]) for row in rows[1:-1] if row[k] != "–")) for k in range(2, 7)]


def test_differences_have_their_sign_interval_and_p_value(project):
    page = Page(build())
    assert page.rows["differences"][:2] == [
        ["Method", "Minus", "MAE ↓", "Fβ ↑", "AUFβ ↑"],
        ["DUT (here: synthetic scenes ‘clutter’)"],
    ]
    assert page.row("differences", "MA-GANet", "MANet") == [  # the paper's are of the rows of Table V
        "−0.0123 paper −0.006 −0.0230 to −0.0020, p 0.018, 3 seeds",
        "+0.0123 paper +0.004 +0.0020 to +0.0230, p 0.018",
        "+0.0123 paper +0.014 +0.0020 to +0.0230, p 0.018",
    ]
    assert page.marks("differences") == [("strong", "−0.0123"), ("strong", "+0.0123"), ("strong", "+0.0123")]


def test_only_a_difference_whose_interval_holds_no_zero_is_bold(project):
    file = Path("results/demo/tables/differences.csv")
    rows = read_rows(file)
    fake_results.write_rows(file, [row | {"low": "-0.01", "high": "0.01"} for row in rows])
    assert Page(build()).marks("differences") == []


def test_the_best_two_of_a_column_are_marked_by_what_is_printed(project):
    file = Path("results/demo/tables/claims.csv")
    rows = [row for row in read_rows(file) if row["table"] != "III"]
    other = next(row for row in read_rows(file) if (row["table"], row["metric"]) == ("III", "mae"))
    values = {"MANet": "0.05", "MA-GANet": "0.1004", "MA-GANet-s": "0.0996", "DBDF": "0.2", "LBP": "0.01"}
    third = [other | {"method": method, "own": own, "claimed": "0.3"} for method, own in values.items()]
    third[-1]["data"] = "published maps, 4 images"
    fake_results.write_rows(file, [*rows, *third])
    marks = Page(build()).marks("table-III")
    assert sorted(marks) == [("strong", "0.050"), *[("strong", "0.300")] * 4, *[("u", "0.100")] * 2]


def test_a_difference_that_is_undefined_is_a_dash(project):
    differences = Path("results/demo/tables/differences.csv")
    text = re.sub(r"(?m)(,mae),.*$", r"\1,,,,,3", differences.read_text())
    differences.write_text(text)
    assert Page(build()).row("differences", "MA-GANet", "MANet")[0].split() == ["–", "paper", "−0.006"]


TWO_ROLES = fake_results.PARAMS | {"sets": fake_results.PARAMS["sets"] | {"ctcug": {"same_as": "dut"}}}


def test_a_set_that_fills_two_roles_is_compared_once(project):
    file = Path("results/demo/tables/differences.csv")
    rows = [row | {"with": "mine"} for row in read_rows(file)]
    fake_results.write_rows(file, [*rows, *(row | {"dataset": "CTCUG"} for row in rows)])
    assert len(Page(build()).rows["differences"][1:]) == 4, "two sets, though their numbers are alike"
    shown = Page(build(TWO_ROLES)).rows["differences"][1:]
    first = "DUT (here: synthetic scenes ‘clutter’)"
    assert [row[0] for row in shown] == [
        first,
        "mine",
        f"CTCUG (here: synthetic scenes ‘clutter’): as of {first}",
    ]


def test_a_pair_of_a_set_that_fills_two_roles_stands_where_the_paper_has_its_difference(project):
    """Tables I, IV and V have MA-GANet and MANet on DUT and CTCUG, the baseline on DUT alone."""
    file = Path("results/demo/tables/differences.csv")
    rows = read_rows(file)
    rows += [row | {"with": "hl-ll", "without": "baseline"} for row in rows]
    fake_results.write_rows(file, [*(row | {"dataset": "CTCUG"} for row in rows), *rows])
    shown = [row[:2] for row in Page(build(TWO_ROLES)).rows["differences"][1:]]
    assert shown == [
        ["CTCUG (here: synthetic scenes ‘clutter’)"],
        ["MA-GANet", "MANet"],
        ["DUT (here: synthetic scenes ‘clutter’)"],
        ["MA-GANet", "MANet"],
        ["HL+LL", "Baseline (HL)"],
    ]


def test_a_set_that_fills_three_roles_is_compared_once(project):
    roles = {"ctcug": {"same_as": "dut"}, "zhao": {"same_as": "dut"}}
    file = Path("results/demo/tables/differences.csv")
    rows = [row | {"without": "baseline"} for row in read_rows(file)]
    rows += [row | {"with": "mine"} for row in rows]
    parts = ("DUT", "CTCUG", "Shi's (Zhao's split)")
    fake_results.write_rows(file, [row | {"dataset": part} for part in parts for row in rows])
    params = fake_results.PARAMS | {"sets": fake_results.PARAMS["sets"] | roles}
    shown = [row[:2] for row in Page(build(params)).rows["differences"][1:]]
    first = "DUT (here: synthetic scenes ‘clutter’)"
    assert [row for row in shown if row[0] == "mine"] == [["mine", "Baseline (HL)"]]
    assert next(row[0] for row in shown if row[0].startswith("Shi's (Zhao's")).endswith(f": as of {first}")


def test_seconds_stand_beside_what_they_were_measured_on(project):
    """The run that the seconds are of: the first of the data set's, not any of its variant."""
    file = Path("results/demo/tables/provenance.json")
    records = json.loads(file.read_text())
    records["magan-shi"]["hardware"] = "an old GPU"
    records["gone"] = records["magan-dut"] | {"hardware": "another"}  # of a run that is no longer listed
    file.write_text(json.dumps(records))
    shown = [row[0] for row in Page(build()).rows["table-II"]]
    assert "MA-GANet paper: GPU, own: an old GPU, 2 threads" in shown
    assert "MA-GANet paper: GPU, own: a <fast> machine, 2 threads" in shown


def test_why_numbers_are_missing(project):
    file = Path("results/demo/tables/claims.csv")
    rows = [row for row in read_rows(file) if row["table"] == "I"]
    bare = [row for row in rows if row["method"] == "DBDF <old>"]
    more = [row | {"method": name} for name in ("BTBNet", "SS", "MA-GANet-s", "CENet") for row in bare]
    more += [row | {"method": "CENet, published maps"} for row in rows if row["data"].startswith("published")]
    others = [row for row in read_rows(file) if row["table"] != "I"]
    fake_results.write_rows(file, [*rows, *more, *others])
    page = Page(build())
    text = page.text[page.text.index("Not trained with this profile") :]
    places = [text.index(name) for name in ("MA-GANet-s", "Detectors that", "SS", "No program", "BTBNet")]
    assert places == sorted(places)
    assert ("table-I", "CENet") not in page.items
    assert "need not be those of the other rows" in page.text
    assert ", published maps" not in text[: text.index("BTBNet")]


def test_the_order_among_the_papers_own_networks(project):
    assert "own three networks" not in build()
    file = Path("results/demo/tables/claims.csv")
    rows = read_rows(file)
    more = [
        row | {"method": "LBP", "own": "0.5", "claimed": "0.4", "verdict": "not judged"}
        for row in rows
        if (row["table"], row["dataset"], row["method"]) == ("I", "DUT", "MANet")
    ]
    fake_results.write_rows(file, [*rows, *more])
    assert "own three networks it is 15 of 15." in build()


def test_differences_of_an_older_version_are_named(project):
    differences = Path("results/demo/tables/differences.csv")
    differences.write_text(re.sub(r"(?m),[^,]*$", "", differences.read_text()))
    with pytest.raises(MaganError, match=r"differences\.csv has no 'seeds'.*`make repro`"):
        build()


def test_a_difference_that_is_rounded_away_has_no_direction(project):
    """Neither in the tables nor between methods is there a minus before 0.000."""
    differences = Path("results/demo/tables/differences.csv")
    differences.write_text(re.sub(r"-0\.01\d*", "-0.00001", differences.read_text()))
    claims = Path("results/demo/tables/claims.csv")
    claims.write_text(re.sub(r"(?m),-0\.0(6|59)\d*,", ",-0.0001,", claims.read_text()))
    page = Page(build())
    assert page.row("differences", "MA-GANet", "MANet")[0].startswith("+0.0000 ")
    assert page.row("table-I", "MA-GANet")[1].startswith("0.880 +0.000 ")


def test_without_a_pair_to_compare_there_is_no_section_of_differences(project):
    differences = Path("results/demo/tables/differences.csv")
    differences.write_text(differences.read_text().splitlines()[0] + "\n")
    page = Page(build())
    assert "differences" not in [attributes["id"] for attributes in page.all("section")]
    assert "#differences" not in [attributes["href"] for attributes in page.all("a")]


def test_the_order_of_methods_is_held_against_the_paper(project):
    """Two methods with both numbers, in the paper's order: one pair a data set and metric."""
    differ = "of methods whose numbers differ in the paper, each score and data set for itself,"
    assert f"of 15 pairs {differ} 15 come out in the same order" in build()
    claims = Path("results/demo/tables/claims.csv")
    flipped = re.sub(r"(?m)^(I,DUT,MANet,mae,[\d.]+),[\d.]+,", r"\1,0.99,", claims.read_text())
    claims.write_text(flipped)
    assert f"of 15 pairs {differ} 14 come out in the same order" in build()
    kept = [line for line in flipped.splitlines() if re.match("(?!I,)|I,DUT,(MANet|MA-GANet),auc,", line)]
    claims.write_text("\n".join(kept) + "\n")
    assert f"of 1 pair {differ} 1 comes out in the same order" in build()


def test_stand_ins_are_said_at_the_top(project):
    page = Page(build())
    assert (
        "here: synthetic scenes ‘objects’ for Shi's; synthetic scenes ‘clutter’ for DUT; "
        "synthetic scenes ‘hard’ for CTCUG; synthetic scenes ‘pool’ for FRD." in page.text
    )
    assert page.row("data", "DUT") == ["synthetic scenes ‘clutter’", "4 (600)", "2 (500)", "– (–)"]
    assert page.row("data", "Shi's (Zhao's split)") == ["not in this profile", "– (604)", "– (100)", "– (–)"]
    assert (
        "Training is 10 steps of 4 photographs, 10 epochs of the supervised runs; the paper's 1,000 epochs."
        in page.text
    )
    assert "Not in this profile: Shi's (Zhao's split)" in page.text
    assert "The paper's own data" not in page.text


def test_a_figure_that_the_profile_has_no_run_for_is_told(project):
    style.leave_out("results/demo/figures", "figure_10", "this profile has neither MANet nor MA-GANet on DUT")
    assert not Path("results/demo/figures/figure_10.png").exists()
    page = Page(build())
    assert "Not here: this profile has neither MANet nor MA-GANet on DUT." in page.text


def test_real_data_are_said_to_be_real(project):
    params = copy.deepcopy(fake_results.PARAMS)
    params["sets"]["shi"] = REAL["shi"] | {"white": "blur"}
    page = Page(build(params))
    assert "The paper's own data: Shi's." in page.text
    assert "here: synthetic scenes ‘clutter’ for DUT;" in page.text
    assert page.row("data", "Shi's") == ["the same", "4 (604)", "2 (100)", "– (–)"]


def test_provenance_adds_up(project):
    page = Page(build())
    assert "0123456789abcdef" in page.text
    assert "torch 2.15" in page.text
    assert f"{9 * 45.2:,.0f} s" in page.text
    assert "dut 0.012" in page.text


@pytest.mark.parametrize("name", ["a <fast> machine", "a <fast> machine, 2 threads"])
def test_threads_are_said_once_whether_or_not_the_name_of_the_hardware_has_them(name, project):
    path = Path("results/demo/tables/provenance.json")
    path.write_text(path.read_text().replace("a <fast> machine", name))
    page = Page(build())
    assert page.row("provenance", "Hardware") == ["a <fast> machine, 2 threads"]
    assert page.text.lower().count("threads") == 1 + 2  # of Table II, where each data set has one own number


def test_the_same_results_give_the_same_bytes(project):
    assert build() == build()


def test_figures_that_may_not_be_published_are_found_beside_the_others(project):
    Path("results/demo/photographs").mkdir()
    for kind in ("png", "pdf", "json"):
        name = f"figure_8.{kind}"
        Path("results/demo/figures", name).rename(Path("results/demo/photographs", name))
    assert "caption of figure_8" in build()


def test_figures_of_photographs_are_missed_politely_where_only_the_tables_are(project):
    """As in a clone: Git keeps tables and figures, but neither runs nor prepared data nor photographs."""
    for folder in ("data/prepared", "results/demo/runs", "results/demo/maps", "results/demo/scores"):
        shutil.rmtree(folder)
    for name in paper.PHOTOGRAPHS:
        Path(f"results/demo/figures/{name}.png").unlink()
    page = Page(build())
    shown = len(paper.FIGURES) - len(paper.PHOTOGRAPHS)
    assert len(page.all("img")) == shown
    assert page.text.count("shows photographs, which may not be handed on") == len(paper.PHOTOGRAPHS)
    assert page.row("data", "Shi's") == ["synthetic scenes ‘objects’", "4 (604)", "2 (100)", "– (–)"]
    Path("results/demo/photographs").mkdir()  # here the pipeline has drawn them, so that one is lost
    with pytest.raises(MaganError, match=r"figure_1\.png: no such file"):
        build()


@pytest.mark.parametrize("profile", ["cuhk", "cuhk-cpu", "cuhk-cpu-shi", "demo", "released"])
def test_what_git_keeps_makes_a_report(profile, tmp_path, monkeypatch):
    monkeypatch.chdir(Path(__file__).resolve().parent.parent)
    settings = params.get_profile(params.load(), profile)
    build_report(profile, settings, Path("results") / profile, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.row("table-III", "MA-GANet")[2:4][0] == "0.043"
    assert len(page.rows["provenance"]) > 5


@pytest.mark.parametrize(
    "missing",
    [
        "tables/claims.csv",
        "tables/differences.csv",
        "figures/figure_7.png",
        "figures/figure_7.json",
        "tables/provenance.json",
        "tables/sets.json",
    ],
)
def test_a_missing_file_is_named_and_no_report_is_written(missing, project):
    (Path("results/demo") / missing).unlink()
    with pytest.raises(MaganError, match=re.escape(Path(missing).name)):
        build()
    assert not Path("results/demo/report.html").exists()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("figures/figure_5.json", "{}"),
        ("tables/provenance.json", "[]"),
        ("tables/provenance.json", '{"manet-dut": 3}'),
        ("tables/provenance.json", '{"manet-dut": {"seconds": {}, "parameters": 1, "gmacs": 1}}'),
        ("tables/sets.json", "{}"),
        ("tables/differences.csv", "seeds,dataset\n1,DUT\n"),
    ],
)
def test_what_another_version_wrote_is_an_error_in_words(project, file, content):
    (Path("results/demo") / file).write_text(content, encoding="utf-8")
    with pytest.raises(
        MaganError, match=rf"{file}.* (has no .*damaged, or of another version|is no names with values)"
    ):
        build()
    assert not Path("results/demo/report.html").exists()


@pytest.mark.parametrize(
    ("file", "end", "message"),
    [
        ("claims.csv", "\nI,Shi's,MANet", r"row \d+: fewer fields than the 14 columns"),
        ("claims.csv", ",more", r"row \d+: more fields"),
        ("claims.csv", "", r"has no rows, not even that of the columns' names"),
        ("differences.csv", "", r"has no rows, not even that of the columns' names"),
        ("differences.csv", "dataset,data,wi", r"has no 'without': damaged"),
        (
            "differences.csv",
            "\nShi's,synthetic scenes ‘objects’,man",
            r"row \d+: fewer fields than the 10 columns",
        ),
        ("differences.csv", "\nDUT,x,a,b,mae,0.1,0,0.2,1,1\n", r"'b' against 'a' has no 'f_beta'"),
    ],
)
def test_a_table_that_was_cut_is_refused(project, file, end, message):
    path = Path("results/demo/tables") / file
    whole = path.read_text(encoding="utf-8").rstrip("\n")
    path.write_text(whole + end if end[:1] in ("\n", ",") else end, encoding="utf-8")
    with pytest.raises(MaganError, match=rf"{file}.*{message}.*`make repro`"):
        build()
    assert not Path("results/demo/report.html").exists()


def test_a_damaged_picture_is_named(project):
    Path("results/demo/figures/figure_7.png").write_bytes(b"no picture")
    with pytest.raises(MaganError, match=r"figure_7\.png"):
        build()


@pytest.mark.parametrize(
    ("old", "new", "message"), [("\nVI,", "\nVII,", "Table VI"), ("0.94,", "much,", "not a number")]
)
def test_broken_claims_are_refused(old, new, message, project):
    claims = Path("results/demo/tables/claims.csv")
    claims.write_text(claims.read_text().replace(old, new))
    with pytest.raises(MaganError, match=message):
        build()


def test_provenance_without_a_key_is_refused(project):
    for name, record, key in (
        ("magan-dut", {"seconds": {}}, "parameters"),
        ("SS", {"commit": "a"}, "seconds"),
    ):
        write_json(Path("results/demo/tables/provenance.json"), {name: record})
        with pytest.raises(MaganError, match=f"'{name}' has no '{key}'"):
            build(fake_results.PARAMS | {"classical": ["SS"]})


def test_a_read_only_folder_is_one_clear_error(project):
    Path("results/demo/report.html").mkdir()
    with pytest.raises(MaganError, match="cannot write"):
        build()


# ---- for everyone ----


def luminance(color):
    """Relative luminance of #rgb or #rrggbb (WCAG 2)."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("mode", ["light", "dark", "print"])
def test_text_has_the_contrast_that_weak_eyes_need(mode, project):
    light, dark, printed = (
        dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]+)", block))
        for block in re.findall(r":root \{(.*?)\}", build(), re.S)
    )
    colors = {"light": light, "dark": light | dark, "print": light | printed}[mode]
    for ink in ("ink", "soft", "link"):
        for ground in ("paper", "card", "own", "warn"):
            assert contrast(colors[ink], colors[ground]) >= 4.5, (ink, ground)
    for mark in ("yes", "no"):
        assert contrast(colors[mark], colors["own"]) >= 4.5
        assert contrast(colors[mark], colors["paper"]) >= 4.5


def test_headings_are_in_order(project):
    levels = [int(tag[1]) for tag, _ in Page(build()).elements if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_what_is_seen_can_be_heard(project):
    page = Page(build())
    assert all(picture["alt"].strip() for picture in page.all("img"))
    assert all(head["scope"] in ("col", "row", "colgroup", "rowgroup") for head in page.all("th"))
    marks = [span for span in page.all("span") if span.get("title")]
    assert marks
    assert all(mark["role"] == "img" and mark["aria-label"] == mark["title"] for mark in marks)


def test_everything_can_be_reached_by_keyboard(project):
    page = Page(build())
    wide = [part for part in page.all("div") if part.get("class") == "wide"]
    assert len(wide) == len(page.all("table"))
    assert all(part["tabindex"] == "0" and part["role"] == "region" and part["aria-label"] for part in wide)
    targets = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(targets) == len(set(targets))
    inner = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
    assert set(inner) <= set(targets)
    assert len(inner) > 15


def test_the_total_cost_is_shown_at_the_top_and_in_the_provenance(project):
    """Nine trainings of 45.2 s, 0.012 s for each of the two test photographs of DUT."""
    page = Page(build())
    cost = "407 s (7 minutes): 9 trainings 407 s, maps of networks 0 s; not preparation, scoring and drawing"
    cost += ", and one by one what ran side by side"
    assert f"Cost: {cost}." in page.text
    assert page.row("provenance", "Total cost") == [cost]


def test_the_cost_counts_the_detectors_without_a_network(project):
    file = Path("results/demo/tables/provenance.json")
    write_json(file, read_json(file) | {"SS": {"seconds": {"predict_per_image": {"dut": 50}}}})
    page = Page(build(fake_results.PARAMS | {"classical": ["SS"]}))
    assert page.row("provenance", "Maps of the test photographs") == ["networks 0 s, other detectors 100 s"]
    assert page.row("provenance", "Total cost")[0].startswith("507 s")
    assert "on different hardware" in page.row("provenance", "Total cost")[0]


def test_detectors_that_ran_elsewhere_have_their_own_provenance(project):
    file = Path("results/demo/tables/provenance.json")
    runs = read_json(file)
    elsewhere = {"seconds": {"predict_per_image": {"dut": 50}}, "hardware": "a slow machine", "threads": 1}
    same = {key: next(iter(runs.values()))[key] for key in ("commit", "versions")}
    write_json(file, runs | {"SS": elsewhere | same})
    page = Page(build(fake_results.PARAMS | {"classical": ["SS"]}))
    assert page.row("provenance", "Hardware") == ["a <fast> machine, 2 threads"]
    assert page.row("provenance", "Hardware, other detectors") == ["a slow machine, 1 thread"]
    assert not [row for row in page.rows["provenance"] if row[0] == "Versions, other detectors"]


def test_of_every_package_each_version_is_named_once(project):
    file = Path("results/demo/tables/provenance.json")
    runs = read_json(file)
    one, two, *_ = runs
    runs[one]["versions"] |= {"papermill": "2.7"}
    runs[two]["versions"] |= {"torch": "2.11"}
    write_json(file, runs)
    assert Page(build()).row("provenance", "Versions") == ["papermill 2.7, torch 2.11 or 2.15"]


def test_what_is_not_the_papers_or_was_not_trained_is_said_at_the_top(project):
    assert "The backbone is" not in Page(build()).text
    file = Path("results/demo/tables/provenance.json")
    runs = read_json(file)
    write_json(file, {name: runs[name] for name in list(runs)[:3]})
    page = Page(build(fake_results.PARAMS | {"model": {"backbone": "slim_vgg"}}))
    assert "The backbone is slim_vgg, not the paper's VGG-16, in every network" in page.text
    assert "3 of the profile's 9 runs were trained." in page.text


def test_a_run_with_a_backbone_of_its_own_is_named(project):
    runs = fake_results.PARAMS["runs"] | {
        run: fake_results.PARAMS["runs"][run] | {"model": {"backbone": "resnet18.a1_in1k"}}
        for run in ("manet-dut", "magan-dut")
    }
    text = Page(build(fake_results.PARAMS | {"runs": runs})).text
    assert "The backbone is resnet18, not the paper's VGG-16, in manet-dut and magan-dut." in text
    text = Page(build(fake_results.PARAMS | {"runs": runs, "model": {"backbone": "slim_vgg"}})).text
    assert "The backbone is slim_vgg, not the paper's VGG-16, in baseline-dut," in text
    assert "The backbone is resnet18, not the paper's VGG-16, in manet-dut and magan-dut." in text
