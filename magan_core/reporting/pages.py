"""The executed notebooks of a profile as web pages, for readers without Jupyter.

Executed notebooks are a log: they hold times and never have the same bytes twice. So nothing depends on them
or on these pages, which are made when the report is.
"""

import html
import re
from pathlib import Path

from magan_core.errors import MaganError
from magan_core.files import write_text
from magan_core.notebook import read

PICTURES = {"image/png", "image/jpeg", "image/svg+xml"}
BAR = re.compile(r"\r[^\r\n]*\d+%\|[^\r\n]*\n?")  # one state of a progress bar
STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 64rem; background: #fff; color: #1c1c1c;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
a { color: #0b5cad; }
pre { overflow-x: auto; padding: .6rem .8rem; background: #f5f6f8; font-size: .82rem; line-height: 1.4; }
.jp-RenderedImage img, img { max-width: 100%; height: auto; }
.jp-InputPrompt, .jp-OutputPrompt, .prompt, .anchor-link { display: none; }
.jp-OutputArea-output { overflow-x: auto; }
table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .55rem; border-bottom: 1px solid #d8dbe0; text-align: right; }
"""


def render(notebooks: Path, out: Path) -> list[Path]:
    """Write every executed notebook of a folder to OUT/NAME.html, and OUT/index.html with links to them.

    The pages need no network. Links between notebooks become links between pages, or, to a notebook that ran
    for many runs, to its part of the index. Progress bars are left out; every picture has a text. Returns the
    pages, the index first. MaganError when there is no executed notebook, or one cannot be read.
    """
    from nbconvert import HTMLExporter  # here: a second that other commands should not cost
    from pygments.formatters import HtmlFormatter

    files = [file for file in sorted(Path(notebooks).glob("*.ipynb")) if not file.stem.endswith(".failed")]
    if not files:
        raise MaganError(f"{notebooks} holds no executed notebook; run `make repro` first")
    found = {file.stem: read(file) for file in files}
    sources = {name: _source(notebook) or name for name, notebook in found.items()}
    exporter = HTMLExporter(template_name="basic")
    colours = HtmlFormatter().get_style_defs(".highlight")
    for name, notebook in found.items():
        title = ": ".join([_title(notebook) or name, *([name] if sources[name] != name else [])])
        body, _ = exporter.from_notebook_node(_tidy(notebook))
        body = body.replace('href="../', 'href="../../../')
        body = re.sub(r'href="([\w-]+)\.ipynb"', _linked(set(found), set(sources.values())), body)
        write_text(Path(out) / f"{name}.html", _page(title, colours, _back() + body))
    index = (
        "<h1>Executed notebooks</h1>\n"
        + '<p><a href="../report.html">Report</a></p>\n'
        + _list(found, sources)
    )
    write_text(Path(out) / "index.html", _page("Executed notebooks", "", index))
    return [Path(out) / f"{name}.html" for name in ("index", *found)]


def _source(notebook: dict) -> str:
    """The notebook that was run, without folder and suffix; "" where that is not recorded."""
    return Path(notebook["metadata"].get("papermill", {}).get("input_path") or "").stem


def _title(notebook: dict) -> str:
    found = re.search(r"^# (.+)$", notebook["cells"][0]["source"], re.M) if notebook["cells"] else None
    return found[1].strip() if found else ""


def _list(found: dict[str, dict], sources: dict[str, str]) -> str:
    """Links to the pages, in the order of the story; the runs of one notebook under its title."""
    lines = ["<ul>"]
    for source in sorted(set(sources.values())):
        names = [name for name in found if sources[name] == source]
        title = html.escape(_title(found[names[0]]) or source)
        if names == [source]:
            lines.append(f'<li><a href="{source}.html">{title}</a></li>')
        else:
            links = ",\n".join(f'<a href="{name}.html">{html.escape(name)}</a>' for name in names)
            lines.append(f'<li id="{html.escape(source)}">{title}:\n{links}</li>')
    return "\n".join([*lines, "</ul>"])


def _tidy(notebook: dict) -> dict:
    """The notebook without progress bars, with one first heading, and with a text for every picture."""
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
                output for output in outputs if output["output_type"] != "stream" or output["text"].strip()
            ]
    return notebook


def _plain(markdown: str) -> str:
    """A text without headings and marks."""
    text = re.sub(r"^#+ .*$", "", markdown, flags=re.M)
    return " ".join(re.sub(r"[*`$]|\[([^]]*)\]\([^)]*\)", lambda found: found[1] or "", text).split())


def _sentence(markdown: str) -> str:
    """The first sentence of a text."""
    return re.split(r"(?<=[.?!])\s", _plain(markdown), maxsplit=1)[0]


def _linked(pages: set[str], sources: set[str]):
    """Where a link to a notebook leads: to its page, to the list of its pages, or, where it was not run, to
    the notebook itself."""

    def target(found: re.Match) -> str:
        name = found[1]
        if name in pages:
            return f'href="{name}.html"'
        return f'href="index.html#{name}"' if name in sources else f'href="../../../notebooks/{name}.ipynb"'

    return target


def _back() -> str:
    return '<nav><a href="index.html">All notebooks</a> · <a href="../report.html">Report</a></nav>\n'


def _page(title: str, colours: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{colours}</style>\n</head>\n<body>\n"
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
