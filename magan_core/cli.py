"""The command `magan`."""

import argparse
import os
import sys
from pathlib import Path

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

    command = commands.add_parser("predict", help="in-focus maps of photographs (white = in focus)")
    command.add_argument("photos", nargs="+", type=Path, metavar="IMAGE_OR_FOLDER")
    command.add_argument(
        "--out", required=True, type=Path, help="folder for the maps, one 8-bit PNG a photograph"
    )
    command.add_argument("--model", type=Path, required=True, help="model.safetensors of a run")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command.set_defaults(function=predict)

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

    command = commands.add_parser(
        "train", help="train a run and map its test photographs, in one process or under torchrun"
    )
    command.add_argument("run")
    command.add_argument("--profile", help="of params.yaml (default: the one it is switched to)")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command.add_argument(
        "--timeout", type=float, default=600.0, help="seconds to wait for another process (default 600)"
    )
    command.set_defaults(function=train)

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

    command = commands.add_parser("profile", help="show, check, or switch the profile of params.yaml")
    command.add_argument("name", nargs="?")
    command.add_argument("--current", action="store_true", help="print the current profile's name only")
    command.set_defaults(function=profile)
    return top


def predict(options: argparse.Namespace) -> None:
    """`magan predict`."""
    from magan_core.data.images import SUFFIXES
    from magan_core.models.weights import load_model
    from magan_core.prediction import predict_files
    from magan_core.training.run import choose_device

    photos: list[Path] = []
    for path in options.photos:
        if not path.exists():
            raise MaganError(f"{path} does not exist. Name a photograph or a folder of photographs.")
        inside = (
            sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES) if path.is_dir() else [path]
        )
        if not inside:
            raise MaganError(f"{path} holds no photograph ({', '.join(sorted(SUFFIXES))}).")
        photos += inside
    stems: dict[str, Path] = {}
    for photo in photos:
        if photo.stem in stems:
            raise MaganError(
                f"{stems[photo.stem]} and {photo} would give the same map name. Predict them apart."
            )
        stems[photo.stem] = photo
        if (options.out / f"{photo.stem}.png").resolve() == photo.resolve():
            raise MaganError(f"the map of {photo} would overwrite it. Choose another folder for --out.")
    device = choose_device(options.device)
    model, size = load_model(options.model, device)
    seconds = predict_files(model, photos, options.out, size=size, device=device)
    print(f"{len(photos)} maps in {options.out}, {seconds:.3f} s an image on {device}")


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


def train(options: argparse.Namespace) -> None:
    """`magan train`: what the notebooks 02 and 03 do, in as many processes as torchrun starts."""
    from magan_core import params, paths
    from magan_core.data.prepare import load_test
    from magan_core.models.weights import load_model
    from magan_core.prediction import predict_files
    from magan_core.training.distributed import joined
    from magan_core.training.run import add_timing, choose_device, state_name, train_run
    from magan_core.training.state import forget

    settings = params.load()
    profile = params.get_profile(settings, options.profile or settings["profile"]["name"])
    run = params.get_run(profile, options.run)
    data, out = paths.prepared(profile["name"]), paths.runs(profile["name"]) / options.run
    unlabelled = data / params.source_set(profile, run["unlabelled"]) if "unlabelled" in run else None
    with joined(choose_device(options.device), options.timeout) as (team, device):
        train_run(
            run,
            profile,
            labelled=data / params.source_set(profile, run["set"]),
            unlabelled=unlabelled,
            weights_folder=paths.weights(settings["folders"]["weights"]),
            out=out,
            device=device,
            resume_folder=paths.resume(),
            live_folder=paths.live(profile["name"]),
            team=team,
        )
    if not team.writes:
        return
    model, size = load_model(out / "model.safetensors", device)
    for name in params.test_sets(profile, run):
        photos = [record["image"] for record in load_test(data / name)]
        maps = paths.maps(profile["name"]) / options.run / name
        seconds = predict_files(model, photos, maps, size=size, device=device)
        add_timing(out, name, seconds)
        print(f"{name}: {len(photos)} maps in {maps}, {seconds:.3f} s a photograph")
    forget(paths.resume(), state_name(profile, run))


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
