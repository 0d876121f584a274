"""docs/architecture.md against the repository: what is there is named, what is named is there, and the core
imports in one direction."""

import ast
import re
from pathlib import Path

import yaml

from magan_core import params

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "magan_core"
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
LAYERS = [
    set(re.findall(r"`(\w+)`", line.split("|")[1]))
    for line in re.search(r"^\| in `magan_core`.*?\n\n", PAGE, re.M | re.S)[0].splitlines()[2:]
    if line
]


def parts():
    """The modules and packages of the core, but for the two lines that make it one."""
    return {
        path.stem for path in CORE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {*("__init__", "__main__")}


def imported(part):
    """The parts of the core that a part imports."""
    files = [CORE / f"{part}.py"] if (CORE / f"{part}.py").exists() else (CORE / part).rglob("*.py")
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                words = name.split(".")
                if words[0] == "magan_core" and len(words) > 1 and words[1] in parts():
                    yield words[1]


def test_every_part_of_the_core_is_in_one_layer():
    named = [name for layer in LAYERS for name in layer]
    assert len(named) == len(set(named))
    assert set(named) == parts()


def test_no_part_imports_from_a_layer_above_it():
    height = {name: level for level, layer in enumerate(LAYERS) for name in layer}
    upwards = {(part, name) for part in parts() for name in imported(part) if height[name] > height[part]}
    assert not upwards


def test_every_notebook_and_every_stage_is_in_the_table():
    rows = re.findall(r"^\| ([\d, ]+) \| ([\w, -]*?) ?\|", PAGE, re.M)
    numbers = {number for cell, _ in rows for number in cell.split(", ")}
    assert numbers == {path.name[:2] for path in (ROOT / "notebooks").glob("*.ipynb")}
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    run = {
        (found[1], name)
        for name, stage in stages.items()
        if (found := re.search(r"notebooks/(\d\d)_", stage["cmd"]))
    }
    told = {
        pair
        for cell, names in rows
        if names
        for pair in zip(cell.split(", "), names.split(", "), strict=True)
    }
    assert told == run


def test_every_folder_of_the_repository_and_of_the_results_is_told():
    folders = re.findall(r"^    (\w+)/", PAGE, re.M)
    assert set(folders) >= {"notebooks", "magan_core", "data", "tests", "benchmarks", "docs"}
    assert all((ROOT / folder).is_dir() for folder in {*folders} - {"results"})
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8")
    results = re.search(r"^    results/PROFILE .*?(?=^    \w)", PAGE, re.M | re.S)[0]
    for name in {"tables", "figures", *re.findall(r"^/results/\*/([\w.]+)/?$", ignored, re.M)}:
        assert re.search(rf"\b{re.escape(name)}\b", results), name


def test_every_setting_that_a_page_names_exists():
    """As `model.energy` or `training.schedule`, or alone with its value, as `compile: true`."""
    settings = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    profile = settings["profiles"][0]
    known = {
        f"{part}.{key}"
        for part in profile
        for key in (profile[part] if isinstance(profile[part], dict) else ())
    }
    known |= {f"comparison.{key}" for key in settings["comparison"]} | {
        f"folders.{key}" for key in settings["folders"]
    }
    keys = {name.split(".")[1] for name in known} | set(profile) | set(settings)
    keys |= {*params.ROW, *params.MORE_OF_A_ROW}
    keys |= {key for run in settings["runs"].values() for key in run}
    keys |= {key for one in settings["profiles"] for data_set in one["sets"].values() for key in data_set}
    sections = "|".join({name.split(".")[0] for name in known})
    named = alone = 0
    for page in ("README.md", "docs/*.md", "data/README.md"):
        for path in ROOT.glob(page):
            text = path.read_text(encoding="utf-8")
            for name in set(re.findall(rf"`((?:{sections})\.\w+)`", text)) - {"model.safetensors"}:
                assert name in known, f"{path.name}: {name}"
                named += 1
            for key in re.findall(r"`(\w+): [^`]*`", text):
                assert key in keys, f"{path.name}: {key}"
                alone += 1
    assert named >= 8
    assert alone >= 3
