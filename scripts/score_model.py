#!/usr/bin/env python3
"""Score a model, or several that map together, on CUHK and SZU-BD as the model card of the released one has
it (docs/model-card.md). From the repository's root:

    PYTHONPATH=. python scripts/score_model.py OUT MODEL... [--splits SOURCE/LIST...] [--runs FOLDER...]

OUT, a JSON file, gets the SHA-256 of the models; their scores by the paper's protocol, of maps of 8 bits and
of 16, and on Zhao's test split by that of D-DFFNet as well, with 95 % intervals; the provenance of the
scoring; and that of each training in the folders after --runs (results/PROFILE/runs). The splits are lists of
data/splits, of sets whose masks are white where it is blurred; by default those whose masks no released model
has learnt from. The maps stay in build/scored.
"""

import argparse
import shutil
import sys
from pathlib import Path

from magan_core import params, paths
from magan_core.data.images import read_map, write_map
from magan_core.data.sets import pairs, select
from magan_core.data.splits import split_file
from magan_core.device import choose_device
from magan_core.errors import MaganError
from magan_core.evaluation import evaluate
from magan_core.files import check_writable, read_json, sha256, write_json
from magan_core.metrics import SCORES
from magan_core.models.folding import fold_batch_norm
from magan_core.models.together import load_together
from magan_core.models.weights import read_header
from magan_core.prediction import passes, predict_files
from magan_core.provenance import provenance

SPLITS = ("cuhk/zhao_validation.txt", "cuhk/zhao_test.txt", "szu-bd/test.txt", "szu-bd/unlabelled.txt")
WHITE = "blur"  # in the masks of both data sets
ALSO = {"cuhk/zhao_test.txt": ("d-dffnet",)}  # protocols beside the paper's
MAPS = Path("build/scored")


def trainings(folder: Path) -> dict[str, dict]:
    """Provenance of all runs in a folder results/PROFILE/runs, by PROFILE/RUN."""
    files = sorted(folder.absolute().glob("*/provenance.json"))
    if not files:
        raise MaganError(f"no RUN/provenance.json in {folder}; name a folder like results/demo/runs")
    return {f"{file.parts[-4]}/{file.parts[-2]}": read_json(file) for file in files}


def score(models: list[Path], splits: list[str]) -> dict:
    """Map the photographs of the splits with the mean of the models' logits, and score the maps."""
    folder, device = params.load()["folders"]["data"], choose_device()
    network, size = load_together(models, device)
    fold_batch_norm(network)
    how = passes(read_header(models[0]))
    scores, seconds = {}, {}

    def add(told: str, maps: Path, records: list[dict], **options) -> None:
        scores[told] = evaluate(maps, records, **options)
        print(told, {metric: scores[told][metric] for metric in SCORES})

    for split in splits:
        source, _, name = split.partition("/")
        raw = paths.raw(folder) / source
        records = select(pairs(raw, WHITE), split_file(source, name, raw))
        photos, told = [record["image"] for record in records], f"{source.upper()}, {name}"
        maps = {bits: MAPS / source / f"{Path(name).stem}-{bits}" for bits in (8, 16)}
        for out in maps.values():
            shutil.rmtree(out, ignore_errors=True)
        took = predict_files(network, photos, maps[16], size=size, device=device, bits=16, **how)
        seconds[split] = round(took, 4)
        for path in maps[16].iterdir():
            write_map(maps[8] / path.name, read_map(path))
        for bits, out in maps.items():
            add(told + ", 16 bits" * (bits == 16), out, records, bits=bits)
        for protocol in ALSO.get(split, ()):
            add(f"{told}, protocol {protocol}", maps[8], records, protocol=protocol)
    return {
        "models": {model.as_posix(): sha256(model) for model in models},
        "mapped": how | {"size": size},
        "scores": scores,
        "scored": provenance(device) | {"seconds": {"predict_per_image": seconds}},
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", metavar="OUT", type=Path)
    parser.add_argument("models", metavar="MODEL", type=Path, nargs="+")
    parser.add_argument("--splits", metavar="SOURCE/LIST", nargs="+", default=SPLITS)
    parser.add_argument("--runs", metavar="FOLDER", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    try:
        trained = {name: record for folder in options.runs for name, record in trainings(folder).items()}
        if options.out.suffix != ".json":
            raise MaganError(f"{options.out} is no name for the scores; name a .json file first")
        check_writable(options.out.parent)
        write_json(options.out, score(options.models, options.splits) | {"trained_on": trained})
    except MaganError as error:
        sys.exit(f"score_model.py: {error}")
