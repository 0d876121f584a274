"""The executed notebooks of a profile as web pages, for readers without Jupyter.

Executed notebooks are a log: they hold times and never have the same bytes twice. So nothing depends on them
or on these pages, which are made when the report is.
"""

import ast
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

from magan_core.errors import MaganError
from magan_core.files import write_text
from magan_core.notebook import read
from magan_core.reporting.templates import fill

PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}
BAR = re.compile(r"\r[^\r\n]*\d+%\|[^\r\n]*\n?")  # one state of a progress bar
WIDGET = "application/vnd.jupyter.widget-view+json"  # wants scripts that a page does not have
LIGHT, DARK = "default", "github-dark"  # of pygments


def render(profile: str, notebooks: Path, out: Path, runs: Container[str] | None = None) -> list[Path]:
    """Write every executed notebook of a folder to OUT/NAME.html, and OUT/index.html, which says what they
    are.

    profile: the name of the one that they ran for. runs: those that the profile has now, networks and
    detectors; others that a notebook ran for are left out. The pages look like the report, light and dark,
    and need no network. Links between notebooks become links between pages, or, to a notebook that ran for
    many runs, to its part of the index. Progress bars are left out, parameters have the values they ran with;
    every picture has a text. Returns the pages, the index first. MaganError when there is no executed
    notebook, or one cannot be read.
    """
    from nbconvert import HTMLExporter  # here: a second that other commands should not cost

    files = [file for file in sorted(Path(notebooks).glob("*.ipynb")) if not file.stem.endswith(".failed")]
    if not files:
        raise MaganError(f"{notebooks} holds no executed notebook; run `make repro` first")
    found = {file.stem: read(file) for file in files}
    sources = {name: _source(notebook) or name for name, notebook in found.items()}
    if runs is not None:
        found = {name: one for name, one in found.items() if sources[name] == name or name in runs}
        sources = {name: sources[name] for name in found}
    index = fill("notebooks.html.j2", profile=profile, entries=_entries(found, sources))
    exporter = HTMLExporter(template_name="basic")
    colours = _colours()
    for name, notebook in found.items():
        heading = _title(notebook)
        title = heading or name
        if heading and sources[name] != name:  # one of many runs
            title = f"{heading}: {name}"
            first = notebook["cells"][0]
            first["source"] = first["source"].replace(f"# {heading}", f"# {title}", 1)
        body, _ = exporter.from_notebook_node(_tidy(notebook))
        body = body.replace('href="../', 'href="../../../')
        body = re.sub(r'href="([\w-]+)\.ipynb"', _linked(set(found), set(sources.values())), body)
        page = fill("notebook.html.j2", title=title, colours=colours, body=body)
        write_text(Path(out) / f"{name}.html", page)
    write_text(Path(out) / "index.html", index)
    return [Path(out) / f"{name}.html" for name in ("index", *found)]


def _source(notebook: dict) -> str:
    """The notebook that was run, without folder and suffix; "" where that is not recorded."""
    return Path(notebook["metadata"].get("papermill", {}).get("input_path") or "").stem


def _title(notebook: dict) -> str:
    found = re.search(r"^# (.+)$", notebook["cells"][0]["source"], re.M) if notebook["cells"] else None
    return found[1].strip() if found else ""


def _entries(found: dict[str, dict], sources: dict[str, str]) -> list[dict[str, Any]]:
    """The notebooks in the order of the story, each with its title and first sentence, and its page or, where
    it ran for many runs, the pages of these."""
    entries = []
    for source in sorted(set(sources.values())):
        names = [name for name in found if sources[name] == source]
        first = found[names[0]]
        text = first["cells"][0]["source"] if first["cells"] else ""
        number = f"{source[:2]}. " if source[:2].isdigit() else ""
        entry = {"source": source, "number": number, "title": _title(first) or source}
        entry["sentence"] = _sentence(text)
        entries.append(entry | {"page": source if names == [source] else "", "runs": names})
    return entries


def _colours() -> str:
    """The colours of code, for light pages and for dark ones."""
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=name).get_style_defs(".highlight") for name in (LIGHT, DARK))
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _tidy(notebook: dict) -> dict:
    """The notebook without progress bars and widgets, with one first heading, with a text for every picture,
    and with the parameters it ran with."""
    notebook["metadata"].pop("widgets", None)
    notebook["cells"] = _with_parameters(notebook["cells"])
    heading = sentence = ""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            if headings := re.findall(r"^#+ (.+)$", cell["source"], re.M):
                heading, sentence = _plain(headings[-1]).rstrip("."), ""
            sentence = _sentence(cell["source"]) or sentence
            continue
        outputs = cell.get("outputs", [])
        for output, after in zip(outputs, [*outputs[1:], {}], strict=False):
            if output["output_type"] == "stream":
                output["text"] = BAR.sub("", output["text"])
            data = output.get("data", {})
            if "text/markdown" in data:
                data["text/markdown"] = re.sub(r"^(#+ )", r"##\1", data["text/markdown"], flags=re.M)
            caption = _sentence(after.get("data", {}).get("text/markdown", ""))
            for kind in PICTURES & set(data):
                text = caption or f"{heading}: {sentence}".replace("?:", "?").strip(": ")
                output["metadata"].setdefault(kind, {}).setdefault("alt", text)
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                output
                for output in outputs
                if WIDGET not in output.get("data", {})
                and (output["output_type"] != "stream" or output["text"].strip())
            ]
    return notebook


def _with_parameters(cells: list[dict]) -> list[dict]:
    """The values that papermill has put into a cell of their own, in place of the defaults, where comments
    say what they are; both cells as they are where that cell sets others, too."""
    tagged = {tag: cell for cell in cells for tag in cell["metadata"].get("tags", [])}
    if not {"parameters", "injected-parameters"} <= set(tagged):
        return cells
    cell, injected = tagged["parameters"], tagged["injected-parameters"]
    values = dict(re.findall(r"^(\w+) = (.*)$", injected["source"], re.M))
    if not values.keys() <= set(re.findall(r"^(\w+) = ", cell["source"], re.M)):
        return cells
    source = re.sub(
        r"^(\w+) = (.*?)(?=  # |$)",
        lambda found: f"{found[1]} = {values.get(found[1], found[2])}",
        cell["source"],
        flags=re.M,
    )
    try:
        ast.parse(source)
    except SyntaxError:  # a default of several lines, or with "  # " in a text
        return cells
    cell["source"] = source
    return [other for other in cells if other is not injected]


def _plain(markdown: str) -> str:
    """A text without headings and marks."""
    text = re.sub(r"^#+ .*$", "", markdown, flags=re.M)
    return " ".join(re.sub(r"[*`$]|\[([^]]*)\]\([^)]*\)", lambda found: found[1] or "", text).split())


def _sentence(markdown: str) -> str:
    """The first sentence of a text; one does not end with an abbreviation such as Eq."""
    return re.split(r"(?<=[.?!])(?<!\b(?:Eq|al)\.)(?<!\bFig\.)\s", _plain(markdown), maxsplit=1)[0]


def _linked(pages: set[str], sources: set[str]):
    """Where a link to a notebook leads: to its page, to the list of its pages, or, where it was not run, to
    the notebook itself."""

    def target(found: re.Match) -> str:
        name = found[1]
        if name in pages:
            return f'href="{name}.html"'
        return f'href="index.html#{name}"' if name in sources else f'href="../../../notebooks/{name}.ipynb"'

    return target
