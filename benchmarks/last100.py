"""The detectors without a network on the last 100 photographs of CUHK, beside Table I.

    MAGAN_DATA=... python benchmarks/last100.py [METHOD ...] [--every 4]

Scores follow `magan evaluate` with protocol `paper`. A killed run goes on where it was. Results: one CSV with
95 % intervals over photographs, and the table that it prints.
"""

import argparse
import sys
from pathlib import Path

import machine
import numpy as np
import pandas as pd

from magan_core import paths
from magan_core.classical import METHODS, get_method
from magan_core.classical.mapping import map_photographs
from magan_core.data import sets
from magan_core.data.record import Record
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.files import write_text
from magan_core.metrics import SCORES
from magan_core.reporting import claims


def scored(method: str, records: list[Record], work: Path, workers: int) -> list[dict]:
    """One row a score: method, images, metric, claimed, own, low, high."""
    maps = work / f"maps-{len(records)}"
    photos = [record["image"] for record in records]
    map_photographs(method, photos, maps, resume=work, workers=workers)
    found = evaluate(maps, records, protocol="paper")
    paper = claims.load("I").query('dataset == "Shi\'s" and method == @method').set_index("metric")["value"]
    rows = []
    for metric in SCORES:
        low, high = found["intervals"][metric]
        row = {
            "method": method,
            "images": found["images"],
            "metric": metric,
            "claimed": paper.get(metric, np.nan),
        }
        rows.append(row | {"own": found[metric], "low": low, "high": high})
    return rows


def table(found: pd.DataFrame) -> str:
    """Own scores and the paper's in brackets, as Markdown."""
    names = ["F_beta", "MAE", "IoU", "AUC", "AUF_beta"]
    lines = [f"| method | n | {' | '.join(names)} |", "|---" * (2 + len(SCORES)) + "|"]
    for method, rows in found.groupby("method", sort=False):
        claimed = ["" if np.isnan(value) else f" ({value:.3f})" for value in rows["claimed"]]
        cells = [f"{own:.3f}{paper}" for own, paper in zip(rows["own"], claimed, strict=True)]
        lines.append(f"| {method} | {rows['images'].iloc[0]} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("methods", nargs="*", metavar="METHOD", help="all if none is named")
    parser.add_argument("--every", type=int, default=1, metavar="K", help="only every K-th photograph")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    if options.every not in range(1, 51):
        raise MaganError(f"--every {options.every}; expected 1 to 50, which leaves two photographs")
    raw = paths.raw() / "cuhk"
    records = sets.select(sets.pairs(raw, "blur"), split_file("cuhk", "last100_test.txt", raw))
    records = records[:: options.every]
    rows = []
    for method in options.methods or METHODS:
        get_method(method)
        rows += scored(method, records, paths.resume() / "last100" / method, options.workers)
    found = pd.DataFrame(rows)
    text = found.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(machine.RESULTS / "last100.csv", text)
    write_text(machine.RESULTS / "last100.md", table(found) + machine.told("numpy", "scipy", "scikit-image"))
    print(table(found))


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
