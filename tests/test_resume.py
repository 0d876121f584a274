"""A training run that is killed, stopped or short of disk goes on as if nothing had been."""

import errno
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import MODEL, PROFILE, RUN, TRAINING, prepared, train_tiny

from magan_core.data import augment
from magan_core.errors import Interrupted, MaganError
from magan_core.files import atomic, write_json
from magan_core.models import build_generator
from magan_core.models.weights import save_model
from magan_core.training import log, state, trainer
from magan_core.training import run as run_module
from magan_core.training.run import state_name
from magan_core.training.state import Resume, forget, key, stoppable
from magan_core.training.stream import Streamed

STEPS = 24
TESTS = Path(__file__).parent


def profile(**training) -> dict:
    return PROFILE | {"training": TRAINING | {"steps": STEPS, "save_seconds": 0.0, "average": 0.9} | training}


def go(data: Path, out: Path, resume: Path | None, run: dict = RUN, **training):
    settings = profile(**training)
    history = train_tiny(data, out, run, settings, resume=resume)
    if resume is not None:
        forget(resume, state_name(settings, run))
    return history


def outcome(out: Path) -> tuple[bytes, ...]:
    names = ("model.safetensors", "discriminator.safetensors", "history.csv")
    return tuple((out / name).read_bytes() for name in names)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def uninterrupted(data, tmp_path_factory) -> tuple[bytes, ...]:
    out = tmp_path_factory.mktemp("uninterrupted")
    go(data, out, None)
    return outcome(out)


def environment() -> dict[str, str]:
    """Of a process that imports these tests."""
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}


def start(data: Path, folder: Path, before: str = "pass") -> subprocess.Popen:
    """The same run in a process of its own, with a resume folder; `before`: what it does first."""
    code = (
        "import sys; from pathlib import Path; from test_resume import go, kill_within_save; "
        f"{before}; go(Path(sys.argv[1]), Path(sys.argv[2]) / 'out', Path(sys.argv[2]) / 'resume')"
    )
    command = [sys.executable, "-c", code, str(data), str(folder)]
    folder.mkdir(exist_ok=True)
    with open(folder / "errors.txt", "ab") as errors:
        return subprocess.Popen(command, env=environment(), stderr=errors)


def wait_for_state(process: subprocess.Popen, folder: Path) -> None:
    while process.poll() is None and not list((folder / "resume").glob("*.safetensors")):
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("save", [1, 7])
def test_a_kill_within_a_write_leaves_the_state_before(data, uninterrupted, tmp_path, save):
    """After half of the bytes: nothing is cleaned up but by the next start."""
    assert start(data, tmp_path, f"kill_within_save({save})").wait(timeout=120) == -signal.SIGKILL
    names = sorted(path.name[0] == "." for path in (tmp_path / "resume").iterdir())
    assert names == [False, True][save == 1 :], "half a state, and that of the step before"
    assert start(data, tmp_path).wait(timeout=120) == 0, (tmp_path / "errors.txt").read_text()
    assert outcome(tmp_path / "out") == uninterrupted
    assert json.loads((tmp_path / "out/provenance.json").read_text())["starts"] == (1 if save == 1 else 2)
    assert list((tmp_path / "resume").iterdir()) == []


def kill_within_save(number: int) -> None:
    """Let this process be killed when half of the save `number` is on disk."""
    saves = iter(range(1, number + 1))
    original = Path.write_bytes

    def write_bytes(path, content):
        last = next(saves) == number
        original(path, content[: len(content) // 2] if last else content)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)

    Path.write_bytes = write_bytes


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_kill_at_random_moments(data, uninterrupted, tmp_path, seed):
    """Saving after every step."""
    random = np.random.default_rng(seed)
    kills = 0
    for _ in range(12):
        process = start(data, tmp_path)
        wait_for_state(process, tmp_path)
        try:
            process.wait(timeout=random.uniform(0.0, 0.6))
        except subprocess.TimeoutExpired:
            process.kill()
            kills += 1
            process.wait()
            continue
        break
    else:
        process = start(data, tmp_path)
    assert process.wait(timeout=120) == 0, (tmp_path / "errors.txt").read_text()
    assert kills > 0
    assert outcome(tmp_path / "out") == uninterrupted
    assert list((tmp_path / "resume").iterdir()) == [], "nothing is left, of killed writes neither"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends(data, uninterrupted, tmp_path, number):
    process = start(data, tmp_path)
    wait_for_state(process, tmp_path)
    process.send_signal(number)
    assert process.wait(timeout=60) != 0
    assert f"stopped by signal {number.value} after step" in (tmp_path / "errors.txt").read_text()
    assert [path.name[0] for path in (tmp_path / "resume").iterdir()] != ["."]
    assert not (tmp_path / "out").exists()
    assert start(data, tmp_path).wait(timeout=120) == 0
    assert outcome(tmp_path / "out") == uninterrupted
    assert json.loads((tmp_path / "out/provenance.json").read_text())["starts"] == 2


class Break(Exception):
    pass


def interrupt_at(monkeypatch, save: int, error: Exception) -> None:
    """Let the save number `save` fail."""
    calls = []
    original = Path.write_bytes

    def write_bytes(path, content):
        calls.append(path)
        if len(calls) == save:
            original(path, content[: len(content) // 2])
            raise error
        original(path, content)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


@pytest.mark.parametrize("save", [1, 2, 11, 24])
def test_a_break_within_a_write_leaves_the_state_before(data, uninterrupted, tmp_path, monkeypatch, save):
    with monkeypatch.context() as patched:
        interrupt_at(patched, save, Break())
        with pytest.raises(Break):
            go(data, tmp_path / "out", tmp_path / "resume")
    assert len(list((tmp_path / "resume").iterdir())) == (save > 1)
    go(data, tmp_path / "out", tmp_path / "resume")
    assert outcome(tmp_path / "out") == uninterrupted


def test_unfinished_files_of_another_run_stay(tmp_path):
    """Both names begin with the same 50 letters, and the other run may be writing at this moment."""
    one, other = (
        state.Resume(tmp_path, "run" * 15 + name, "0" * 16, every=60.0) for name in ("-one", "-other")
    )
    with atomic(other.path) as temporary:
        temporary.write_bytes(b"half")
        assert one.load() is None
        assert temporary.exists()
        assert other.load() is None
        assert not temporary.exists(), "its own is what a kill left"
        temporary.write_bytes(b"for the rename")


def test_a_state_stays_until_the_run_is_forgotten(data, uninterrupted, tmp_path, monkeypatch):
    """A kill while the photographs are mapped costs no training: the next start has nothing left to do."""
    settings = profile()
    train_tiny(data, tmp_path / "first", RUN, settings, resume=tmp_path / "resume")
    monkeypatch.setattr("magan_core.training.trainer.step_once", None)  # a step would fail
    train_tiny(data, tmp_path / "second", RUN, settings, resume=tmp_path / "resume")
    assert outcome(tmp_path / "second") == uninterrupted


def test_a_signal_in_the_last_step_is_heard(data, tmp_path, monkeypatch):
    calls = []
    original = trainer.step_once

    def step_once(*arguments):
        calls.append(1)
        if len(calls) == STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*arguments)

    monkeypatch.setattr(trainer, "step_once", step_once)
    with pytest.raises(Interrupted, match=f"after step {STEPS} of {STEPS}"):
        go(data, tmp_path / "out", tmp_path / "resume")
    assert not (tmp_path / "out").exists()


def test_a_signal_in_the_last_save_is_heard(data, tmp_path, monkeypatch):
    original = Resume.save

    def save(self, tensors, progress):
        if progress["step"] == STEPS:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, tensors, progress)

    monkeypatch.setattr(Resume, "save", save)
    with pytest.raises(Interrupted, match=f"after step {STEPS} of {STEPS}"):
        go(data, tmp_path / "out", tmp_path / "resume")
    assert not (tmp_path / "out").exists()


def stop_in_step(monkeypatch, number: int, damage: float = 1.0, won: range = range(0)) -> None:
    """SIGTERM within a step; its losses, and those of later steps, times `damage`. won: steps in which the
    discriminator tells maps from masks."""
    original, calls = trainer.step_once, []

    def step_once(*arguments):
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGTERM)
        losses = original(*arguments)
        if len(calls) in won:
            losses[log.TERMS.index("d_real") :] = 1e-4
        return losses * damage if len(calls) >= number else losses

    monkeypatch.setattr(trainer, "step_once", step_once)


def test_a_signal_takes_one_step_more_and_goes_on_from_the_one_before(
    data, uninterrupted, tmp_path, monkeypatch
):
    with monkeypatch.context() as patched:
        stop_in_step(patched, 5)
        with pytest.raises(Interrupted, match="after step 5 of 24; the same command goes on") as stopped:
            go(data, tmp_path / "out", tmp_path / "resume", save_seconds=60.0)
        assert stopped.value.signal == signal.SIGTERM
    (path,) = (tmp_path / "resume").iterdir()
    assert Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0).load()[1]["step"] == 5
    go(data, tmp_path / "out", tmp_path / "resume")
    assert outcome(tmp_path / "out") == uninterrupted


def test_a_signal_does_not_save_what_has_diverged(data, tmp_path, monkeypatch):
    """The weights blow up in the first step, in whose midst the signal comes: nothing good is there."""
    stop_in_step(monkeypatch, 1)
    with pytest.raises(Interrupted, match=r"not finite \(lower `lr`\), so that this was not saved$"):
        go(data, tmp_path / "out", tmp_path / "resume", lr=1e30, warmup_steps=0, log_every=9, save_seconds=60)
    assert not (tmp_path / "resume").exists()


def test_a_signal_keeps_the_good_state_of_before(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_in_step(patched, 7, damage=float("nan"))
        with pytest.raises(Interrupted, match="the last good state stays"):
            go(data, tmp_path / "out", tmp_path / "resume", log_every=12)
    (path,) = (tmp_path / "resume").iterdir()
    assert Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0).load()[1]["step"] == 5
    go(data, tmp_path / "out", tmp_path / "resume", log_every=12)
    go(data, tmp_path / "fresh", None, log_every=12)
    assert outcome(tmp_path / "out") == outcome(tmp_path / "fresh")


@pytest.mark.parametrize(
    ("signalled", "won", "told", "saved"),
    [
        (11, range(5, 9), r"step 11 of 24; the discriminator told .* so that this was not saved$", None),
        (7, range(5, 9), "step 7 of 24; the same command goes on from there$", 7),
        (24, range(21, 25), "step 24 of 24; the same command goes on from there$", 24),
    ],
    ids=["after a row that it won", "before that row ends", "at the end"],
)
def test_a_signal_while_the_discriminator_wins(data, tmp_path, monkeypatch, signalled, won, told, saved):
    stop_in_step(monkeypatch, signalled, won=won)
    with pytest.raises(Interrupted, match=told):
        go(data, tmp_path / "out", tmp_path / "resume", log_every=4, save_seconds=60.0)
    if saved is None:
        assert not (tmp_path / "resume").exists()
    else:
        (path,) = (tmp_path / "resume").iterdir()
        assert Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0).load()[1]["step"] == saved


def test_a_signal_where_no_state_is_kept_ends_at_once(data, tmp_path, monkeypatch):
    stop_in_step(monkeypatch, 5)
    with pytest.raises(Interrupted, match=r"after step 5 of 24$"):
        go(data, tmp_path / "out", None)


def test_weights_that_are_infinite_after_the_last_step_are_refused(data, tmp_path, monkeypatch):
    """The discriminator's as well: it is saved beside the generator."""
    original, calls = trainer.step_once, []

    def step_once(generator, discriminator, *others):
        calls.append(1)
        losses = original(generator, discriminator, *others)
        if len(calls) == STEPS:
            next(discriminator.parameters()).data.fill_(float("inf"))
        return losses

    monkeypatch.setattr(trainer, "step_once", step_once)
    with pytest.raises(MaganError, match="diverged in its last step: weights are infinite"):
        go(data, tmp_path / "out", tmp_path / "resume")


@pytest.mark.parametrize("streamed", [(False, False), (True, False), (False, True)])
def test_provenance_says_whether_a_set_was_streamed(data, tmp_path, monkeypatch, streamed):
    asked = iter(streamed)

    def place(arrays, device, share, neighbours):
        kind = Streamed if next(asked) else lambda array, device: torch.from_numpy(np.array(array))
        return [None if array is None else kind(array, device) for array in arrays]

    monkeypatch.setattr("magan_core.training.run.place", place)
    go(data, tmp_path / "out", None, steps=2)
    assert json.loads((tmp_path / "out/provenance.json").read_text())["streamed"] == any(streamed)


def test_a_run_that_is_done_leaves_the_states_of_other_settings(data, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        stop_in_step(patched, 5)
        with pytest.raises(Interrupted):
            go(data, tmp_path / "out", tmp_path / "resume")
    (stopped,) = (tmp_path / "resume").iterdir()
    go(data, tmp_path / "other", tmp_path / "resume", lr=1e-3)
    assert list((tmp_path / "resume").iterdir()) == [stopped]
    go(data, tmp_path / "out", tmp_path / "resume")
    assert outcome(tmp_path / "out") == uninterrupted
    assert list((tmp_path / "resume").iterdir()) == []


def test_old_states_go(tmp_path):
    old, new, broken = (tmp_path / f"demo-manet-dut-1-{letter * 16}.safetensors" for letter in "abc")
    for path in (old, new):
        Resume(tmp_path, *path.stem.rsplit("-", 1), 0.0).save({"x": torch.zeros(1)}, {"step": 1, "of": 2})
    broken.write_bytes(b"half")
    before = time.time() - state.KEPT - 60
    os.utime(old, (before, before))
    forget(tmp_path, "demo-manet-dut-1")
    assert sorted(tmp_path.iterdir()) == [new, broken]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_a_folder_that_cannot_be_written_is_one_error(data, uninterrupted, tmp_path, monkeypatch, number):
    """A full disk, or a folder that has become read-only: the state of before is kept."""
    with monkeypatch.context() as patched:
        interrupt_at(patched, 5, OSError(number, os.strerror(number)))
        with pytest.raises(MaganError, match=rf"cannot write .*{os.strerror(number)}"):
            go(data, tmp_path / "out", tmp_path / "resume")
    assert len(list((tmp_path / "resume").iterdir())) == 1
    go(data, tmp_path / "out", tmp_path / "resume")
    assert outcome(tmp_path / "out") == uninterrupted


def test_a_changed_run_never_finds_a_strangers_state(data, tmp_path, monkeypatch):
    run = RUN | {"loss": RUN["loss"] | {"iou": 2.0}}
    with monkeypatch.context() as patched:
        interrupt_at(patched, 9, Break())
        with pytest.raises(Break):
            go(data, tmp_path / "first", tmp_path / "resume")
    go(data, tmp_path / "resumed", tmp_path / "resume", run)
    go(data, tmp_path / "fresh", None, run)
    assert outcome(tmp_path / "resumed") == outcome(tmp_path / "fresh")
    assert json.loads((tmp_path / "resumed/provenance.json").read_text())["starts"] == 1


def test_the_key_follows_settings_in_any_order():
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1}) != key({"a": 1, "b": 3})


def test_all_that_makes_the_crops_is_of_the_key():
    """Resampled, recoloured, blurred: what augment.py imports of data/ counts as it does."""
    used = re.findall(r"^from magan_core\.(data\.\w+) import", inspect.getsource(augment), re.M)
    assert {f"{name.replace('.', '/')}.py" for name in used} | {"data/augment.py"} <= set(state.CODE)
    assert used
    assert {"device.py", "losses.py", "models", "training"} <= set(state.CODE)


def test_the_key_follows_what_the_code_says(tmp_path, monkeypatch):
    package = tmp_path / "package"
    (package / "models/own").mkdir(parents=True)
    monkeypatch.setattr("magan_core.files.__file__", str(package / "files.py"))
    monkeypatch.setattr(state, "CODE", ("step.py", "models"))
    found = set()
    for name, text in (("step.py", "x = 1\n"), ("step.py", "x = 2\n"), ("models/own/head.py", "")):
        (package / name).write_text(text)
        found.add(key(1))
    assert len(found) == 3


def test_a_damaged_state_is_named_and_not_gone_on_from(data, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt_at(patched, 9, Break())
        with pytest.raises(Break):
            go(data, tmp_path / "out", tmp_path / "resume")
    (path,) = (tmp_path / "resume").iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(MaganError, match=r"cannot read the resume state .*Delete it"):
        go(data, tmp_path / "out", tmp_path / "resume")


def test_divergence_keeps_the_last_good_state(data, tmp_path):
    """The learning rate makes the weights blow up in the first step: the state before it is kept."""
    with pytest.raises(MaganError, match="training diverged before step"):
        go(data, tmp_path / "out", tmp_path / "resume", lr=1e30, warmup_steps=0, log_every=5)
    (path,) = (tmp_path / "resume").iterdir()
    saved = Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0)
    tensors, told = saved.load()
    assert told["step"] == 0
    assert all(tensor.abs().max() < 1e3 for name, tensor in tensors.items() if name.endswith("weight"))
    assert not (tmp_path / "out").exists()


def test_what_diverges_late_goes_on_from_the_last_good_state(data, uninterrupted, tmp_path, monkeypatch):
    """NaN in the last three steps; with its cause gone, the outcome is as if it had not been."""
    original, calls = trainer.step_once, []

    def step_once(*arguments):
        calls.append(1)
        losses = original(*arguments)
        return losses * float("nan") if len(calls) > STEPS - 3 else losses

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "step_once", step_once)
        with pytest.raises(MaganError, match="training diverged before step"):
            go(data, tmp_path / "out", tmp_path / "resume")
    (path,) = (tmp_path / "resume").iterdir()
    saved = Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0)
    assert saved.load()[1]["step"] == STEPS - 4, "a later one had not shown finite losses"
    go(data, tmp_path / "out", tmp_path / "resume")
    assert outcome(tmp_path / "out") == uninterrupted


def test_a_discriminator_that_has_won_for_good_is_named():
    device = torch.device("cpu")
    won, fair = torch.tensor([0.5, 0.5, 9.0, 1.0, 1e-4, 1e-4]), torch.tensor([0.5, 0.5, 0.7, 1.0, 0.6, 0.6])
    ledger = log.Log(True, 10, device)
    for step, losses in enumerate([won] * (log.HOPELESS - 1) + [fair] + [won] * (log.HOPELESS - 1)):
        ledger.add(losses, 4)
        ledger.row(step, 1e-3, {})
    ledger.add(won, 4)
    with pytest.raises(MaganError, match="the discriminator has collapsed before step 99"):
        ledger.row(99, 1e-3, {})


def test_a_discriminator_that_wins_for_good_ends_the_run(data, tmp_path):
    """Against a generator that stands still, which never draws a mask."""
    training = {"discriminator_lr": 0.02, "lr": 0.0, "backbone_lr": 0.0, "schedule": "constant"}
    with pytest.raises(MaganError, match=r"the discriminator has collapsed before step \d+"):
        go(
            data,
            tmp_path,
            tmp_path / "resume",
            RUN | {"receptive_field": 70},
            **training,
            steps=400,
            log_every=10,
        )
    assert not (tmp_path / "model.safetensors").exists()
    (path,) = (tmp_path / "resume").iterdir()
    _, told = Resume(tmp_path / "resume", *path.stem.rsplit("-", 1), 0.0).load()
    rows = told["log"]["rows"]
    assert rows, "a state before the first row proves nothing"
    assert all(row["d_real"] + row["d_fake"] >= log.COLLAPSED for row in rows)


def test_a_discriminator_that_stays_at_chance_is_told(data, tmp_path, capsys):
    """One that sees single pixels and does not learn."""
    run = RUN | {"receptive_field": 1}
    for name, rate in (("idle", 0.0), ("learning", 1e-2)):
        go(data, tmp_path / name, None, run, discriminator_lr=rate)
        told = json.loads((tmp_path / name / "provenance.json").read_text())["notes"]
        assert [note.split(":")[0] for note in told] == (
            ["the discriminator's loss stayed within 3 % of that of chance, or above"]
            if name == "idle"
            else []
        )
        assert ("note: the discriminator's loss stayed" in capsys.readouterr().out) == (name == "idle")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_caught_inside_only(number):
    before = signal.getsignal(number)
    with stoppable() as stop:
        assert signal.getsignal(number) is not before
        os.kill(os.getpid(), number)
        assert stop.signal == number
    assert signal.getsignal(number) is before
    assert issubclass(Interrupted, KeyboardInterrupt)


class Looked(Exception):
    """The state was looked for."""


def looked_for(monkeypatch, data, out, profile=PROFILE):
    """The key under which a run looks for its state; nothing is trained."""
    seen = []

    def stop(*_, resume, **__):
        seen.append(resume.key)
        raise Looked

    with monkeypatch.context() as patched:
        patched.setattr(run_module, "train", stop)
        with pytest.raises(Looked):
            train_tiny(data, out, RUN, profile, resume=out / "resume")
    return seen[0]


CHANGED = {"precision": "bfloat16", "lr": 1e-3, "steps": 6, "batch": 6, "average": 0.9}


def test_the_key_of_a_run_follows_its_data_settings_and_weights(tmp_path, monkeypatch):
    data = prepared(tmp_path / "data")
    first = looked_for(monkeypatch, data, tmp_path)
    for name, value in {"memory_share": 0.0, "maps_every": 2, "save_seconds": 1.0}.items():
        other = PROFILE | {"training": TRAINING | {name: value}}
        assert looked_for(monkeypatch, data, tmp_path, other) == first, name
    parts = [{"model": MODEL | {"dropout": 0.2}}, {"discriminator": {"channels": 8}}]
    parts += [{"threads": 2}, {"seed": 8}]
    parts += [{"training": TRAINING | {key: value}} for key, value in CHANGED.items()]
    for part in parts:
        assert looked_for(monkeypatch, data, tmp_path, PROFILE | part) != first, part
    for name in ("shi", "frd"):
        sets = {other: {"sha256": "0" * 64} for other in ("shi", "frd")} | {name: {"sha256": "1" * 64}}
        write_json(data / "sets.json", sets)
        assert looked_for(monkeypatch, data, tmp_path) != first, name
    further = PROFILE | {"weights": {"pretrained": True, "file": "weights.safetensors"}}
    keys = set()
    for seed in (1, 2):
        torch.manual_seed(seed)
        generator = build_generator(MODEL, RUN["parts"])
        save_model(generator, MODEL, RUN["parts"], 32, data / "weights.safetensors")
        keys.add(looked_for(monkeypatch, data, tmp_path, further))
    assert len(keys) == 2


def test_the_seconds_of_earlier_starts_count(tmp_path, monkeypatch):
    Resume(tmp_path, "a", "0" * 16, 0.0, seconds=1000.0).save({"x": torch.zeros(1)}, {"step": 1, "of": 2})
    second = Resume(tmp_path, "a", "0" * 16, 0.0)
    second.load()
    assert 1000 <= second.seconds <= second.elapsed < 1100
    assert second.starts == 2
    data = prepared(tmp_path / "data")
    monkeypatch.setattr(Resume, "load", lambda self: setattr(self, "seconds", 1000.0))
    train_tiny(data, tmp_path / "out", RUN, PROFILE, resume=tmp_path / "resume")
    record = json.loads((tmp_path / "out/provenance.json").read_text(encoding="utf-8"))
    assert 1000 < record["seconds"]["train"] < 2000


def test_a_state_is_due_again_after_every_so_many_seconds(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(state.time, "perf_counter", lambda: clock[0])
    resume = Resume(tmp_path, "a", "0" * 16, 60.0, _begun=0.0, _saved=0.0)
    found = []
    for clock[0] in (59.0, 60.0, 61.0, 119.0, 120.0):
        found.append(resume.due)
        if resume.due:
            resume.save({"x": torch.zeros(1)}, {})
    assert found == [False, True, False, False, True]
