"""How far the maps of a detector here agree with those that its authors published of the same photographs.

    MAGAN_DATA=... MAGAN_PUBLISHED=... python benchmarks/published.py DBDF

Photographs in Zhao's training split and the others apart. A killed run goes on where it was. Results: one CSV
of all photographs, and the table that it prints.
"""

import argparse
import sys

import machine
import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from magan_core import paths
from magan_core.classical.mapping import map_photographs
from magan_core.data import sets
from magan_core.data.images import read_map
from magan_core.data.splits import split_file
from magan_core.errors import MaganError
from magan_core.files import write_text

WHITE_IS_BLUR = 255  # of the published maps


def agreement(own: np.ndarray, theirs: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Of two maps, uint8 (H, W), 255 = in focus, and how well each ranks the pixels of the mask."""
    flat, other, truth = own.ravel(), theirs.ravel(), mask.ravel() > 0
    return {
        "pearson": np.corrcoef(flat, other)[0, 1],
        "spearman": spearmanr(flat, other).statistic,
        "auc": roc_auc_score(truth, flat),
        "auc_published": roc_auc_score(truth, other),
    }


def table(found: pd.DataFrame) -> str:
    """Means over photographs, as Markdown; of the correlation also median and least."""
    lines = [
        "| photographs | n | correlation | median | least | Spearman | AUC here | AUC published |",
        "|---|---|---|---|---|---|---|---|",
    ]
    training = found["training"]
    for name, rows in (
        ("in Zhao's training split", found[training]),
        ("in its test split", found[~training]),
        ("all", found),
    ):
        pearson = rows["pearson"]
        cells = [pearson.mean(), pearson.median(), pearson.min(), rows["spearman"].mean()]
        cells += [rows["auc"].mean(), rows["auc_published"].mean()]
        lines.append(f"| {name} | {len(rows)} | {' | '.join(f'{cell:.3f}' for cell in cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", choices=["LBP", "DBDF"])
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    folder, raw = paths.published() / "cuhk" / options.method, paths.raw() / "cuhk"
    if not folder.is_dir():
        raise MaganError(f"{folder}: no such folder; set MAGAN_PUBLISHED to the folder of published maps")
    published = {path.stem: path for path in sorted(folder.iterdir())}
    records = [record for record in sets.pairs(raw, "blur") if record["stem"] in published]
    if lost := sorted(set(published) - {record["stem"] for record in records}):
        raise MaganError(f"{published[lost[0]]} has no photograph in {raw}; remove it or add the photograph")
    training = set(sets.read_names(split_file("cuhk", "zhao_train.txt", raw)))
    work = paths.resume() / "published" / options.method
    photos = [record["image"] for record in records]
    map_photographs(options.method, photos, work / "maps", resume=work, workers=options.workers)
    rows = []
    for record in records:
        stem = record["stem"]
        own, theirs = read_map(work / "maps" / f"{stem}.png"), WHITE_IS_BLUR - read_map(published[stem])
        _, mask = sets.load(record)
        rows.append({"stem": stem, "training": stem in training} | agreement(own, theirs, mask))
    found = pd.DataFrame(rows)
    if constant := list(found["stem"][found.isna().any(axis=1)]):
        raise MaganError(f"a map of {constant[0]} is constant: it has no correlation; leave it out")
    name = f"published_{options.method}"
    text = found.to_csv(index=False, float_format="%.6f", lineterminator="\n")
    write_text(machine.RESULTS / f"{name}.csv", text)
    write_text(machine.RESULTS / f"{name}.md", table(found) + machine.told("numpy", "scipy", "scikit-image"))
    print(table(found))


if __name__ == "__main__":
    try:
        main()
    except MaganError as error:
        sys.exit(str(error))
