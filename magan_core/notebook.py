"""Run a parameterized notebook with papermill, strictly; and the bytes of a notebook that count."""

import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import yaml

from magan_core import strict_yaml
from magan_core.errors import Interrupted, MaganError, nearest
from magan_core.files import write_text

# jsonschema, which checks notebooks, checks international addresses as well if this is there: a grammar that
# takes two seconds to build, for nothing that a notebook has.
sys.modules.setdefault("rfc3987_syntax", None)
import nbformat  # noqa: E402

STARTS = 3  # of a kernel: one whose ports, chosen a moment before, another program has taken since dies
STARTING = 300  # seconds that a kernel has to answer, on a machine that is busy with others
SAVING = 60.0  # seconds in which a cell that was interrupted has to end: two steps of training, and a state
SHELLS = ("sh", "dash", "bash", "zsh", "ksh", "fish")


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook; a missing or broken one is a MaganError."""
    try:
        return nbformat.read(path, as_version=4)
    except (
        OSError,
        AttributeError,
        ValueError,
        nbformat.reader.NotJSONError,
        nbformat.ValidationError,
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise MaganError(
            f"cannot read notebook {path}: {reason}. Name an .ipynb file that Jupyter opens."
        ) from error


def clean(source: Path, out: Path) -> None:
    """Write a notebook without outputs, execution counts, cell ids and volatile metadata: the part that
    matters."""
    cells = [
        {"cell_type": cell.cell_type, "source": cell.source, "tags": cell.metadata.get("tags", [])}
        for cell in read(source).cells
    ]
    write_text(out, json.dumps(cells, indent=1, ensure_ascii=False) + "\n")


def without_outputs(path: Path) -> bool:
    """Whether a notebook is fit to commit: no outputs and no execution counts."""
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    return not any(cell.outputs or cell.execution_count for cell in code)


def defaults(path: Path) -> dict[str, Any]:
    """Parameters of a notebook and their default values, from its one cell tagged `parameters`."""
    cells = [cell for cell in read(path).cells if "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise MaganError(
            f"notebook {path} has {len(cells)} cells tagged 'parameters'; it must have exactly one."
        )
    values: dict[str, Any] = {}
    exec(compile(cells[0].source, str(path), "exec"), values)  # our own notebook's cell of plain assignments
    values.pop("__builtins__", None)
    return values


def run(path: Path, out: Path, given: list[str]) -> None:
    """Execute a notebook from a fresh kernel and keep the executed copy at `out` (also when it fails, as
    .failed).

    given: `name=value`, values in YAML. Errors: MaganError for a parameter that the notebook does not have,
    or of another type than its default, and when a cell fails (the traceback is in the executed copy).
    Interrupted after SIGINT or SIGTERM, or when the DVC that runs this is gone, when the notebook has
    had time to save.
    """
    expected = defaults(path)
    parameters: dict[str, Any] = {}
    for item in given:
        name, separator, text = item.partition("=")
        if not separator:
            raise MaganError(f"parameter '{item}' is not of the form name=value.")
        nearest(name, expected, f"parameter of {path}")
        try:
            value = strict_yaml.load(text)
        except yaml.YAMLError as error:
            raise MaganError(
                f"parameter '{item}' is not valid YAML: {' '.join(str(error).split())}. Quote its value."
            ) from error
        if type(value) is not type(expected[name]):
            raise MaganError(
                f"parameter {name} of {path} must be {type(expected[name]).__name__} "
                f"(its default is {expected[name]!r}), not {value!r}."
            )
        parameters[name] = value

    if out.resolve() == path.resolve():
        raise MaganError(f"the executed copy would take the place of {path}; name another file for it.")
    import papermill  # late: the checks above need not wait for it
    from nbclient.exceptions import DeadKernelError

    root = str(Path.cwd())
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MaganError(f"cannot write {out}: {error.strerror}. Choose another folder.") from error
    working = out.with_suffix(".failed.ipynb")
    kernel = _ending_in_order()
    before = {number: signal.signal(number, _stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with _not_without_dvc():
            _started(
                papermill.execute_notebook,
                path, working, parameters=parameters, kernel_name="python3", language="python", cwd=root,
                start_timeout=STARTING, progress_bar=False, stdout_file=sys.stdout, stderr_file=sys.stderr,
                # papermill tells what cells raise; at 40 the kernel tells of sockets that a stop has closed
                extra_arguments=["--IPKernelApp.log_level=50"],
                **kernel,
            )  # fmt: skip
    except KeyboardInterrupt as stop:
        kernel["kernel_manager_class"].kill_unused()
        raise Interrupted(
            f"{path} was stopped. The same command goes on from what it has saved.",
            getattr(stop, "signal", signal.SIGINT),
        ) from stop
    except papermill.PapermillExecutionError as error:
        said = " ".join(error.evalue.split()).rstrip(".")
        raise MaganError(
            f"{path} failed in cell {error.exec_count}: {error.ename}: {said}. The executed copy is "
            f"{working}."
        ) from error
    except DeadKernelError as error:
        raise MaganError(
            f"the kernel of {path} died, perhaps for want of memory: close programs, or lower "
            f"`batch` or the sizes in params.yaml. The executed copy is {working}."
        ) from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    working.replace(out)


def _started(execute: Callable[..., Any], path: Path, working: Path, **options: Any) -> None:
    """Execute a notebook; again, where its kernel dies before it has run anything. MaganError when it always
    does, or does not answer; the copy, in which nothing has run, goes."""
    for left in reversed(range(STARTS)):
        try:
            execute(path, working, **options)
            return
        except RuntimeError as error:  # of jupyter_client's wait_for_ready
            died = "died before replying" in str(error)
            if not died and "didn't respond" not in str(error):
                raise
            working.unlink(missing_ok=True)
            if not died:
                raise MaganError(
                    f"the kernel of {path} did not answer within {STARTING} s; is the machine overloaded? "
                    "Run it again when less goes on."
                ) from error
            if not left:
                raise MaganError(
                    f"the kernel of {path} died {STARTS} times as it started. "
                    f"`{sys.executable} -m ipykernel_launcher` says why, or waits if it works."
                ) from error
            print(f"the kernel of {path} died as it started; starting it again", file=sys.stderr)


def _stop(number: int, frame: FrameType | None) -> None:
    """SIGTERM as Ctrl-C, so that the kernel can save; then no SIGTERM more, which would not let it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("asyncio", "papermill", "traitlets"):  # of what waits for the kernel's answer
        logging.getLogger(name).setLevel(logging.CRITICAL)
    raise Interrupted("", number)


@contextmanager
def _not_without_dvc() -> Iterator[None]:
    """Interrupt this process when it is a stage of DVC's and that DVC is gone.

    DVC ends at once on SIGTERM and tells nobody: the stage would work on unseen, beside the one that the next
    `dvc repro` starts.
    """
    if "DVC_STAGE" not in os.environ:  # DVC sets it for every stage
        yield
        return
    import psutil

    runner = psutil.Process().parent()
    while runner and runner.name() in SHELLS and runner.parent():  # DVC starts a shell; some stay in between
        runner = runner.parent()
    done = threading.Event()

    def gone() -> bool:
        try:
            return not runner.is_running() or runner.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True

    def watch() -> None:
        while not done.wait(1):
            if gone():
                signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
                return

    if runner:
        threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _ending_in_order() -> dict[str, Any]:
    """Arguments of nbclient by which a kernel is interrupted at its end only while a cell runs, and can be
    killed while it starts.

    jupyter_client interrupts every kernel before it asks it to end, so that a cell that runs can save. A
    kernel that is done, and still puts away the last message, reports that as an error, which it is not.
    """
    from jupyter_client import AsyncKernelManager

    class Manager(AsyncKernelManager):
        running = False  # a cell
        latest = None
        shutdown_wait_time = 2 * SAVING  # after half of it comes a SIGTERM, which ends the cell

        async def _async_interrupt_kernel(self) -> None:
            if Manager.running or not self.shutting_down:
                await super()._async_interrupt_kernel()

        interrupt_kernel = _async_interrupt_kernel

        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            Manager.latest = self

        @classmethod
        def kill_unused(cls) -> None:
            """Kill the kernel unless a cell runs: nbclient leaves one alive that is stopped as it starts."""
            process = cls.latest and getattr(cls.latest.provisioner, "process", None)
            if process and not cls.running:
                process.kill()

    return {
        "kernel_manager_class": Manager,
        "on_cell_execute": lambda **cell: setattr(Manager, "running", True),
        "on_cell_executed": lambda **cell: setattr(Manager, "running", False),
    }
