"""Fetching a set by content from a Git repository whose folders have other names."""

import hashlib
import os
import shutil
import struct
import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from git_server import serving
from PIL import Image

from magan_core import cli
from magan_core.data import catalogue
from magan_core.data import fetch as fetching
from magan_core.data.fetch import fetch, wanted, write_sources
from magan_core.data.manifest import write_manifest
from magan_core.data.state import inspect
from magan_core.errors import Interrupted, MaganError

ROOT = Path(__file__).parents[1]
STEMS = ("out_1", "out_2", "grün 3", "x.4", "IMG5")


def commit(folder):
    """All that lies in a folder, which is a repository from then on."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "data"]):
        subprocess.run(["git", *command], cwd=folder, check=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """truth/ (a set of five pairs), repository/ (the same files elsewhere), sources/ and manifests/."""
    top = tmp_path_factory.mktemp("fetch")
    rng = np.random.default_rng(0)
    for part in ("truth/images", "truth/masks"):
        (top / part).mkdir(parents=True)
    for stem in STEMS:
        noise = Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8))
        noise.save(top / "truth/images" / (stem + (".JPG" if stem == "IMG5" else ".jpg")), quality=95)
        noise.convert("1").save(top / "truth/masks" / f"{stem}.png")
    shutil.copytree(top / "truth/images", top / "repository/CUHK/train set")
    shutil.copytree(top / "truth/masks", top / "repository/CUHK/gt")
    commit(top / "repository")
    for folder in ("sources", "manifests"):
        (top / folder).mkdir()
    write_sources(top / "truth", top / "sources/set.csv")
    write_manifest(top / "truth", top / "manifests/set.csv")
    return top


@pytest.fixture
def files(made):
    return wanted("set", made / "sources", made / "manifests")


def get(files, folder, url, batch=2):
    return fetch(files, folder, str(url), batch=batch)


def same(made, folder):
    held = [
        {str(path.relative_to(top)): path.read_bytes() for path in top.rglob("*") if path.is_file()}
        for top in (made / "truth", folder)
    ]
    return held[0] == held[1]


def test_over_http_by_content_whatever_the_folders_are_called(made, files, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")  # as in a Git hook
    with serving(made) as server:
        assert get(files, tmp_path / "a set", server.url) == 10
        assert server.fetches == 5
        assert get(files, tmp_path / "a set", server.url) == 0
        assert server.fetches == 5
    assert same(made, tmp_path / "a set")
    assert [path.name for path in tmp_path.iterdir()] == ["a set"]
    assert inspect("set", tmp_path / "a set", made / "manifests").intact


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_what_came_before_a_failure_stays_and_the_next_call_goes_on(made, files, tmp_path, how):
    with serving(made) as server:
        server.broken, server.how = 2, how
        with pytest.raises(
            MaganError, match=r"git: .* 4 of 10 files are in .*\.set\.partial; the same command"
        ):
            get(files, tmp_path / "set", server.url)
        assert not (tmp_path / "set").exists()
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 4
        rest = next(tmp_path.glob(".set.partial/*")) / ".out_1-x.jpg"  # of a call that was killed
        rest.write_bytes(b"half a file")
        assert get(files, tmp_path / "set", server.url) == 6
    assert same(made, tmp_path / "set")


def test_without_a_network(made, files, tmp_path):
    with serving(made) as server:
        url = server.url
    with pytest.raises(MaganError, match=r"unable to access .*127\.0\.0\.1.*clone http.*data add"):
        get(files, tmp_path / "set", url)
    assert not (tmp_path / "set").exists()


def test_a_set_that_is_there_is_mended_in_place(made, files, tmp_path):
    get(files, tmp_path / "set", made / "repository")
    (tmp_path / "set/images/out_1.jpg").unlink()
    (tmp_path / "set/masks/x.4.png").write_bytes(b"cut short")
    (tmp_path / "set/splits").mkdir()
    (tmp_path / "set/splits/own.txt").write_text("out_1\n")
    assert get(files, tmp_path / "set", made / "repository") == 2
    assert inspect("set", tmp_path / "set", made / "manifests").intact
    assert (tmp_path / "set/splits/own.txt").exists()


def test_a_repository_by_a_relative_path(made, files, tmp_path, monkeypatch):
    monkeypatch.chdir(made)
    assert get(files, tmp_path / "set", "repository", batch=100) == 10


def rewritten(made, tmp_path, change):
    """The wanted files after a change to the text of the list of sources."""
    text = (made / "sources/set.csv").read_text(encoding="utf-8")
    (tmp_path / "set.csv").write_text(change(text), encoding="utf-8")
    return wanted("set", tmp_path, made / "manifests")


def test_a_blob_that_the_repository_does_not_hold(made, files, tmp_path):
    changed = rewritten(made, tmp_path, lambda text: text.replace(files[0].blob, "0123456789" * 4))
    with pytest.raises(MaganError, match=r"not our ref 0123456789.*0 of 10 files"):
        get(changed, tmp_path / "set", made / "repository")


def test_a_blob_of_another_file_is_not_written(made, files, tmp_path):
    changed = rewritten(made, tmp_path, lambda text: text.replace(files[0].blob, files[1].blob))
    with pytest.raises(MaganError, match=r"blob of images/.* is not the file that the manifest describes"):
        get(changed, tmp_path / "set", made / "repository")
    assert not (tmp_path / "set").exists()
    assert not (tmp_path / ".set.partial" / files[0].file).exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("images/out_1.jpg", "images/../../out_1.jpg", "no file of a data set"),
        ("images/out_1.jpg", "/images/out_1.jpg", "no file of a data set"),
        ("images/out_1.jpg", "images/.out_1.jpg", "no file of a data set"),
        ("images/out_1.jpg", "images/other.jpg", "other.* is not in the manifest"),
        ("masks/out_1.png", "masks/out_2.png", "out_2.* is not in the manifest"),
    ],
)
def test_a_list_of_sources_that_does_not_fit(made, tmp_path, old, new, message):
    with pytest.raises(MaganError, match=message):
        rewritten(made, tmp_path, lambda text: text.replace(old, new))


def test_a_list_of_sources_that_lacks_a_file(made, tmp_path):
    with pytest.raises(MaganError, match="images/IMG5 of the manifest of set is missing"):
        rewritten(made, tmp_path, lambda text: text.replace(text.splitlines()[1] + "\n", ""))


def test_a_server_that_sends_without_end(made, files, tmp_path, monkeypatch):
    """Two files of 0.6 MiB come in one pack: Git is stopped at 1 MiB, and what came before stays."""
    shutil.copytree(made / "repository", tmp_path / "repository")
    for name in ("junk", "more"):
        (tmp_path / "repository" / name).write_bytes(os.urandom(600_000))
    commit(tmp_path / "repository")
    blobs = subprocess.check_output(
        ["git", "hash-object", "junk", "more"], cwd=tmp_path / "repository", text=True
    ).split()
    changed = [*files[:-2], *(replace(file, blob=blob) for file, blob in zip(files[-2:], blobs, strict=True))]
    monkeypatch.setattr(fetching, "LARGEST", 1)
    with pytest.raises(MaganError, match=r"sent more than 1 MiB for one request.* 8 of 10 files are in"):
        get(changed, tmp_path / "set", tmp_path / "repository")
    assert not (tmp_path / "set").exists()
    assert get(files, tmp_path / "set", made / "repository") == 2


def of_seven_bits(number):
    """A number as Git writes it: seven bits a byte, the lowest first; the eighth says that more follow."""
    rest = number >> 7
    return bytes([number & 0x7F | 0x80 * (rest > 0)]) + (of_seven_bits(rest) if rest else b"")


def in_pack(kind, size, content):
    """An object of a Git pack: its kind and size (gitformat-pack), then what belongs to it, compressed."""
    rest = size >> 4
    head = bytes([kind << 4 | size & 15 | 0x80 * (rest > 0)])
    return head + (of_seven_bits(rest) if rest else b"") + content


def bomb(wanted_blob, copies):
    """The wanted blob, 16 MB of zeros, and a delta that says these `copies` times."""
    base = bytes(0xFFFFFF)
    delta = of_seven_bits(len(base)) + of_seven_bits(copies * len(base)) + b"\xf0\xff\xff\xff" * copies
    name = hashlib.sha1(b"blob %d\0" % len(base) + base, usedforsecurity=False).digest()
    pack = (
        b"PACK" + struct.pack(">II", 2, 3)
        + in_pack(3, len(wanted_blob), zlib.compress(wanted_blob))
        + in_pack(3, len(base), zlib.compress(base))
        + in_pack(7, len(delta), name + zlib.compress(delta))
    )  # fmt: skip
    return pack + hashlib.sha1(pack, usedforsecurity=False).digest()


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS does not limit the memory of a process")
@pytest.mark.parametrize("copies", [4, 300])
def test_a_pack_that_swells_in_memory(made, files, tmp_path, copies):
    """300 copies are 5 GB, of which the network sees 18 KB."""
    blob = (made / "truth" / files[0].file).read_bytes()
    with serving(made) as server:
        server.pack = bomb(blob, copies)
        if copies == 4:
            assert get(files[:1], tmp_path / "set", server.url) == 1
            return
        with pytest.raises(MaganError, match=r"out of memory, .* 1024 MiB\. 0 of 1 files are in"):
            get(files[:1], tmp_path / "set", server.url)
    assert not (tmp_path / "set").exists()


def test_ctrl_c_says_what_is_there(made, files, tmp_path, monkeypatch, capsys):
    original, calls = fetching._git, []

    def git(*arguments, **options):
        calls.append(arguments)
        if sum("fetch" in call for call in calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(fetching, "_git", git)
    with pytest.raises(
        Interrupted, match=r"^stopped; 4 of 10 files are in .*; the same command goes on there\.$"
    ):
        get(files, tmp_path / "cuhk", made / "repository")
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    cli.main(["data", "list"])
    listed = capsys.readouterr().out
    assert f"{tmp_path / 'cuhk'}: not here; what a fetch that was stopped has got is in" in listed
    assert listed.count("what a fetch that was stopped has got") == 1
    assert "a set of your own" not in listed
    (tmp_path / "cuhk").mkdir()  # which the next fetch would mend
    cli.main(["data", "list"])
    assert "what a fetch that was stopped" not in capsys.readouterr().out


def test_what_a_fetch_has_got_goes_once_the_set_is_added(made, tmp_path, monkeypatch):
    (tmp_path / ".cuhk.partial/images").mkdir(parents=True)
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path))
    monkeypatch.setattr(fetching, "wanted", lambda name: wanted("set", made / "sources", made / "manifests"))
    cli.main(["data", "add", "cuhk", str(made / "repository")])
    assert [path.name for path in tmp_path.iterdir()] == ["cuhk"]


SLOW_GIT = """#!/bin/sh
[ "$1" = init ] || { touch started; exec sleep 60; }
"""


def test_sigterm_says_what_is_there_too_and_ends_git(tmp_path):
    """Its store goes as well."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/git").write_text(SLOW_GIT)
    (tmp_path / "bin/git").chmod(0o755)
    own = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "MAGAN_DATA": str(tmp_path / "raw")}
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "magan_core", "data", "fetch", "cuhk"]
    environment = os.environ | own | {"TMPDIR": str(tmp_path / "tmp")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    start = time.monotonic()
    while not list(tmp_path.glob("tmp/magan-*/started")):
        assert time.monotonic() < start + 60
        time.sleep(0.05)
    process.terminate()
    _, told = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "magan: stopped; 0 of 1408 files are in" in told
    assert list((tmp_path / "tmp").iterdir()) == []
    assert time.monotonic() < start + 55, "git was waited for"


def test_without_git(files, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MaganError, match="git was not found; install it"):
        get(files, tmp_path / "set", "https://example.org/repository")


def test_a_folder_that_cannot_be_written(made, files, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MaganError, match=r"cannot write .*file"):
        get(files, tmp_path / "file/set", made / "repository")


@pytest.mark.parametrize("name", [name for name, one in catalogue.CATALOGUE.items() if one.repository])
def test_the_committed_lists_of_sources_fit_the_manifests(name):
    files = wanted(name, ROOT / "data/sources", ROOT / "data/manifests")
    assert len(files) == 2 * catalogue.CATALOGUE[name].count
    assert all(len(file.blob) == 40 and len(file.sha256) == 64 for file in files)


@pytest.mark.parametrize("name", [name for name, one in catalogue.CATALOGUE.items() if one.repository])
def test_the_committed_blobs_are_those_of_the_real_files(name, tmp_path):
    real = Path(os.environ.get("MAGAN_DATA", "")) / name
    if not os.environ.get("MAGAN_DATA") or not real.is_dir():
        pytest.skip(f"MAGAN_DATA names no folder with the data set {name}")
    write_sources(real, tmp_path / "sources.csv")
    assert (tmp_path / "sources.csv").read_bytes() == (ROOT / f"data/sources/{name}.csv").read_bytes()
    file = wanted(name, ROOT / "data/sources", ROOT / "data/manifests")[0]
    by_git = subprocess.check_output(["git", "hash-object", real / file.file], text=True)
    assert by_git.strip() == file.blob


@pytest.mark.parametrize(
    ("name", "message"),
    [("cuhkk", "unknown data set 'cuhkk'; did you mean 'cuhk'"), ("dut", "dut is in no public repository")],
)
def test_command_refuses_what_cannot_be_fetched(name, message, capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "fetch", "szu-bd", name])
    assert message in capsys.readouterr().err


def test_the_command_fetches_from_a_mirror_and_verify_agrees(made, tmp_path, monkeypatch, capsys):
    """With a small set in the place of CUHK's lists, whose manifest is what counts."""
    for kind in ("sources", "manifests"):
        (tmp_path / "data" / kind).mkdir(parents=True)
        shutil.copy(made / kind / "set.csv", tmp_path / "data" / kind / "cuhk.csv")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path / "raw"))
    with serving(made) as server:
        cli.main(["data", "fetch", "cuhk", "--url", server.url])
        assert "cuhk: 10 of 10 files fetched" in capsys.readouterr().out
        cli.main(["data", "fetch", "cuhk", "--url", server.url])
        assert "cuhk: 0 of 10 files fetched" in capsys.readouterr().out
        cli.main(["data", "verify", "cuhk"])
        damaged = tmp_path / "raw/cuhk/images/out_1.jpg"
        damaged.write_bytes(damaged.read_bytes()[:-1])
        with pytest.raises(SystemExit):
            cli.main(["data", "verify", "cuhk"])
        assert "out_1.jpg" in "".join(capsys.readouterr())
        cli.main(["data", "fetch", "cuhk", "--url", server.url])
        cli.main(["data", "verify", "cuhk"])
    assert same(made, tmp_path / "raw/cuhk")
