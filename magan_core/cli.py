"""The command `magan`."""

import argparse
import os
import sys
from pathlib import Path

from magan_core.commands import data, predict, train
from magan_core.errors import MaganError


def main(arguments: list[str] | None = None) -> None:
    """Parse and run; a MaganError becomes one line on standard error and exit status 1."""
    try:
        try:
            options = parser().parse_args(arguments)
            options.function(options)
        finally:
            sys.stdout.flush()  # here, where a broken pipe can still be caught
    except MaganError as error:
        print(f"magan: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt as stop:
        if str(stop):  # training says where it stopped
            print(f"magan: {stop}", file=sys.stderr)
        sys.exit(130)


def parser() -> argparse.ArgumentParser:
    """All sub-commands; each imports what it needs only when it runs."""
    top = argparse.ArgumentParser(prog="magan", description="Defocus blur detection with MA-GANet.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    predict.add_parser(commands)

    command = commands.add_parser("pack", help="a run's model at half its size, as the released one")
    command.add_argument("model", type=Path, help="model.safetensors of a run")
    command.add_argument("out", type=Path, metavar="FILE")
    command.set_defaults(function=pack)

    command = commands.add_parser("evaluate", help="score a folder of maps against masks")
    command.add_argument("--maps", required=True, type=Path)
    command.add_argument("--masks", required=True, type=Path)
    command.add_argument("--maps-white", default="focus", choices=["focus", "blur"])
    command.add_argument("--masks-white", default="focus", choices=["focus", "blur"])
    command.add_argument("--protocol", default="paper", help="see `magan protocols`")
    command.add_argument("--split", type=Path, help="text file of the stems to score, one a line")
    command.add_argument("--suffix", default="", help="what the maps' stems end in, for example _lbp")
    command.add_argument(
        "--resample", action="store_true", help="bring maps of another size to the masks' size"
    )
    command.add_argument("--resamples", type=int, default=2000, help="of the bootstrap (default 2000)")
    command.add_argument("--seed", type=int, default=1, help="of the bootstrap (default 1)")
    command.add_argument("--out", required=True, type=Path)
    command.set_defaults(function=evaluate)

    command = commands.add_parser("compare", help="paired differences between two folders of scores")
    command.add_argument("a", type=Path, help="--out folder of `magan evaluate`")
    command.add_argument("b", type=Path, help="another one, for the same images")
    command.add_argument("--protocol", default="paper", help="see `magan protocols`")
    command.add_argument("--resamples", type=int, default=2000)
    command.add_argument("--seed", type=int, default=1)
    command.set_defaults(function=compare)

    command = commands.add_parser("protocols", help="the conventions for scoring, by name")
    command.set_defaults(function=protocols)

    train.add_parser(commands)

    command = commands.add_parser("notebook", help="run a notebook with papermill; wrong parameters fail")
    command.add_argument("path", type=Path)
    command.add_argument("--out", required=True, type=Path, help="the executed copy")
    command.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    command.set_defaults(function=notebook)

    command = commands.add_parser(
        "clean-notebooks", help="the notebooks without outputs, for DVC to depend on"
    )
    command.add_argument("source", type=Path)
    command.add_argument("out", type=Path, nargs="?")
    command.add_argument("--check", action="store_true", help="fail if a notebook holds outputs")
    command.set_defaults(function=clean_notebooks)

    command = commands.add_parser("report", help="results/PROFILE/report.html from tables and figures")
    command.add_argument("name", metavar="PROFILE")
    command.set_defaults(function=report)

    command = commands.add_parser("pages", help="the executed notebooks of a profile as web pages")
    command.add_argument("name", metavar="PROFILE")
    command.set_defaults(function=pages)

    data.add_parser(commands)

    command = commands.add_parser("grid", help="the stages of a profile that can run beside each other")
    command.add_argument("name", nargs="?", metavar="PROFILE", help="the current one if none is named")
    command.set_defaults(function=grid)

    command = commands.add_parser("profile", help="show, check, or switch the profile of params.yaml")
    command.add_argument("name", nargs="?")
    command.add_argument("--current", action="store_true", help="print the current profile's name only")
    command.set_defaults(function=profile)
    return top


def pack(options: argparse.Namespace) -> None:
    """`magan pack`."""
    from magan_core.models.weights import load_model, read_header, save_model

    network, size = load_model(options.model)
    header = read_header(options.model)
    save_model(
        network,
        header["settings"],
        header["parts"],
        size,
        options.out,
        test_flip=header["test_flip"],
        half=True,
    )
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def evaluate(options: argparse.Namespace) -> None:
    """`magan evaluate`."""
    from magan_core.evaluation import evaluate as score
    from magan_core.metrics import SCORES

    summary = score(
        options.maps,
        options.masks,
        maps_white=options.maps_white,
        masks_white=options.masks_white,
        protocol=options.protocol,
        split=options.split,
        suffix=options.suffix,
        resample=options.resample,
        resamples=options.resamples,
        seed=options.seed,
        out=options.out,
    )
    print(f"protocol {summary['protocol']}: {summary['rules']}\n{summary['images']} images")
    for name in SCORES:
        low, high = (summary["intervals"] or {}).get(name, (None, None))
        interval = "" if low is None else f"  (95 % interval over images {low:.4f} to {high:.4f})"
        print(f"{name:9}{summary[name]:.4f}{interval}")
    for note in summary.get("notes", []):
        print(f"note: {note}")


def compare(options: argparse.Namespace) -> None:
    """`magan compare`."""
    from magan_core.evaluation import compare as difference

    keys = ("protocol", "resamples", "seed")
    found = difference(options.a, options.b, **{key: getattr(options, key) for key in keys})
    print(f"protocol {options.protocol}; {options.b} minus {options.a}")
    for name, one in found.items():
        print(
            f"{name:9}{one.difference:+.4f}  (95 % interval {one.low:+.4f} to {one.high:+.4f}, p {one.p:.4f})"
        )


def protocols(options: argparse.Namespace) -> None:
    """`magan protocols`."""
    from magan_core.metrics import PROTOCOLS

    for name, protocol in PROTOCOLS.items():
        print(f"{name}\n    {protocol}\n    {protocol.source}")


def notebook(options: argparse.Namespace) -> None:
    """`magan notebook`."""
    from magan_core.notebook import run

    run(options.path, options.out, options.parameter)


def clean_notebooks(options: argparse.Namespace) -> None:
    """`magan clean-notebooks`."""
    from magan_core.notebook import clean, without_outputs

    if options.check == (options.out is not None):
        raise MaganError("name either a folder for the cleaned notebooks or --check.")
    for source in sorted(options.source.glob("*.ipynb")):
        if not options.check:
            clean(source, options.out / f"{source.stem}.json")
        elif not without_outputs(source):
            raise MaganError(
                f"{source} holds outputs. Clear them before you commit: Edit > Clear Outputs of All Cells."
            )


def report(options: argparse.Namespace) -> None:
    """`magan report`."""
    from magan_core import params, paths
    from magan_core.reporting.report import build_report

    settings = params.get_profile(params.load(), options.name)
    build_report(options.name, settings, paths.results(options.name), paths.report(options.name))
    print(paths.report(options.name))


def grid(options: argparse.Namespace) -> None:
    """`magan grid`."""
    from magan_core import params

    settings = params.load()
    chosen = params.get_profile(settings, options.name) if options.name else settings["profile"]
    print("\n".join(params.grid(chosen)))


def pages(options: argparse.Namespace) -> None:
    """`magan pages`."""
    from magan_core import params, paths
    from magan_core.reporting.pages import render

    params.get_profile(params.load(), options.name)
    print(render(paths.notebooks(options.name), paths.pages(options.name))[0])


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
        print(f"{'*' if name == current else ' '} {name}: {len(entry['runs'])} runs")
