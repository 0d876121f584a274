"""The command `magan`."""

import argparse
import errno
import io
import os
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from magan_core import __version__
from magan_core.commands import data, evaluate, predict, train
from magan_core.commands.options import named_path
from magan_core.errors import MaganError
from magan_core.wording import counted

DESCRIPTION = """Which parts of a photograph are in focus: maps of photographs, their scores, and the tables
and figures of the paper MA-GANet."""
EPILOG = """`magan COMMAND --help` explains a command. predict, evaluate, compare, protocols and pack work in
any folder; the others in that of params.yaml."""

# What a name that a user gives, or where it lies, can be the reason of.
NAMED = {
    errno.ENOENT, errno.EACCES, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENOSPC,
    errno.EDQUOT, errno.EROFS,
}  # fmt: skip


class Outlet:
    """Standard output or error, of which what is printed once its reader is gone, say `head`, is lost without
    a word: the work goes on, and the exit status is that of the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self.lose()
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except BrokenPipeError:
            self.lose()

    def lose(self) -> None:
        """Let go of what is printed from here on, and of what the stream still holds."""
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())


def main(arguments: list[str] | None = None) -> None:
    """Parse and run; a MaganError becomes one line on standard error and exit status 1."""
    # Before torch is loaded: threads that spin while they wait starve beside a busy neighbour.
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    for stream in (sys.stdout, sys.stderr):  # names of files may be no text of its encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    with ExitStack() as stack:
        for stream, redirect in ((sys.stdout, redirect_stdout), (sys.stderr, redirect_stderr)):
            if stream is None:  # closed from the start, as by some launchers; tqdm and others want one
                stream = stack.enter_context(open(os.devnull, "w", errors="backslashreplace"))
            stack.enter_context(redirect(Outlet(stream)))
        _run(arguments)


def _run(arguments: list[str] | None) -> None:
    try:
        try:
            options = parser().parse_args(arguments)
            options.function(options)
        finally:
            sys.stdout.flush()  # here, where a full disk can still be told of
    except MaganError as error:
        print(f"magan: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename and error.errno in NAMED:
            print(f"magan: {error.filename}: {error.strerror}", file=sys.stderr)
            sys.exit(1)
        if error.errno != errno.ENOSPC:
            raise
        sys.stdout.lose()
        print(f"magan: cannot write what is printed: {error.strerror}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt as stop:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one, while threads of torch end, would abort
        if str(stop):  # training says where it stopped
            print(f"magan: {stop}", file=sys.stderr)
        sys.exit(128 + getattr(stop, "signal", signal.SIGINT))


def parser() -> argparse.ArgumentParser:
    """All sub-commands; each imports what it needs only when it runs."""
    top = argparse.ArgumentParser(prog="magan", description=DESCRIPTION, epilog=EPILOG)
    top.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    predict.add_parser(commands)

    evaluate.add_parsers(commands)
    data.add_parser(commands)

    command = commands.add_parser(
        "profile",
        help="list the profiles of params.yaml, or switch to one",
        description="List the profiles with the number of their runs, or switch params.yaml to one and list "
        "them. The one with a star is what `make repro` and `dvc repro` make.",
    )
    command.add_argument("name", metavar="PROFILE", nargs="?", help="switch to this one")
    command.add_argument("--current", action="store_true", help="print the current profile's name only")
    command.set_defaults(function=profile)

    train.add_parser(commands)

    command = commands.add_parser(
        "grid",
        help="list the stages of a profile that can run beside each other",
        description="List the stages of a profile that need nothing of each other, one a line, for DVC's "
        "queue or an array of SLURM: trainings and classical detectors (docs/scaling.md).",
    )
    command.add_argument("name", nargs="?", metavar="PROFILE", help="the current one if none is named")
    command.add_argument(
        "--jobs",
        action="store_true",
        help="print instead how many trainings `make repro` runs at once here, by cores and memory",
    )
    command.set_defaults(function=grid)

    _of_profile(
        commands,
        inputs,
        help="list what a profile reads from elsewhere",
        description="List the photographs, weights and published maps that a profile reads, with SHA-256, in "
        "build/inputs/PROFILE. `make repro` begins with it, so that stages run again when one has changed.",
    )
    _of_profile(
        commands,
        report,
        help="build results/PROFILE/report.html from tables and figures",
        description="Build results/PROFILE/report.html from the tables and figures that are there, as "
        "`make repro` does.",
    )
    _of_profile(
        commands,
        pages,
        help="render the executed notebooks as web pages",
        description="Render the executed notebooks of a profile as web pages in results/PROFILE/pages, as "
        "`make repro` does once the report is there.",
    )
    _of_profile(
        commands,
        check,
        help="fail unless every run has learnt something",
        description="Fail unless every run of a profile beats the baselines on its own test set by the "
        "margin of params.yaml, and write the comparisons to results/PROFILE/check.txt. `make repro` ends "
        "with it.",
    )

    command = commands.add_parser(
        "pack",
        help="write a run's model at half its size",
        description="Write a run's model with 16-bit weights, half as large: what the released model is. Of "
        "several models, all trained on from the same weights, write the mean of the weights.",
    )
    command.add_argument(
        "models", metavar="MODEL", type=named_path, nargs="+", help="model.safetensors of a run"
    )
    command.add_argument("--out", required=True, metavar="FILE", type=named_path, help="the file to write")
    command.set_defaults(function=pack)

    command = commands.add_parser(
        "notebook",
        help="run a notebook from the top, with parameters",
        description="Run a notebook in a fresh kernel with papermill, and keep the executed copy. A "
        "parameter that the notebook does not have, or of another type, is an error.",
    )
    command.add_argument("path", metavar="NOTEBOOK", type=named_path, help="the notebook; it is not changed")
    command.add_argument("--out", required=True, type=named_path, help="the executed copy")
    command.add_argument(
        "-p",
        "--parameter",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="for a name of the notebook's parameters cell; as often as needed",
    )
    command.set_defaults(function=notebook)

    command = commands.add_parser(
        "clean-notebooks",
        help="write notebooks without outputs, or check that they have none",
        description="Write what matters of each notebook, without outputs, ids and metadata, for DVC to "
        "depend on; or, with --check, fail if one holds outputs, as `make hooks` has Git do before a commit.",
    )
    command.add_argument("source", metavar="FOLDER", type=named_path, help="with notebooks")
    command.add_argument("out", metavar="OUT", type=named_path, nargs="?", help="folder for the cleaned ones")
    command.add_argument("--check", action="store_true", help="write nothing; fail if one holds outputs")
    command.set_defaults(function=clean_notebooks)
    return top


def _of_profile(commands, function: Callable[[argparse.Namespace], None], **told: str) -> None:
    """Add a sub-command that takes nothing but a profile."""
    command = commands.add_parser(function.__name__, **told)
    command.add_argument("name", metavar="PROFILE", help="see `magan profile`")
    command.set_defaults(function=function)


def pack(options: argparse.Namespace) -> None:
    """`magan pack`."""
    from magan_core.models.weights import load_mean, read_header, save_model

    if options.out.exists():
        try:
            read_header(options.out)
        except MaganError as error:
            raise MaganError(
                f"{options.out} is there already and no model of this project. Choose another name for --out."
            ) from error
    network, size = load_mean(options.models)
    header = read_header(options.models[0])
    save_model(
        network,
        header["settings"],
        header["parts"],
        size,
        options.out,
        test_scales=header["test_scales"],
        test_flip=header["test_flip"],
        half=True,
    )
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def notebook(options: argparse.Namespace) -> None:
    """`magan notebook`."""
    from magan_core.notebook import run

    run(options.path, options.out, options.parameter)


def clean_notebooks(options: argparse.Namespace) -> None:
    """`magan clean-notebooks`."""
    from magan_core.notebook import clean, without_outputs

    if options.check == (options.out is not None):
        raise MaganError("name either a folder for the cleaned notebooks or --check.")
    notebooks = sorted(options.source.glob("*.ipynb"))
    if not notebooks:
        raise MaganError(f"{options.source} holds no notebook (.ipynb). Name a folder that does.")
    for source in notebooks:
        if not options.check:
            clean(source, options.out / f"{source.stem}.json")
        elif not without_outputs(source):
            raise MaganError(
                f"{source} holds outputs. Clear them before you commit: Edit > Clear Outputs of All Cells."
            )


def inputs(options: argparse.Namespace) -> None:
    """`magan inputs`."""
    from magan_core import params, paths
    from magan_core.data.inputs import write

    settings = params.load()
    profile = params.get_profile(settings, options.name)
    counts = write(profile, settings["folders"], paths.inputs(options.name))
    print(", ".join(f"{kind}: {counted(count, 'file')}" for kind, count in counts.items()))


def report(options: argparse.Namespace) -> None:
    """`magan report`."""
    from magan_core import params, paths
    from magan_core.reporting.report import build_report

    settings = params.get_profile(params.load(), options.name)
    _made(paths.results(options.name) / "tables/claims.csv", options.name)
    build_report(options.name, settings, paths.results(options.name), paths.report(options.name))
    print(paths.report(options.name))


def _made(path: Path, profile: str) -> None:
    """MaganError unless `make repro` has made this file or folder of the profile."""
    if not path.exists():
        raise MaganError(f"{path} is not there; `make repro PROFILE={profile}` makes it.")


def grid(options: argparse.Namespace) -> None:
    """`magan grid`."""
    from magan_core import params

    settings = params.load()
    chosen = params.get_profile(settings, options.name) if options.name else settings["profile"]
    if options.jobs:
        from magan_core.jobs import jobs

        print(jobs(chosen))
    else:
        print("\n".join(params.grid(chosen)))


def pages(options: argparse.Namespace) -> None:
    """`magan pages`."""
    from magan_core import params, paths
    from magan_core.reporting.pages import render

    profile = params.get_profile(params.load(), options.name)
    _made(paths.notebooks(options.name), options.name)
    folders = paths.notebooks(options.name), paths.pages(options.name)
    print(render(options.name, *folders, runs=[*profile["runs"], *profile["classical"]])[0])


def check(options: argparse.Namespace) -> None:
    """`magan check`."""
    from magan_core import params, paths, roles
    from magan_core.checks import Missed, beats_baselines
    from magan_core.files import read_json, write_text

    profile = params.get_profile(params.load(), options.name)
    _made(paths.results(options.name) / "metrics.json", options.name)
    own = {run: roles.test_sets(profile, definition)[0] for run, definition in profile["runs"].items()}
    results = paths.results(options.name)
    out = results / "check.txt"
    try:
        lines = beats_baselines(read_json(results / "metrics.json"), own, profile["check"])
    except Missed:
        out.unlink(missing_ok=True)  # that of an earlier check says otherwise
        raise
    write_text(out, "\n".join(lines) + "\n")
    unchecked = profile["check"]["mae_margin"] is None
    print(lines[0] if unchecked else f"{counted(len(lines), 'comparison')}: {out}")


def profile(options: argparse.Namespace) -> None:
    """`magan profile`."""
    from magan_core import params

    if options.name:
        params.switch(options.name)
    settings = params.load()
    current = settings["profile"]["name"]
    if options.current:
        print(current)
        return
    for name, entry in settings["profiles"].items():
        star, runs = "*" if name == current else " ", counted(len(entry["runs"]), "run")
        print(f"{star} {name}, {runs}: {entry['about']}")
