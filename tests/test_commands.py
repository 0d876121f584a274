"""Commands as they are written about: every one that a page, notebook or message names exists, with its
options; and `--help` explains every one with every argument."""

import argparse
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from magan_core import cli

ROOT = Path(__file__).resolve().parent.parent
WRITTEN = (
    *(
        "README.md",
        "docs/*.md",
        "data/*.md",
        "benchmarks/*.md",
        "notebooks/*.ipynb",
        "params.yaml",
        "dvc.yaml",
    ),
    *("Makefile", ".github/workflows/*.yml", "magan_core/**/*.py", "magan_core/**/*.j2"),
)
FILES = sorted(path for pattern in WRITTEN for path in ROOT.glob(pattern))
TARGETS = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
PROFILES = {
    profile["name"]
    for profile in yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))["profiles"]
} | set(re.findall(r"^\+    name: (\S+)$", (ROOT / "docs/extending.md").read_text(encoding="utf-8"), re.M))


def text_of(path):
    """A file's text; of a notebook, that of its cells; of a module, with its long messages joined; of others,
    with their continued lines joined."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        return "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"])
    return re.sub(r'"\n\s+f?"', "", text) if path.suffix == ".py" else text.replace("\\\n", "")


def written(program):
    """(file, what follows the program's name), of all code spans and lines of code."""
    for path in FILES:
        text = text_of(path)
        found = re.findall(rf"<code>{program} ([^<]+)</code>", text)
        python = r"(?:^\s*|cmd: )(?:python|\$\{python\})"
        found += re.findall(rf"{python} -m {program}_core ([^|>\n]+)", text, re.M)
        if path.suffix != ".j2":
            found += re.findall(rf"`(?:\S*/)?{program} ([^`]+)`", text)
        if path.suffix in (".md", ".ipynb"):
            found += re.findall(rf"^    (?:\S*/)?{program} (.+)$", text, re.M)
        for command in found:
            yield path.relative_to(ROOT).as_posix(), re.split("#| \\| ", command)[0].strip()


def subparsers(parser, name="magan"):
    """Every command with the name that its user types."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, sub in action.choices.items():
                yield from subparsers(sub, f"{name} {word}")


PARSERS = dict(subparsers(cli.parser()))
LEAVES = [name for name, parser in PARSERS.items() if not name.endswith(("magan", "magan data"))]


def test_every_command_of_magan_that_is_written_about_exists():
    seen, files = set(), set()
    for file, command in written("magan"):
        files.add(file)
        words = shlex.split(command.replace("`", ""))
        if words in (["data"], ["COMMAND", "--help"]):
            continue
        name = "magan " + " ".join(words[: 2 if words[0] == "data" else 1])
        assert name in LEAVES, f"{file}: magan {command}"
        known = {option for action in PARSERS[name]._actions for option in action.option_strings}
        used = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
        assert used <= known, f"{file}: magan {command}"
        seen.add(name)
    assert seen >= {name for name in LEAVES if name != "magan pack"}
    assert {"dvc.yaml", "Makefile", "README.md"} <= files


def test_every_make_command_that_is_written_about_has_a_target_and_a_profile():
    seen = set()
    for file, command in written("make"):
        target, *settings = command.split()
        assert target in TARGETS, f"{file}: make {command}"
        for name, _, value in (setting.partition("=") for setting in settings):
            assert name in ("PROFILE", "PYTHON", "JOBS", "LABELLERS"), f"{file}: make {command}"
            assert name != "PROFILE" or "{" in value or value in PROFILES, f"{file}: make {command}"
        seen.add(target)
    assert {"setup", "repro", "test", "fast-test", "lab", "hooks"} <= seen


def test_make_alone_starts_nothing_and_lists_every_target():
    shown = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {line.split()[0] for line in shown.splitlines()} == {"make"}
    assert set(re.findall(r"make ([a-z-]+)", shown)) == TARGETS - {"help"}


@pytest.mark.parametrize("name", LEAVES)
def test_help_says_what_every_argument_is(name):
    for action in PARSERS[name]._actions:
        assert action.help, f"{name}: {action.dest}"
    shown = PARSERS[name].format_help()
    assert len(shown.splitlines()) < 60
    assert name in shown


@pytest.mark.parametrize("name", LEAVES)
def test_help_begins_with_what_the_command_does(name):
    assert re.match(r"\s*[A-Z].*\.", PARSERS[name].description or "", re.S), name


def test_the_list_of_commands_begins_with_what_most_people_want():
    shown = cli.parser().format_help()
    order = [shown.index(f"\n    {name}") for name in ("predict", "evaluate", "train", "clean-notebooks")]
    assert order == sorted(order)
