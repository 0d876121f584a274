"""docs/extending.md, applied to a copy of the repository: its files, changes and code, and the tables."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/extending.md"
KEPT = (
    *("magan_core", "notebooks", "params.yaml", "docs/photographs"),
    *("data/manifests", "data/splits", "data/paper_tables"),
)
OWN = ("", "-nodrop", "-edge", "-cosine", "-gate")
NOTEBOOKS = (
    ("01_prepare_data", {}),
    *(("02_train_supervised", {"run": f"manet{part}-dut"}) for part in OWN),
    ("10_classical", {"method": "Gradient"}),
    ("04_evaluate", {}),
    ("05_ablations", {}),
    ("06_tables", {}),
)
RUNNER = """
import json, sys
import matplotlib
matplotlib.use("Agg")
for path, code in json.load(sys.stdin):
    try:
        exec(compile(code, path, "exec"), {"__name__": "__main__", "profile": "try"})
    except BaseException:
        print(f"in {path}", file=sys.stderr)
        raise
"""


class Block(NamedTuple):
    """A fenced block: its language, the file named in its first line ("" for none), and its text."""

    kind: str
    file: str
    text: str


def blocks():
    found = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    for kind, text in found:
        named = re.match(r"# (\S+\.(?:py|yaml))\n", text)
        yield Block(kind, named[1] if named else "", text[named.end() :] if kind == "diff" else text)


def changed(text, change):
    """The text with the context and minus lines of a change, which must be there once, in the new form."""
    lines = change.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] or "\n" for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"{text.count(old)} times in the file:\n{old}"
    return text.replace(old, new)


def cells(notebook, parameters):
    """The code of a notebook with other parameters, as a plain program."""
    code = []
    for cell in json.loads((ROOT / f"notebooks/{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            code.append("".join(cell["source"]))
        if "parameters" in cell["metadata"].get("tags", []):
            code.append("\n".join(f"{name} = {value!r}" for name, value in parameters.items()))
    return "\n".join(code)


@pytest.fixture(scope="module")
def extended(tmp_path_factory):
    """A copy with the whole page applied; its code and then the notebooks of the pipeline have run."""
    folder = tmp_path_factory.mktemp("extending") / "a copy"
    for name in KEPT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    programs = []
    for block in blocks():
        target = folder / block.file
        if block.kind == "diff":
            target.write_text(changed(target.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        elif block.file:
            assert not target.exists()
            target.write_text(block.text, encoding="utf-8")
        else:
            programs.append([f"block {len(programs) + 1} of the page", block.text])
    programs += [[name, cells(name, {"profile": "try"} | more)] for name, more in NOTEBOOKS]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", RUNNER],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "MAGAN_DATA": "", "OMP_NUM_THREADS": "1"},
        input=json.dumps(programs),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return folder, done.stdout


def rows(folder, number):
    with open(folder / f"results/try/tables/table_{number}.csv", encoding="utf-8") as file:
        return {row["method"]: row for row in csv.DictReader(file) if row["dataset"] == "DUT"}


def test_the_page_has_an_example_of_everything():
    files = [block.file for block in blocks() if block.file.endswith(".py") and block.kind == "python"]
    assert [Path(file).parent.name for file in files] == ["models", "classical", "training"] + 2 * ["models"]
    assert sum(block.kind == "diff" for block in blocks()) >= 10


def test_the_data_set_is_what_the_runs_have_learnt_from(extended):
    folder, _ = extended
    sets = json.loads((folder / "data/prepared/try/sets.json").read_text(encoding="utf-8"))
    assert (sets["dut"]["train"], sets["dut"]["test"]) == (6, 2)
    assert rows(folder, "IV")["MANet"]["data"].startswith("garden")


def test_the_backbone_is_that_of_the_runs(extended):
    folder, printed = extended
    record = json.loads((folder / "results/try/runs/manet-dut/provenance.json").read_text(encoding="utf-8"))
    assert record["model"]["backbone"] == "ladder"
    assert "[8, 8, 16, 16, 32]" in printed


def test_the_method_has_a_row(extended):
    folder, printed = extended
    assert 0 < float(rows(folder, "I")["Gradient"]["mae_own"]) < 1
    assert rows(folder, "I")["Gradient"]["mae_claimed"] == ""
    assert "(40, 60)" in printed


@pytest.mark.parametrize(
    ("number", "label"), [("IV", "MANet without dropout"), ("V", "CE 1.0, IoU 1.0, edge 0.5")]
)
def test_the_row_is_in_its_table(number, label, extended):
    folder, _ = extended
    row = rows(folder, number)[label]
    assert 0 < float(row["mae_own"]) < 1
    assert row["mae_claimed"] == row["mae_verdict"] == ""
    for kind in ("md", "tex"):
        assert label in (folder / f"results/try/tables/table_{number}.{kind}").read_text(encoding="utf-8")
    assert label in (folder / "results/try/tables/claims.csv").read_text(encoding="utf-8")


def test_the_loss_is_trained_with_and_logged(extended):
    folder, _ = extended
    with open(folder / "results/try/runs/manet-edge-dut/history.csv", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    assert [row["step"] for row in history] == ["1", "2", "3"]
    for row in history:
        assert float(row["edge"]) > 0
        total = float(row["ce"]) + float(row["iou"]) + 0.5 * float(row["edge"])
        assert float(row["total"]) == pytest.approx(total, rel=1e-4)


def test_the_attention_is_that_of_its_run_and_held_against_the_papers(extended):
    folder, _ = extended
    record = json.loads(
        (folder / "results/try/runs/manet-cosine-dut/provenance.json").read_text(encoding="utf-8")
    )
    assert record["model"]["energy"] == "cosine"
    weights = load_file(folder / "results/try/runs/manet-gate-dut/model.safetensors")
    assert "low_attention.layers.0.weight" in weights
    assert "low_attention.alpha" not in weights
    with open(folder / "results/try/tables/differences.csv", encoding="utf-8") as file:
        pairs = {(row["without"], row["with"]) for row in csv.DictReader(file)}
    assert pairs == {("manet", "manet-cosine"), ("manet", "manet-gate")}


def test_the_protocol_is_followed(extended):
    assert "focus positive; beta2 1; F at 0.5; IoU at 0.5; means over images" in extended[1]
