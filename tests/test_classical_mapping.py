"""Maps of many photographs: the same in any number of processes, and after a kill."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from magan_core.classical import get_method, mapping
from magan_core.classical.mapping import map_photographs
from magan_core.data.images import read_map
from magan_core.errors import MaganError
from magan_core.files import write_json


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(3)
    paths = [tmp_path / "photos" / f"ä {index}.png" for index in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    return paths


def go(photos, out, resume, workers=1):
    return map_photographs("SS", photos, out, resume=resume, workers=workers, progress=False)


def test_maps_are_the_methods_own_in_any_number_of_processes(photos, tmp_path):
    for workers in (1, 2):
        out = tmp_path / f"out{workers}"
        assert go(photos, out, tmp_path / f"resume{workers}", workers) > 0
        assert sorted(path.name for path in out.iterdir()) == [f"{photo.stem}.png" for photo in photos]
    expected = get_method("SS")(np.array(Image.open(photos[2])))
    for workers in (1, 2):
        assert np.array_equal(read_map(tmp_path / f"out{workers}" / f"{photos[2].stem}.png"), expected)


def test_what_is_done_is_not_done_again(photos, tmp_path, monkeypatch):
    go(photos, tmp_path / "out", tmp_path / "resume")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    shutil.rmtree(tmp_path / "out")  # as DVC does before a stage runs again
    (kept,) = (tmp_path / "resume").iterdir()
    victim = sorted(kept.glob("*.png"))[1]
    victim.unlink()  # a record without its map is not done
    stamps = {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    go(photos, tmp_path / "out", tmp_path / "resume")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert victim.exists()
    record = victim.with_suffix(".json")
    record.unlink()  # nor is a map without its record: a kill may have come between
    go(photos, tmp_path / "out", tmp_path / "resume")
    assert record.exists()


def test_the_seconds_are_the_median_of_all_photographs_also_of_those_done_before(photos, tmp_path):
    go(photos, tmp_path / "out", tmp_path / "resume")
    for record, seconds in zip((tmp_path / "resume").rglob("*.json"), (1.0, 2.0, 4.0, 9.0), strict=True):
        write_json(record, {"seconds": seconds})
    assert go(photos, tmp_path / "out", tmp_path / "resume") == 3.0


def test_a_photograph_that_has_changed_is_mapped_anew(photos, tmp_path):
    go(photos[:2], tmp_path / "out", tmp_path / "resume")
    changed = np.random.default_rng(4).integers(0, 256, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(changed).save(photos[0])
    go(photos[:2], tmp_path / "out", tmp_path / "resume")
    for photo in photos[:2]:
        expected = get_method("SS")(np.array(Image.open(photo)))
        assert np.array_equal(read_map(tmp_path / "out" / f"{photo.stem}.png"), expected)


def test_other_code_or_learnt_numbers_take_up_nothing(photos, tmp_path, monkeypatch):
    def kept() -> int:
        go(photos[:1], tmp_path / "out", tmp_path / "resume")
        return len(list((tmp_path / "resume").iterdir()))

    assert (kept(), kept()) == (1, 1)
    for number, name in enumerate(("planes.py", "dbdf.safetensors")):
        package = tmp_path / str(number)
        shutil.copytree(Path(mapping.__file__).parent, package)
        with open(package / name, "ab") as file:
            file.write(b"\n")
        monkeypatch.setattr(mapping, "__file__", str(package / "mapping.py"))
        assert kept() == 2 + number


@pytest.mark.slow
def test_a_killed_run_leaves_no_process_and_goes_on_to_the_same_bytes(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for index in range(4):
        picture = np.random.default_rng(index).integers(0, 256, (150, 200, 3), dtype=np.uint8)
        Image.fromarray(picture).save(photos / f"{index}.png")
    code = (
        "import sys; from pathlib import Path; from magan_core.classical.mapping import map_photographs\n"
        "if __name__ == '__main__':\n"
        "    photos, folder = sorted(Path(sys.argv[1]).iterdir()), Path(sys.argv[2])\n"
        "    map_photographs('DBDF', photos, folder / 'out', resume=folder / 'resume', progress=False)\n"
    )
    (tmp_path / "go.py").write_text(code)
    root = Path(mapping.__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}

    def start(folder):
        command = [sys.executable, tmp_path / "go.py", photos, tmp_path / folder]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    with start("killed") as killed:
        while not (done := list((tmp_path / "killed").rglob("[!.]*.json"))) and killed.poll() is None:
            time.sleep(0.01)
        killed.kill()
        killed.communicate(timeout=30)  # ends when the last worker has closed its end of the pipes
    assert not (tmp_path / "killed/out").exists()
    assert 1 <= len(done) < 4
    stamps = {path: path.stat().st_mtime_ns for path in done}
    for folder in ("killed", "whole"):
        with start(folder) as process:
            assert process.communicate(timeout=120) == (b"", b"")
    assert {path: path.stat().st_mtime_ns for path in done} == stamps
    found, expected = (
        {path.name: path.read_bytes() for path in (tmp_path / folder / "out").iterdir()}
        for folder in ("killed", "whole")
    )
    assert len(found) == 4
    assert found == expected


def test_a_photograph_that_the_method_cannot_take_is_named(photos, tmp_path):
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(photos[1])
    with pytest.raises(MaganError, match=f"{photos[1].name}.*3 x 3"):
        go(photos, tmp_path / "out", tmp_path / "resume")
    assert not (tmp_path / "out").exists()


def test_no_photographs_are_an_error(tmp_path):
    with pytest.raises(MaganError, match="no photographs to map by SS; expected one at least"):
        go([], tmp_path / "out", tmp_path / "resume")


def test_two_photographs_with_one_map_are_an_error(photos, tmp_path):
    with pytest.raises(MaganError, match=f"several photographs would have the map .*{photos[0].stem}.png"):
        go([*photos, tmp_path / "elsewhere" / photos[0].name], tmp_path / "out", tmp_path / "resume")
    assert not (tmp_path / "out").exists()
