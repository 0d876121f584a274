"""The divisions of CUHK and SZU-BD, by rule, from the names in the manifests; the lists lie in data/splits.

python -m magan_core.data.splits writes them anew, but for two: cuhk/zhao_test.txt is the split of BTBNet as
published (split.txt of github.com/yuxinjin-whu/D-DFFNet at d75c1da), and szu-bd/duplicates_of_cuhk.txt is
what `magan data leaks cuhk szu-bd --write` finds.
"""

from pathlib import Path

from magan_core import paths
from magan_core.data.manifest import read_manifest
from magan_core.data.record import Record
from magan_core.data.sets import divide, read_names
from magan_core.files import write_text

FIRST = 604  # "the first 604 images for training and the rest 100 images for testing" (section IV-A)
SHARE, SEED = 0.5, 1  # of SZU-BD without what it shares with CUHK: the pool without masks; the rest tests
VALIDATION, VALIDATION_SEED = 0.1, 1  # of Zhao's training split: what choices are made on


def split_file(name: str, split: str, folder: Path, splits: Path = paths.SPLITS) -> Path:
    """The split of a set: this project's, SPLITS/NAME/SPLIT, or else the set's own, FOLDER/splits/SPLIT."""
    committed = Path(splits) / name / split
    return committed if committed.exists() else Path(folder) / "splits" / split


def by_rule(manifests: Path = paths.MANIFESTS, splits: Path = paths.SPLITS) -> dict[str, list[str]]:
    """Return the lists that follow from the manifests and the two other lists, by their path in `splits`."""
    cuhk, szu_bd = (sorted(read_manifest(manifests / f"{name}.csv")) for name in ("cuhk", "szu-bd"))
    zhao_test = set(read_names(splits / "cuhk/zhao_test.txt"))
    both = {line.split(" ")[0] for line in read_names(splits / "szu-bd/duplicates_of_cuhk.txt")}
    zhao_train = [stem for stem in cuhk if stem not in zhao_test]
    validation, fit = _divide(zhao_train, VALIDATION, VALIDATION_SEED)
    pool, test = _divide([stem for stem in szu_bd if stem not in both], SHARE, SEED)
    return {
        "cuhk/first604_train.txt": cuhk[:FIRST],
        "cuhk/last100_test.txt": cuhk[FIRST:],
        "cuhk/zhao_train.txt": zhao_train,
        "cuhk/zhao_fit.txt": fit,
        "cuhk/zhao_validation.txt": validation,
        "szu-bd/unlabelled.txt": pool,
        "szu-bd/test.txt": test,
    }


def _divide(stems: list[str], share: float, seed: int) -> tuple[list[str], list[str]]:
    records = [Record(stem=stem, image=Path(stem), mask=None, white="blur") for stem in stems]
    first, second = divide(records, share, seed)
    return [record["stem"] for record in first], [record["stem"] for record in second]


if __name__ == "__main__":
    for split, stems in by_rule().items():
        write_text(paths.SPLITS / split, "".join(f"{stem}\n" for stem in stems))
