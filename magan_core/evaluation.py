"""Scoring a folder of maps against masks: one door for our models and for everybody else's."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from magan_core import cores, metrics
from magan_core.data.images import (
    CUT,
    DARK,
    OVERLAY,
    bits_of_map,
    check_bits,
    cut,
    of_eight_bits,
    other_class,
    read_map,
    resize,
)
from magan_core.data.sets import meanings, read_names, stem_key, visible
from magan_core.errors import MaganError, nearest
from magan_core.files import as_text
from magan_core.score_files import check_replaceable, mask_fingerprint, read_pair, write_scores
from magan_core.wording import more, size_of

Masks = str | Path | Sequence[Mapping[str, Any]]


def evaluate(
    maps_dir: str | Path,
    masks: Masks,
    *,
    maps_white: str = "focus",
    masks_white: str = "focus",
    protocol: str | metrics.Protocol = "paper",
    suffix: str = "",
    masks_suffix: str = "",
    split: str | Path | None = None,
    resample: bool = False,
    bits: int = 8,
    resamples: int = 2000,
    seed: int = 1,
    out: str | Path | None = None,
) -> dict[str, object]:
    """Score the maps in `maps_dir` and return the summary; write it, and what lies behind it, to `out`.

    Maps and masks are matched by stem; their extensions may differ. Hidden files are not looked at.

    masks: a folder, or the records of a test.csv (`stem`, `mask`, and `white`, the polarity of that mask).
    maps_white, masks_white: "focus" or "blur", the class that is stored white; `masks_white` is for a folder.
    suffix: what the maps' stems carry beyond the photographs' ("_lbp" for photo1_lbp.png); masks_suffix: what
        the masks' do, for a folder.
    split: a text file, one file name or stem a line, with or without those suffixes: only these are scored.
        Without it maps and masks must pair up.
    resample: resize maps of another size to their mask's (bicubic), but none that looks turned by a quarter;
        the summary then says how many.
    bits: 8, or 16 to score maps of 16 bits in full, not rounded to 8; the notes tell of maps of others.
    resamples, seed: of the bootstrap behind `intervals`.

    The summary holds protocol, rules (the protocol in words), images, and f_beta, mae, iou, auc, auf_beta in
    0..1 (`metrics.summary`), intervals (95 %, over images; `metrics.intervals`; None for a single image), for
    a folder of masks `scored` (folders and options as given), and where there is something to say a list
    `notes`. Files in `out`: those of `score_files`, of which
    statistics.npy gives any other protocol without the maps. Decoding runs in a few threads and keeps 4 KiB
    an image, 1 MiB with `bits` 16 (scoring 3 MiB at times, 4 by protocols that pool pixels).

    MaganError, naming the file, for a map without mask or the reverse, two files of one stem, an unreadable
    file, a map of another size, a mask of one class only (recall or the false positive rate has no
    denominator there), and for maps of 0 and 1 throughout.
    """
    rules = metrics.get_protocol(protocol)
    check_bits(bits)
    nearest(maps_white, ("focus", "blur"), "polarity of the maps")
    nearest(masks_white, ("focus", "blur"), "polarity of the masks")
    if out is not None:
        check_replaceable(Path(out))
    map_files = _by_stem(maps_dir, suffix)
    if isinstance(masks, str | Path):
        mask_files = {stem: (path, masks_white) for stem, path in _by_stem(masks, masks_suffix).items()}
        where = f"masks folder {masks}"
    else:
        mask_files = _from_records(masks)
        where = "list of test images"
    stems = _match(map_files, mask_files, split, maps_dir, where, (suffix, masks_suffix))

    statistics = np.empty((len(stems), 2, 1 << bits), np.int64)

    def count(index: int, stem: str) -> _Counted:
        mask_path, white = mask_files[stem]
        statistics[index], found = _count(map_files[stem], maps_white, mask_path, white, resample, bits)
        return found

    with cores.pool(most=4) as pool:
        counted = list(pool.map(count, range(len(stems)), stems))
    highest = max(one.highest for one in counted)
    of_bits = [one.bits for one in counted]
    if highest == 1 and 16 not in of_bits:
        raise MaganError(f"the maps in {maps_dir} hold 0 and 1; expected 0 to 255: multiply them by 255")

    summary: dict[str, object] = {"protocol": rules.name, "rules": str(rules), "images": len(stems)}
    summary |= {name: round(value, 8) for name, value in metrics.summary(statistics, rules).items()}
    several = len(stems) > 1
    found = metrics.intervals(statistics, rules, resamples=resamples, seed=seed) if several else {}
    summary["intervals"] = {name: [round(end, 8) for end in ends] for name, ends in found.items()} or None
    notes = []
    if other := len(stems) - of_bits.count(bits):
        notes.append(
            f"{other} of {len(stems)} maps have 16 bits and were scored with 8"
            if bits == 8
            else f"{other} of {len(stems)} maps have 8 bits: their AUC and AUF_beta are not like those of 16"
        )
    if dim := sum(one.highest == 1 and one.bits == 8 for one in counted):
        notes.append(f"{dim} of {len(stems)} maps hold nothing above 1 of 255: are theirs 0 and 1 of 1?")
    if highest <= DARK:
        notes.append(f"no map value is above {highest} of 255: are they of fewer bits than their files?")
    if folders := sum(path.is_dir() for path in visible(Path(maps_dir))):
        notes.append(f"sub-folders of {maps_dir}, which are not looked into: {folders}")
    if grey := sum(one.grey for one in counted):
        notes.append(f"{grey} of {len(stems)} masks have grey levels and were cut at {CUT}")
    if resized := sum(one.resized for one in counted):
        notes.append(
            f"{resized} of {len(stems)} maps had another size than their mask and were resized (bicubic)"
        )
    if flat := int(((statistics.sum(axis=1) > 0).sum(axis=1) == 1).sum()):
        notes.append(f"{flat} of {len(stems)} maps are of one value throughout")
    if summary["auc"] < 0.5:
        notes.append(
            "AUC is below 0.5: the polarity looks wrong; are maps white = "
            f"{other_class(maps_white)}, or masks inverted?"
        )
    if notes:
        summary["notes"] = notes
    if isinstance(masks, str | Path):
        summary["scored"] = {
            "maps": as_text(maps_dir),
            "maps_white": maps_white,
            "suffix": suffix,
            "masks": as_text(masks),
            "masks_white": masks_white,
            "masks_suffix": masks_suffix,
            "split": split and as_text(split),
            "resample": resample,
            "bits": bits,
        }
    if out is not None:
        write_scores(
            Path(out), summary, list(map(as_text, stems)), [one.mask for one in counted], statistics, rules
        )
    return summary


def published_test_list(maps_dir: Path, masks_dir: Path, masks_white: str, suffix: str = "") -> list[dict]:
    """The masks that go with a folder of maps, as `masks` of `evaluate`: one record a map, so that only the
    images that have a map are scored. MaganError for a map without mask."""
    masks, maps = _by_stem(masks_dir), _by_stem(maps_dir, suffix)
    for stem, path in maps.items():
        if stem not in masks:
            raise MaganError(f"{path} has no mask in {masks_dir}; remove it, or correct the suffix")
    return [{"stem": stem, "mask": masks[stem], "white": masks_white} for stem in maps]


def compare(
    a: str | Path,
    b: str | Path,
    *,
    protocol: str | metrics.Protocol = "paper",
    resamples: int = 2000,
    seed: int = 1,
) -> dict[str, metrics.Difference]:
    """Scores of `b` minus scores of `a`, two folders that `evaluate` wrote for the same images, with 95 %
    intervals and p-values (`metrics.paired_difference`).

    MaganError for a folder without scores and for other images, or masks, in one of them.
    """
    rules = metrics.get_protocol(protocol)
    first, second = read_pair(Path(a), Path(b))
    return metrics.paired_difference(first, second, rules, resamples=resamples, seed=seed)


class _Counted(NamedTuple):
    """Of one image: the fingerprint of its mask, the bits a sample of its map and the highest sample (of
    255), whether it was resized, and whether its mask has grey levels."""

    mask: str
    bits: int
    highest: int
    resized: bool
    grey: bool


def _by_stem(folder: str | Path, suffix: str = "") -> dict[str, Path]:
    """Files of a folder by stem without `suffix`, sorted; without the overlays of `magan predict`."""
    folder, suffix = Path(folder), stem_key(suffix)
    if not folder.is_dir():
        raise MaganError(f"{folder}: no such folder; check the path")
    files: dict[str, Path] = {}
    for path in visible(folder):
        if path.name.endswith(OVERLAY) or not path.is_file():
            continue
        if not (stem := stem_key(path.stem)).endswith(suffix):
            raise MaganError(
                f"{path}: the stem does not end in the suffix '{suffix}'; name another or none, or "
                "move the file elsewhere"
            )
        stem = stem.removesuffix(suffix)
        if stem in files:
            raise MaganError(f"{path} and {files[stem].name} share the stem '{stem}'; keep one of them")
        files[stem] = path
    if not files:
        raise MaganError(
            f"{folder}: no images in this folder; expected one file an image (sub-folders are not looked "
            "into)"
        )
    return files


def _from_records(records: Sequence[Mapping[str, Any]]) -> dict[str, tuple[Path, str]]:
    masks: dict[str, tuple[Path, str]] = {}
    for record in records:
        stem = stem_key(record["stem"])
        if stem in masks:
            raise MaganError(f"the list of test images names '{stem}' twice; remove one of them")
        masks[stem] = (Path(record["mask"]), record["white"])
    if not masks:
        raise MaganError("the list of test images is empty; prepare the data set again")
    return masks


def _match(
    maps: Mapping[str, Path],
    masks: Mapping[str, object],
    split: str | Path | None,
    maps_dir: str | Path,
    where: str,
    suffixes: Sequence[str],
) -> list[str]:
    """The stems to score, in the order of the masks or of the split."""
    stems = list(masks) if split is None else _read_split(Path(split), masks, suffixes)
    if missing := [stem for stem in stems if stem not in masks]:
        raise MaganError(f"'{missing[0]}'{more(missing)} of {split} is not in the {where}; correct the split")
    if missing := [stem for stem in stems if stem not in maps]:
        raise MaganError(
            f"'{missing[0]}'{more(missing)} has a mask and no map in {maps_dir}; add it (do names carry a "
            "suffix? See --suffix and --masks-suffix), or name the images to score in a split file"
        )
    if split is None and (extra := [stem for stem in maps if stem not in masks]):
        raise MaganError(
            f"{maps[extra[0]]}{more(extra)} has no mask in the {where}; remove it (do names carry "
            "a suffix? See --suffix and --masks-suffix), or name the images to score in a split file"
        )
    return stems


def _read_split(split: Path, masks: Mapping[str, object], suffixes: Sequence[str]) -> list[str]:
    """The stems that a split names: as the photographs' or, with their suffix, as the maps' or the masks'."""

    def stem(name: str) -> str:
        plain = meanings(name)
        bare = [one.removesuffix(stem_key(suffix)) for one in plain for suffix in suffixes]
        return next((one for one in plain + bare if one in masks), plain[-1])

    stems = [stem(name) for name in read_names(split)]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise MaganError(f"the split {split} names '{twice}' more than once; keep one")
    return stems


def _count(
    map_path: Path, maps_white: str, mask_path: Path, white: str, resample: bool, bits: int
) -> tuple[np.ndarray, _Counted]:
    """The statistics of an image, int64 (2, 256 or 65536), and what is told of it."""
    grey = read_map(mask_path)
    mask = cut(grey, white, mask_path)
    if mask.min() == mask.max():
        kind = "in focus" if mask.min() else "out of focus"
        raise MaganError(
            f"{mask_path}: the whole mask is {kind}, so that recall or the false positive rate is undefined; "
            "correct the mask, or leave the image out of the test set"
        )
    focus_map = read_map(map_path, bits)
    highest = int(of_eight_bits(focus_map.max(keepdims=True))[0, 0])
    if maps_white == "blur":
        focus_map = ~focus_map
    resized = focus_map.shape != mask.shape
    if resized and not resample:
        raise MaganError(
            f"{map_path}: the map is {size_of(focus_map)} and its mask {size_of(mask)} pixels; "
            "make the map at the photograph's size, or allow resampling (--resample)"
        )
    if resized and _turned(focus_map, mask):
        raise MaganError(
            f"{map_path}: the map is {size_of(focus_map)} and its mask {size_of(mask)} pixels, as if "
            "one of them were turned by a quarter; make both upright"
        )
    if resized:
        focus_map = resize(focus_map, *mask.shape)
    levels = bool(((grey != 0) & (grey != 255)).any())
    told = _Counted(mask_fingerprint(mask), bits_of_map(map_path), highest, resized, levels)
    return metrics.histograms(focus_map, mask), told


def _turned(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two pictures have their sides in the same ratio the other way round, and not as they are."""
    a, b = (array.shape[1] / array.shape[0] for array in (one, other))
    return abs(a * b - 1) < 0.02 and abs(a / b - 1) > 0.05
