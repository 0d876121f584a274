"""Which photographs a user means, and names for their maps that never meet."""

import errno
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magan_core.data.images import write_map
from magan_core.data.photographs import find, map_names
from magan_core.errors import MaganError

FILES = ("b.JPG", "a.png", ".hidden.jpg", "._a.png", "raw.NEF", "notes.txt", "day 1/c.heic", "day 1/x/d.tif")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder `photos`, beside the current one's other content; what `find` reads is names only."""
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(found):
    return [(path.as_posix(), below.as_posix()) for path, below in found.photos.items()]


def test_a_folder_without_and_with_its_sub_folders(root):
    found = find(["photos"], Path("maps"))
    assert names(found) == [("photos/a.png", "a.png"), ("photos/b.JPG", "b.JPG")]
    assert found.passed_over == {".nef": 1, ".txt": 1, "(sub-folder, see --recursive)": 1}
    assert not found.failed
    deep = find(["photos"], Path("maps"), recursive=True)
    assert names(deep) == [
        *names(found),
        ("photos/day 1/c.heic", "day 1/c.heic"),
        ("photos/day 1/x/d.tif", "day 1/x/d.tif"),
    ]


def test_a_sub_folder_that_cannot_be_listed_is_a_failure(root, monkeypatch):
    scandir = os.scandir

    def closed(path):
        if str(path).endswith("day 1"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    found = find(["photos"], Path("maps"), recursive=True)
    assert len(found.photos) == 2
    assert "photos/day 1 cannot be listed: Permission denied" in found.failed["photos/day 1"]
    assert not find(["photos"], Path("maps")).failed


def test_a_link_to_a_folder_is_passed_over_with_a_word(root):
    (root / "photos/linked").symlink_to(root / "photos/day 1")
    assert find(["photos"], Path("maps"), recursive=True).passed_over["(link to a folder)"] == 1
    assert names(find(["photos/linked"], Path("maps"))) == [("photos/linked/c.heic", "c.heic")]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("photos/*.png", ["photos/a.png"]),
        ("photos/[ab].*", ["photos/a.png", "photos/b.JPG"]),
        ("photos/**/*.tif", ["photos/day 1/x/d.tif"]),
        ("photos/day*", ["photos/day 1/c.heic"]),
    ],
)
def test_a_pattern_that_the_shell_left_alone(root, pattern, expected):
    assert [name for name, _ in names(find([pattern], Path("maps")))] == expected


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(root):
    (root / "photos" / "[a].png").touch()
    assert names(find(["photos/[a].png"], Path("maps"))) == [("photos/[a].png", "[a].png")]


def test_what_is_named_twice_counts_once(root):
    found = find(["photos/a.png", "photos", "photos/../photos/b.JPG", str(root / "photos/*.png")], Path("m"))
    assert [name for name, _ in names(found)] == ["photos/a.png", "photos/b.JPG"]


def test_what_is_not_there_is_said_and_does_not_stop_the_rest(root):
    (root / "empty" / "deeper").mkdir(parents=True)
    found = find(["nothing.jpg", "photos/*.gif", "empty", "photos/a.png"], Path("maps"))
    assert len(found.photos) == 1
    assert list(found.failed) == ["nothing.jpg", "photos/*.gif", "empty"]
    assert "does not exist" in found.failed["nothing.jpg"]
    assert "matches no file" in found.failed["photos/*.gif"]
    assert "holds no photograph" in found.failed["empty"]
    assert "--recursive" in found.failed["empty"]


def test_maps_of_an_earlier_run_are_no_photographs(root):
    (root / "photos/maps").mkdir()
    (root / "photos/maps/a.png").touch()
    found = find(["photos"], root / "photos" / "maps", recursive=True)
    assert not any("maps" in name for name, _ in names(found))
    assert found.passed_over["(picture in the output folder)"] == 1  # this one is nobody's map
    write_map(root / "photos/maps/a.png", np.zeros((2, 2), np.uint8))
    again = find(["photos"], root / "photos" / "maps", recursive=True)
    assert "(picture in the output folder)" not in again.passed_over
    with pytest.raises(MaganError, match="Choose another folder for --out"):
        find(["photos"], root / "photos")


def test_the_output_folder_beside_photographs_is_passed_over(root):
    """As `*` names it from the second call on, and `**` what lies in it."""
    for name in ("maps/a.png", "maps/day 1/c.png"):
        write_map(root / name, np.zeros((2, 2), np.uint8))
    for words in (["*"], ["photos", "maps"], ["photos/*", "maps/**"]):
        found = find(words, Path("maps"))
        assert [name for name, _ in names(found)][:2] == ["photos/a.png", "photos/b.JPG"]
        assert not any(path.is_relative_to("maps") for path in found.photos)
        assert found.passed_over["(output folder)"] == 1
        assert not found.failed
    with pytest.raises(MaganError, match="maps, the folder for the maps, is all that is named"):
        find(["ma*"], Path("maps"))
    (root / "maps/own.jpg").touch()
    with pytest.raises(MaganError, match=r"maps is named .* holds maps/own\.jpg.*Choose another folder"):
        find(["*"], Path("maps"))


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".JPEG"])
def test_other_suffixes_of_jpeg_count(root, suffix):
    (root / f"photos/browser{suffix}").touch()
    assert Path(f"photos/browser{suffix}") in find(["photos"], Path("maps")).photos


def test_a_pipe_in_a_folder_is_passed_over_and_a_broken_link_is_not(root):
    os.mkfifo(root / "photos/pipe.jpg")
    (root / "photos/broken.jpg").symlink_to("nowhere")
    found = find(["photos"], Path("maps"))
    assert found.passed_over["(no file: a pipe or a device)"] == 1
    assert Path("photos/broken.jpg") in found.photos


def test_links_between_folders_do_not_lead_round_in_circles(root):
    (root / "photos/day 1/up").symlink_to(root / "photos", target_is_directory=True)
    (root / "photos/z.jpg").touch()
    walked = find(["photos"], Path("maps"), recursive=True).photos
    assert len(walked) == 5
    by_name = {*walked, Path("photos/raw.NEF"), Path("photos/notes.txt")}  # whatever their suffix
    for pattern in ("photos/**/*.*", "photos/**"):
        assert set(find([pattern], Path("maps")).photos) == by_name


def named(*paths):
    """The map names of files that were named one by one."""
    return [name.as_posix() for name in map_names({Path(p): Path(Path(p).name) for p in paths})[0].values()]


@pytest.mark.parametrize(
    ("photos", "expected"),
    [
        (["p/a.jpg", "p/b.c.png"], ["a.png", "b.c.png"]),
        (["p/a.jpg", "p/a.heic", "p/b.jpg"], ["a.jpg.png", "a.heic.png", "b.png"]),
        (["x/a.jpg", "y/a.jpg"], ["x/a.png", "y/a.png"]),
        (["x/A.jpg", "y/a.jpg"], ["x/A.png", "y/a.png"]),  # alike on a Mac
        ([], []),
    ],
)
def test_names(photos, expected):
    assert named(*photos) == expected


def test_names_below_a_folder_stay_there():
    photos = {Path("in/x/a.jpg"): Path("x/a.jpg"), Path("in/a.jpg"): Path("a.jpg")}
    assert list(map_names(photos)[0].values()) == [Path("x/a.png"), Path("a.png")]


def test_of_names_that_differ_in_case_only_the_first_has_its_map():
    photos = {Path(name): Path(name) for name in ("a.jpg", "b.jpg", "A.jpg", "a.JPG", "a.png")}
    found, failed = map_names(photos)
    assert {photo.name: name.name for photo, name in found.items()} == {
        "a.jpg": "a.jpg.png",
        "b.jpg": "b.png",
        "a.png": "a.png.png",
    }
    assert list(failed) == ["A.jpg", "a.JPG"]
    assert failed["A.jpg"].startswith("A.jpg differs from a.jpg only in upper and lower case")


def test_of_names_that_differ_in_how_accents_are_written_one_has_its_map():
    photos = {Path(name): Path(name) for name in (unicodedata.normalize(f, "ä.jpg") for f in ("NFC", "NFD"))}
    found, failed = map_names(photos)
    assert [name.name for name in found.values()] == ["ä.jpg.png"]
    assert len(failed) == 1
    assert "only in upper and lower case, or in how accents are written" in next(iter(failed.values()))


def test_a_sharp_s_is_two_to_some_file_systems_which_is_said():
    _, failed = map_names({Path(name): Path(name) for name in ("straße.png", "strasse.png")})
    assert "or in ß for ss, which some file systems take for the same" in failed["strasse.png"]


def test_names_that_differ_in_how_accents_are_written_keep_their_folders():
    photos = {Path(folder, unicodedata.normalize(form, "ä.jpg")): Path(unicodedata.normalize(form, "ä.jpg"))
              for folder, form in (("d1", "NFC"), ("d2", "NFD"))}  # fmt: skip
    found, failed = map_names(photos)
    assert not failed
    assert [unicodedata.normalize("NFC", str(name)) for name in found.values()] == ["d1/ä.png", "d2/ä.png"]


@given(
    st.lists(
        st.tuples(st.sampled_from("xy"), st.sampled_from("ab"), st.sampled_from(["jpg", "png", "jpg.png"])),
        unique=True,
    ),
    st.booleans(),
)
def test_no_two_maps_ever_share_a_name(parts, from_folder):
    photos = {}
    for folder, stem, suffix in parts:
        below = Path(folder) / f"{stem}.{suffix}"
        photos[Path("in") / below] = below if from_folder else Path(below.name)
    found, failed = map_names(photos)
    assert (found.keys(), failed) == (photos.keys(), {})
    assert len({str(name).casefold() for name in found.values()}) == len(photos)
    assert all(name.suffix == ".png" and not name.is_absolute() for name in found.values())
    assert not any(".." in name.parts for name in found.values())


@pytest.mark.parametrize("pattern", ["**/*.*", "**/*.png", "**"])
def test_a_pattern_passes_over_the_maps_of_earlier_calls(root, pattern):
    for name in ("a.png", "day 1/c.png"):
        write_map(root / "maps" / name, np.zeros((2, 2), np.uint8))
    found = find([pattern], Path("maps"), recursive=True)
    assert not [path for path in found.photos if path.is_relative_to("maps")]
    assert Path("photos/a.png") in found.photos
    assert list(find(["maps/a.png"], Path("maps")).photos) == [Path("maps/a.png")]  # named by itself


def test_a_pattern_that_the_shell_expands_passes_over_the_maps_of_earlier_calls(root):
    """`magan predict photos/* --out photos`, a second time."""
    for name in ("c.png", "c.jpg.png"):
        write_map(root / "photos" / name, np.zeros((2, 2), np.uint8))
    named = ["photos/a.png", "photos/b.JPG", "photos/c.png", "photos/c.jpg.png"]
    found = find(named, Path("photos"))
    assert list(found.photos) == [Path("photos/a.png"), Path("photos/b.JPG")]
    assert found.passed_over == {"(map or overlay of magan)": 2}


def test_a_pipe_that_a_pattern_matches_is_passed_over(root):
    os.mkfifo(root / "photos/pipe.jpg")
    found = find(["photos/*.jpg", "photos/a.png"], Path("maps"))
    assert list(found.photos) == [Path("photos/a.png")]
    assert found.passed_over["(no file: a pipe or a device)"] == 1


def test_what_may_not_be_looked_at_is_not_said_to_be_missing(root, monkeypatch):
    def closed(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "lstat", closed)
    found = find(["closed/x.jpg"], Path("maps"))
    assert found.failed["closed/x.jpg"].startswith("closed/x.jpg cannot be looked at: Permission denied.")
