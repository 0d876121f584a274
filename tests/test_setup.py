"""The three lists of packages against each other, and the pipeline against the imports of its notebooks."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from magan_core import notebook, paths

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLATFORMS = [
    {"sys_platform": system, "platform_system": name, "platform_machine": machine, "os_name": "posix"}
    for system, name, machine in (
        ("linux", "Linux", "x86_64"),
        ("linux", "Linux", "aarch64"),
        ("darwin", "Darwin", "arm64"),
    )
]
PYTHONS = [
    {"python_version": "3.11", "python_full_version": "3.11.0"},
    {"python_version": "3.11", "python_full_version": "3.11.14"},
    {"python_version": "3.12", "python_full_version": "3.12.0"},
    {"python_version": "3.12", "python_full_version": "3.12.12"},
]


def requirements():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def test_every_requirement_is_pinned():
    for line in requirements():
        assert [specifier.operator for specifier in line.specifier] == ["=="], line
        assert "*" not in str(line.specifier)
        assert line.url is None


@pytest.mark.parametrize("python", PYTHONS, ids=lambda python: python["python_full_version"])
@pytest.mark.parametrize("platform", PLATFORMS, ids=lambda p: f"{p['sys_platform']}-{p['platform_machine']}")
def test_requirements_hold_what_pyproject_asks_for(python, platform):
    environment = default_environment() | platform | python | {"extra": ""}
    pins = {}
    for line in requirements():
        if line.marker is None or line.marker.evaluate(environment):
            name = canonicalize_name(line.name)
            assert name not in pins, f"{name} is pinned twice"
            pins[name] = next(iter(line.specifier)).version
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    for requirement in map(Requirement, asked):
        name = canonicalize_name(requirement.name)
        assert name in pins
        assert requirement.specifier.contains(pins[name]), f"{requirement} is pinned to {pins[name]}"
    foreign = {name for name in pins if name.startswith("nvidia-") or name in ("triton", "pywinpty")}
    assert (platform["sys_platform"] == "linux") or not foreign
    assert ("appnope" in pins) == (platform["sys_platform"] == "darwin")


def test_a_wheel_holds_the_released_model():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    file = paths.RELEASED.relative_to(ROOT / "magan_core")
    assert any(file.match(pattern) for pattern in settings["package-data"]["magan_core"])


def test_conda_installs_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert "-r requirements.txt" in pip
    assert "-e ." in pip
    python = next(e for e in environment["dependencies"] if isinstance(e, str) and e.startswith("python="))
    others = {e for e in environment["dependencies"] if isinstance(e, str)} - {python, "pip"}
    assert not others, "one source of truth: everything else comes from requirements.txt"
    version = python.removeprefix("python=")
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(f"{version}.0")


def imported(tree):
    """Names of the magan_core modules that a syntax tree imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def file_of(name):
    """Path of a module of ours relative to the root, or None."""
    path = Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if name.split(".")[0] == "magan_core" and (ROOT / candidate).exists():
            return candidate
    return None


def closure(tree):
    """All files of ours that a piece of code imports, directly or not, but for what only FREE ones import."""
    waiting, found = [tree], set()
    while waiting:
        for name in imported(waiting.pop()):
            path = file_of(name)
            if path and path not in found and path.as_posix() not in FREE:
                found.add(path)
                waiting.append(ast.parse((ROOT / path).read_text(encoding="utf-8")))
    return found


def test_every_third_party_import_is_declared():
    names = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn", "skimage": "scikit-image"}
    declared = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    used = set()
    for path in (ROOT / "magan_core").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])
    used -= set(sys.stdlib_module_names) | {"magan_core"}
    missing = {canonicalize_name(names.get(name, name)) for name in used} - declared
    assert not missing


# What no stage depends on. They decide how a stage is run, named or reported, not what it computes: messages,
# atomic writing, names of folders, the checks of params.yaml (its values are `params` of each stage), the
# record of where a result comes from, running a notebook, what it shows, the command line, and packages'
# docstrings.
FREE = {
    f"magan_core/{name}.py"
    for name in (
        "errors",
        "files",
        "limits",
        "paths",
        "params",
        "provenance",
        "notebook",
        "cli",
        "__init__",
        "__main__",
        "reporting/pictures",
        "wording",
    )
} | {f"magan_core/{name}/__init__.py" for name in ("data", "reporting", "training")}


def stages():
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["stages"]


WITH_NOTEBOOK = {
    name: ROOT / re.search(r"notebooks/\w+\.ipynb", stage["cmd"])[0]
    for name, stage in stages().items()
    if re.search(r"notebooks/\w+\.ipynb", stage["cmd"])
}


@pytest.mark.parametrize("stage", WITH_NOTEBOOK)
def test_a_stage_depends_on_every_module_that_its_notebook_imports(stage):
    path = WITH_NOTEBOOK[stage]
    code = "\n".join(cell.source for cell in notebook.read(path).cells if cell.cell_type == "code")
    needed = {file.as_posix() for file in closure(ast.parse(code))}
    if stage != "prepare":
        assert any(dep.startswith("data/prepared/") for dep in stages()[stage]["deps"])
    deps = [dep for dep in stages()[stage]["deps"] if "/" in dep]
    missing = {file for file in needed if not any(file == dep or file.startswith(f"{dep}/") for dep in deps)}
    assert not missing
    assert f"build/notebooks/{path.stem}.json" in deps


def test_every_dependency_in_git_exists():
    for name, stage in stages().items():
        for dep in stage.get("deps", ()):
            if dep.startswith(
                ("magan_core", "notebooks", "data/manifests", "data/paper_tables", "data/splits")
            ):
                assert (ROOT / dep).exists(), f"{name}: {dep}"


def test_the_gpu_workflow_does_what_every_stage_does():
    """All but those for whose outcome only DVC has a use."""
    workflow = (ROOT / ".github/workflows/gpu.yml").read_text(encoding="utf-8")
    for name, stage in stages().items():
        path, command = WITH_NOTEBOOK.get(name), stage["cmd"].split()[3]
        wanted = rf"\b{path.stem}\b" if path else rf'magan_core {command} "\$PROFILE"'
        assert re.search(wanted, workflow) or name in ("notebooks", "inputs"), name


def test_no_stage_that_trains_keeps_its_outputs_out_of_the_cache_or_between_runs():
    """Either would switch DVC's run cache off, and every switch of profiles would train again."""
    for name in ("train", "train-semi"):
        assert all(isinstance(out, str) for out in stages()[name]["outs"])
    assert "persist" not in (ROOT / "dvc.yaml").read_text(encoding="utf-8")


TEXTS = ("*.py", "*.j2", "*.md", "*.yaml", "*.yml", "*.toml", "*.txt", "*.ipynb", "Makefile", ".ci/run")


def tracked_texts():
    skipped = (".venv", ".git", "build", "results", "raw", "weights", "prepared", "egg-info", ".dvc")
    for pattern in TEXTS:
        for path in ROOT.rglob(pattern):
            inside = path.relative_to(ROOT).parts
            if path.is_file() and not any(part.endswith(skipped) or "cache" in part for part in inside):
                yield path


def test_no_file_names_a_folder_of_some_machine():
    machine = re.compile(r"(?<![\w.:/])/(?:home|root|Users|work|mnt|farm|tmp)/\w")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()[:100]}"
        for path in tracked_texts()
        if path != Path(__file__)
        for line in path.read_text(encoding="utf-8").splitlines()
        if machine.search(line)
    ]
    assert not found


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_stages_take_the_environment_of_make_setup_where_it_is(tmp_path, shell):
    """`.venv/bin/dvc repro` without activating it; without `.venv` the active environment counts."""
    (command,) = [entry["python"] for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["vars"]]
    folders = [tmp_path / "active", tmp_path / "clone/.venv/bin"]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "python").write_text(f"#!/bin/sh\necho {folder}\n")
        (folder / "python").chmod(0o755)

    def taken(within):
        path = os.pathsep.join([str(folders[0]), os.environ["PATH"]])
        done = subprocess.run(
            [shell, "-c", f"{command} -m magan_core"],
            cwd=within, env={"PATH": path}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    assert taken(tmp_path) == str(folders[0])
    assert taken(tmp_path / "clone") == str(folders[1])
