"""The command line: end to end on a tiny network, and one line for every mistake."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import MODEL, scenes

from magan_core import cli, metrics
from magan_core.errors import Interrupted, MaganError
from magan_core.models import PARTS, build_generator
from magan_core.models.weights import save_model

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("a b.jpg", "grün.png", "x.y.JPG")


@pytest.fixture
def folder(tmp_path):
    """photos/ and masks/ of three scenes, 40 wide and 30 high, and model.safetensors."""
    torch.manual_seed(0)
    save_model(build_generator(MODEL), MODEL, list(PARTS), 32, tmp_path / "model.safetensors")
    for kind in ("photos", "masks"):
        (tmp_path / kind).mkdir()
    for name, photo, mask in zip(NAMES, *scenes(3), strict=True):
        Image.fromarray(photo[:30]).save(tmp_path / "photos" / name)
        Image.fromarray(mask[:30]).save(tmp_path / "masks" / f"{name.rsplit('.', 1)[0]}.png")
    return tmp_path


def fails(capsys, *arguments):
    """Run, expect exit status 1 and one line on standard error; return it."""
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    assert stop.value.code == 1
    assert out == ""
    *progress, line = err.splitlines()
    assert all("image/s]" in shown or not shown for shown in progress)
    assert line.startswith("magan: ")
    return line


def predict(folder, *photos, out="maps"):
    cli.main(
        [
            "predict",
            *map(str, photos),
            "--out",
            str(folder / out),
            "--model",
            str(folder / "model.safetensors"),
        ]
    )


def test_predict_and_evaluate(folder, capsys):
    (folder / "photos" / "notes.txt").write_text("no photograph")
    predict(folder, folder / "photos")
    assert "3 maps in" in capsys.readouterr().out
    assert sorted(path.name for path in (folder / "maps").iterdir()) == ["a b.png", "grün.png", "x.y.png"]
    for path in (folder / "maps").iterdir():
        with Image.open(path) as found:
            assert (found.format, found.mode, found.size) == ("PNG", "L", (40, 30))
    cli.main(
        [
            "evaluate",
            "--maps",
            str(folder / "maps"),
            "--masks",
            str(folder / "masks"),
            "--out",
            str(folder / "s"),
        ]
    )
    summary = json.loads((folder / "s" / "summary.json").read_text())
    assert summary["protocol"] == "paper"
    assert summary["images"] == 3
    errors = [
        np.abs(
            np.array(Image.open(folder / "maps" / name), float)
            - np.array(Image.open(folder / "masks" / name))
        )
        for name in ("a b.png", "grün.png", "x.y.png")
    ]
    assert summary["mae"] == pytest.approx(np.mean([error.mean() / 255 for error in errors]), abs=1e-6)
    low, high = summary["intervals"]["mae"]
    assert capsys.readouterr().out.splitlines()[:4:3] == [
        "protocol paper: " + str(metrics.get_protocol("paper")),
        f"mae      {summary['mae']:.4f}  (95 % interval over images {low:.4f} to {high:.4f})",
    ]
    assert {path.name for path in (folder / "s").iterdir()} >= {"summary.json", "curves.csv", "per_image.csv"}


def test_a_single_image_is_scored_without_an_interval(folder, capsys):
    (folder / "split.txt").write_text("grün")
    predict(folder, folder / "photos" / "grün.png")
    cli.main([str(word) for word in evaluate(folder, "--split", folder / "split.txt")])
    out = capsys.readouterr().out
    assert "\n1 image; white is focus in the maps, focus in the masks\n" in out
    assert "interval" not in out


def test_compare_prints_signed_differences(folder, capsys):
    for name in ("maps", "worse"):
        (folder / name).mkdir()
        for path in (folder / "masks").iterdir():
            mask = np.array(Image.open(path))
            Image.fromarray(mask if name == "maps" else mask // 2 + 64).save(folder / name / path.name)
        options = ("--maps", folder / name, "--masks", folder / "masks", "--out", folder / f"{name} scores")
        cli.main(["evaluate", *map(str, options)])
    capsys.readouterr()
    arguments = [str(folder / "maps scores"), str(folder / "worse scores"), "--resamples", "50"]
    cli.main(["compare", *arguments])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"protocol paper; {folder / 'worse scores'} minus {folder / 'maps scores'}; 3 images"
    assert [line.split()[0] for line in lines[1:]] == [*metrics.SCORES, "note:", "note:"]
    assert lines[-2:] == [
        "note: 3 images are few: the intervals are too narrow",
        "note: with 3 images no p below about 0.250 can come out",
    ]
    assert lines[2].startswith(f"mae      {64 / 255:+.4f}  (95 % interval +0.2")
    assert lines[4].startswith("auc      +0.0000  (95 % interval +0.0000 to +0.0000, p 1)")
    cli.main(["compare", *arguments, "--protocol", "pooled", "--seed", "3"])
    assert capsys.readouterr().out.startswith("protocol pooled; ")
    empty = fails(capsys, "compare", folder / "maps", folder / "worse scores")
    assert "no folder of scores: it has no summary.json" in empty
    missing = fails(capsys, "compare", folder / "nowhere", folder / "worse scores")
    assert missing == f"magan: {folder}/nowhere: no such folder; name the --out folder of `magan evaluate`"


def test_compare_adds_nothing_where_there_are_images_enough(folder, capsys):
    for name in ("maps", "masks8"):
        (folder / name).mkdir()
        for index in range(10):
            mask = np.array(Image.open(folder / "masks/x.y.png"))
            Image.fromarray(mask if name == "masks8" else mask // 2 + index).save(
                folder / f"{name}/{index}.png"
            )
    options = ("--maps", folder / "maps", "--masks", folder / "masks8", "--out", folder / "scores")
    cli.main(["evaluate", *map(str, options)])
    cli.main(["compare", str(folder / "scores"), str(folder / "scores"), "--resamples", "20"])
    assert "note:" not in capsys.readouterr().out


def test_compare_prints_no_negative_zero(folder, capsys):
    """A difference that is rounded away has no direction."""
    for name in ("one", "two"):
        (folder / name).mkdir()
        for path in (folder / "masks").iterdir():
            mask = np.array(Image.open(path))
            values = np.where(mask > 127, 255, 100).astype(np.uint8)
            values[0, 0] ^= name == "two"
            Image.fromarray(values).save(folder / name / path.name)
        options = ("--maps", folder / name, "--masks", folder / "masks", "--out", folder / f"{name} scores")
        cli.main(["evaluate", *map(str, options)])
    scores = [np.load(folder / f"{name} scores/statistics.npy") for name in ("one", "two")]
    assert (scores[0] != scores[1]).any()
    for pair in (("one", "two"), ("two", "one")):
        capsys.readouterr()
        cli.main(["compare", *(str(folder / f"{name} scores") for name in pair), "--resamples", "50"])
        assert "mae      +0.0000  (" in (shown := capsys.readouterr().out)
        assert "-0.0000" not in shown


def test_protocols_are_listed_with_their_rules_and_sources(capsys):
    cli.main(["protocols"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[::3] == list(metrics.PROTOCOLS)
    assert lines[1:3] == [
        f"    {metrics.get_protocol('paper')}",
        f"    {metrics.get_protocol('paper').source}",
    ]


@pytest.mark.parametrize("command", [["protocols"], ["profile", "--current"], ["--help"]])
@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_seen_enough_is_no_error(command, buffered):
    """`magan protocols | head -1`, with the reader gone before the first line is written."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-m", "magan_core", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment | ({} if buffered else {"PYTHONUNBUFFERED": "1"}),
        cwd=Path(cli.__file__).parent.parent,
    )
    process.stdout.close()
    with process.stderr:
        assert process.stderr.read() == b""
    assert process.wait() == 0


@pytest.mark.parametrize("gone", [["stdout"], ["stderr"], ["stdout", "stderr"]], ids=str)
@pytest.mark.parametrize("lines", [False, True], ids=["held back", "line by line"])
@pytest.mark.parametrize(
    ("end", "status"),
    [
        (None, 0),
        (SystemExit(3), 3),
        (MaganError("what failed"), 1),
        (Interrupted("stopped", signal.SIGTERM), 143),
    ],
    ids=["done", "some failed", "failed", "stopped"],
)
def test_the_status_is_that_of_the_work_also_where_nobody_reads(monkeypatch, gone, lines, end, status):
    """`magan data verify | true`, `magan predict ... 2>&1 | true`."""
    worked = []

    def work(options):
        for stream in (sys.stdout, sys.stderr):
            print("told", file=stream)
            print("more", file=stream, flush=True)
        worked.append("to the end")
        if end:
            raise end

    monkeypatch.setattr(cli, "profile", work)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with ExitStack() as stack:
        for name in gone:
            reader, writer = os.pipe()
            os.close(reader)
            stream = stack.enter_context(open(writer, "w", buffering=1 if lines else -1))
            monkeypatch.setattr(sys, name, stream)
        left = 0
        try:
            cli.main(["profile"])
        except SystemExit as stop:
            left = stop.code
        assert (left, worked) == (status, ["to the end"])


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_what_is_closed_from_the_start_can_be_written_to(monkeypatch, closed):
    def work(options):
        getattr(sys, closed).write("as tqdm does, \udcff of a name too")

    monkeypatch.setattr(cli, "profile", work)
    monkeypatch.setattr(sys, closed, None)
    cli.main(["profile"])
    assert getattr(sys, closed) is None


def evaluate(folder, *more):
    return ("evaluate", "--maps", folder / "maps", "--masks", folder / "masks", "--out", folder / "s", *more)


def test_what_cannot_be_evaluated(folder, capsys):
    fails(capsys, *evaluate(folder))  # no maps yet
    predict(folder, folder / "photos")
    capsys.readouterr()
    assert "did you mean 'paper'" in fails(capsys, *evaluate(folder, "--protocol", "papers"))
    (folder / "maps" / "grün.png").unlink()
    assert "grün" in fails(capsys, *evaluate(folder))
    assert not (folder / "s" / "summary.json").exists()


@pytest.mark.parametrize("name", ["maps", "masks", "photos/../maps"])
def test_scores_do_not_go_among_the_pictures(folder, capsys, name):
    predict(folder, folder / "photos")
    before = sorted(path.name for path in (folder / name).iterdir())
    capsys.readouterr()
    assert "Choose another folder for --out" in fails(capsys, *evaluate(folder, "--out", folder / name))
    assert sorted(path.name for path in (folder / name).iterdir()) == before


def test_notebook_and_clean(folder, capsys):
    assert "cannot read notebook" in fails(
        capsys, "notebook", folder / "no.ipynb", "--out", folder / "out.ipynb"
    )
    assert "--check" in fails(capsys, "clean-notebooks", folder)
    (folder / "bad.ipynb").write_text("{")
    assert "bad.ipynb" in fails(capsys, "clean-notebooks", folder, "--check")
    assert "bad.ipynb" in fails(capsys, "clean-notebooks", folder, folder / "clean")
    assert not (folder / "clean").exists()
    (folder / "empty").mkdir()
    assert "no notebook" in fails(capsys, "clean-notebooks", folder / "empty", "--check")


@pytest.mark.parametrize("option", ["--maps", "--masks", "--out", "--split"])
def test_an_empty_path_is_no_folder(folder, capsys, monkeypatch, option):
    """Of a variable that is not set; the current folder would be meant."""
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    options = {"--maps": "masks", "--masks": "masks", "--out": "out"} | {option: ""}
    with pytest.raises(SystemExit) as stop:
        cli.main(["evaluate", *(word for pair in options.items() for word in pair)])
    assert stop.value.code == 2
    assert f"argument {option}: is empty; is a variable not set?" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments",
    [("compare", "LONG", "out"), ("evaluate", "--maps", "LONG", "--masks", "masks", "--out", "out")],
    ids=str,
)
def test_a_name_too_long_for_the_system_is_an_error_in_words(folder, capsys, monkeypatch, arguments):
    monkeypatch.chdir(folder)
    line = fails(capsys, *(word.replace("LONG", "n" * 300) for word in arguments))
    assert "File name too long" in line


def test_packing_replaces_a_model_and_nothing_else(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    Path("notes.txt").write_text("mine", encoding="utf-8")
    assert "notes.txt is there already and no model" in fails(
        capsys, "pack", "model.safetensors", "--out", "notes.txt"
    )
    assert Path("notes.txt").read_text(encoding="utf-8") == "mine"
    for _ in range(2):
        cli.main(["pack", "model.safetensors", "--out", "small.safetensors"])
    assert Path("small.safetensors").stat().st_size < Path("model.safetensors").stat().st_size


@pytest.mark.parametrize("command", ["report", "pages", "check"])
def test_without_results_a_command_says_what_makes_them(tmp_path, capsys, monkeypatch, command):
    shutil.copy(Path(cli.__file__).parent.parent / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "is not there; `make repro PROFILE=smoke` makes it." in fails(capsys, command, "smoke")
    assert not (tmp_path / "results").exists()


def test_training_without_prepared_data_says_what_prepares_it(tmp_path, capsys, monkeypatch):
    shutil.copy(Path(cli.__file__).parent.parent / "params.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "`make repro PROFILE=smoke`" in fails(capsys, "train", "magan-dut", "--profile", "smoke")
    assert not (tmp_path / "results").exists()


def test_profile(folder, capsys, monkeypatch):
    shipped = Path(cli.__file__).parent.parent / "params.yaml"
    (folder / "params.yaml").write_bytes(shipped.read_bytes())
    monkeypatch.chdir(folder)
    cli.main(["profile", "smoke"])
    assert "* smoke, 6 runs: every stage" in capsys.readouterr().out
    cli.main(["profile", "--current"])
    assert capsys.readouterr().out == "smoke\n"
    assert "did you mean 'demo'" in fails(capsys, "profile", "dmo")
    assert "unknown profile 'no'" in fails(capsys, "report", "no")
    monkeypatch.chdir(folder / "photos")
    assert "holds params.yaml" in fails(capsys, "profile")
    assert "holds params.yaml" in fails(capsys, "data", "fetch", "cuhk")


def test_a_full_disk_is_that_of_the_file_that_is_named(monkeypatch, capsys):
    def full(options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/folder")

    monkeypatch.setattr(cli, "profile", full)
    assert fails(capsys, "profile") == "magan: some/folder: No space left on device"


@pytest.mark.parametrize(
    ("stop", "code", "told"),
    [
        (KeyboardInterrupt(), 130, ""),
        (Interrupted("stopped after step 3", signal.SIGINT), 130, "magan: stopped after step 3\n"),
        (Interrupted("stopped after step 3", signal.SIGTERM), 143, "magan: stopped after step 3\n"),
    ],
    ids=["Ctrl-C", "training, SIGINT", "training, SIGTERM"],
)
def test_an_interrupt_ends_in_a_line_at_most(monkeypatch, capsys, stop, code, told):
    def interrupt(options):
        raise stop

    monkeypatch.setattr(cli, "profile", interrupt)
    handlers = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    with pytest.raises(SystemExit) as left:
        cli.main(["profile"])
    assert left.value.code == code
    assert capsys.readouterr() == ("", told)
    assert handlers == {signal.SIGINT: signal.SIG_IGN}, "a second one does not break into the end"


def test_as_a_module_it_starts_without_torch_and_numpy():
    """23 runs pay for every import: the parser must not load what a command does not use."""
    code = (
        "import sys, magan_core.cli as c; c.parser(); sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    shown = subprocess.run(
        [sys.executable, "-m", "magan_core", "--help"], capture_output=True, text=True, check=True
    )
    commands = ("predict", "evaluate", "compare", "protocols", "notebook", "clean-notebooks", "report")
    for command in (*commands, "profile"):
        assert command in shown.stdout


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"magan {project['version']}\n"


def test_masks_may_have_a_suffix(folder, capsys):
    (folder / "truth").mkdir()
    for mask in (folder / "masks").iterdir():
        shutil.copy(mask, folder / "truth" / f"{mask.stem}_gt.png")
    maps = ("evaluate", "--maps", folder / "masks", "--masks", folder / "truth", "--out", folder / "scores")
    cli.main([*map(str, maps), "--masks-suffix", "_gt"])
    assert capsys.readouterr().out.splitlines()[1].startswith("3 images")
