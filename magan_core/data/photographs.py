"""The photographs that a user names, and a map name for each."""

import errno
import glob
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from magan_core.data.images import SUFFIXES, read_origin
from magan_core.data.sets import stem_key
from magan_core.errors import MaganError


@dataclass
class Found:
    """photos: each photograph once, with its path below the folder that was named, in the order of the names.
    failed: what was named and is not there, and folders that cannot be listed, with the reason. passed_over:
    files of other kinds in the folders, counted by suffix, maps and overlays of ours, links to folders,
    sub-folders unless `recursive`, the output folder where it is named beside photographs, and pictures
    in it that are not ours."""

    photos: dict[Path, Path] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    passed_over: Counter = field(default_factory=Counter)


def find(named: Iterable[str | Path], out: Path, recursive: bool = False) -> Found:
    """Photographs of files, folders and patterns (`*`, `?`, `[...]`, `**`), which not every shell expands.

    A named file counts whatever its suffix; of a folder count the files with a suffix in `SUFFIXES`, with
    those of its sub-folders if `recursive`. Names that begin with a dot are left out, and so are `out` and
    the maps and overlays of earlier calls, unless nothing else is named: they are no photographs. Errors:
    MaganError when `out` is all that is named, or is named and holds a picture that is not ours.
    """
    found = Found()
    seen: set[str] = set()
    matched: list[tuple[Path, bool]] = []  # and whether it was named as it is, not by a pattern
    for name in map(str, named):
        literal = os.path.lexists(name)
        matches = [name] if literal else list(_once(glob.iglob(name, recursive=True)))
        if not matches:
            reason = "matches no file" if glob.has_magic(name) else _why_not(name)
            found.failed[name] = f"{name} {reason}. Name a photograph or a folder of photographs."
        for path in map(Path, matches):
            if literal or path.is_file() or path.is_dir() or not path.exists():
                matched.append((path, literal))
            else:
                found.passed_over["(no file: a pipe or a device)"] += 1
    earlier = {path for path, _ in matched if _is_earlier(path, out)}
    alone = all(path in earlier for path, _ in matched)  # else a shell may have named them, by a pattern
    paths = [path for path, literal in matched if path not in earlier or (alone and literal)]
    if passed := len(matched) - len(paths):
        found.passed_over["(map or overlay of magan)"] += passed
    for path in _beside(out, paths, recursive, found):
        photos = _of_folder(path, out, recursive, found) if path.is_dir() else {path: Path(path.name)}
        for photo, below in photos.items():
            if (place := _place(photo)) not in seen:
                seen.add(place)
                found.photos[photo] = below
    return found


def _why_not(name: str) -> str:
    """Why a name is none of a file."""
    try:
        os.lstat(name)
    except OSError as error:
        if error.errno != errno.ENOENT:
            return f"cannot be looked at: {error.strerror}"
    return "does not exist"


def _once(matches: Iterable[str]) -> Iterator[str]:
    """Each match by its shortest path: `**` follows links to folders, round in circles too."""
    seen: set[str] = set()
    for match in sorted(matches, key=lambda match: (match.count(os.sep), match)):
        places = {_place(Path(match))} | ({os.path.realpath(match)} if os.path.isdir(match) else set())
        if not places & seen:
            yield match
        seen |= places


def _place(path: Path) -> str:
    """Where a file lies; a link to a file is one of its own."""
    return os.path.join(os.path.realpath(path.parent), path.name)


def _beside(out: Path, paths: list[Path], recursive: bool, found: Found) -> list[Path]:
    """`paths` without the output folder, which a pattern matches from the second call on, and without what of
    ours lies in it, which `**` matches too. MaganError: see `find`."""
    top = os.path.realpath(out)
    if not os.path.isdir(top) or top not in map(os.path.realpath, paths):
        return paths
    foreign = next(_foreign(out, recursive), None)
    if foreign:
        raise MaganError(
            f"{out} is named as a folder of photographs, and holds {foreign}: the maps in it would be taken "
            "for photographs the next time, or would overwrite them. Choose another folder for --out."
        )

    def ours(path: Path) -> bool:
        if path.is_dir():
            return _is_inside(path, out) and not any(_foreign(path, recursive))
        return _is_earlier(path, out)

    others = [path for path in paths if not ours(path)]
    if not others:
        raise MaganError(
            f"{out}, the folder for the maps, is all that is named, and holds no photograph. Name "
            "photographs, or choose another folder for --out."
        )
    found.passed_over["(output folder)"] += 1
    return others


def _foreign(out: Path, recursive: bool) -> Iterator[Path]:
    """The pictures in the output folder that magan did not write."""
    for parent, folders, files in os.walk(out):
        folders[:] = sorted(name for name in folders if recursive and not name.startswith("."))
        for path in (Path(parent, name) for name in sorted(files) if not name.startswith(".")):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not _is_ours(path):
                yield path


def _is_earlier(path: Path, out: Path) -> bool:
    """Whether a file lies in the output folder and is a map or overlay of an earlier call."""
    return _is_inside(path, out) and path.is_file() and _is_ours(path)


def _is_inside(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def _is_ours(path: Path) -> bool:
    return path.suffix.lower() in (".png", ".jpg") and read_origin(path) is not None


def _of_folder(folder: Path, out: Path, recursive: bool, found: Found) -> dict[Path, Path]:
    photos, deeper, others = {}, False, Counter()
    top = os.path.realpath(out)

    def closed(error: OSError) -> None:
        found.failed[error.filename] = f"{error.filename} cannot be listed: {error.strerror}."

    for parent, folders, files in os.walk(folder, onerror=closed):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in [name for name in folders if os.path.realpath(os.path.join(parent, name)) == top]:
            folders.remove(name)
            if recursive:
                others["(picture in the output folder)"] += sum(1 for _ in _foreign(out, True))
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(parent, name)
            suffix = path.suffix.lower()
            if os.path.exists(path) and not os.path.isfile(path):
                others["(no file: a pipe or a device)"] += 1
            elif _is_ours(path):
                others["(map or overlay of magan)"] += 1
            elif suffix in SUFFIXES:
                photos[path] = path.relative_to(folder)
            else:
                others[suffix or "(no suffix)"] += 1
        if not recursive:
            deeper = bool(folders)
            others["(sub-folder, see --recursive)"] += len(folders)
            break
        if links := sum(os.path.islink(os.path.join(parent, name)) for name in folders):
            others["(link to a folder)"] += links
    found.passed_over.update(+others)
    if not photos and str(folder) not in found.failed:
        hint = " Its sub-folders count with --recursive." if deeper else ""
        found.failed[str(folder)] = f"{folder} holds no photograph ({', '.join(sorted(SUFFIXES))}).{hint}"
    return photos


def map_names(photos: dict[Path, Path]) -> tuple[dict[Path, Path], dict[str, str]]:
    """A path below the output folder for the map of each photograph, no two alike on any file system, and the
    reasons for those that get none: their name differs from another's only in upper and lower case, or in how
    accents are written, or has ß for ss, which APFS, the file system of Macs, takes for the same.

    photos: {photograph: its path below the folder that was named}. The map's name is that path with the
    suffix .png. Where several would be the same, each of those keeps its own suffix (`a.jpg.png`,
    `a.heic.png`); if that does not tell them apart, their path below the nearest common folder.
    """
    absolute = {photo: Path(os.path.abspath(photo)) for photo in photos}
    top = Path(os.path.commonpath([path.parent for path in absolute.values()])) if photos else Path()

    def candidates(photo: Path) -> list[Path]:
        return [
            variant
            for path in (photos[photo], absolute[photo].relative_to(top))
            for variant in (path.with_name(f"{path.stem}.png"), path.with_name(f"{path.name}.png"))
        ]

    names, failed = {photo: candidates(photo) for photo in photos}, {}
    while True:
        taken: dict[str, list[Path]] = {}
        for photo, left in names.items():
            taken.setdefault(stem_key(str(left[0])).casefold(), []).append(photo)
        clashes = [group for group in taken.values() if len(group) > 1]
        if not clashes:
            return {photo: left[0] for photo, left in names.items()}, failed
        movable = [photo for group in clashes for photo in group if len(names[photo]) > 1]
        for photo in movable:
            names[photo] = names[photo][1:]
        if not movable:
            for first, *others in clashes:
                for photo in others:
                    del names[photo]
                    failed[str(photo)] = (
                        f"{photo} differs from {first} only in upper and lower case, or in how accents are "
                        "written, or in ß for ss, which some file systems take for the same, and so would "
                        "its map. Map it into another folder."
                    )
