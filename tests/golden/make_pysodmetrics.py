"""Write pysodmetrics.json: what PySODMetrics 1.6.2 says about the maps of cases.py.

PySODMetrics needs packages of its own versions, so it gets its own environment:

    python3.11 -m venv sod && sod/bin/pip install pysodmetrics==1.6.2
    sod/bin/python tests/golden/make_pysodmetrics.py

The file holds the versions and, under `cases` for each map and under `sets` for some of them together:

    mae        MAE
    adaptive   F at twice the mean of the stretched map (its beta, 0.3, is beta squared)
    f          F at the thresholds 0, 1/255, ..., 1
    precision, recall   the same curves at every fifth threshold
    iou        IoU of the pixels above one half ("binary")

Numbers have 12 significant digits. A second run on the same versions writes the same bytes.
"""

import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import cases as drawn
import numpy as np
import py_sod_metrics as sod

VERSION = "1.6.2"
SETS = {
    "whole range": [name for name in drawn.cases() if name.startswith("whole range")],
    "all": list(drawn.cases()),
}


def scored(pairs: list[tuple[np.ndarray, np.ndarray]]) -> dict:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fmeasure announces its successor, which is checked below
        f_measure = sod.Fmeasure(beta=0.3)
    handlers = {
        "f": sod.FmeasureHandler(True, True, beta=0.3),
        "iou": sod.IOUHandler(False, False, with_binary=True),
    }
    second, mae = sod.FmeasureV2(handlers), sod.MAE()
    for focus_map, mask in pairs:
        for metric in (f_measure, second, mae):
            metric.step(pred=focus_map, gt=mask)
    f, pr, v2 = f_measure.get_results()["fm"], f_measure.get_results()["pr"], second.get_results()
    assert np.allclose(v2["f"]["dynamic"], f["curve"]), "their two F curves differ"
    assert np.isclose(v2["f"]["adaptive"], f["adp"]), "their two adaptive F differ"
    return {
        "mae": short(mae.get_results()["mae"]),
        "adaptive": short(f["adp"]),
        "iou": short(v2["iou"]["binary"]),
        "f": short(f["curve"][::-1]),  # theirs begin at threshold 1
        "precision": short(pr["p"][::-1][::5]),
        "recall": short(pr["r"][::-1][::5]),
    }


def short(value):
    return [short(one) for one in value] if np.ndim(value) else float(f"{value:.12g}")


def main() -> None:
    assert version("pysodmetrics") == VERSION, (
        f"found PySODMetrics {version('pysodmetrics')}, expected {VERSION}"
    )
    pairs = drawn.cases()
    found = {
        "versions": {"pysodmetrics": VERSION, "numpy": np.__version__, "python": platform.python_version()},
        "cases": {name: scored([pair]) for name, pair in pairs.items()},
        "sets": {
            name: {"of": members, **scored([pairs[member] for member in members])}
            for name, members in SETS.items()
        },
    }
    text = json.dumps(found).replace('}, "', '},\n"')  # one line a case
    Path(__file__).with_name("pysodmetrics.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
