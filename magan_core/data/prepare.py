"""Preparation: every data set of a profile, once, as arrays for training and lists for testing.

A profile names for each set where it comes from. Keys of a synthetic set:

    source: synthetic
    character: objects | clutter | hard | pool
    train, test: numbers of scenes, or unlabelled: number of scenes
    size: side in pixels
    first: index of the first scene (0)

Those of a folder of photographs: data/parts.py.

Training photographs become arrays; those that test are copied as they are, so that what follows depends on
nothing outside the prepared folder, wherever the data sets lie.

`same_as: OTHER` alone says that the set called OTHER fills the role, and nothing is prepared.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from magan_core import cores, paths
from magan_core.data import sets
from magan_core.data.images import other_class, resize, resize_mask, write_map
from magan_core.data.manifest import read_manifest, verify
from magan_core.data.parts import Parts, check_leaks, folder_parts
from magan_core.data.polarity import check_polarity
from magan_core.data.prepared import SETTINGS
from magan_core.data.record import Record
from magan_core.data.state import manifest_path
from magan_core.data.synthetic import scene_file
from magan_core.errors import MaganError, nearest
from magan_core.files import locked, sha256, write_csv, write_json
from magan_core.limits import check_same_as
from magan_core.roles import filled_by

SCENE_KEYS = ("source", "character", "train", "test", "unlabelled", "size", "first")
TEST_COLUMNS = ("stem", "image", "mask", "white")
CHUNK = 64  # photographs decoded ahead


def prepare(
    profile: dict[str, Any],
    raw: Path,
    out: Path,
    progress: bool = True,
    manifests: Path = paths.MANIFESTS,
    splits: Path = paths.SPLITS,
) -> dict[str, dict[str, Any]]:
    """Prepare all sets of a profile in the folder `out`, which appears whole or not at all.

    profile: its keys `sets` (see above), `training_size` (side S of the arrays) and `seed` count. raw: the
    folder of the data sets. manifests: folder of NAME.csv; where there is one, or a manifest.csv in the set's
    folder, the files of that data set must be the ones it describes. splits: folder of NAME/SPLIT. An older
    `out` is replaced. The same input gives the same bytes.

    Returns what sets.json says: for each set source, train, test, unlabelled, and pseudo where there are some
    (numbers), in_focus_share_train, sha256 (of the training arrays) and test_sha256 (of the test files); None
    where there is nothing. Raises MaganError for whatever is wrong with the profile or a file, and when `out`
    cannot be written.
    """
    raw, out = Path(raw), Path(out)
    with _replaced(out) as folder:
        found = {}
        check_same_as(profile["sets"])
        for name, entry in profile["sets"].items():
            if "same_as" in entry:
                continue
            if "source" not in entry:
                raise MaganError(
                    f"set '{name}': `source` is missing; expected 'synthetic' or a folder's name"
                )
            if entry["source"] == "synthetic":
                found[name] = _scenes(name, entry, profile["seed"], folder, progress)
            else:
                found[name] = folder_parts(name, entry, profile["seed"], raw, splits)
        collections = {name: profile["sets"][name]["source"] for name in found}
        transfer = tuple(filled_by(profile["sets"], role) for role in ("dut", "ctcug"))
        check_leaks(found, collections, {transfer})
        for name, parts in found.items():
            if collections[name] != "synthetic" and (labelled := parts.train + parts.test):
                white = labelled[0]["white"]
                check_polarity(
                    labelled,
                    f"set {name}: white is {white} in these masks, says params.yaml",
                    f"write `white: {other_class(white)}` there",
                )
        summary = {}
        for name, parts in found.items():
            entry = profile["sets"][name]
            sources = [entry["source"], entry.get("pseudo", entry)["source"]]
            described = [_described(source, raw, manifests) for source in sources]
            by_lists = any(key.endswith("_split") for key in entry)  # which say themselves what must be there
            if described[0] and not by_lists:
                _check_whole(raw / entry["source"], *described[0])
            drawn = {record["image"] for record in parts.pseudo}

            def load(record: Record, described=described, drawn=drawn):
                by_network = record["image"] in drawn
                if (found := described[by_network]) is not None:
                    verify(record | {"mask": None} if by_network else record, *found)
                return sets.load(record)

            summary[name] = {"source": entry["source"]}
            summary[name] |= {part: len(getattr(parts, part)) for part in ("train", "test", "unlabelled")}
            summary[name] |= {"pseudo": len(parts.pseudo)} if parts.pseudo else {}
            summary[name] |= _write_training(
                name, parts, profile["training_size"], folder / name, load, progress
            )
            summary[name] |= _write_test(name, parts.test, folder, load, progress)
        write_json(folder / "sets.json", summary)
        write_json(folder / "settings.json", {key: profile[key] for key in SETTINGS})
    return summary


def _scenes(name: str, entry: dict[str, Any], seed: int, folder: Path, progress: bool) -> Parts:
    """Write the scenes of a set to FOLDER/synthetic/NAME and divide them."""
    for key in entry:
        nearest(key, SCENE_KEYS, f"key of synthetic set {name}")
    for key in ("character", "size"):
        if key not in entry:
            raise MaganError(f"set '{name}': a synthetic set needs `{key}`; add it")
    numbers = {key: entry.get(key, 0) for key in ("train", "test", "unlabelled", "first")} | {
        "size": entry["size"]
    }
    for key, value in numbers.items():
        if type(value) is not int or value < 0:
            raise MaganError(f"set '{name}': {key} is {value!r}; expected a whole number, 0 or more")
    train, test, unlabelled = numbers["train"], numbers["test"], numbers["unlabelled"]
    if not train + test + unlabelled or (unlabelled and train + test):
        raise MaganError(f"set '{name}': expected scenes for `train` and `test`, or for `unlabelled` alone")
    if numbers["size"] < 32:
        raise MaganError(f"set '{name}': size is {numbers['size']}; expected at least 32 pixels")
    images, masks = folder / "synthetic" / name / "images", folder / "synthetic" / name / "masks"
    images.mkdir(parents=True)

    def make(index: int) -> Record:
        jpeg, mask = scene_file(seed, index, entry["character"], numbers["size"])
        stem = f"{entry['character']}_{index:05d}"
        (images / f"{stem}.jpg").write_bytes(jpeg)
        write_map(masks / f"{stem}.png", mask)
        return Record(stem=stem, image=images / f"{stem}.jpg", mask=masks / f"{stem}.png", white="focus")

    indices = range(numbers["first"], numbers["first"] + train + test + unlabelled)
    records = list(_progress(_parallel(make, indices), len(indices), f"{name}: scenes", progress))
    if unlabelled:
        return Parts(unlabelled=[record | {"mask": None} for record in records])
    return Parts(train=records[:train], test=records[train:])


def _described(source: str, raw: Path, manifests: Path) -> tuple[dict[str, dict[str, str]], str] | None:
    """The manifest of a source and its name, if it has one."""
    path = manifest_path(source, raw / source, manifests)
    return (read_manifest(path), str(path)) if path.exists() else None


def _check_whole(folder: Path, manifest: dict[str, dict[str, str]], name: str) -> None:
    """Raise MaganError unless every photograph of a manifest is there: fewer would be divided otherwise."""
    there = {sets.stem_key(path.stem) for path in sets.visible(folder / "images")}
    missing = [stem for stem in manifest if sets.stem_key(stem) not in there]
    if missing:
        raise MaganError(
            f"{folder / 'images'} lacks {len(missing)} of the {len(manifest)} photographs of the manifest "
            f"{name} (first: {missing[0]}); put them back, or write the manifest anew if fewer are meant"
        )


def _write_training(
    name: str, parts: Parts, side: int, folder: Path, load: Callable, progress: bool
) -> dict[str, float | str | None]:
    """Write the training arrays, row by row, and train.csv; return their hash and the share in focus."""
    records = parts.train + parts.pseudo or parts.unlabelled
    folder.mkdir()
    if not records:
        return {"sha256": None, "in_focus_share_train": None}

    def small(record: Record):
        photo, mask = load(record)
        return (
            resize(photo, side, side),
            None if mask is None else resize_mask(mask, side, side),
            photo.shape[:2],
        )

    digest, sizes, in_focus = hashlib.sha256(), [], []
    with ExitStack() as stack:
        shape = (len(records), side, side)
        images = stack.enter_context(_array(folder / "train_images.npy", (*shape, 3)))
        masks = stack.enter_context(_array(folder / "train_masks.npy", shape)) if parts.train else None
        for record, (photo, mask, size) in zip(
            records,
            _progress(_parallel(small, records), len(records), f"{name}: training", progress),
            strict=True,
        ):
            images.write(photo.tobytes())
            if masks:
                masks.write(mask.tobytes())
                in_focus.append((mask > 0).mean())
            sizes.append(size)
            digest.update(repr((record["stem"], size)).encode())
            digest.update(photo.tobytes() + (mask.tobytes() if masks else b""))
    np.save(folder / "train_sizes.npy", np.array(sizes, np.int32), allow_pickle=False)
    write_csv(folder / "train.csv", ("stem",), [(record["stem"],) for record in records])
    return {
        "sha256": digest.hexdigest(),
        "in_focus_share_train": round(float(np.mean(in_focus)), 6) if in_focus else None,
    }


def _write_test(
    name: str, records: list[Record], folder: Path, load: Callable, progress: bool
) -> dict[str, str | None]:
    """Check every test pair, copy it to FOLDER/NAME/test unless it lies in FOLDER, and write test.csv with
    its paths below FOLDER; return the hash over the files."""
    if not records:
        return {"test_sha256": None}

    def kept(path: Path, stem: str, what: str) -> Path:
        if path.is_relative_to(folder):
            return path
        copies = folder / name / "test" / what
        copies.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(path, copies / f"{stem}{path.suffix}"))

    def keep(record: Record) -> tuple[tuple[str, ...], str]:
        load(record)
        stem = sets.stem_key(record["stem"])
        files = kept(record["image"], stem, "images"), kept(record["mask"], stem, "masks")
        names = (file.relative_to(folder).as_posix() for file in files)
        return (stem, *names, record["white"]), " ".join((stem, *map(sha256, files), record["white"]))

    rows, digest = [], hashlib.sha256()
    for row, line in _progress(_parallel(keep, records), len(records), f"{name}: test", progress):
        rows.append(row)
        digest.update(f"{line}\n".encode())
    write_csv(folder / name / "test.csv", TEST_COLUMNS, rows)
    return {"test_sha256": digest.hexdigest()}


@contextmanager
def _array(path: Path, shape: tuple[int, ...]) -> Iterator[Any]:
    """Open a .npy file of uint8 to write its rows one by one: nothing large is held in memory."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        yield file


@contextmanager
def _replaced(out: Path) -> Iterator[Path]:
    """Yield an empty folder beside `out` that takes its place on success and is removed on failure."""
    if out.exists() and not (out / "sets.json").exists() and (not out.is_dir() or any(out.iterdir())):
        raise MaganError(
            f"{out} is there already and is no folder of prepared data; choose another or remove it"
        )
    partial, old = out.with_name(f".{out.name}.partial"), out.with_name(f".{out.name}.old")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"waiting for another process that prepares data in {out.parent}"
        with locked(out.parent, lambda: print(waiting, flush=True)):
            if old.exists() and not out.exists():  # stopped between the two renames
                old.rename(out)
            for rest in (partial, old):
                if rest.exists():
                    shutil.rmtree(rest)
            partial.mkdir()
            try:
                yield partial
                if out.exists():
                    out.rename(old)
                partial.rename(out)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise MaganError(
            f"cannot write {out}: {error.strerror or error}; choose a folder that can be written, "
            "with space left"
        ) from error


def _parallel(function: Callable, items: Any) -> Iterator[Any]:
    """Map in order with a few threads, at most CHUNK results ahead."""
    items = iter(items)
    with cores.pool() as pool:
        while chunk := list(islice(items, CHUNK)):
            yield from pool.map(function, chunk)


def _progress(items: Iterator[Any], total: int, text: str, shown: bool) -> Iterator[Any]:
    return tqdm(items, total=total, desc=text, unit="image", mininterval=5, disable=not shown)
