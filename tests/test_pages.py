"""Executed notebooks as pages: complete, readable without a network, linked."""

import base64
import html
import re

import nbformat
import pytest
from nbformat import v4

from magan_core.errors import MaganError
from magan_core.reporting.pages import render

PIXEL = base64.b64encode(
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU"
).decode()


def executed(folder, name, text, *outputs, source=""):
    """An executed notebook: a cell of text, and one of code with its outputs."""
    cells = [v4.new_markdown_cell(text), v4.new_code_cell("6 * 7", outputs=list(outputs))]
    metadata = {"papermill": {"input_path": f"notebooks/{source or name}.ipynb"}}
    folder.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=cells, metadata=metadata), folder / f"{name}.ipynb")


def shown(kind, data):
    return v4.new_output("display_data", data={kind: data})


def printed(text, name="stdout"):
    return v4.new_output("stream", name=name, text=text)


@pytest.fixture
def notebooks(tmp_path):
    folder = tmp_path / "note books"
    story = (
        "# Data <b>\n\nNext: [train](02_train.ipynb), [look](08_look.ipynb), [notes](../docs/paper-notes.md)."
    )
    executed(folder, "01_data", story, printed("42"))
    for run in ("magan-dut", "manet-dut"):
        executed(
            *(folder, run, "# Training\n\n[data](01_data.ipynb)", printed("loss <0.1>")), source="02_train"
        )
    executed(folder, "magan-shi.failed", "# Training")
    return folder


def test_every_executed_notebook_has_a_page_with_its_output(notebooks, tmp_path):
    pages = render("demo", notebooks, tmp_path / "pages")
    assert [page.name for page in pages] == ["index.html", "01_data.html", "magan-dut.html", "manet-dut.html"]
    assert "<pre>42</pre>" in pages[1].read_text(encoding="utf-8").replace("\n", "")
    assert "loss &lt;0.1&gt;" in pages[3].read_text(encoding="utf-8")
    text = pages[3].read_text(encoding="utf-8")
    assert "<title>Training: manet-dut</title>" in text
    assert re.search(r"<h1[^>]*>Training: manet-dut", text)


def test_a_run_that_the_profile_no_longer_has_gets_no_page(notebooks, tmp_path):
    pages = render("demo", notebooks, tmp_path / "pages", runs=["manet-dut"])
    assert [page.name for page in pages] == ["index.html", "01_data.html", "manet-dut.html"]
    assert "magan-dut" not in pages[0].read_text(encoding="utf-8")


def test_the_index_follows_the_story_with_the_runs_of_a_notebook_under_its_title(notebooks, tmp_path):
    executed(notebooks, "03_scores", "# Scores")
    index = render("demo", notebooks, tmp_path / "pages")[0].read_text(encoding="utf-8")
    entries = [f"<li id={entry}" for entry in index.split("<li id=")[1:]]
    assert [re.findall(r'(?:href|id)="([^"]*)"', entry) for entry in entries] == [
        ["01_data", "01_data.html"],
        ["02_train", "magan-dut.html", "manet-dut.html"],
        ["03_scores", "03_scores.html"],
    ]
    assert [re.sub("<[^>]*>|\\s+", " ", entry).split()[:2] for entry in entries] == [
        ["01.", "Data"],
        ["02.", "Training"],
        ["03.", "Scores"],
    ]


def test_the_index_says_what_it_is_and_what_each_notebook_does(notebooks, tmp_path):
    executed(
        notebooks, "03_scores", "# Scores\n\nEvery *map* against its mask, <as it is> (Eq. 6). And more."
    )
    index = render("smoke", notebooks, tmp_path / "pages")[0].read_text(encoding="utf-8")
    assert '<p class="soft">Every map against its mask, &lt;as it is&gt; (Eq. 6).</p>' in index
    assert "<strong>smoke</strong>" in index
    assert 'href="../report.html"' in index


def test_every_page_is_light_or_dark_as_its_reader_wants(notebooks, tmp_path):
    for page in render("demo", notebooks, tmp_path / "pages"):
        text = page.read_text(encoding="utf-8")
        assert "color-scheme: light dark" in text
        assert "prefers-color-scheme: dark" in text


def test_a_picture_has_a_text_from_its_caption_or_from_what_stands_before_it(tmp_path):
    caption = shown("text/markdown", "Maps of *all* methods. White is in focus.")
    text = "# Figures\n\n## A look\n\nThree [photographs](a.md) of `dut`. More."
    executed(
        tmp_path / "n", "07_figures", text, shown("image/png", PIXEL), caption, shown("image/png", PIXEL)
    )
    page = render("demo", tmp_path / "n", tmp_path / "pages")[1].read_text(encoding="utf-8")
    assert re.findall(r'<img[^>]*?alt="([^"]*)"', page) == [
        "Maps of all methods.",
        "A look: Three photographs of dut.",
    ]
    assert page.count("<img") == 2


def test_progress_bars_are_left_out_and_warnings_are_not(tmp_path):
    bars = "\rtrain:  50%|█████     | 1/2 [00:01<00:01]\rtrain: 100%|██████████| 2/2 [00:02<00:00]\n"
    executed(
        tmp_path / "n", "02_train", "# T", printed(bars, "stderr"), printed(f"{bars}Beware: 5%\n", "stderr")
    )
    page = render("demo", tmp_path / "n", tmp_path / "pages")[1].read_text(encoding="utf-8")
    assert "█" not in page
    assert page.count("output_stderr") == 1
    assert "Beware: 5%" in page


DEFAULTS = '# Set it.\nprofile = "demo"  # of params.yaml\nrun = "manet-dut"\nsizes = [1, 2]  # "px # each"'


def with_parameters(folder, injected):
    cells = [
        v4.new_markdown_cell("# Training"),
        v4.new_code_cell(DEFAULTS, metadata={"tags": ["parameters"]}),
        v4.new_code_cell(injected, metadata={"tags": ["injected-parameters"]}),
    ]
    folder.mkdir()
    nbformat.write(v4.new_notebook(cells=cells), folder / "02_train.ipynb")
    page = render("demo", folder, folder / "pages")[1].read_text(encoding="utf-8")
    return [
        html.unescape(re.sub("<[^>]*>", "", code)).strip()
        for code in re.findall(r"<pre>(.*?)</pre>", page, re.S)
    ]


def test_parameters_are_shown_once_as_they_were(tmp_path):
    injected = '# Parameters\nrun = "magan-dut"\nsizes = [3, r"\\1"]\n'
    assert with_parameters(tmp_path / "n", injected) == [
        '# Set it.\nprofile = "demo"  # of params.yaml\nrun = "magan-dut"\nsizes = [3, r"\\1"]  # "px # each"'
    ]


def test_parameters_that_have_no_default_stay_where_they_are(tmp_path):
    injected = '# Parameters\nrun = "magan-dut"\nother = 3'
    assert with_parameters(tmp_path / "n", injected) == [DEFAULTS, injected]


def test_parameters_of_several_lines_stay_where_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr("test_pages.DEFAULTS", "sizes = [\n    1,\n]")
    injected = "# Parameters\nsizes = [3]"
    assert with_parameters(tmp_path / "n", injected) == ["sizes = [\n    1,\n]", injected]


def test_controls_are_left_out_with_their_scripts(tmp_path):
    """They work in JupyterLab alone; a page would show an error."""
    view = {"model_id": "1", "version_major": 2, "version_minor": 0}
    controls = v4.new_output(
        "display_data",
        data={"application/vnd.jupyter.widget-view+json": view, "text/plain": "VBox(children)"},
    )
    executed(tmp_path / "notebooks", "08_look", "# Look", controls, printed("all else"))
    file = tmp_path / "notebooks/08_look.ipynb"
    notebook = nbformat.read(file, as_version=4)
    state = {"state": {"1": {"model_name": "VBoxModel"}}, "version_major": 2, "version_minor": 0}
    notebook["metadata"]["widgets"] = {"application/vnd.jupyter.widget-state+json": state}
    nbformat.write(notebook, file)
    page = render("demo", tmp_path / "notebooks", tmp_path / "pages")[1].read_text(encoding="utf-8")
    assert "all else" in page
    for trace in ("<script", "widget", "VBox"):
        assert trace not in page


def test_headings_in_outputs_stand_below_that_of_the_page(tmp_path):
    executed(tmp_path / "n", "06_tables", "# Tables", shown("text/markdown", "# Table I\n\n## DUT"))
    page = render("demo", tmp_path / "n", tmp_path / "pages")[1].read_text(encoding="utf-8")
    assert re.findall(r"<h(\d)", page) == ["1", "3", "4"]


def test_links_lead_to_pages_and_else_into_the_repository(notebooks, tmp_path):
    _, data, _, run = render("demo", notebooks, tmp_path / "pages")
    assert 'href="01_data.html"' in run.read_text(encoding="utf-8")
    text = data.read_text(encoding="utf-8")
    assert 'href="index.html#02_train"' in text
    assert 'href="../../../notebooks/08_look.ipynb"' in text
    assert 'href="../../../docs/paper-notes.md"' in text
    assert 'href="../report.html"' in text


def test_a_page_asks_no_other_machine_and_runs_nothing(notebooks, tmp_path):
    for page in render("demo", notebooks, tmp_path / "pages"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert not re.search(r"(src|href)=.https?:|url\(|@import", text)
        assert '<html lang="en">' in text
        assert text.count("<h1") == 1


def test_without_an_executed_notebook_the_remedy_is_named(tmp_path):
    with pytest.raises(MaganError, match="no executed notebook; run `make repro` first"):
        render("demo", tmp_path, tmp_path / "pages")


def test_a_broken_notebook_is_named(notebooks, tmp_path):
    (notebooks / "03_broken.ipynb").write_text("{")
    with pytest.raises(MaganError, match="03_broken"):
        render("demo", notebooks, tmp_path / "pages")
