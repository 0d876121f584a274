"""The whole pipeline on the smoke profile, in a throw-away clone whose path holds a space."""

import base64
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import clones
import numpy as np
import pytest
from clones import environment, run, stages_run
from PIL import Image

from magan_core.classical import get_method
from magan_core.data.images import read_map, read_photo
from magan_core.data.prepared import load_test
from magan_core.models.weights import load_model
from magan_core.prediction import predict

pytestmark = pytest.mark.slow


TABLES = ("ablations@smoke", "tables@smoke", "protocols@smoke")  # the stages that write some


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone on the smoke profile after `make repro JOBS=2`; what `dvc repro` then did is in rest.txt."""
    folder = clones.make(tmp_path_factory.mktemp("clones") / "a clone")
    run(folder, "magan_core", "profile", "smoke")
    subprocess.run(["bash", "scripts/train_grid.sh", "2"], cwd=folder, env=environment(folder), check=True)
    (folder.parent / "rest.txt").write_text(run(folder, "dvc", "repro").stdout, encoding="utf-8")
    return folder


def edit(folder, old, new):
    """Replace text in params.yaml that must be there once."""
    path = folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")


def tables(folder):
    """Bytes of all tables but those that hold measured seconds."""
    return {
        path.name: path.read_bytes()
        for path in (folder / "results/smoke/tables").iterdir()
        if not path.name.startswith(("table_II.", "claims", "provenance"))
    }


def test_every_table_figure_and_the_report_exist(clone):
    results = clone / "results/smoke"
    for number in ("I", "II", "III", "IV", "V", "VI"):
        for kind in ("csv", "md", "tex"):
            assert (results / f"tables/table_{number}.{kind}").stat().st_size > 100
    for name in ("claims", "differences", "histories", "protocols"):
        assert (results / f"tables/{name}.csv").read_text(encoding="utf-8").count("\n") > 5
    for number in range(1, 11):
        folder = "photographs" if number in (1, 8, 9) else "figures"
        for kind in ("png", "pdf"):
            assert (results / folder / f"figure_{number}.{kind}").stat().st_size > 1000
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Table VI" in report
    assert "Figure 10" in report
    assert "What each choice adds" in report
    pages = (results / "pages/index.html").read_text(encoding="utf-8")
    for name in ("01_prepare_data", "manet-dut", "07_figures"):
        assert f'href="{name}.html"' in pages
        assert (results / f"pages/{name}.html").exists()


def test_trainings_beside_each_other_are_those_of_dvc_repro(clone):
    rest = stages_run((clone.parent / "rest.txt").read_text(encoding="utf-8"))
    assert {"classical@smoke-SS", "evaluate@smoke", "report@smoke"} <= rest
    assert not {stage for stage in rest if stage.startswith(("train", "prepare"))}
    assert stages_run(run(clone, "dvc", "repro").stdout) == {"inputs@smoke"}


@pytest.mark.parametrize("name", ["manet-dut", "magan-s-dut"])
def test_photographs_are_mapped_as_the_profile_says(clone, name):
    model, size = load_model(clone / f"results/smoke/runs/{name}/model.safetensors")
    records = load_test(clone / "data/prepared/smoke/dut")
    scene = read_photo(clone / records[0]["image"])
    found = read_map(clone / f"results/smoke/maps/{name}/dut/{records[0]['stem']}.png")
    assert np.array_equal(found, predict(model, scene, size, scales=(0.75, 1.25), flip=True))
    assert not np.array_equal(found, predict(model, scene, size))


def test_no_number_on_synthetic_scenes_is_a_verdict_on_the_paper(clone):
    with open(clone / "results/smoke/tables/claims.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["verdict"] for row in rows} == {"", "not run", "not judged"}
    own = [row for row in rows if row["own"] and row["metric"] != "seconds"]
    assert len(own) > 50
    assert all(float(row["low"]) <= float(row["own"]) <= float(row["high"]) for row in own)


def test_a_run_that_is_not_trained_has_an_empty_own_cell_and_the_papers_number(clone):
    with open(clone / "results/smoke/tables/table_VI.csv", encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows["1×1"]["mae_own"] == ""
    assert float(rows["1×1"]["mae_claimed"]) == 0.084
    assert 0 < float(rows["70×70"]["mae_own"]) < 1


def test_a_second_repro_only_looks_whether_files_have_changed(clone):
    assert stages_run(run(clone, "dvc", "repro").stdout) == {"inputs@smoke"}
    again = ["bash", "scripts/train_grid.sh", "2"]
    done = subprocess.run(
        again, cwd=clone, env=environment(clone), check=True, capture_output=True, text=True
    )
    assert stages_run(done.stdout) == {"inputs@smoke"}


@pytest.mark.parametrize(
    ("kind", "readers"),
    [("photographs", "prepare"), ("weights", "train"), ("published", "evaluate")],
)
def test_other_photographs_weights_or_published_maps_rerun_what_reads_them(clone, kind, readers):
    def changed():
        return json.loads(run(clone, "dvc", "status", "--json").stdout).keys()

    path = clone / f"build/inputs/smoke/{kind}.csv"
    before = path.read_bytes()
    assert before == b"file,sha256\n"
    path.write_bytes(before + b"new,0\n")
    try:
        stages = changed() - {"inputs@smoke"}
    finally:
        path.write_bytes(before)
    assert stages
    assert {stage.split("@")[0].removesuffix("-semi") for stage in stages} == {readers}
    if kind == "weights":
        assert len(stages) == 6
    assert changed() == {"inputs@smoke"}


def test_published_maps_are_scored_when_they_have_come(clone, tmp_path, monkeypatch):
    """They lie outside of the repository, and so do their masks."""
    monkeypatch.setenv("MAGAN_PUBLISHED", str(tmp_path / "theirs"))
    monkeypatch.setenv("MAGAN_DATA", str(tmp_path / "raw"))
    entry = (
        "{method: LBP, folder: lbp, white: focus, suffix: '', set: dut, masks: set/masks, masks_white: focus}"
    )
    none, some = (f"published: {{{text}}}\n    classical: [SS]" for text in ("", f"LBP-published: {entry}"))
    edit(clone, none, some)
    run(clone, "dvc", "repro", "evaluate@smoke")
    assert not (clone / "results/smoke/scores/LBP-published").exists()
    (record, *_) = load_test(clone / "data/prepared/smoke/dut")
    for folder in (tmp_path / "theirs/lbp", tmp_path / "raw/set/masks"):
        folder.mkdir(parents=True)
        shutil.copy(clone / record["mask"], folder / "one.png")
    ran = stages_run(run(clone, "dvc", "repro", "evaluate@smoke").stdout)
    assert ran == {"inputs@smoke", "evaluate@smoke"}
    scores = json.loads((clone / "results/smoke/scores/LBP-published/dut/summary.json").read_text())
    assert scores["images"] == 1
    assert scores["mae"] == 0
    edit(clone, some, none)
    run(clone, "dvc", "repro")


def test_metrics_and_plots_say_something(clone):
    shown = json.loads(run(clone, "dvc", "metrics", "show", "--json").stdout)
    scores = shown[""]["data"]["results/smoke/metrics.json"]["data"]
    assert set(scores["manet-dut"]) == {"dut", "ctcug"}
    run(clone, "dvc", "plots", "show", "--out", "plots")
    page = (clone / "plots/index.html").read_text(encoding="utf-8")
    assert "f_beta" in page
    assert "results/smoke/live/losses/manet-dut.csv" in page
    assert "evaluate@smoke" in run(clone, "dvc", "dag", "--mermaid").stdout


def test_editing_one_run_reruns_it_and_what_depends_on_it_and_switching_back_is_exact(clone):
    before = tables(clone)
    edit(clone, "&adversarial {ce: 1.0,", "&adversarial {ce: 0.9,")
    ran = stages_run(run(clone, "dvc", "repro", *TABLES).stdout)
    assert "train@smoke-magan-dut" in ran
    assert "train@smoke-manet-dut" not in ran
    assert "prepare@smoke" not in ran
    assert {"evaluate@smoke", *TABLES} <= ran
    assert tables(clone) != before
    status = json.loads(run(clone, "dvc", "status", "--json").stdout)
    assert {"figures@smoke", "report@smoke"} <= status.keys(), "those are drawn from it, too"
    edit(clone, "&adversarial {ce: 0.9,", "&adversarial {ce: 1.0,")
    ran = stages_run(run(clone, "dvc", "repro").stdout)
    assert not {name for name in ran if name.startswith("train")}, (
        "the run cache should have restored the runs"
    )
    assert tables(clone) == before


def test_a_run_that_misses_the_margin_fails_the_pipeline_when_all_else_is_there(clone):
    edit(clone, "mae_margin: null", "mae_margin: 0.9")
    done = run(clone, "dvc", "repro", check=False)
    assert done.returncode != 0
    assert "miss the margin of 0.9 in MAE" in done.stderr
    assert stages_run(done.stdout) == {"inputs@smoke", "report@smoke", "check@smoke"}
    status = json.loads(run(clone, "dvc", "status", "--json").stdout)
    assert status.keys() == {"inputs@smoke", "check@smoke"}
    assert not (clone / "results/smoke/check.txt").exists()
    edit(clone, "mae_margin: 0.9", "mae_margin: null")
    assert stages_run(run(clone, "dvc", "repro").stdout) <= {"inputs@smoke", "report@smoke", "check@smoke"}
    assert "not checked" in (clone / "results/smoke/check.txt").read_text()


def test_a_forced_run_gives_the_same_bytes(clone):
    before = tables(clone)
    model = (clone / "results/smoke/runs/magan-dut/model.safetensors").read_bytes()
    run(clone, "dvc", "repro", "--force", "--no-run-cache", "train@smoke-magan-dut")
    run(clone, "dvc", "repro", *TABLES)
    assert (clone / "results/smoke/runs/magan-dut/model.safetensors").read_bytes() == model
    assert tables(clone) == before


def test_a_second_seed_is_one_more_run_and_shows_a_deviation(clone):
    line = "  manet-dut-s2: {<<: *manet, seed: 2}\n"
    edit(clone, "  manet-ce-dut:", f"{line}  manet-ce-dut:")
    edit(
        clone, "supervised: [baseline-dut, manet-dut,", "supervised: [baseline-dut, manet-dut, manet-dut-s2,"
    )
    ran = stages_run(run(clone, "dvc", "repro", "ablations@smoke").stdout)
    assert {name for name in ran if name.startswith("train")} == {"train@smoke-manet-dut-s2"}
    table = (clone / "results/smoke/tables/table_IV.md").read_text(encoding="utf-8")
    (row,) = (shown for shown in table.splitlines() if shown.startswith("| MANet |"))
    assert row.count("2 seeds") == 5
    edit(clone, line, "")
    edit(clone, "manet-dut, manet-dut-s2,", "manet-dut,")


def test_removing_a_run_empties_its_row(clone):
    edit(clone, "supervised: [baseline-dut, manet-dut,", "supervised: [manet-dut,")
    run(clone, "dvc", "repro", "ablations@smoke")
    with open(clone / "results/smoke/tables/table_IV.csv", encoding="utf-8") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert rows["Baseline"]["mae_own"] == ""
    assert rows["MANet"]["mae_own"] != ""


@pytest.mark.parametrize(
    ("name", "extra"), [("magan-dut", {"patches-x32-y32"}), ("manet-dut", set())], ids=["magan", "manet"]
)
def test_the_attention_explorer_runs_headless_and_writes_its_pictures(clone, name, extra):
    out = clone / f"results/smoke/notebooks/08-{name}.ipynb"
    run(clone, "magan_core", "notebook", "notebooks/08_attention_maps.ipynb", "--out", str(out),
        "-p", "profile=smoke", "-p", f"run={name}", "-p", "channel=2", "-p", "features=low")  # fmt: skip
    pictures = {"matrices", "entropy", "alphas"}
    pictures |= {f"{start}-x32-y32" for start in ("spatial", "channel-low-2", "pixel-low")}
    written = sorted((clone / f"results/smoke/attention/{name}").rglob("*.*"))
    assert {path.name for path in written} == {
        f"{picture}.{kind}" for picture in pictures | extra for kind in ("png", "pdf", "json")
    }
    text = out.read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget-view+json" in text
    assert (f"{name} has no such part" in text) == (not extra)
    shown = {
        cell_output["data"]["image/png"].replace("\n", "")
        for cell in json.loads(text)["cells"]
        for cell_output in cell.get("outputs", [])
        if "image/png" in cell_output.get("data", {})
    }
    files = {base64.b64encode(path.read_bytes()).decode() for path in written if path.suffix == ".png"}
    assert shown == files


def test_a_wrong_parameter_fails_before_anything_runs(clone):
    arguments = ["notebooks/04_evaluate.ipynb", "--out", "x.ipynb", "-p", "profil=smoke"]
    result = run(clone, "magan_core", "notebook", *arguments, check=False)
    assert result.returncode == 1
    assert "did you mean 'profile'" in result.stderr
    assert not (clone / "x.ipynb").exists()


def test_a_killed_classical_stage_goes_on_where_it_was(clone):
    """DVC removes a stage's outputs before it runs; a map that was finished and then marked shows that it is
    taken up, not computed again."""
    kept, maps = clone / ".resume/smoke/DBDF", clone / "results/smoke/maps/DBDF"
    edit(clone, "classical: [SS]", "classical: [SS, DBDF]")
    repro = [sys.executable, "-m", "dvc", "repro", "-s", "classical@smoke-DBDF"]
    with open(clone / "killed.txt", "wb") as output:
        killed = subprocess.Popen(
            repro, cwd=clone, env=environment(clone), stdout=output, stderr=output, start_new_session=True
        )
        while not (done := list(kept.rglob("[!.]*.json"))) and killed.poll() is None:
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
    assert done, (clone / "killed.txt").read_text(encoding="utf-8")
    assert not maps.exists()
    time.sleep(3)  # the kernel is in a session of its own, and ends once it sees that papermill is gone
    Image.new("L", (64, 64), 77).save(done[0].with_suffix(".png"))
    run(clone, "dvc", "repro", "-s", "classical@smoke-DBDF")
    assert not kept.exists()
    photos = {
        maps / name / f"{record['stem']}.png": read_photo(clone / record["image"])
        for name in os.listdir(maps)
        for record in load_test(clone / "data/prepared/smoke" / name)
    }
    assert set(photos) == set(maps.rglob("*.png"))
    method = get_method("DBDF")
    (marked,) = (path for path, photo in photos.items() if not np.array_equal(read_map(path), method(photo)))
    assert done[0].stem.endswith(marked.stem)
    assert (read_map(marked) == 77).all()
    edit(clone, "classical: [SS, DBDF]", "classical: [SS]")


def learnt(clone):
    """Bytes of what a run gives."""
    folder = clone / "results/smoke/runs/magan-s-dut"
    names = ("model.safetensors", "discriminator.safetensors", "history.csv")
    return {name: (folder / name).read_bytes() for name in names}


def test_a_training_that_is_stopped_under_dvc_goes_on_to_the_same_bytes(clone):
    """Four times, a few rows after it went on. SLURM and systemd send a signal to all processes of a job,
    `kill` to one, which does not hand it on."""
    edit(clone, "steps: 8,", "steps: 200, save_seconds: 0,")
    once = ["dvc", "repro", "-s", "train-semi@smoke-magan-s-dut"]
    run(clone, *once)
    expected = learnt(clone)
    again = [*once, "--force", "--no-run-cache"]  # DVC has the outputs in its cache
    losses = clone / "results/smoke/live/losses/magan-s-dut.csv"

    def rows():
        return losses.read_text(encoding="utf-8").count("\n") if losses.exists() else 0

    stops = [(os.killpg, "SIGTERM"), (os.killpg, "SIGKILL"), (os.kill, "SIGTERM"), (os.killpg, "SIGINT")]
    for send, name in stops:
        losses.unlink()
        with open(clone / "stopped.txt", "wb") as output:
            stopped = subprocess.Popen(
                [sys.executable, "-m", *again], cwd=clone, env=environment(clone), stdout=output,
                stderr=output, start_new_session=True,
            )  # fmt: skip
            while stopped.poll() is None and not (begun := rows()):
                time.sleep(0.01)  # first those from before are written again
            while stopped.poll() is None and rows() < begun + 3:
                time.sleep(0.01)
            send(stopped.pid, getattr(signal, name))
            assert stopped.wait(60) != 0, name
        clones.wait_for(lambda: not clones.processes(clone), 60)
        told = (clone / "stopped.txt").read_text(encoding="utf-8")
        assert "Traceback" not in told
        assert ("was stopped. The same command goes on" in told) == (name != "SIGKILL"), told
        assert not (clone / "results/smoke/runs/magan-s-dut/model.safetensors").exists()
    run(clone, *again)
    assert learnt(clone) == expected
    record = (clone / "results/smoke/runs/magan-s-dut/provenance.json").read_text(encoding="utf-8")
    assert json.loads(record)["starts"] == 1 + len(stops)  # it went on each time
    assert not [path for path in (clone / ".resume").iterdir() if path.is_file()]
    edit(clone, "steps: 200, save_seconds: 0,", "steps: 8,")
