"""Files that appear whole or not at all."""

import csv
import errno
import fcntl
import hashlib
import io
import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magan_core.errors import MaganError

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    Errors: a MaganError when the folder cannot be written (read-only, disk full).
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.lstat()  # a name that is too long is refused here, not by the rename
        new = path.with_name(f"{unfinished(path)}{secrets.token_hex(4)}{path.suffix}")
        new.open("xb").close()
        temporary = new
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        remedy = "make the folder writable, free disk space, or choose another folder"
        raise MaganError(
            f"cannot write {path}: {error.strerror or error}. What was there before is as it was; "
            f"{'shorten the name' if too_long else remedy}."
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):  # gone by the rename, or the file system became read-only meanwhile
                temporary.unlink()


def unfinished(path: Path) -> str:
    """What the names of `atomic`'s temporary files for this path begin with: the end of its own name, at most
    40 characters, since file systems allow 255 bytes."""
    return f".{path.stem[-40:]}-"


def check_writable(folder: str | Path) -> None:
    """MaganError if a folder cannot be made or written to, for use before the work whose results go there."""
    there = Path(os.path.abspath(folder))
    while not os.path.lexists(there):
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        what = "is not writable" if there.is_dir() else "is not a folder"
        raise MaganError(f"cannot write to {folder}: {there} {what}. Choose another folder.")


@contextmanager
def locked(path: Path, taken: Callable[[], None]) -> Iterator[None]:
    """One process at a time is within this for the same folder, or file, which is there only meanwhile; one
    that was killed holds nobody up. Where another is, `taken` is called: it raises, or says what is awaited.

    A file system without locks keeps nobody out. MaganError where the file cannot be made.
    """
    folder = path.is_dir()
    handle = _lock(path, taken)
    while not folder and not _names(path, handle):  # removed by whoever held it before
        os.close(handle)
        handle = _lock(path, taken)
    try:
        yield
    finally:
        if not folder:
            path.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, taken: Callable[[], None]) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise MaganError(
            f"cannot write {path}: {error.strerror}. Make the folder writable, or free disk space."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            taken()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            pass
    except BaseException:
        os.close(handle)
        raise
    return handle


def _names(path: Path, handle: int) -> bool:
    """Whether a path still leads to the file that is open as `handle`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write bytes atomically. Pictures, too: an encoder that writes for itself may overlook a full disk."""
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON atomically, keys sorted, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file atomically: a row of column names, then the others."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    table.writerows(rows)
    write_text(path, text.getvalue())


def write_table(path: str | Path, frame: "pd.DataFrame") -> None:
    """Write a table as CSV atomically, numbers with six digits, the same bytes on every machine."""
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_json(path: str | Path) -> Any:
    """Read JSON; a missing or broken file is a MaganError that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MaganError(
            f"cannot read {path}: {reason}. `make repro` writes what lies in data/prepared and results."
        ) from error


def require(found: Any, keys: Iterable[str], where: object) -> None:
    """MaganError unless what a file says is of names and values, these among them."""
    if not isinstance(found, Mapping):
        raise MaganError(f"{where} is no names with values. `make repro` writes it again.")
    if missing := [key for key in keys if key not in found]:
        raise MaganError(
            f"{where} has no '{missing[0]}': damaged, or of another version. `make repro` writes it again."
        )


def as_text(path: str | Path) -> str:
    """A path or name as text that every file can hold, a CSV as well, also where it is no UTF-8 or has the
    carriage return that macOS gives to some."""
    return os.fsencode(path).decode("utf-8", "backslashreplace").replace("\r", "\\r")


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes; MaganError for one that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise MaganError(
            f"cannot read {path}: {error.strerror}. Make it readable, or fetch it again."
        ) from error


def fingerprint(settings: Any, files: Iterable[Path]) -> str:
    """16 hexadecimal digits that change with settings (anything that JSON can hold), and with the names and
    bytes of files, such as those of the code; their order counts."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in files:
        digest.update(os.fsencode(path.name))
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def code(*names: str) -> list[Path]:
    """Files of this package, by their path in it; a folder stands for the Python files in it."""
    root = Path(__file__).parent
    found = [
        sorted((root / name).rglob("*.py")) if (root / name).is_dir() else [root / name] for name in names
    ]
    return [file for files in found for file in files]
