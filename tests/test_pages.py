"""Executed notebooks as pages: complete, readable without a network, linked."""

import re

import nbformat
import pytest
from nbformat import v4

from magan_core.errors import MaganError
from magan_core.reporting.pages import render


def executed(folder, name, text, output="42"):
    code = v4.new_code_cell("6 * 7", outputs=[v4.new_output("stream", text=output)])
    folder.mkdir(exist_ok=True)
    nbformat.write(v4.new_notebook(cells=[v4.new_markdown_cell(text), code]), folder / f"{name}.ipynb")


@pytest.fixture
def notebooks(tmp_path):
    folder = tmp_path / "note books"
    executed(
        folder, "01_data", "# Data <b>\n\nNext: [train](02_train.ipynb), [notes](../docs/paper-notes.md)."
    )
    executed(folder, "manet-dut", "# Training\n\n[data](01_data.ipynb)", output="loss <0.1>")
    executed(folder, "magan-dut.failed", "# Training")
    return folder


def test_every_executed_notebook_has_a_page_with_its_output_and_a_line_in_the_index(notebooks, tmp_path):
    pages = render(notebooks, tmp_path / "pages")
    assert [page.name for page in pages] == ["index.html", "01_data.html", "manet-dut.html"]
    index = pages[0].read_text(encoding="utf-8")
    assert '<a href="manet-dut.html">Training: manet-dut</a>' in index
    assert "Data &lt;b&gt;" in index
    assert "loss &lt;0.1&gt;" in pages[2].read_text(encoding="utf-8")


def test_links_lead_to_pages_and_else_into_the_repository(notebooks, tmp_path):
    _, data, run = render(notebooks, tmp_path / "pages")
    assert 'href="01_data.html"' in run.read_text(encoding="utf-8")
    text = data.read_text(encoding="utf-8")
    assert 'href="../../../notebooks/02_train.ipynb"' in text
    assert 'href="../../../docs/paper-notes.md"' in text
    assert 'href="../report.html"' in text


def test_a_page_asks_no_other_machine_and_runs_nothing(notebooks, tmp_path):
    for page in render(notebooks, tmp_path / "pages"):
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text
        assert not re.search(r"(src|href)=.https?:|url\(|@import", text)
        assert '<html lang="en">' in text
        assert text.count("<h1") == 1


def test_without_an_executed_notebook_the_remedy_is_named(tmp_path):
    with pytest.raises(MaganError, match="no executed notebook; run `make repro` first"):
        render(tmp_path, tmp_path / "pages")


def test_a_broken_notebook_is_named(notebooks, tmp_path):
    (notebooks / "03_broken.ipynb").write_text("{")
    with pytest.raises(MaganError, match="03_broken"):
        render(notebooks, tmp_path / "pages")
