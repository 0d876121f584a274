"""Maps of many photographs: the same in any number of processes, and after a kill."""

import shutil

import numpy as np
import pytest
from PIL import Image

from magan_core.classical import get_method, mapping
from magan_core.classical.mapping import map_photographs
from magan_core.data.images import read_map
from magan_core.errors import MaganError


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(3)
    paths = [tmp_path / "photos" / f"ä {index}.png" for index in range(4)]
    paths[0].parent.mkdir()
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    return paths


def go(photos, out, resume, workers=1, **settings):
    return map_photographs(
        "SS", photos, out, resume=resume, workers=workers, settings=settings, progress=False
    )


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


def test_other_settings_or_code_take_up_nothing(photos, tmp_path, monkeypatch):
    go(photos, tmp_path / "out", tmp_path / "resume")
    monkeypatch.setattr(mapping, "_source", lambda name: b"another program")
    go(photos, tmp_path / "out", tmp_path / "resume")
    assert len(list((tmp_path / "resume").iterdir())) == 2


def test_a_photograph_that_the_method_cannot_take_is_named(photos, tmp_path):
    Image.fromarray(np.zeros((3, 3, 3), np.uint8)).save(photos[1])
    with pytest.raises(MaganError, match=f"{photos[1].name}.*3 x 3"):
        go(photos, tmp_path / "out", tmp_path / "resume")
    assert not (tmp_path / "out").exists()
