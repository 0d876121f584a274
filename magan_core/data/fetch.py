"""Fetching: the files of a data set out of a public Git repository, by their content.

data/sources/NAME.csv names each file of a set and its Git blob, the SHA-1 by which Git stores the content.
Git fetches blobs by that name: the folders of the repository need not be known, only what is missing
travels, a hundred files a request, and bytes that do not hash to the blob's name are refused. The SHA-256 of
the manifest is checked on top. No archive is unpacked, so that no path or link in one could lead elsewhere,
and Git is stopped when a server sends a pack far larger than what was asked for, or one that swells in
memory.

python -m magan_core.data.fetch data/raw/cuhk data/sources/cuhk.csv writes the names and blobs of a set.
"""

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tqdm import tqdm

from magan_core import paths
from magan_core.data.manifest import read_manifest
from magan_core.data.sets import visible
from magan_core.errors import Interrupted, MaganError
from magan_core.files import sha256, write_bytes, write_csv

BATCH = 100  # files a request, some 6 MB: what an interruption loses
LARGEST = 256  # MiB that Git may write into one file, such as what a request brings
MEMORY = 1024  # MiB that Git may take, where the system holds a process to it (not on macOS)
SETTINGS = (
    "-c", "protocol.version=2",  # in which a blob may be asked for by name
    "-c", "fetch.unpackLimit=1",  # keep what comes packed: what was not asked for is not unpacked
    "-c", "pack.threads=1",  # each takes memory
    "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=60",  # below 1 kB/s for a minute: give up
)  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """A file of a data set: its path in the set's folder, its Git blob and its SHA-256."""

    file: str
    blob: str
    sha256: str


def wanted(name: str, sources: Path = paths.SOURCES, manifests: Path = paths.MANIFESTS) -> list[Wanted]:
    """The files of a set, from SOURCES/NAME.csv (columns file, blob) and MANIFESTS/NAME.csv. MaganError when
    the one names a file that the other does not describe."""
    path = Path(sources) / f"{name}.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    manifest = read_manifest(Path(manifests) / f"{name}.csv")
    expected = {(f"{part}s", stem): row[f"{part}_sha256"] for stem, row in manifest.items() for part in KINDS}
    try:
        files = [Wanted(row["file"], row["blob"], expected.pop(_place(row["file"]))) for row in rows]
    except KeyError as error:
        raise MaganError(
            f"{path}: {error} is not in the manifest of {name}; expected the same files"
        ) from error
    if expected:
        raise MaganError(f"{path}: {'/'.join(min(expected))} of the manifest of {name} is missing; add it")
    return files


def fetch(files: Sequence[Wanted], folder: str | Path, url: str, batch: int = BATCH) -> int:
    """Fetch those of `files` that FOLDER does not hold intact from the Git repository at `url`.

    A new set grows in a hidden folder beside `folder`, which takes its name when every file is there; a set
    that is there already is mended in place, file by file. What has come stays: the next call goes on there.
    Returns the number of files that were fetched.

    Raises MaganError when Git is missing, the repository cannot be reached or does not hold a file, a file is
    not the one that the manifest describes, or the folder cannot be written.
    """
    folder, url = Path(folder), str(Path(url).resolve()) if Path(url).exists() else url
    growing = folder if folder.exists() else unfinished(folder)
    todo = [file for file in files if not _is(growing / file.file, file.sha256)]
    there = len(files) - len(todo)
    try:
        with (
            TemporaryDirectory(prefix="magan-") as store,
            tqdm(total=len(todo), desc=folder.name, unit="file", mininterval=1, disable=None) as bar,
        ):
            if todo:
                _git(store, "init", "--quiet", "--bare")
            for start in range(0, len(todo), batch):
                part = todo[start : start + batch]
                for file, content in zip(part, _batch(store, url, [file.blob for file in part]), strict=True):
                    if hashlib.sha256(content).hexdigest() != file.sha256:
                        raise MaganError(
                            f"the blob of {file.file} is not the file that the manifest describes, and was "
                            "not written: data/sources and data/manifests do not fit each other; check both "
                            "out again"
                        )
                    write_bytes(growing / file.file, content)
                    there += 1
                    bar.update()
    except (_NotSent, KeyboardInterrupt) as error:
        kept = f"{there} of {len(files)} files are in {growing}; the same command goes on there."
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted(f"stopped; {kept}", getattr(error, "signal", signal.SIGINT)) from error
        raise MaganError(
            f"{error}. {kept} Or clone {url} and give its folder to `magan data add`."
        ) from error
    if growing != folder:
        for rest in growing.glob("*/.*"):  # of a call that was killed while it wrote a file
            rest.unlink()
        growing.rename(folder)
    return len(todo)


class _NotSent(MaganError):
    """Git could not get what was asked for."""


def _batch(store: str, url: str, blobs: Sequence[str]) -> list[bytes]:
    """The contents of blobs, fetched in one request."""
    asked = sorted(set(blobs))
    try:
        _git(store, *SETTINGS, "fetch", "-q", "--no-tags", "--no-write-fetch-head", "--", url, *asked)
    except MaganError as error:
        raise _NotSent(str(error)) from error
    contents = dict(_contents(store, asked))
    return [contents[blob] for blob in blobs]


def unfinished(folder: Path) -> Path:
    """Where a set grows that is not whole yet."""
    return folder.with_name(f".{folder.name}.partial")


def write_sources(folder: str | Path, path: str | Path) -> None:
    """Write the files of a set and their Git blobs as CSV: file, blob."""
    rows = []
    for file in sorted(file for part in ("images", "masks") for file in visible(Path(folder) / part)):
        content = file.read_bytes()
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
        rows.append((f"{file.parent.name}/{file.name}", blob))
    write_csv(path, ("file", "blob"), rows)


KINDS = ("image", "mask")


def _place(file: str) -> tuple[str, str]:
    """Folder and stem of a file, as the manifest has them. MaganError for a path that leads elsewhere."""
    folder, _, name = file.partition("/")
    if folder not in ("images", "masks") or Path(name).name != name or name.startswith("."):
        raise MaganError(f"'{file}' is no file of a data set; expected images/NAME or masks/NAME")
    return folder, Path(name).stem


def _is(path: Path, digest: str) -> bool:
    return path.is_file() and sha256(path) == digest


def _contents(store: str, blobs: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Yield each blob of a Git store with its bytes."""
    out = _git(store, "cat-file", "--batch", feed="".join(f"{blob}\n" for blob in blobs).encode())
    at = 0
    for blob in blobs:
        end = out.index(b"\n", at)
        size = int(out[at:end].split()[2])
        yield blob, out[end + 1 : end + 1 + size]
        at = end + 2 + size


def _git(store: str, *arguments: str, feed: bytes = b"") -> bytes:
    """Run Git in `store`, without questions; the user's own settings (a proxy, say) count."""
    if shutil.which("git") is None:
        raise MaganError("git was not found; install it")
    clean = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    keep = {key: os.environ[key] for key in ("GIT_SSL_CAINFO", "GIT_SSL_NO_VERIFY") if key in os.environ}
    limits = f"ulimit -f {LARGEST * 2048} 2>/dev/null; ulimit -v {MEMORY * 1024} 2>/dev/null"
    done = subprocess.run(
        ["sh", "-c", f'{limits}; exec git "$@"', "sh", *arguments],
        cwd=store,
        env=clean | keep | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
        input=feed,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        if any(path.stat().st_size >= LARGEST << 20 for path in Path(store).rglob("*")):
            raise MaganError(f"the repository sent more than {LARGEST} MiB for one request")
        if b"fatal: Out of memory" in done.stderr:
            raise MaganError(f"Git ran out of memory, of which it may take {MEMORY} MiB")
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise MaganError(f"git: {said[0] if said else f'exit status {done.returncode}'}")
    return done.stdout


if __name__ == "__main__":
    write_sources(*sys.argv[1:])
