"""Every link between files of the repository leads somewhere: README, docs and notebooks."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "data/*.md", "benchmarks/*.md", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
)


def prose(page):
    """The Markdown of a page without its code, which may hold brackets that are no links."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page.endswith(".ipynb"):
        cells = json.loads(text)["cells"]
        text = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.sub(r"^    .*$|`[^`\n]*`", "", text, flags=re.M)


def links(page):
    return re.findall(r"\]\(([^)\s]+)\)", prose(page))


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_relative_link_leads_to_a_file_and_a_heading(page):
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target.resolve().relative_to(ROOT).as_posix()), f"{page}: {link}"


def test_what_is_linked_is_in_git():
    """A file that lies here, but in no clone, would be a dead link for everyone else."""
    if not (ROOT / ".git").exists():
        pytest.skip("no Git repository")
    held = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = set(held.splitlines())
    for page in PAGES:
        for link in links(page):
            name = unquote(link).partition("#")[0]
            if not name or "://" in name or name.startswith("mailto:"):
                continue
            target = ((ROOT / page).parent / name).resolve().relative_to(ROOT).as_posix()
            assert target in files or any(file.startswith(f"{target}/") for file in files), f"{page}: {link}"


def test_the_notebooks_are_one_walk():
    """From 00 every other notebook can be reached, and each leads on."""
    graph = {
        Path(page).name: {Path(link).name for link in links(page) if link.endswith(".ipynb")}
        for page in PAGES
        if page.endswith(".ipynb")
    }
    assert all(graph.values())
    seen, front = set(), {"00_start_here.ipynb"}
    while front:
        seen |= front
        front = set().union(*(graph[name] for name in front)) - seen
    assert seen == set(graph)
