"""Invented scores of whole profiles, for the tests of the tables."""

import json
import zlib
from pathlib import Path

import pandas as pd

from magan_core import limits
from magan_core.reporting.sources import REAL, Results
from magan_core.reporting.tables import VARIANTS, write_claims, write_tables

ALL = list(limits.TABLES)
METRICS = ("f_beta", "mae", "iou", "auc", "auf_beta")
TOLERANCE = dict.fromkeys(METRICS, 0.01) | {"seconds": None}
SETS = {
    "shi": {"source": "synthetic", "character": "objects"},
    "zhao": REAL["zhao"] | {"white": "blur"},
    "dut": {"source": "synthetic", "character": "clutter_&_100%"},
    "ctcug": {"source": "szu-bd", "white": "blur"},
    "frd": {"source": "szu-bd", "use": "unlabelled"},
}
ON_DUT = sorted({name for table in ("IV", "V", "VI") for name in VARIANTS[table].values()})
NAMES = [f"{variant}-dut" for variant in ON_DUT]
NAMES += [f"{variant}-{role}" for role in ("shi", "zhao") for variant in ("manet", "magan", "magan-s")]
RUNS = {name: dict(zip(("variant", "set"), name.rsplit("-", 1), strict=True)) for name in NAMES}


def score(run: str, role: str) -> dict[str, float]:
    """Invented, different for each run and set, and with six decimals."""
    start = 0.6 + zlib.crc32(f"{run} {role}".encode()) % 300_000 / 1e6
    return {name: start + 0.01 * k for k, name in enumerate(METRICS)}


def write_score(scores: Path, run: str, role: str, **changes) -> None:
    """Write summary.json; the intervals reach from 0.02 below a score to 0.01 above it."""
    folder = scores / run / role
    folder.mkdir(parents=True, exist_ok=True)
    numbers = score(run, role) | changes
    intervals = {name: [numbers[name] - 0.02, numbers[name] + 0.01] for name in METRICS}
    summary = {"protocol": "paper", "images": 4, "intervals": intervals} | numbers
    (folder / "summary.json").write_text(json.dumps(summary))


class Folder:
    """A profile's scores and runs, and what params.yaml says of it."""

    def __init__(self, root, listed=RUNS, sets=SETS, others=(), published=None, rows=()):
        self.root, self.listed, self.sets = root, dict(listed), dict(sets)
        self.others, self.published, self.rows = others, published or {}, rows

    def fill(self, same_as=None) -> "Folder":
        """Write scores and timings of every listed run, those of DUT on CTCUG too."""
        same_as = same_as or {}
        for run, entry in self.listed.items():
            trained = same_as.get(entry["set"], entry["set"])
            for role in [trained, "ctcug"] if trained == same_as.get("dut", "dut") else [trained]:
                write_score(self.root / "scores", run, role)
            self.write_timing(run)
        return self

    def write_timing(self, run: str) -> None:
        seconds = {role: 0.01234 + index for index, role in enumerate(self.sets)}
        provenance = {"hardware": "Chip_X & Co, 2 threads", "seconds": {"predict_per_image": seconds}}
        (self.root / "runs" / run).mkdir(parents=True, exist_ok=True)
        (self.root / "runs" / run / "provenance.json").write_text(json.dumps(provenance))

    def results(self) -> Results:
        tested = {role: {"test": 4} for role, entry in self.sets.items() if entry.get("use") != "unlabelled"}
        (self.root / "prepared").mkdir(exist_ok=True)
        if not (self.root / "prepared/sets.json").exists():
            (self.root / "prepared/sets.json").write_text(json.dumps(tested))
        folders = (self.root / name for name in ("prepared", "runs", "maps", "scores"))
        return Results(*folders, self.listed, self.sets, self.others, self.published, rows=self.rows)

    def write(self, numbers=ALL, out="tables", tolerance=TOLERANCE) -> dict[str, pd.DataFrame]:
        tables = write_tables(numbers, self.results(), tolerance, self.root / out)
        if numbers == ALL:
            write_claims(self.results(), tolerance, self.root / out / "claims.csv")
        return tables

    def read(self, name: str) -> str:
        return (self.root / "tables" / name).read_text(encoding="utf-8")


def cell(table: pd.DataFrame, method: str, column: str, dataset: str = "DUT"):
    """One cell of a wide table."""
    return table[(table["dataset"] == dataset) & (table["method"] == method)][column].item()


def markdown_rows(text: str) -> dict[str, list[str]]:
    """Cells by method, of one data set."""
    cells = [[one.strip() for one in line.split("|")[1:-1]] for line in text.splitlines() if "|" in line]
    return {method: rest for method, *rest in cells[2:]}
