"""Files appear whole or not at all."""

import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magan_core import files
from magan_core.errors import MaganError
from magan_core.files import atomic, fingerprint, read_json, sha256, write_json, write_text

ROOT = Path(files.__file__).parent.parent


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_made_and_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "a" / "ü b" / "file.txt"
    write_text(path, "one\n")
    write_text(path, "zwei ü\n")
    assert path.read_bytes() == "zwei ü\n".encode()
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o027, 0o077])
def test_the_umask_says_who_may_read(tmp_path, umask):
    """Who shares a folder with a group, or with nobody, has said so; a temporary file is its owner's."""
    code = "import os; from magan_core.files import write_text; write_text('a', ''); print(os.umask(0))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, umask=umask, capture_output=True,
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True)  # fmt: skip
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o666 & ~umask
    assert int(done.stdout) == umask


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    for error in (ValueError("no"), KeyboardInterrupt()):

        def fail(error=error):
            with atomic(path) as temporary:
                temporary.write_text("half")
                assert temporary.parent == path.parent  # a rename across file systems would not be atomic
                assert path.read_text() == "old"
                raise error

        with pytest.raises(type(error)):
            fail()
    assert names(tmp_path) == ["file.txt"]
    assert path.read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "open", "replace"])
def test_a_full_disk_at_any_moment(tmp_path, monkeypatch, call):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file.json"
    write_json(path, 1)
    owner = {"fsync": files.os, "open": Path, "replace": Path}[call]
    monkeypatch.setattr(owner, call, full)
    with pytest.raises(MaganError, match=r"cannot write .*file\.json: No space left.*free disk space"):
        write_json(path, 2)
    monkeypatch.undo()
    assert names(tmp_path) == ["file.json"]
    assert path.read_text() == "1\n"


def test_a_full_disk_while_the_bytes_are_written(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(MaganError, match="No space left"):
        write_text(tmp_path / "new" / "file.txt", "x")
    assert names(tmp_path / "new") == []


def test_a_file_system_that_becomes_read_only_while_the_bytes_are_written(tmp_path, monkeypatch):
    """What was begun cannot be removed then; the error still names the file and the reason."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(MaganError, match=r"cannot write .*file\.txt: Read-only file system"):
        write_text(tmp_path / "file.txt", "x")


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    """Root may write everywhere, so the refusal is played."""

    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(MaganError, match=r"Permission denied.*make the folder writable"):
        write_text(tmp_path / "file.txt", "x")


def test_a_parent_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(MaganError, match="cannot write"):
        write_text(tmp_path / "file" / "below.txt", "x")
    assert names(tmp_path) == ["file"]


def test_a_name_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ("ü" * 120 + ".txt")
    write_text(path, "x")
    assert names(tmp_path) == [path.name]


def test_a_model_that_does_not_fit_on_the_disk_is_an_error_too(tmp_path, monkeypatch):
    from tiny import MODEL

    from magan_core.models import build_generator, weights

    original = Path.write_bytes

    def full(path, content):
        original(path, content[:4])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(MaganError, match=r"cannot write .*model\.safetensors.*No space left"):
        weights.save_model(build_generator(MODEL), MODEL, ["HL"], 32, tmp_path / "model.safetensors")
    assert names(tmp_path) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "value.json"
    if "\\ud" in json.dumps(value):  # half a surrogate pair is no text
        return
    write_json(path, value)
    assert read_json(path) == value


def test_equal_values_give_equal_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": "ü"})
    write_json(tmp_path / "b.json", {"a": "ü", "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'


def test_json_without_numbers_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert names(tmp_path) == []


def test_broken_and_missing_json(tmp_path):
    (tmp_path / "broken.json").write_text('{"a": 1')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\x00")
    for name in ("broken.json", "bytes.json", "missing.json"):
        with pytest.raises(MaganError, match=rf"cannot read .*{name}.*`make repro` writes"):
            read_json(tmp_path / name)


def test_sha256_of_what_cannot_be_read(tmp_path):
    with pytest.raises(MaganError, match=f"cannot read {tmp_path}: Is a directory"):
        sha256(tmp_path)


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_a_fingerprint_follows_settings_names_and_bytes(tmp_path):
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    found = {
        (value, name): fingerprint({"x": value, "y": 0}, [tmp_path / name])
        for value in (1, 2)
        for name in "abc"
    }
    assert len(set(found.values())) == 6
    assert fingerprint({"y": 0, "x": 1}, [tmp_path / "a"]) == found[1, "a"]
    assert fingerprint(1, [tmp_path / "a", tmp_path / "c"]) != fingerprint(
        1, [tmp_path / "c", tmp_path / "a"]
    )
    assert fingerprint(1, []) == hashlib.sha256(b"1").hexdigest()[:16]
