"""Every link, and every file that a page, a setting or a message names, is there; pictures have a text."""

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "[a-z]*/*.md", "notebooks/*.ipynb")
    for path in ROOT.glob(pattern)
)
OTHERS = (
    *("params.yaml", "dvc.yaml", "Makefile", ".github/workflows/*.yml"),
    *("magan_core/**/*.py", "benchmarks/*.py"),
)
NAMED = re.compile(  # docs/a.md, magan_core/a/b.py, data/splits/a/b.txt
    r"(?<![\w/.-])((?:docs|data|magan_core|notebooks|benchmarks|tests)/[\w./-]*\w\."
    r"(?:md|py|ipynb|txt|csv|json|yaml))\b"
)
MADE = re.compile(  # by `make repro`, by a fetch, or by the readers of docs/extending.md
    r"data/(prepared|raw|weights|published_maps)/|magan_core/released/|"
    r"magan_core/(models/(ladder|cosine|gate)|classical/gradient|training/edge)\.py"
)


def text_of(page):
    """The Markdown of a page; of a notebook, that of its cells."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if not page.endswith(".ipynb"):
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def prose(page):
    """A page without its code, which may hold brackets that are no links."""
    text = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S)
    return re.sub(r"^    .*$|`[^`\n]*`", "", text, flags=re.M)


def links(page):
    """Where the links and pictures of a page lead, but for other machines."""
    text = prose(page)
    found = re.findall(r"\]\(\s*<?([^)\s>]+)", text)
    found += re.findall(r"(?:href|src)=[\"']([^\"']+)", text)
    found += re.findall(r"^\[[^]]+\]:\s*(\S+)", text, re.M)
    return [unquote(link) for link in found if not link.startswith(("http", "mailto:"))]


def anchors(page):
    """The names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", text_of(page), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def target_of(page, link):
    """The file that a link of a page leads to, seen from the root."""
    name = link.partition("#")[0]
    return ((ROOT / page).parent / name).resolve().relative_to(ROOT).as_posix() if name else page


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    for link in links(page):
        target, (_, _, anchor) = target_of(page, link), link.partition("#")
        assert (ROOT / target).exists(), f"{page}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_says_in_words_what_it_shows(page):
    for words, link in re.findall(r"!\[([^]]*)\]\(([^)]+)\)", prose(page)):
        assert len(words.split()) >= 3, f"{page}: {link}"
    for tag in re.findall(r"<img[^>]*>", prose(page)):
        assert re.search(r"alt=[\"'][^\"']{10,}", tag), f"{page}: {tag}"


@pytest.fixture(scope="module")
def in_git():
    """Files and folders of the repository. A file that lies here alone is a dead link for everyone else."""
    if not (ROOT / ".git").exists():
        pytest.skip("no Git repository")
    command = ["git", "ls-files", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    files = [Path(name) for name in listed.split("\0") if name]
    return {path.as_posix() for file in files for path in (file, *file.parents)}


@pytest.mark.parametrize("page", PAGES)
def test_what_is_linked_is_in_git(page, in_git):
    for link in links(page):
        assert target_of(page, link) in in_git, f"{page}: {link}"


def test_every_file_that_is_named_is_there(in_git):
    """In pages, settings, comments and messages; a module may name its neighbours from their package on."""
    files = [ROOT / page for page in PAGES] + [path for pattern in OTHERS for path in ROOT.glob(pattern)]
    named = {
        (file.relative_to(ROOT).as_posix(), name)
        for file in files
        for name in NAMED.findall(file.read_text(encoding="utf-8"))
        if not MADE.match(name) and not re.search(r"\b(NAME|PROFILE|SET|RUN)\b", name)
    }
    assert len(named) > 20
    dead = {(file, name) for file, name in named if not {name, f"magan_core/{name}"} & in_git}
    assert not dead


def test_the_readme_leads_to_every_page():
    known = {target_of("README.md", link) for link in links("README.md")}
    assert {page for page in PAGES if page.endswith(".md") and page != "README.md"} <= known


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
