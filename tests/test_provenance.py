"""Which commit a result comes from, and whether its sources were that commit's."""

import runpy
import subprocess
from pathlib import Path

import pytest

from magan_core.provenance import commit


def git(*words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    return subprocess.run(["git", *who, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    files = {
        "params.yaml": "a: 1\nprofile: demo\n",
        "magan_core/one.py": "x = 1\n",
        "tests/test_one.py": "",
        ".gitignore": "*.tmp\n/build/\n",
    }
    for path, text in files.items():
        write(path, text)
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "first")
    return git("rev-parse", "--short=10", "HEAD")


def write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/test_one.py", "changed"),
        ("tests/test_two.py", "new"),
        ("README.md", "new"),
        ("results/demo/metrics.json", "new"),
        ("magan_core/one.tmp", "ignored"),
        ("build/one.py", "ignored"),
        ("params.yaml", "a: 1\nprofile: smoke\n"),
    ],
)
def test_what_no_stage_reads_is_no_change(checkout, path, text):
    assert commit() == checkout
    write(path, text)
    assert commit() == checkout


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("params.yaml", "a: 2\nprofile: demo\n"),
        ("magan_core/one.py", "x = 2\n"),
        ("magan_core/two.py", "new"),
        ("magan_core/classical/mine.safetensors", "new"),
        ("mine.py", "new, of a `module:function`"),
        ("mine/deep/er.py", "new"),
        ("notebooks/20_mine.ipynb", "new"),
        ("data/splits/mine/test.txt", "new"),
    ],
)
def test_what_a_stage_can_read_is_a_change(checkout, path, text):
    write(path, text)
    assert commit() == f"{checkout}+"


def test_a_new_source_that_is_staged_and_one_that_is_gone_are_changes(checkout):
    write("mine.py", "new")
    git("add", "mine.py")
    assert commit() == f"{checkout}+"
    git("commit", "-qm", "second")
    assert commit() not in (checkout, f"{checkout}+")
    Path("mine.py").unlink()
    assert commit().endswith("+")


def test_a_benchmark_that_is_changed_is_one_of_what_benchmarks_write(checkout):
    machine = runpy.run_path(str(Path(__file__).parents[1] / "benchmarks/machine.py"))
    write("benchmarks/results/one.json", "{}")
    assert machine["commit"]() == commit() == checkout
    write("benchmarks/one.py", "new")
    assert machine["commit"]() == f"{checkout}+"
    assert commit() == checkout
    assert machine["versions"]("numpy")["commit"] == f"{checkout}+"


def test_a_folder_of_another_repository_has_no_commit(checkout, monkeypatch):
    write("copies/magan/params.yaml", "a: 1\n")
    git("add", "-A")
    git("commit", "-qm", "a copy")
    monkeypatch.chdir("copies/magan")
    assert commit() is None


def test_no_checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    assert commit() is None
