"""`magan predict` end to end on a tiny network: what it writes, what it says, and how it ends."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms
from tiny import MODEL, decided, scenes

from magan_core import cli, paths
from magan_core.commands import predict as predict_command
from magan_core.commands.predict import CODE
from magan_core.data.images import colour_profile, read_map, read_photo, write_map
from magan_core.errors import MaganError
from magan_core.map_files import draw, overlay_of
from magan_core.models import PARTS, build_generator
from magan_core.models.weights import load_model, read_header, save_model
from magan_core.prediction import passes, predict

ROOT = Path(cli.__file__).parent.parent
NAMES = ("a b.jpg", "grün.png", "x.y.JPG")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder: photos/ with three scenes of 40 x 30 px, and model.safetensors."""
    save_model(decided(), MODEL, list(PARTS), 32, tmp_path / "model.safetensors")
    (tmp_path / "photos").mkdir()
    for name, photo in zip(NAMES, scenes(3)[0], strict=True):
        Image.fromarray(photo[:30]).save(tmp_path / "photos" / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """A function: `magan predict` with these words, to maps/; returns exit status, output and messages."""

    def call(*words, out="maps", model=("--model", "model.safetensors")):
        capsys.readouterr()
        status = 0
        try:
            cli.main(["predict", *map(str, words), "--out", str(out), *model])
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return call


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def broken(path):
    path.write_bytes(Path("photos/a b.jpg").read_bytes()[:300])


def alike(one, other):
    """The command folds batch norm, so that a value may round to the next grey level."""
    return one.shape == other.shape and abs(one.astype(int) - other).max() <= 1


def test_a_folder(folder, run):
    status, out, err = run("photos")
    assert (status, err) == (0, "")
    assert out.startswith("3 maps in maps, ")
    assert files(folder / "maps") == ["a b.png", "grün.png", "x.y.png"]
    network, size = load_model("model.safetensors")
    for name in NAMES:
        expected = predict(network, read_photo(Path("photos") / name), size)
        assert alike(read_map(Path("maps") / f"{name.rsplit('.', 1)[0]}.png"), expected)


def test_twice_gives_the_same_bytes_and_replaces_what_was_there(folder, run):
    run("photos")
    first = [path.read_bytes() for path in sorted(Path("maps").iterdir())]
    write_map("maps/grün.png", np.zeros((3, 3), np.uint8))
    assert run("photos")[0] == 0
    assert [path.read_bytes() for path in sorted(Path("maps").iterdir())] == first


def test_what_it_replaces_is_counted(folder, run):
    assert "replaced" not in run("photos/grün.png")[1]
    status, out, _ = run("photos")
    assert status == 0
    assert out.splitlines()[1] == "1 of them replaced a map of before"


def changed_since(before):
    return [
        path.name for path in sorted(Path("maps").iterdir()) if path.stat().st_mtime_ns != before[path.name]
    ]


def times():
    return {path.name: path.stat().st_mtime_ns for path in Path("maps").iterdir()}


def test_resume_leaves_what_is_there_of_the_same_photographs(folder, run):
    """A missing map, a damaged one, and that of a photograph that has changed are drawn again."""
    run("photos", "--overlay")
    whole, before = {path.name: path.read_bytes() for path in Path("maps").iterdir()}, times()
    status, out, err = run("photos", "--overlay", "--resume", "--json")
    assert (status, err, changed_since(before)) == (0, "", [])
    again = json.loads(out)["photographs"]
    assert [entry.pop("kept") for entry in again] == [True] * 3
    first = json.loads(run("photos", "--overlay", "--json")[1])["photographs"]
    assert [entry.pop("kept") for entry in first] == [False] * 3
    assert [entry | {"seconds": 0} for entry in again] == [entry | {"seconds": 0} for entry in first]

    Path("maps/x.y.png").unlink()
    Path("maps/grün.png").write_bytes(whole["grün.png"][:-30])
    before = times() | {"x.y.png": 0}
    status, out, _ = run("photos", "--overlay", "--resume")
    assert (status, changed_since(before)) == (
        0,
        ["grün.overlay.jpg", "grün.png", "x.y.overlay.jpg", "x.y.png"],
    )
    assert out.splitlines()[1:] == ["1 of them left as they were", "1 of them replaced a map of before"]
    assert {path.name: path.read_bytes() for path in Path("maps").iterdir()} == whole

    Image.fromarray(scenes(2, seed=5)[0][1]).save("photos/grün.png")
    before = times()
    run("photos", "--resume")
    assert changed_since(before) == ["grün.png"]
    assert not Path("maps/grün.overlay.jpg").exists()


def test_resume_draws_again_what_another_model_or_way_had_drawn(folder, run, monkeypatch):
    """Other weights, another size, twice the model, mirrored or not, an overlay, other code."""
    for name, size, seed in (("weights", 32, 7), ("size", 48, 0)):
        save_model(
            decided(seed=seed), MODEL, list(PARTS), size, folder / f"{name}.safetensors", test_flip=True
        )
    save_model(decided(), MODEL, list(PARTS), 32, folder / "model.safetensors", test_flip=True)
    run("photos/grün.png")
    own = ("--model", "model.safetensors")
    for words, model, code in (
        (["--fast"], own, None),
        ([], own, None),
        ([], ("--model", "weights.safetensors"), None),
        ([], ("--model", "size.safetensors"), None),
        ([], own * 2, None),
        (["--overlay"], own * 2, None),  # which is not there yet
        (["--overlay"], own * 2, ("errors.py",)),
    ):
        monkeypatch.setattr(predict_command, "CODE", code or CODE)
        for kept in (False, True):
            _, out, _ = run("photos/grün.png", "--resume", "--json", *words, model=model)
            assert json.loads(out)["photographs"][0]["kept"] == kept, (words, model)


@pytest.mark.parametrize("words", [["--overlay"], []], ids=["wanted", "not wanted"])
def test_resume_leaves_no_overlay_of_another_model(folder, run, monkeypatch, words):
    """That of a call that was killed after the overlay and before the map, or between them."""
    save_model(decided(seed=7), MODEL, list(PARTS), 32, folder / "other.safetensors")
    run("photos/grün.png", "--overlay", model=("--model", "other.safetensors"))
    foreign = Path("maps/grün.overlay.jpg").read_bytes()
    run("photos/grün.png", "--overlay")
    expected = Path("maps/grün.overlay.jpg").read_bytes()
    assert foreign != expected
    Path("maps/grün.overlay.jpg").write_bytes(foreign)
    entry = json.loads(run("photos/grün.png", "--resume", "--json", *words)[1])["photographs"][0]
    assert entry["kept"] == (not words)
    assert ("overlay" in entry) == bool(words)
    if words:
        assert Path("maps/grün.overlay.jpg").read_bytes() == expected
    else:
        assert files(folder / "maps") == ["grün.png"]


def test_resume_draws_a_damaged_overlay_again(folder, run):
    run("photos/grün.png", "--overlay")
    whole = Path("maps/grün.overlay.jpg").read_bytes()
    Path("maps/grün.overlay.jpg").write_bytes(whole[:-200])
    run("photos/grün.png", "--overlay", "--resume")
    assert Path("maps/grün.overlay.jpg").read_bytes() == whole


def test_a_picture_that_does_not_fit_on_the_disk_is_an_error_and_not_cut_off(folder, run):
    """The limit of a file's size is as a full disk: the encoder's last write is a short one."""
    run("photos/grün.png", "--overlay")
    size = Path("maps/grün.overlay.jpg").stat().st_size
    code = (
        f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size} - 9, {size} - 9)); "
        "from magan_core import cli; "
        "cli.main('predict photos/grün.png --out full --overlay --model model.safetensors'.split())"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "photos/grün.png: cannot write full/grün.overlay.jpg: File too large" in done.stderr
    assert files(folder / "full") == []


def test_with_a_full_disk_the_rest_is_not_begun(folder, run, monkeypatch):
    def full(path, *_):
        raise MaganError(f"cannot write {path}: full") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("magan_core.map_files.write_map", full)
    status, _, err = run("photos")
    assert status == 1
    assert err.splitlines() == [
        "magan: 3 of 3 failed:",
        "magan: photos/a b.jpg: cannot write maps/a b.png: full",
        "magan: photos/grün.png: not begun",
        "magan: photos/x.y.JPG: not begun",
    ]


def test_many_reasons_are_cut_short(folder, run):
    status, out, err = run(*(f"none{number}.jpg" for number in range(60)), "--json")
    assert (status, len(json.loads(out)["failed"])) == (1, 60)
    assert err.splitlines()[-1] == "magan: and 10 more"
    assert len(err.splitlines()) == 52


def test_a_map_of_before_whose_name_is_now_of_several_is_named(folder, run):
    Image.open("photos/a b.jpg").save("one.jpg")
    run("one.jpg")
    Image.open("photos/a b.jpg").save("one.webp")
    status, out, _ = run("one.jpg", "one.webp")
    assert status == 0
    assert out.splitlines()[-1] == "left from before, when the name was of one photograph: maps/one.png"


def test_names_that_differ_in_case_only_do_not_stop_the_rest(folder, run):
    Image.open("photos/a b.jpg").save("photos/A B.jpg")
    status, _, err = run("photos")
    assert status == 3
    assert "a b.jpg differs from photos/A B.jpg only in upper and lower case" in err
    assert files(folder / "maps") == ["A B.jpg.png", "grün.png", "x.y.png"]


@pytest.mark.parametrize("words", [[], ["--json"]], ids=str)
def test_output_that_cannot_be_printed(folder, words):
    command = [sys.executable, "-m", "magan_core", "predict", "photos", "--out", "maps"]
    words = ["--model", "model.safetensors", *words]
    with open("/dev/full", "w") as nowhere:
        done = subprocess.run([*command, *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
                              stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "magan: cannot write what is printed: No space left on device\n"
    assert len(files(folder / "maps")) == 3


@pytest.mark.skipif(os.name != "posix", reason="no pseudo-terminals")
def test_a_terminal_shows_progress(folder):
    import termios  # posix only

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    os.set_blocking(ours, False)
    words = ["predict", "photos", "--out", "maps", "--model", "model.safetensors"]
    subprocess.run([sys.executable, "-m", "magan_core", *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
                   stdout=subprocess.DEVNULL, stderr=theirs, check=True, timeout=300)  # fmt: skip
    shown = os.read(ours, 10000).decode()  # before the other end closes, with which it may be lost
    os.close(theirs)
    os.close(ours)
    assert "predict:   0%" in shown
    assert "0/3" in shown


def test_a_photograph_that_cannot_be_read_through_does_not_stop_the_rest(folder, run, monkeypatch):
    def fails(settings, files):
        if files and files[0].name == "a b.jpg":
            raise OSError(errno.EIO, "Input/output error")
        return "abc"

    monkeypatch.setattr("magan_core.map_files.fingerprint", fails)
    status, _, err = run("photos")
    assert status == 3
    assert "photos/a b.jpg: cannot be read (Input/output error)" in err
    assert files(folder / "maps") == ["grün.png", "x.y.png"]


def test_a_name_too_long_for_its_overlay_does_not_stop_the_rest(folder, run):
    long = "a" * 245
    Path("photos/grün.png").rename(f"photos/{long}.png")
    Path("maps").mkdir()
    status, _, err = run("photos", "--overlay")
    assert status == 3
    assert f"{long}.overlay.jpg: File name too long" in err
    assert "x.y.overlay.jpg" in files(folder / "maps")


@pytest.mark.parametrize("fault", ["name", "side", "disk"])
def test_an_overlay_that_fails_leaves_the_map_of_before(folder, run, monkeypatch, fault):
    stem = "a" * 245 if fault == "name" else "x"
    Image.new("RGB", (65501 if fault == "side" else 40, 2)).save(f"{stem}.png")
    monkeypatch.setattr("magan_core.prediction.predict", lambda _, pixels, *more, **how: pixels[..., 0])
    assert run(f"{stem}.png")[0] == 0
    before = Path(f"maps/{stem}.png").read_bytes()
    monkeypatch.setattr("magan_core.prediction.predict", lambda _, pixels, *more, **how: ~pixels[..., 0])
    if fault == "disk":
        write = Path.write_bytes

        def full(path, content):
            if path.suffix == ".jpg":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            write(path, content)

        monkeypatch.setattr(Path, "write_bytes", full)
    status, _, err = run(f"{stem}.png", "--overlay")
    assert status == 1
    reason = {
        "name": "File name too long. What was there before is as it was",
        "side": "x.png: an overlay is a JPEG, which holds 65500 px a side",
        "disk": "cannot write maps/x.overlay.jpg: No space left on device",
    }
    assert reason[fault] in err
    assert files(folder / "maps") == [f"{stem}.png"]
    assert Path(f"maps/{stem}.png").read_bytes() == before


def test_in_a_thread(folder, run):
    """Which can set no handler for SIGTERM."""
    with ThreadPoolExecutor() as pool:
        assert pool.submit(run, "photos").result()[0] == 0
    assert len(files(folder / "maps")) == 3


@pytest.mark.parametrize("name", ["~nobody-here/maps", "~maps"])
def test_a_tilde_that_is_part_of_a_name(folder, run, name):
    assert run("photos/grün.png", out=name)[0] == 0
    assert files(folder / name) == ["grün.png"]


def test_a_picture_of_the_users_is_not_told_as_left_from_before(folder, run):
    Image.open("photos/a b.jpg").save("b.png")
    Image.open("photos/a b.jpg").save("b.jpg")
    status, out, _ = run("b.png", "b.jpg", out=".")
    assert status == 0
    assert "left from before" not in out
    assert {"b.png.png", "b.jpg.png"} < set(files(folder))


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_output(folder, closed):
    Path("photos/empty.jpg").touch()
    command = f"{sys.executable} -W error -m magan_core predict photos --out maps --model model.safetensors"
    done = subprocess.run(f"{command} {closed}", shell=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 3
    assert done.stdout.startswith("3 maps in maps") == (">&-" not in closed.split())
    assert done.stderr.startswith("magan: 1 of 4 failed:") == ("2>&-" not in closed.split())
    assert len(files(folder / "maps")) == 3


@pytest.mark.parametrize("reader", ["2>/dev/null | :", "2>&1 | :"])
def test_what_failed_is_in_the_exit_status_also_where_nobody_reads(folder, reader):
    Path("photos/empty.jpg").touch()
    command = f"{sys.executable} -m magan_core predict photos --out maps --model model.safetensors"
    done = subprocess.run(["bash", "-c", f"{command} {reader}; exit $PIPESTATUS"],
                          env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True,
                          check=False)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (3, b"", b"")


def test_the_home_folder_of_an_option(folder, run, monkeypatch):
    monkeypatch.setenv("HOME", str(folder / "home"))
    assert run("photos", out="~/maps")[0] == 0
    assert len(files(folder / "home/maps")) == 3


def test_a_folder_is_no_model(folder, run):
    status, _, err = run("photos", model=("--model", "photos"))
    assert (status, err) == (
        1,
        "magan: photos is a folder. Name the file in it, model.safetensors of a run.\n",
    )


def test_resume_tells_of_the_overlay_that_it_leaves(folder, run):
    run("photos/grün.png", "--overlay")
    entry = json.loads(run("photos/grün.png", "--resume", "--json")[1])["photographs"][0]
    assert (entry["kept"], entry["overlay"]) == (True, str(Path("maps/grün.overlay.jpg")))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Pillow leaves a pipe open
def test_a_pipe_can_be_read_once(folder, run):
    content = Path("photos/grün.png").read_bytes()
    run("photos/grün.png")
    expected = read_map("maps/grün.png")
    os.mkfifo("pipe")
    for words in ([], ["--resume", "--overlay"]):
        with ThreadPoolExecutor() as pool:
            pool.submit(Path("pipe").write_bytes, content)
            assert run("pipe", *words)[0] == 0
        assert (read_map("maps/pipe.png") == expected).all()


def test_what_is_no_picture_is_not_read_whole(folder, run):
    """As a film among the photographs may be larger than memory; this one is full of nothing."""
    with open("photos/film.jpg", "wb") as file:
        file.truncate(1 << 40)
    status, _, err = run("photos")
    assert status == 3
    assert "film.jpg: not an image" in err
    assert len(files(folder / "maps")) == 3


def test_resume_does_not_take_another_programs_picture(folder, run):
    Path("maps").mkdir()
    Image.fromarray(np.zeros((30, 40), np.uint8)).save("maps/grün.png")
    status, _, err = run("photos/grün.png", "--resume")
    assert (status, "did not write it" in err) == (1, True)


def test_an_overlay_of_before_does_not_stay_beside_another_photographs_map(folder, run):
    run("photos/grün.png", "--overlay")
    assert files(folder / "maps") == ["grün.overlay.jpg", "grün.png"]
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save("maps/x.y.overlay.jpg")  # not of magan
    Image.fromarray(scenes(2, seed=5)[0][1]).save("photos/grün.png")
    assert run("photos")[0] == 0
    assert files(folder / "maps") == ["a b.png", "grün.png", "x.y.overlay.jpg", "x.y.png"]


def test_maps_and_overlays_are_no_photographs(folder, run):
    run("photos/a b.jpg", "--overlay", out="photos")
    assert {"a b.png", "a b.overlay.jpg"} < set(files(folder / "photos"))
    status, _, err = run("photos")
    assert status == 0
    assert files(folder / "maps") == ["a b.png", "grün.png", "x.y.png"]
    assert "passed over: 2 (map or overlay of magan)" in err


def test_what_is_no_photograph_in_a_folder_does_not_stop_it(folder, run):
    """A damaged file whose decoder fails oddly, and a pipe, which nobody writes to."""
    Image.open("photos/a b.jpg").save("photos/odd.avif")
    content = bytearray(Path("photos/odd.avif").read_bytes())
    content[40:90] = bytes(50)
    Path("photos/odd.avif").write_bytes(content)
    os.mkfifo("photos/pipe")
    status, _, err = run("photos")
    assert status == 3
    assert "odd.avif" in err
    assert "passed over: 1 (no file: a pipe or a device)" in err
    assert len(files(folder / "maps")) == 3


def test_ctrl_c_says_what_is_done(folder, run, monkeypatch):
    done = []

    def stops(*arguments, **options):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(1)
        return predict(*arguments, **options)

    monkeypatch.setattr("magan_core.prediction.predict", stops)
    monkeypatch.setattr("signal.signal", lambda number, handler: None)
    status, _, err = run("photos")
    assert status == 130
    assert err.endswith("magan: stopped; 2 maps of 3 in maps\n")
    assert len(files(folder / "maps")) == 2


def test_sigterm_does_too_and_leaves_no_part_of_a_map(folder, run, monkeypatch):
    fsync = os.fsync

    def killed(handle):
        if Path("maps/a b.png").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        fsync(handle)

    monkeypatch.setattr("os.fsync", killed)
    before = signal.getsignal(signal.SIGTERM)
    status, _, err = run("photos")
    assert status == 143
    assert err.endswith("magan: stopped; 1 map of 3 in maps\n")
    assert files(folder / "maps") == ["a b.png"]
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_raw_file_beside_its_jpeg_is_not_mapped_from_its_preview(folder, run):
    Image.new("RGB", (16, 12)).save("photos/x.y.NEF", format="TIFF", tiffinfo={254: 1})
    status, _, err = run("photos")
    assert status == 0
    assert err == "passed over: 1 .nef\n"
    assert files(folder / "maps") == ["a b.png", "grün.png", "x.y.png"]
    status, _, err = run("photos/x.y.JPG", "photos/x.y.NEF", out="named")
    assert status == 3
    assert "photos/x.y.NEF: a RAW file" in err
    assert files(folder / "named") == ["x.y.JPG.png"]


def test_single_files_and_a_pattern(folder, run):
    assert run("photos/grün.png", "photos/*.JPG")[0] == 0
    assert files(folder / "maps") == ["grün.png", "x.y.png"]


def test_sub_folders(folder, run):
    (folder / "photos/day 1").mkdir()
    Image.new("RGB", (9, 9)).save("photos/day 1/grün.png")
    assert run("photos", "--recursive", "--overlay", out="photos/maps")[0] == 0
    expected = [
        f"{stem}.{kind}" for stem in ("a b", "day 1/grün", "grün", "x.y") for kind in ("overlay.jpg", "png")
    ]
    assert files(folder / "photos/maps") == expected
    again = run("photos", "--recursive", "--overlay", out="photos/maps")
    assert again[:1] + again[2:] == (0, "")
    assert files(folder / "photos/maps") == expected


def test_names_that_repeat_keep_their_suffix(folder, run):
    Image.new("RGB", (9, 9)).save("photos/a b.png")
    status, out, _ = run("photos")
    assert status == 0
    assert "names repeat" in out
    assert files(folder / "maps") == ["a b.jpg.png", "a b.png.png", "grün.png", "x.y.png"]


def test_overlay_lies_beside_the_map(folder, run):
    assert run("photos/grün.png", "--overlay")[0] == 0
    assert files(folder / "maps") == ["grün.overlay.jpg", "grün.png"]
    with Image.open("maps/grün.overlay.jpg") as found:
        assert (found.format, found.size) == ("JPEG", (40, 30))


def test_json(folder, run):
    broken(folder / "photos/bad.jpg")
    (folder / "photos/notes.txt").write_text("no photograph")
    status, out, err = run("photos", "none.jpg", "--json", "--overlay", "--fast")
    found = json.loads(out)
    assert status == 3
    assert {key: found[key] for key in ("model", "device", "size", "scales", "flip")} == {
        "model": "model.safetensors",
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "size": 32,
        "scales": [1.0],
        "flip": False,
    }
    assert [Path(entry["file"]).name for entry in found["photographs"]] == list(NAMES)
    entry = found["photographs"][1]
    values = read_map(entry["map"])
    assert entry["in_focus"] == pytest.approx((values >= 128).mean(), abs=1e-4)
    assert (entry["width"], entry["height"]) == (40, 30)
    assert entry["seconds"] >= 0
    assert Path(entry["overlay"]).is_file()
    assert [Path(entry["file"]).name for entry in found["failed"]] == ["none.jpg", "bad.jpg"]
    assert "damaged" in found["failed"][1]["reason"]
    assert found["passed_over"] == {".txt": 1}
    assert "passed over" in err


def test_json_when_all_fail(folder, run):
    status, out, _ = run("none.jpg", "--json")
    assert status == 1
    assert json.loads(out)["photographs"] == []
    assert (json.loads(out)["model"], json.loads(out)["size"]) == ("model.safetensors", 32)
    assert json.loads(out)["failed"][0]["file"] == "none.jpg"


def test_a_failure_does_not_stop_the_rest_and_is_told_last(folder, run):
    broken(folder / "photos/a bad one.jpg")
    status, out, err = run("photos")
    assert status == 3
    assert out.startswith("3 maps in")
    header, line = err.splitlines()
    assert header == "magan: 1 of 4 failed:"
    assert "a bad one.jpg: damaged" in line
    assert len(files(folder / "maps")) == 3


def test_an_earlier_map_of_what_now_fails_stays(folder, run):
    run("photos")
    before = Path("maps/a b.png").read_bytes()
    broken(folder / "photos/a b.jpg")
    assert run("photos")[0] == 3
    assert Path("maps/a b.png").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["none"], "none does not exist"),
        (["empty"], "empty holds no photograph"),
        (["bad.jpg"], "bad.jpg: damaged"),
        (["photos", "--model", "none.safetensors"], "there is no file none.safetensors"),
        (["photos", "--out", "file/maps"], "file is not a folder"),
        (["photos", "--out", "photos"], "Choose another folder for --out"),
        (["photos/grün.png", "--out", "photos/../photos"], "would overwrite photos/grün.png"),
    ],
)
def test_when_nothing_is_done(folder, run, words, reason):
    (folder / "empty").mkdir()
    (folder / "file").touch()
    broken(folder / "bad.jpg")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    status, out, err = run(*words[:1], out="maps", model=["--model", "model.safetensors", *words[1:]])
    assert (status, out) == (1, "")
    assert err.startswith("magan: ")
    assert err.count("\n") == 1
    assert reason in err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_linked_photograph_is_not_overwritten_either(folder, run):
    (folder / "maps").mkdir()
    os.link("photos/grün.png", "maps/a b.png")
    status, _, err = run("photos/a b.jpg", "photos/grün.png")
    assert status == 1
    assert "would overwrite photos/grün.png" in err


@pytest.mark.parametrize(
    ("name", "mode"),
    [("grün.png", "RGB"), ("grün.png", "L"), ("grün.overlay.jpg", "RGB")],
    ids=["photograph", "mask", "overlay"],
)
def test_what_magan_did_not_write_is_not_replaced(folder, run, name, mode):
    """Of a camera's a.jpg and the edited a.png beside it, --out . would have replaced the second."""
    (folder / "maps").mkdir()
    Image.new(mode, (5, 5), "white").save(f"maps/{name}")
    before = Path(f"maps/{name}").read_bytes()
    status, _, err = run("photos", "--overlay")
    assert status == 3
    assert f"maps/{name} is there already, and this version of magan did not write it" in err
    assert Path(f"maps/{name}").read_bytes() == before
    done = [f"{stem}.{kind}" for stem in ("a b", "x.y") for kind in ("overlay.jpg", "png")]
    assert files(folder / "maps") == sorted([*done, name])


def test_large_pictures_that_are_there_already(folder, run, monkeypatch):
    """Pillow warns of its limit and refuses twice that; photographs of 40 x 30 px lie between."""
    assert run("photos", "--overlay")[0] == 0
    Image.new("1", (100, 50)).save("maps/grün.png")
    Image.new("RGB", (100, 50)).save("maps/x.y.overlay.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    status, out, err = run("photos", "--overlay")
    assert (status, out.split(",")[0]) == (3, "1 map in maps")
    assert err.count("is there already") == 2


def test_a_name_that_is_no_unicode(folder, run):
    name = os.fsdecode(b"photos/\xff.png")
    try:
        Image.new("RGB", (9, 9)).save(name)
    except OSError:
        pytest.skip("this file system takes Unicode only")
    status, out, err = run("photos", "--json", "--overlay")
    assert (status, err) == (0, "")
    assert out.isascii()
    assert name in [entry["file"] for entry in json.loads(out)["photographs"]]


@pytest.mark.parametrize("place", ["magan_core.prediction.resize", "magan_core.overlay.overlay"])
@pytest.mark.parametrize("make", [bytearray, torch.empty])  # a MemoryError, and torch's own
def test_too_large_for_the_memory(folder, run, monkeypatch, place, make):
    monkeypatch.setattr(place, lambda *arguments, **options: make(2**48))
    status, _, err = run("photos", "--overlay")
    assert status == 1
    assert err.count("does not fit into memory") == 3


def test_other_errors_of_torch_are_no_lack_of_memory(folder, run, monkeypatch):
    monkeypatch.setattr("magan_core.prediction.resize", lambda *arguments: torch.zeros(2) @ torch.zeros(3))
    with pytest.raises(RuntimeError, match="size"):
        run("photos")


# ---- the model ----


def test_the_released_model_is_the_default(folder, run, monkeypatch):
    monkeypatch.setattr(paths, "RELEASED", folder / "model.safetensors")
    assert run("photos", model=())[0] == 0
    monkeypatch.setattr(paths, "RELEASED", folder / "gone.safetensors")
    status, _, err = run("photos", model=())
    assert status == 1
    assert "comes without its released model" in err
    assert "--model" in err


def test_packed_it_takes_half_the_room_and_maps_alike(folder, run, capsys):
    network, size = load_model("model.safetensors")
    save_model(
        network, MODEL, list(PARTS), size, folder / "model.safetensors", test_scales=[1, 1.5], test_flip=True
    )
    cli.main(["pack", "model.safetensors", "--out", "packed.safetensors"])
    assert "packed.safetensors: 0." in capsys.readouterr().out
    weights = sum(tensor.numel() for tensor in network.state_dict().values())
    whole, half = (Path(f"{name}.safetensors").stat().st_size for name in ("model", "packed"))
    assert whole - half == pytest.approx(2 * weights, rel=0.05)
    assert read_header("packed.safetensors") == read_header("model.safetensors")
    maps = {}
    for name in ("model", "packed"):
        assert run("photos/grün.png", model=("--model", f"{name}.safetensors"))[0] == 0
        maps[name] = read_map("maps/grün.png").astype(int)
    assert abs(maps["model"] - maps["packed"]).max() <= 2
    cli.main(["pack", "model.safetensors", "model.safetensors", "--out", "mean.safetensors"])
    assert Path("mean.safetensors").read_bytes() == Path("packed.safetensors").read_bytes()


def test_batch_norm_is_folded(folder, run, monkeypatch):
    def forward(self, features):
        raise AssertionError("a batch norm was computed")

    monkeypatch.setattr(torch.nn.BatchNorm2d, "forward", forward)
    assert run("photos")[0] == 0


def test_several_models_map_together(folder, run):
    """The mean of their logits; a second one of another size is refused."""
    photo = read_photo("photos/grün.png")
    networks = [decided(seed) for seed in (1, 2)]
    for name, network in zip("ab", networks, strict=True):
        more = {"test_scales": [0.5, 2], "test_flip": True} if name == "b" else {}  # the first one decides
        save_model(network, MODEL, list(PARTS), 32, folder / f"{name}.safetensors", **more)
    status, out, _ = run(
        "photos/grün.png", "--json", model=("--model", "a.safetensors", "--model", "b.safetensors")
    )
    assert status == 0
    assert json.loads(out)["model"] == ["a.safetensors", "b.safetensors"]
    one, other = (predict(network, photo, 32).astype(float) / 255 for network in networks)
    logits = np.stack([np.log(values / (1 - values)) for values in (one, other)])
    sure = (abs(logits) < 3).all(0)  # elsewhere 8 bits say too little of the logit
    assert sure.mean() > 0.1
    found = read_map("maps/grün.png")
    assert abs(found - 255 / (1 + np.exp(-logits.mean(0))))[sure].max() <= 2.5
    assert abs(found - 255 * one)[sure].max() > 10, "else the test shows nothing"
    save_model(networks[1], MODEL, list(PARTS), 48, folder / "b.safetensors")
    status, _, err = run("photos/grün.png", model=("--model", "a.safetensors", "--model", "b.safetensors"))
    assert status == 1
    assert "need one test size, but have a.safetensors at 32 px, b.safetensors at 48 px" in err


def test_the_released_model(folder, run):
    status, out, _ = run("photos", "--json", model=())
    assert status == 0
    assert len(json.loads(out)["photographs"]) == 3
    assert paths.RELEASED.stat().st_size < 10e6


def test_the_released_model_maps_the_photographs_that_come_along_as_it_did():
    network, size = load_model(paths.RELEASED)
    how, folder = passes(read_header(paths.RELEASED)), Path(__file__).parent.parent / "docs/photographs"
    shares = {
        name: (predict(network, read_photo(folder / f"{name}.jpg"), size, **how) >= 128).mean()
        for name in ("cat", "coffee")
    }
    assert shares == pytest.approx({"cat": 0.478, "coffee": 0.815}, abs=0.01)


def test_an_overlay_keeps_the_colour_profile_of_its_photograph(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(scenes(1)[0][0]).save(tmp_path / "a.jpg", icc_profile=profile)
    draw(tmp_path / "a.jpg", tmp_path / "a.png", "", True, lambda pixels: pixels[..., 0])
    assert colour_profile(overlay_of(tmp_path / "a.png")) == profile


@pytest.mark.parametrize("stored", [{}, {"flip": True}, {"scales": [0.75, 1.25]}], ids=str)
@pytest.mark.parametrize("words", [[], ["--fast"]], ids=str)
def test_how_often_is_as_the_model_says_unless_told(folder, run, stored, words):
    network, size = load_model("model.safetensors")
    own = {f"test_{name}": value for name, value in stored.items()}
    save_model(network, MODEL, list(PARTS), size, folder / "model.safetensors", **own)
    status, out, _ = run("photos/grün.png", "--json", *words)
    expected = {"scales": [1.0], "flip": False} | ({} if words else stored)
    assert status == 0
    assert {name: json.loads(out)[name] for name in expected} == expected
    maps = [predict(network, read_photo("photos/grün.png"), size, **how) for how in (expected, stored, {})]
    assert alike(read_map("maps/grün.png"), maps[0])
    assert alike(maps[1], maps[2]) == (not stored), "else the test shows nothing"


# ---- the process ----


def test_help_tells_the_exit_statuses(capsys):
    with pytest.raises(SystemExit):
        cli.main(["predict", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for words in ("0 every photograph", "1 nothing was done", "3 some photographs failed", "--recursive"):
        assert words in text


def test_an_empty_out_is_no_folder(folder, run):
    before = files(folder)
    status, _, err = run("photos", out="")
    assert status == 2
    assert "--out: is empty" in err
    assert files(folder) == before


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(["--model", "model.safetensors"], id="slim"),
        pytest.param([], id="released"),
    ],
)
def test_it_loads_only_what_it_needs(folder, model):
    """Neither the slim network nor the released one needs timm, and mapping needs nothing of training and
    reports."""
    heavy = ("timm", "torchvision", "pandas", "matplotlib", "skimage", "scipy", "dvc")
    words = ["predict", "photos", "--out", "maps", *model]
    code = (
        f"import sys, magan_core.cli as c; c.main({words!r}); "
        f"sys.exit(str([name for name in {heavy} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.stderr.strip() == "[]"


PEAK = """
import resource, sys
from magan_core import cli
cli.main(sys.argv[1:])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak * (1 if sys.platform == "darwin" else 1024), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_fifty_megapixels_need_less_than_four_gigabytes(folder, mode):
    """With the network of the released model, as often as it maps a photograph, and an overlay."""
    from magan_core import params

    model = params.load(ROOT / "params.yaml")["profiles"]["cuhk-cpu"]["model"]
    often = {"test_scales": [0.8, 1.2], "test_flip": True}
    save_model(
        build_generator(model), model, list(PARTS), 320, folder / "lite.safetensors", half=True, **often
    )
    size = (8660, 5774)
    ramp = Image.linear_gradient("L").resize(size)
    Image.merge(mode, [ramp] * len(mode)).save("big.tif", compression="tiff_lzw")
    words = ["predict", "big.tif", "--out", "maps", "--overlay", "--model", "lite.safetensors"]
    done = subprocess.run([sys.executable, "-c", PEAK, *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    with Image.open("maps/big.png") as found:
        assert found.size == size
    assert int(done.stderr) < 4e9


def test_all_that_draws_a_map_or_an_overlay_is_of_the_recipe():
    """What the command and map_files.py import of what draws: else --resume would keep maps of older code."""
    root = Path(cli.__file__).parent
    used = set()
    for name in ("map_files.py", "prediction.py", "overlay.py"):
        text = (root / name).read_text(encoding="utf-8")
        used |= set(re.findall(r"from magan_core\.([\w.]+) import", text)) - {"errors", "files"}
    known = {name.removesuffix(".py").replace("/", ".") for name in CODE}
    assert {name for name in used if name not in known and name.split(".")[0] not in known} == set()
    assert "overlay" in used & known
