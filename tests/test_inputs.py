"""The lists of what a profile reads from elsewhere."""

import csv
import hashlib
import os

import pytest

from magan_core import cli, paths
from magan_core.data.inputs import write
from magan_core.errors import MaganError

KINDS = ("photographs", "weights", "published")
MINE = ["images/one.jpg", "images/two.jpg", "manifest.csv", "masks/one.png", "splits/ours/test.txt"]
LISTED = {  # by their names in the lists: where they lie
    "photographs": {
        "maps/build/pseudo/three.png": "build/pseudo/three.png",
        **{f"mine/{name}": f"photos/mine/{name}" for name in [*MINE, "splits/train.txt"]},
        "more/images/three.jpg": "photos/more/images/three.jpg",
    },
    "weights": {"vgg.safetensors": "weights/vgg.safetensors"},
    "published": {
        "maps/theirs/LBP/one.png": "maps/theirs/LBP/one.png",
        "masks/mine/masks/one.png": "photos/mine/masks/one.png",
    },
}
BESIDE = [
    "photos/mine/images/.half.jpg",
    "photos/mine/images/Thumbs.db",
    "photos/mine/notes.txt",
    "photos/stranger/images/four.jpg",
    "weights/other.safetensors",
    "maps/theirs/other/one.png",
]


@pytest.fixture
def profile():
    """A profile that reads all there is; `paper` is made from a set that is not here."""
    theirs = {"method": "LBP", "folder": "theirs/LBP", "set": "shi", "masks": "mine/masks"}
    pseudo = {"source": "more", "split": "all.txt", "maps": "build/pseudo"}
    return {
        "sets": {
            "shi": {"source": "mine", "train_split": "train.txt", "pseudo": pseudo},
            "zhao": {"same_as": "shi"},
            "dut": {"source": "synthetic"},
            "paper": {"source": "nowhere"},
        },
        "weights": {"pretrained": True, "file": "vgg.safetensors"},
        "published": {"LBP-published": theirs},
    }


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The files of LISTED, and others, each with its path for content; the folders of params.yaml."""
    monkeypatch.chdir(tmp_path)
    folders = {"data": "photos", "weights": "weights", "published": "maps"}
    for key in folders:
        monkeypatch.delenv(f"MAGAN_{key.upper()}", raising=False)
    for path in [*(path for files in LISTED.values() for path in files.values()), *BESIDE]:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(path, encoding="utf-8")
    (tmp_path / "photos/mine/images/folder").mkdir()
    return folders


def listed(folder):
    found = {}
    for kind in KINDS:
        with open(folder / f"{kind}.csv", encoding="utf-8", newline="") as file:
            found[kind] = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    return found


def test_what_the_profile_reads_is_listed_with_its_hash_and_nothing_else(profile, here, tmp_path):
    assert write(profile, here, tmp_path / "out") == {kind: len(files) for kind, files in LISTED.items()}
    found = listed(tmp_path / "out")
    assert {kind: list(rows) for kind, rows in found.items()} == {
        kind: list(files) for kind, files in LISTED.items()
    }
    for kind, rows in found.items():
        for name, digest in rows.items():
            assert digest == hashlib.sha256(LISTED[kind][name].encode()).hexdigest()


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ("photos/mine/images/two.jpg", {"photographs"}),
        ("photos/mine/masks/one.png", {"photographs", "published"}),
        ("photos/mine/splits/new.txt", {"photographs"}),
        ("photos/mine/splits/ours/test.txt", {"photographs"}),
        ("photos/mine/manifest.csv", {"photographs"}),
        ("build/pseudo/three.png", {"photographs"}),
        ("photos/nowhere/images/five.jpg", {"photographs"}),
        ("weights/vgg.safetensors", {"weights"}),
        ("maps/theirs/LBP/two.png", {"published"}),
        *((path, set()) for path in BESIDE),
    ],
)
def test_a_file_changes_the_lists_of_those_who_read_it(profile, here, tmp_path, changed, kinds):
    def lists():
        write(profile, here, tmp_path / "out")
        return {kind: (tmp_path / f"out/{kind}.csv").read_bytes() for kind in KINDS}

    before = lists()
    assert lists() == before
    (tmp_path / changed).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / changed).write_text("another", encoding="utf-8")
    after = lists()
    assert {kind for kind in KINDS if after[kind] != before[kind]} == kinds


def test_files_are_listed_by_their_place_in_folders_that_may_lie_anywhere(
    profile, here, tmp_path, monkeypatch
):
    write(profile, here, tmp_path / "out")
    before = listed(tmp_path / "out")
    moved = {key: f"elsewhere/{folder}" for key, folder in here.items()}
    for key, folder in here.items():
        (tmp_path / moved[key]).parent.mkdir(exist_ok=True)
        (tmp_path / folder).rename(tmp_path / moved[key])
    write(profile, moved, tmp_path / "moved")
    assert listed(tmp_path / "moved") == before
    for key in here:
        monkeypatch.setenv(f"MAGAN_{key.upper()}", moved[key])
    write(profile, here, tmp_path / "named")
    assert listed(tmp_path / "named") == before


@pytest.mark.parametrize(
    "entry",
    [
        {"source": 5},
        {"source": None},
        {"source": "mine", "pseudo": "build/pseudo"},
        {"source": "mine", "pseudo": {"source": ["more"], "maps": 5}},
        {},
    ],
    ids=str,
)
def test_what_preparation_will_refuse_is_left_to_it(profile, here, tmp_path, entry):
    found = write(profile | {"sets": {"shi": entry}}, here, tmp_path / "out")
    assert found["photographs"] == (6 if entry.get("source") == "mine" else 0)


def test_odd_names_and_links_are_listed_and_circles_left(profile, here, tmp_path):
    folder = tmp_path / "photos/mine/images"
    os.symlink("one.jpg", folder / "link.jpg")
    os.symlink("gone.jpg", folder / "broken.jpg")
    os.symlink(".", folder / "circle")
    names = ["link.jpg", "grün, \n.jpg"]
    (folder / names[1]).write_text("green", encoding="utf-8")
    try:
        (folder / os.fsdecode(b"\xfc.jpg")).write_text("u", encoding="utf-8")
        names.append("\\xfc.jpg")
    except OSError:
        pass  # a file system that takes UTF-8 alone
    write(profile, here, tmp_path / "out")
    found = {name for name in listed(tmp_path / "out")["photographs"] if "mine/images" in name}
    names += ["one.jpg", "two.jpg"]
    assert found == {f"mine/images/{name}" for name in names}


def test_a_folder_that_cannot_be_read_is_named(profile, here, tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("magan_core.data.inputs.visible", refuse)
    with pytest.raises(MaganError, match=r"photos/mine/images: Permission denied\. Make it readable"):
        write(profile, here, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_with_a_folder_are_of_the_repository_and_without_a_file_none_are_listed(
    profile, here, tmp_path
):
    (tmp_path / "build/start.safetensors").write_text("learnt", encoding="utf-8")
    for weights, expected in (
        ({"pretrained": True, "file": "build/start.safetensors"}, ["build/start.safetensors"]),
        ({"pretrained": True, "file": "missing.safetensors"}, []),
        ({"pretrained": True, "file": None}, []),
        ({"pretrained": False, "file": "vgg.safetensors"}, []),
    ):
        write(profile | {"weights": weights}, here, tmp_path / "out")
        assert list(listed(tmp_path / "out")["weights"]) == expected


def test_the_command_lists_a_profile_that_reads_nothing(capsys, monkeypatch, tmp_path):
    (tmp_path / "params.yaml").write_bytes(paths.PARAMS.read_bytes())
    monkeypatch.chdir(tmp_path)
    cli.main(["inputs", "smoke"])
    assert capsys.readouterr().out == "photographs: 0 files, weights: 0 files, published: 0 files\n"
    assert listed(tmp_path / "build/inputs/smoke") == {kind: {} for kind in KINDS}
