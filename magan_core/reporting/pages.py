"""The executed notebooks of a profile as web pages, for readers without Jupyter.

Executed notebooks are a log: they hold times and never have the same bytes twice. So nothing depends on them
or on these pages, and DVC knows neither.
"""

import html
import re
from pathlib import Path

from magan_core.errors import MaganError
from magan_core.files import write_text
from magan_core.notebook import read

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

    The pages need no network. Links between notebooks become links between pages. Returns the pages, the
    index first. MaganError when there is no executed notebook, or one cannot be read.
    """
    from nbconvert import HTMLExporter  # here: a second that other commands should not cost
    from pygments.formatters import HtmlFormatter

    files = [file for file in sorted(Path(notebooks).glob("*.ipynb")) if not file.stem.endswith(".failed")]
    if not files:
        raise MaganError(f"{notebooks} holds no executed notebook; run `make repro` first")
    exporter = HTMLExporter(template_name="basic")
    colours = HtmlFormatter().get_style_defs(".highlight")
    titles = {}
    for file in files:
        notebook = read(file)
        own = "" if file.stem[:2].isdigit() else file.stem  # a run or a detector: its notebook was used often
        titles[file.stem] = ": ".join(filter(None, (_title(notebook), own))) or file.stem
        body, _ = exporter.from_notebook_node(notebook)
        body = body.replace('href="../', 'href="../../../')
        body = re.sub(r'href="([\w-]+)\.ipynb"', _linked({f.stem for f in files}), body)
        body = body.replace("No description has been provided for this image", f"Output of {file.stem}")
        write_text(Path(out) / f"{file.stem}.html", _page(titles[file.stem], colours, _back() + body))
    links = "\n".join(
        f'<li><a href="{name}.html">{html.escape(title)}</a></li>' for name, title in titles.items()
    )
    index = (
        '<h1>Executed notebooks</h1>\n<p><a href="../report.html">Report</a></p>\n<ul>\n' + links + "\n</ul>"
    )
    write_text(Path(out) / "index.html", _page("Executed notebooks", "", index))
    return [Path(out) / f"{name}.html" for name in ("index", *titles)]


def _title(notebook: dict) -> str:
    found = re.search(r"^# (.+)$", notebook["cells"][0]["source"], re.M) if notebook["cells"] else None
    return found[1].strip() if found else ""


def _linked(pages: set[str]):
    """A link to another notebook leads to its page, or, where it was not run, to the notebook itself."""
    return lambda found: (
        f'href="{found[1]}.html"' if found[1] in pages else f'href="../../../notebooks/{found[1]}.ipynb"'
    )


def _back() -> str:
    return '<nav><a href="index.html">All notebooks</a> · <a href="../report.html">Report</a></nav>\n'


def _page(title: str, colours: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}{colours}</style>\n</head>\n<body>\n"
        f"<main>\n{body}\n</main>\n</body>\n</html>\n"
    )
