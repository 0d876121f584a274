"""The side of evaluation.py that runs in the interpreter that has PySODMetrics; evaluation.py starts it.

Argument: the folder with maps.npy, masks.npy (all pixels in a row, uint8) and shapes.json. For every name of
a way on standard input it scores all images and prints a line of JSON: processor seconds, and the scores.
"""

import json
import sys
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import numpy as np
import py_sod_metrics as sod


def leanest() -> list:
    """Everything that FmeasureV2 shares is computed once."""
    curve = {"with_dynamic": True, "with_adaptive": False}
    handlers = {
        "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=0.3),
        "iou": sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
        "precision": sod.PrecisionHandler(**curve),
        "recall": sod.RecallHandler(**curve),
        "fpr": sod.FPRHandler(**curve),
    }
    return [sod.MAE(), sod.FmeasureV2(handlers)]


def class_by_class() -> list:
    """A class a metric: MAE, Fmeasure (curve, adaptive, precision, recall), FmeasureV2 for the IoU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Fmeasure announces its successor
        f_measure = sod.Fmeasure(beta=0.3)
    iou = sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True)
    return [sod.MAE(), f_measure, sod.FmeasureV2({"iou": iou})]


def scores(found: dict) -> dict[str, float]:
    """The numbers that both ways give, by our names."""
    f = found["f"] if "f" in found else {"dynamic": found["fm"]["curve"], "adaptive": found["fm"]["adp"]}
    return {
        "mae": float(found["mae"]),
        "f_beta": float(np.max(f["dynamic"])),
        "adaptive": float(f["adaptive"]),
        "iou": float(found["iou"]["binary"]),
    }


def variants(focus_map: np.ndarray, mask: np.ndarray) -> Iterator[dict]:
    """The input of `step` for the five mixtures of positive class and scaling that our protocols use."""
    for scores, truth in ((focus_map, mask), (255 - focus_map, 255 - mask)):
        yield {"pred": scores, "gt": truth}
        yield {"pred": scores / 255, "gt": truth > 128, "normalize": False}
    yield {"pred": focus_map / max(focus_map.max(), 1), "gt": mask > 128, "normalize": False}


def timed(way: str, pairs: list) -> dict:
    start = time.process_time()
    if way == "five mixtures":
        mixtures = [leanest() for _ in range(5)]
        for pair in pairs:
            for measures, variant in zip(mixtures, variants(*pair), strict=True):
                for measure in measures:
                    measure.step(**variant)
        measures = mixtures[0]
    else:
        measures = {"leanest": leanest, "class by class": class_by_class}[way]()
        for focus_map, mask in pairs:
            for measure in measures:
                measure.step(pred=focus_map, gt=mask)
    found = {name: value for measure in measures for name, value in measure.get_results().items()}
    return {"seconds": time.process_time() - start, "scores": scores(found)}


def main() -> None:
    folder = Path(sys.argv[1])
    shapes = json.loads((folder / "shapes.json").read_text())
    ends = np.cumsum([height * width for height, width in shapes])[:-1]
    arrays = [np.split(np.load(folder / name), ends) for name in ("maps.npy", "masks.npy")]
    pairs = [
        (focus_map.reshape(shape), mask.reshape(shape))
        for focus_map, mask, shape in zip(*arrays, shapes, strict=True)
    ]
    timed("class by class", pairs[:3])
    print(json.dumps({"pysodmetrics": version("pysodmetrics"), "numpy": np.__version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(timed(line.strip(), pairs)), flush=True)


if __name__ == "__main__":
    main()
