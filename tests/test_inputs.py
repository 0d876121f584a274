"""The lists of what a profile reads from elsewhere."""

import csv
import hashlib

import pytest

from magan_core import cli, paths
from magan_core.data.inputs import write

KINDS = ("photographs", "weights", "published")
NAMES = {
    "photographs": [
        "build/pseudo/three.png",
        "mine/images/one.jpg",
        "mine/images/two.jpg",
        "mine/manifest.csv",
        "mine/masks/one.png",
        "mine/splits/train.txt",
        "more/images/three.jpg",
    ],
    "weights": ["vgg.safetensors"],
    "published": ["maps/theirs/LBP/one.png", "masks/mine/masks/one.png"],
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
    """The files of NAMES, each with its name for content, and others; the folders of params.yaml."""
    monkeypatch.chdir(tmp_path)
    places = {
        name: {"photographs": f"photos/{name}", "weights": f"weights/{name}"}.get(kind)
        for kind, names in NAMES.items()
        for name in names
    }
    places["build/pseudo/three.png"] = "build/pseudo/three.png"
    places["maps/theirs/LBP/one.png"] = "maps/theirs/LBP/one.png"
    del places["masks/mine/masks/one.png"]
    for name, place in {**places, **{path: path for path in BESIDE}}.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(name, encoding="utf-8")
    (tmp_path / "photos/mine/images/folder").mkdir()
    return {"data": "photos", "weights": "weights", "published": "maps"}


def listed(folder):
    found = {}
    for kind in KINDS:
        with open(folder / f"{kind}.csv", encoding="utf-8", newline="") as file:
            found[kind] = {row["file"]: row["sha256"] for row in csv.DictReader(file)}
    return found


def test_what_the_profile_reads_is_listed_with_its_hash_and_nothing_else(profile, here, tmp_path):
    assert write(profile, here, tmp_path / "out") == {kind: len(names) for kind, names in NAMES.items()}
    found = listed(tmp_path / "out")
    assert {kind: list(rows) for kind, rows in found.items()} == NAMES
    content = {"masks/mine/masks/one.png": "mine/masks/one.png"}
    for rows in found.values():
        for name, digest in rows.items():
            assert digest == hashlib.sha256(content.get(name, name).encode()).hexdigest()


@pytest.mark.parametrize(
    ("changed", "kinds"),
    [
        ("photos/mine/images/two.jpg", {"photographs"}),
        ("photos/mine/masks/one.png", {"photographs", "published"}),
        ("photos/mine/splits/new.txt", {"photographs"}),
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


def test_the_list_is_the_same_wherever_the_files_lie(profile, here, tmp_path, monkeypatch):
    write(profile, here, tmp_path / "out")
    for folder in here.values():
        (tmp_path / folder).rename(tmp_path / f"elsewhere-{folder}")
    write(profile, {key: f"elsewhere-{folder}" for key, folder in here.items()}, tmp_path / "moved")
    assert listed(tmp_path / "moved") == listed(tmp_path / "out")
    for key, folder in here.items():
        monkeypatch.setenv(f"MAGAN_{key.upper()}", str(tmp_path / f"elsewhere-{folder}"))
    write(profile, here, tmp_path / "named")
    assert listed(tmp_path / "named") == listed(tmp_path / "out")


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
