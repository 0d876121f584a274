"""Which photographs of a folder train, which test, and which have no masks.

Keys of a set that is a folder of photographs, `images/` and `masks/` (and `splits/`) below RAW/source. Lists
of names are read from data/splits/SOURCE where that has them, else from the folder's own `splits/`:

    source: name of the folder
    white: focus | blur, the class stored as white in its masks (not needed without masks)
    train_split, test_split: lists of names; or unlabelled_split alone; or
    train_share: part of the photographs to train on, the rest tests; or
    use: test (the default) | unlabelled, with share: part of the photographs to take (1)
    exclude: list of names to leave out
    seed: of the division (the profile's)
    pseudo: {source, split, maps}, with train_split: photographs of another folder that train as well, with
        masks that a network drew: maps/STEM.png as `magan predict` writes them, cut at one half

Divisions order the photographs by a hash; `train_share` and `unlabelled` take from the front, `test` from the
back: two sets of one source whose shares add up to at most 1 share no photograph. A test photograph that is
trained on, whatever its name and size there, is an error: see `check_leaks`.
"""

from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from magan_core.data import leaks, sets
from magan_core.data.images import CUT, read_map
from magan_core.data.record import Record
from magan_core.data.splits import split_file
from magan_core.errors import MaganError, nearest
from magan_core.wording import more

KEYS = (
    "source", "white", "train_split", "test_split", "unlabelled_split", "train_share", "use", "share",
    "exclude", "seed", "pseudo",
)  # fmt: skip
NAMES = {"source", "train_split", "test_split", "unlabelled_split", "exclude"}  # of a folder, or of files
PSEUDO_KEYS = {"source", "split", "maps"}


@dataclass
class Parts:
    """The photographs of one set by what they are for; those of `pseudo` train with maps for masks."""

    train: list[Record] = field(default_factory=list)
    test: list[Record] = field(default_factory=list)
    unlabelled: list[Record] = field(default_factory=list)
    pseudo: list[Record] = field(default_factory=list)


def folder_parts(name: str, entry: dict[str, Any], seed: int, raw: Path, splits: Path) -> Parts:
    """Divide the photographs of a folder in `raw` as the entry says."""
    for key in entry:
        nearest(key, KEYS, f"key of set {name}")
    for key in sorted(NAMES & entry.keys()):
        _check_name(name, key, entry[key])
    ways = [{"train_split", "test_split"}, {"unlabelled_split"}, {"train_share"}, {"use", "share"}]
    if sum(bool(way & entry.keys()) for way in ways) > 1:
        raise MaganError(
            f"set '{name}': give splits (`unlabelled_split` goes alone), or `train_share`, or `use` and "
            "`share`; not several of them"
        )
    default = "unlabelled" if "unlabelled_split" in entry else "test"
    use = nearest(entry.get("use", default), ("test", "unlabelled"), f"use of set {name}")
    if use != "unlabelled" and entry.get("white") not in ("focus", "blur"):
        raise MaganError(
            f"set '{name}': `white` is {entry.get('white')!r}; expected focus or blur, what white masks mean"
        )
    for key in {"train_share", "share"} & entry.keys():
        if isinstance(entry[key], bool) or not isinstance(entry[key], int | float) or not 0 < entry[key] <= 1:
            raise MaganError(
                f"set '{name}': {key} is {entry[key]!r}; expected a number above 0 and at most 1"
            )
    folder = raw / entry["source"]
    pseudo = _pseudo(name, entry, raw, splits) if "pseudo" in entry else []

    def names(key: str) -> Path:
        return split_file(entry["source"], entry[key], folder, splits)

    records = sets.photographs(folder) if use == "unlabelled" else sets.pairs(folder, entry["white"])
    if "exclude" in entry:
        records = sets.exclude(records, names("exclude"))
    seed = entry.get("seed", seed)
    if (ways[0] | ways[1]) & entry.keys():
        parts = Parts(**{
            part: sets.select(records, names(f"{part}_split"))
            for part in ("train", "test", "unlabelled")
            if f"{part}_split" in entry
        })  # fmt: skip
        parts.pseudo = pseudo
        if twice := {one["image"] for one in parts.train + parts.test} & {one["image"] for one in pseudo}:
            raise MaganError(
                f"set '{name}': {min(twice)} is in the split of `pseudo` and in the training or test split; "
                "take one out"
            )
        both = _stems(parts.train) & _stems(parts.test)
        if both:
            raise MaganError(
                f"set '{name}': '{min(both)}' is in the training split and in the test split; take one out"
            )
        return parts
    if "train_share" in entry:
        return Parts(*sets.divide(records, entry["train_share"], seed))
    if use == "unlabelled":
        return Parts(unlabelled=sets.divide(records, entry.get("share", 1), seed)[0])
    rest = round(1 - entry.get("share", 1), 9)  # 1 - 0.9 is a little less than 0.1
    return Parts(test=sets.divide(records, rest, seed)[1])


def _pseudo(name: str, entry: dict[str, Any], raw: Path, splits: Path) -> list[Record]:
    """The photographs of `pseudo`, with their maps for masks."""
    given = entry["pseudo"]
    if not isinstance(given, dict) or given.keys() != PSEUDO_KEYS or "train_split" not in entry:
        raise MaganError(
            f"set '{name}': pseudo is {given!r}; expected source, split and maps, beside a `train_split`"
        )
    for key in sorted(PSEUDO_KEYS):
        _check_name(name, f"{key} of pseudo", given[key])
    folder, maps = raw / given["source"], Path(given["maps"])
    chosen = sets.select(
        sets.photographs(folder), split_file(given["source"], given["split"], folder, splits)
    )
    records = [record | {"mask": maps / f"{record['stem']}.png"} for record in chosen]
    if lonely := [record for record in records if not record["mask"].is_file()]:
        raise MaganError(
            f"set '{name}': {lonely[0]['image']}{more(lonely)} of `pseudo` has no map in {maps}; "
            f"`magan predict {folder / 'images'} --out {maps}` draws them"
        )
    for record in records:
        white = read_map(record["mask"]) >= CUT
        if white.all() or not white.any():
            raise MaganError(
                f"{record['mask']} is all on one side of one half; expected both classes: take "
                f"'{record['stem']}' out of the split {given['split']} of `pseudo`"
            )
    return records


def _check_name(name: str, key: str, value: Any) -> None:
    if not isinstance(value, str):
        raise MaganError(f"set '{name}': {key} is {value!r}; expected a name, as text")
    if key.startswith("source") and (plain := str(Path(value))) != value:  # by it its manifest is found
        raise MaganError(f"set '{name}': {key} is {value!r}; write {plain!r}")


def check_leaks(found: dict[str, Parts], sources: dict[str, str], transfers: set[tuple[str, str]]) -> None:
    """Raise MaganError when a photograph is tested on that is trained on in the same set or in one of another
    source, or in one whose networks meet that test set (`transfers`: pairs of training and test set), or that
    is unlabelled, or labelled by a network, anywhere. The same file counts, and the same content (leaks.py);
    of synthetic scenes the same character and number.
    """
    tested = {record["image"]: name for name, parts in found.items() for record in parts.test}
    for name, parts in found.items():
        for record in parts.unlabelled:
            if record["image"] in tested:
                raise MaganError(
                    f"{record['image']} is in the unlabelled set '{name}' and in the test set "
                    f"'{tested[record['image']]}'; give both one seed, and shares that sum up to at most 1"
                )
    scenes = [name for name in found if sources[name] == "synthetic"]
    for name, other in product(scenes, scenes):
        learnt = found[name].unlabelled + found[name].train * ((name, other) in transfers)
        if twice := _stems(learnt) & _stems(found[other].test):
            raise MaganError(
                f"scene '{min(twice)}' is learnt from in set '{name}' and tested on in set '{other}'; give "
                "one of them another `first`"
            )
    real = [name for name in found if sources[name] != "synthetic"]
    kinds = ("train", "pseudo", "unlabelled", "test")
    small = {(name, kind): leaks.thumbnails(getattr(found[name], kind)) for name in real for kind in kinds}
    for name, other, kind in product(real, real, kinds[:-1]):
        apart = name != other and (name, other) not in transfers
        if kind == "train" and apart and sources[name] == sources[other]:
            continue  # two divisions of one set, as in Tables I and III
        alike = leaks.correlations(small[name, kind], small[other, "test"])
        if alike.size and alike.max() > leaks.LIMIT:
            i, j = np.unravel_index(alike.argmax(), alike.shape)
            raise MaganError(
                f"{getattr(found[name], kind)[i]['image']} of set '{name}' ({kind}) and "
                f"{found[other].test[j]['image']} of the test set '{other}' look the same (their thumbnails "
                f"correlate with {alike[i, j]:.3f}); `exclude` one, or take it out of the split that names "
                "it: `magan data leaks` finds all such pairs"
            )


def _stems(records: list[Record]) -> set[str]:
    return {record["stem"] for record in records}
