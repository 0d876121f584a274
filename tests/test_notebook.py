"""Notebooks: strict parameters, cleaned bytes, and the ones that are shipped."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import clones
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from magan_core import notebook
from magan_core.errors import MaganError

ROOT = Path(__file__).parent.parent
SHIPPED = sorted((ROOT / "notebooks").glob("*.ipynb"))


def write(path, *cells):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=list(cells)), path)
    return path


def parameters(source='profile = "demo"\nsteps = 3\nrate = 0.5\nquick = True'):
    return new_code_cell(source, metadata={"tags": ["parameters"]})


@pytest.fixture
def never(monkeypatch):
    """Fails the test if a notebook is executed."""
    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("it was executed"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("profil=smoke", "did you mean 'profile'"),
        ("profile", "not of the form name=value"),
        ("profile=3", "must be str"),
        ("steps=3.5", "must be int"),
        ("steps=true", "must be int"),
        ("rate=fast", "must be float"),
        ("quick=1", "must be bool"),
        ("steps=[1", "not valid YAML"),
    ],
)
def test_a_wrong_parameter_fails_before_execution(tmp_path, never, given, message):
    path = write(tmp_path / "a.ipynb", parameters())
    with pytest.raises(MaganError, match=message):
        notebook.run(path, tmp_path / "out" / "a.ipynb", [given])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("count", [0, 2])
def test_there_must_be_one_cell_of_parameters(tmp_path, never, count):
    path = write(tmp_path / "a.ipynb", new_code_cell("x = 1"), *[parameters() for _ in range(count)])
    with pytest.raises(MaganError, match=f"has {count} cells tagged 'parameters'"):
        notebook.run(path, tmp_path / "out.ipynb", [])


def test_a_missing_and_a_broken_notebook(tmp_path, never):
    (tmp_path / "broken.ipynb").write_text('{"cells": [')
    (tmp_path / "other.ipynb").write_text("[1, 2]")
    for name in ("missing", "broken", "other"):
        with pytest.raises(MaganError, match=f"cannot read notebook .*{name}") as caught:
            notebook.run(tmp_path / f"{name}.ipynb", tmp_path / "out.ipynb", [])
        assert "\n" not in str(caught.value)


def test_an_out_folder_that_cannot_be_made(tmp_path, never):
    path = write(tmp_path / "a.ipynb", parameters())
    (tmp_path / "file").write_text("x")
    with pytest.raises(MaganError, match="cannot write"):
        notebook.run(path, tmp_path / "file" / "out" / "a.ipynb", [])


def test_a_notebook_is_not_overwritten_by_its_executed_copy(tmp_path, never, monkeypatch):
    path = write(tmp_path / "a.ipynb", parameters())
    before = path.read_bytes()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MaganError, match="would take the place of"):
        notebook.run(path, Path("a.ipynb"), [])
    assert path.read_bytes() == before


def test_defaults(tmp_path):
    found = notebook.defaults(write(tmp_path / "a.ipynb", parameters()))
    assert found == {"profile": "demo", "steps": 3, "rate": 0.5, "quick": True}


@pytest.mark.filterwarnings("ignore")  # of the Jupyter client's own sockets, when its kernel ends
def test_a_notebook_runs_in_the_current_folder_with_its_parameters(tmp_path, monkeypatch):
    """In a folder with a space; a cell that fails leaves the executed copy as .failed, a success takes it
    away."""
    folder = tmp_path / "a folder"
    path = write(
        folder / "notebooks" / "a.ipynb",
        parameters("text = 'x'\nfail = False\nrate = 0.5"),
        new_code_cell(
            "from pathlib import Path\n"
            "Path('written.txt').write_text(f'{text} {rate}')\n"
            "if fail:\n    raise ValueError('as asked')"
        ),
    )
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", "")
    out = folder / "results" / "a.ipynb"
    with pytest.raises(
        MaganError, match=r"failed in cell \d+: ValueError: as asked.*a\.failed\.ipynb"
    ) as caught:
        notebook.run(path, out, ["text=ü", "fail=true", "rate=1e-4"])
    assert "\n" not in str(caught.value)
    assert (folder / "written.txt").read_text() == "ü 0.0001"
    assert [file.name for file in out.parent.iterdir()] == ["a.failed.ipynb"]
    notebook.run(path, out, ["text=again"])
    assert (folder / "written.txt").read_text() == "again 0.5"
    assert [file.name for file in out.parent.iterdir()] == ["a.ipynb"]


DIES = """
import os, sys
from pathlib import Path
if "ipykernel_launcher" in sys.orig_argv:
    starts = Path(os.environ["STARTS"])
    starts.write_text(starts.read_text() + "x")
    if len(starts.read_text()) <= int(os.environ["DYING"]):
        os._exit(1)
"""


@pytest.mark.filterwarnings("ignore")  # of the Jupyter client's own sockets, when its kernel ends
@pytest.mark.parametrize(("dying", "starts"), [(2, 3), (3, 3)])
def test_a_kernel_that_dies_as_it_starts_is_started_again(tmp_path, monkeypatch, capsys, dying, starts):
    """As one does whose ports another has taken; nothing has run by then."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(DIES)
    (tmp_path / "starts").write_text("")
    path = write(tmp_path / "a.ipynb", parameters(), new_code_cell("open('ran', 'a').write('once')"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("STARTS", str(tmp_path / "starts"))
    monkeypatch.setenv("DYING", str(dying))
    if dying < starts:
        notebook.run(path, tmp_path / "out.ipynb", [])
        assert (tmp_path / "ran").read_text() == "once"
    else:
        with pytest.raises(MaganError, match=r"a\.ipynb died 3 times as it started.*-m ipykernel_launcher"):
            notebook.run(path, tmp_path / "out.ipynb", [])
        assert not (tmp_path / "ran").exists()
        assert not list(tmp_path.glob("out*"))
    assert "died as it started; starting it again" in capsys.readouterr().err
    assert len((tmp_path / "starts").read_text()) == starts


SLOW_ANSWER = """
import time
handlers = get_ipython().kernel.shell_handlers
answer = handlers["kernel_info_request"]
async def slow(*message):
    await answer(*message)
    time.sleep(0.5)
handlers["kernel_info_request"] = slow
"""


@pytest.mark.filterwarnings("ignore")  # of the Jupyter client's own sockets, when its kernel ends
def test_a_kernel_that_is_done_is_not_interrupted(tmp_path, monkeypatch, capfd):
    """papermill's last question is answered, and the kernel is still busy with it, when its end comes."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "a.ipynb", parameters(), new_code_cell(SLOW_ANSWER))
    notebook.run(path, tmp_path / "out.ipynb", [])
    assert (tmp_path / "out.ipynb").exists()
    assert "Interrupt" not in capfd.readouterr().err


# ---- cleaned bytes ----


def cleaned(tmp_path, *cells):
    write(tmp_path / "a.ipynb", *cells)
    notebook.clean(tmp_path / "a.ipynb", tmp_path / "a.json")
    return (tmp_path / "a.json").read_bytes()


def test_outputs_counts_ids_and_volatile_metadata_do_not_count(tmp_path):
    bare = cleaned(tmp_path, new_markdown_cell("# ü"), parameters("x = 1"))
    cell = parameters("x = 1")
    cell.execution_count, cell.id = 7, "another"
    cell.metadata |= {"collapsed": True, "papermill": {"duration": 1.5}}
    cell.outputs = [new_output("stream", text="hello")]
    assert cleaned(tmp_path, new_markdown_cell("# ü"), cell) == bare
    assert not notebook.without_outputs(tmp_path / "a.ipynb")


def test_source_kind_order_and_tags_count(tmp_path):
    variants = [
        [new_code_cell("x = 1")],
        [new_code_cell("x = 2")],
        [new_markdown_cell("x = 1")],
        [parameters("x = 1")],
        [new_code_cell("x = 1"), new_code_cell("x = 2")],
        [new_code_cell("x = 2"), new_code_cell("x = 1")],
    ]
    assert len({cleaned(tmp_path, *cells) for cells in variants}) == len(variants)


# ---- the ones that are shipped ----


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_notebooks_are_fit_to_commit(path):
    assert notebook.without_outputs(path)
    assert notebook.defaults(path)["profile"] == "demo"
    text = path.read_text(encoding="utf-8")
    content = json.loads(text)
    assert content["metadata"]["kernelspec"]["name"] == "python3"
    first, second, third = content["cells"][:3]
    assert first["cell_type"] == "markdown"
    assert "".join(first["source"]).startswith("# ")
    assert "import" in "".join(second["source"])
    assert third["metadata"]["tags"] == ["parameters"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_links_between_notebooks_lead_somewhere(path):
    prose = [cell.source for cell in notebook.read(path).cells if cell.cell_type == "markdown"]
    links = re.findall(r"\]\(([^)#]+)", "\n".join(prose))
    local = [link for link in links if "://" not in link]
    assert local, "a notebook says what comes before or after it"
    assert not [link for link in local if not (path.parent / link).exists()]


def test_there_are_notebooks():
    assert [path.name[:3] for path in SHIPPED] == [f"{number:02}_" for number in range(len(SHIPPED))]
    assert len(SHIPPED) >= 9


DVC = "import subprocess, sys; subprocess.run(sys.argv[1], shell=True)"  # as it starts a stage


def waits_for_a_signal(path: Path, seconds: int) -> None:
    """A notebook that touches `ready`, and `saved` some seconds after a signal."""
    source = (
        "import time\nfrom pathlib import Path\nfrom magan_core.training.state import stoppable\n"
        "with stoppable() as stop:\n    Path('ready').touch()\n    while not stop.signal:\n"
        f"        time.sleep(0.05)\n    time.sleep({seconds})\n    Path('saved').touch()\n"
    )
    cells = [nbformat.v4.new_code_cell("a = 1", metadata={"tags": ["parameters"]})]
    cells.append(nbformat.v4.new_code_cell(source))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("under_dvc", "send", "number"),
    [
        (False, os.kill, signal.SIGINT),
        (False, os.kill, signal.SIGTERM),
        (True, os.killpg, signal.SIGTERM),
        (True, os.kill, signal.SIGTERM),
    ],
    ids=["SIGINT", "SIGTERM", "SIGTERM to DVC and all its stage", "SIGTERM to DVC alone"],
)
def test_a_signal_reaches_the_kernel_which_has_time_to_save(tmp_path, under_dvc, send, number):
    waits_for_a_signal(tmp_path / "n.ipynb", seconds=6)
    command = [sys.executable, "-m", "magan_core", "notebook", "n.ipynb", "--out", "done.ipynb"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    if under_dvc:
        command = [sys.executable, "-c", DVC, shlex.join(command)]
        environment["DVC_STAGE"] = "a stage"
    with open(tmp_path / "errors.txt", "wb") as errors:
        process = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stderr=errors, start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background jobs
        )  # fmt: skip
    try:
        clones.wait_for((tmp_path / "ready").exists, 120)
        send(process.pid, number)
        status = process.wait(timeout=60)
        assert status == (-number if under_dvc else 128 + number)
        clones.wait_for(lambda: not clones.processes(tmp_path), 60)
    finally:
        process.kill()
        process.wait()
    told = (tmp_path / "errors.txt").read_text(encoding="utf-8")
    assert (tmp_path / "saved").exists(), told
    assert not (tmp_path / "done.ipynb").exists()
    assert "Traceback" not in told
    assert told.endswith("magan: n.ipynb was stopped. The same command goes on from what it has saved.\n")


SLEEPS = """
import sys, time
from pathlib import Path
if "ipykernel_launcher" in sys.orig_argv:
    Path("starting").touch()
    time.sleep(120)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_kernel_that_starts(tmp_path, number):
    waits_for_a_signal(tmp_path / "n.ipynb", seconds=0)
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(SLEEPS)
    process = subprocess.Popen(
        [sys.executable, "-m", "magan_core", "notebook", "n.ipynb", "--out", "done.ipynb"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": f"{tmp_path / 'site'}:{ROOT}"}, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background jobs
    )  # fmt: skip
    try:
        clones.wait_for((tmp_path / "starting").exists, 60)
        time.sleep(1)  # the kernel is waited for
        process.send_signal(number)
        told = process.communicate(timeout=30)[1]  # to its end, which the kernel could write on beyond
        assert process.returncode == 128 + number
        assert told.endswith("n.ipynb was stopped. The same command goes on from what it has saved.\n")
        clones.wait_for(lambda: not clones.processes(tmp_path), 20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "saved"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_a_signal_to_plain_papermill(tmp_path, number, saved):
    """Which passes on Ctrl-C alone, and gives the kernel five seconds. No kernel is left."""
    waits_for_a_signal(tmp_path / "n.ipynb", seconds=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "papermill", "n.ipynb", "done.ipynb"], cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in background jobs
    )  # fmt: skip
    try:
        clones.wait_for((tmp_path / "ready").exists, 120)
        process.send_signal(number)
        assert process.wait(timeout=60) != 0
        clones.wait_for(lambda: not clones.processes(tmp_path), 60)
    finally:
        process.kill()
        process.wait()
    assert (tmp_path / "saved").exists() == saved


@pytest.mark.parametrize(
    "kept", [{"execution_count": 3}, {"outputs": [new_output("stream", text="x")]}], ids=["count", "output"]
)
def test_outputs_or_counts_alone_are_not_fit_to_commit(tmp_path, kept):
    for more in ({}, kept):
        nbformat.write(new_notebook(cells=[new_code_cell("1", **more)]), tmp_path / "a.ipynb")
        assert notebook.without_outputs(tmp_path / "a.ipynb") == (not more)
