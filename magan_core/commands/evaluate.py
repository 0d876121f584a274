"""`magan evaluate`, `compare` and `protocols`: maps of anyone's against masks, and scores against scores."""

import argparse

from magan_core.commands.options import named_path
from magan_core.errors import MaganError
from magan_core.wording import counted

EVALUATE = """
Score every map against the mask of the same name, and print F_beta, MAE, IoU, AUC and AUF_beta with 95 %
intervals over the images, and the protocol that they follow. Maps and masks are grey pictures of the same
size; what lies behind the scores goes to OUT, where `magan compare` finds it.
"""
COMPARE = """
Scores of B minus scores of A on the same images, with 95 % intervals (bootstrap over the images) and
p-values (permutation test). A positive difference of mae says that B is worse.
"""
PROTOCOLS = """
The conventions by which scores are taken: which class is positive, at which thresholds, what is averaged, and
who does so. The names go with --protocol of `magan evaluate` and `magan compare`.
"""
WHITE = ("focus", "blur")
BLUR = {"maps": "", "masks": "; CUHK, SZU-BD and CTCUG: blur"}
FEW = 10  # images; over fewer, intervals are too narrow


def add_parsers(commands) -> None:
    """Add `evaluate`, `compare` and `protocols` to the sub-commands."""
    command = commands.add_parser(
        "evaluate", help="score a folder of maps against a folder of masks", description=EVALUATE
    )
    command.add_argument("--maps", required=True, type=named_path, help="folder of maps, one an image")
    command.add_argument("--masks", required=True, type=named_path, help="folder of masks, one an image")
    for kind in ("maps", "masks"):
        command.add_argument(
            f"--{kind}-white",
            default="focus",
            choices=WHITE,
            help=f"white in the {kind} (default focus{BLUR[kind]})",
        )
    _add_rules(command, "paper", "paper")
    command.add_argument("--split", type=named_path, help="text file of the names to score, one a line")
    for kind, suffix in (("", "lbp"), ("masks-", "gt")):
        what = f"what the {kind[:-1] or 'maps'}' names end in: _{suffix}, or --{kind}suffix=-{suffix}"
        command.add_argument(f"--{kind}suffix", default="", help=what)
    command.add_argument(
        "--resample", action="store_true", help="bring maps of another size to the masks' size"
    )
    command.add_argument(
        "--bits",
        type=int,
        default=8,
        choices=[8, 16],
        help="16 scores maps of 16 bits a sample in full (0.5 MB an image in OUT), not rounded to 8",
    )
    command.add_argument(
        "--out",
        required=True,
        type=named_path,
        help="folder for summary.json, curves.csv, per_image.csv, histogram.csv and statistics.npy",
    )
    command.set_defaults(function=evaluate)

    command = commands.add_parser(
        "compare", help="how sure the difference of two scores is", description=COMPARE
    )
    command.add_argument("a", metavar="A", type=named_path, help="--out folder of `magan evaluate`")
    command.add_argument("b", metavar="B", type=named_path, help="another one, for the same images")
    _add_rules(command, None, "that of both")
    command.set_defaults(function=compare)

    command = commands.add_parser(
        "protocols", help="the conventions for scoring, by name", description=PROTOCOLS
    )
    command.set_defaults(function=protocols)


def _add_rules(command: argparse.ArgumentParser, protocol: str | None, told: str) -> None:
    command.add_argument("--protocol", default=protocol, help=f"see `magan protocols` (default {told})")
    command.add_argument(
        "--resamples", type=int, default=2000, help="how many, for the intervals (default 2000)"
    )
    command.add_argument("--seed", type=int, default=1, help="of the resamples (default 1)")


def evaluate(options: argparse.Namespace) -> None:
    """`magan evaluate`."""
    from magan_core.evaluation import evaluate as score
    from magan_core.metrics import SCORES

    if options.out.resolve() in (options.maps.resolve(), options.masks.resolve()):
        raise MaganError(
            f"the scores would lie among the pictures in {options.out}, which could then not be scored "
            "again. Choose another folder for --out."
        )
    summary = score(
        options.maps,
        options.masks,
        maps_white=options.maps_white,
        masks_white=options.masks_white,
        protocol=options.protocol,
        split=options.split,
        suffix=options.suffix,
        masks_suffix=options.masks_suffix,
        resample=options.resample,
        bits=options.bits,
        resamples=options.resamples,
        seed=options.seed,
        out=options.out,
    )
    print(f"protocol {summary['protocol']}: {summary['rules']}")
    white = f"white is {options.maps_white} in the maps, {options.masks_white} in the masks"
    print(f"{counted(summary['images'], 'image')}; {white}" + "; 16 bits" * (options.bits == 16))
    for name in SCORES:
        low, high = (summary["intervals"] or {}).get(name, (None, None))
        interval = "" if low is None else f"  (95 % interval over images {low:.4f} to {high:.4f})"
        print(f"{name:9}{summary[name]:.4f}{interval}")
    for note in summary.get("notes", []):
        print(f"note: {note}")
    if summary["auc"] < 0.5:
        print("      --maps-white and --masks-white say what white means")
    if summary["intervals"]:
        warn_of_few(summary["images"])


def compare(options: argparse.Namespace) -> None:
    """`magan compare`."""
    from magan_core.evaluation import compare as difference
    from magan_core.score_files import common_protocol, read_statistics

    protocol = options.protocol or common_protocol(options.a, options.b)
    found = difference(
        options.a, options.b, protocol=protocol, resamples=options.resamples, seed=options.seed
    )
    images = len(read_statistics(options.a / "statistics.npy"))
    print(f"protocol {protocol}; {options.b} minus {options.a}; {counted(images, 'image')}")
    for name, one in found.items():
        print(
            f"{name:9}{one.difference:+z.4f}  "
            f"(95 % interval {one.low:+z.4f} to {one.high:+z.4f}, p {one.p:.2g})"
        )
    warn_of_few(images)
    if (least := 2 ** (1 - images)) > 0.01:
        print(f"note: with {counted(images, 'image')} no p below about {least:.3f} can come out")


def warn_of_few(images: int) -> None:
    if images < FEW:
        print(f"note: {images} images are few: the intervals are too narrow")


def protocols(options: argparse.Namespace) -> None:
    """`magan protocols`."""
    from magan_core.metrics import PROTOCOLS

    for name, protocol in PROTOCOLS.items():
        print(f"{name}\n    {protocol}\n    {protocol.source}")
