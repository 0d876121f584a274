"""`magan predict`: photographs as people have them to maps, one failure at a time."""

import argparse
import errno
import json
import os
import signal
import sys
import time
from pathlib import Path

from magan_core import paths
from magan_core.commands.options import add_device, named_path
from magan_core.commands.stopping import sigterm_as_ctrl_c
from magan_core.errors import Interrupted, MaganError
from magan_core.files import check_writable
from magan_core.wording import counted

SOME_FAILED = 3
SHOWN = 50  # reasons, at most
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # what will not be better with the next photograph
# What draws a map.
CODE = ("data/images.py", "device.py", "map_files.py", "models", "overlay.py", "prediction.py")
HELP = """
Map what is in focus in photographs, with the model that comes with magan or that of --model.

Each IMAGE_OR_FOLDER is a file, a folder, or a pattern such as 'photos/*.jpg'. JPEG, PNG, TIFF, WebP, HEIC,
AVIF and BMP are read, up to 178 megapixels: of several pages the first; what is transparent over white; of 16
bits a sample the higher 8, with white at 65535. RAW files are not: export them as TIFF or JPEG. A folder's
sub-folders count with --recursive, and appear in the output too. Maps and overlays that this command made are
no photographs there, nor are files whose name begins with a dot.

The map of a.jpg is OUT/a.png: grey, of the photograph's size, white = in focus. Where photographs would
share a name the suffix stays (a.jpg.png, a.heic.png), or the folder (day1/a.png, day2/a.png). A map or
overlay of an earlier call is replaced; a photograph, or any other file, never is. A photograph of more than
2.5 : 1 is mapped in parts that overlap.
"""
EXIT = """
exit status: 0 every photograph has its map; 1 nothing was done (wrong input, or every photograph failed);
2 the command line was not understood; 3 some photographs failed, and the others have their maps; 130 stopped
by Ctrl-C, 143 by SIGTERM: the maps that are there are whole, and --resume leaves them.
A photograph that fails does not stop the rest, but for a full disk; the reasons come last, on standard error.
"""


def add_parser(commands) -> None:
    """Add `predict` to the sub-commands."""
    command = commands.add_parser(
        "predict",
        help="in-focus maps of photographs (white = in focus)",
        description=HELP,
        epilog=EXIT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "photos", nargs="+", type=named_path, metavar="IMAGE_OR_FOLDER", help="photographs to map"
    )
    command.add_argument("--out", required=True, type=named_path, metavar="FOLDER", help="for the maps")
    command.add_argument("--recursive", action="store_true", help="search sub-folders too")
    command.add_argument(
        "--resume",
        action="store_true",
        help="leave the maps that are there already, of the same photographs by the same model, options and "
        "version of magan, with their overlays, and map the rest",
    )
    command.add_argument(
        "--overlay",
        action="store_true",
        help="also write OUT/a.overlay.jpg: the photograph, with what is blurred in dim grey and a line "
        "around what is in focus (without this, one of an earlier call is removed with its map)",
    )
    command.add_argument(
        "--json",
        action="store_true",
        help="print nothing but JSON on standard output, and nothing at all if stopped: `photographs`, each "
        "with file, map, overlay, width, height, in_focus (share of the map at half or above), kept (by "
        "--resume) and seconds (reading and writing included); `model` (a list where several map together), "
        "`device`, `size`, `scales`, `flip` and `bits`; `failed`, each with file and reason; `passed_over`, "
        "other files by suffix, and sub-folders",
    )
    command.add_argument(
        "--model",
        type=named_path,
        action="append",
        help="model.safetensors of a run (default: the one that comes with magan). Given several times, the "
        "models map together: the mean of their logits, at the sizes that the first one says",
    )
    command.add_argument(
        "--fast",
        action="store_true",
        help="map each photograph once, not at several sizes and mirrored, where the model would have it so: "
        "less than half the time with the model that comes with magan",
    )
    command.add_argument(
        "--bits",
        type=int,
        default=8,
        choices=[8, 16],
        help="bits a sample of the maps (default 8); 16 tell apart what is surely in focus and what is even "
        "more surely so, which 8 show as the same white",
    )
    add_device(command)
    command.set_defaults(function=predict)


def predict(options: argparse.Namespace) -> None:
    """`magan predict`."""
    from magan_core.data.images import read_origin
    from magan_core.data.photographs import find, map_names

    found = find(options.photos, options.out, options.recursive)
    names, unnamed = map_names(found.photos)
    failed, done, facts = found.failed | unnamed, [], {}
    targets = {photo: options.out / name for photo, name in names.items()}
    refuse_to_overwrite(targets)
    earlier = {str(target) for target in targets.values() if status(target)}
    if targets or options.json:  # JSON names the model in any case
        check_writable(options.out)
        done, more, facts = predict_all(targets, options)
        failed |= more
    if options.json:
        show_json(facts, done, failed, found.passed_over)
    elif done:
        drawn = [entry for entry in done if not entry["kept"]]
        told = [f"{counted(len(done), 'map')} in {options.out}"]
        if drawn:
            seconds = sum(entry["seconds"] for entry in drawn) / len(drawn)
            told.append(f"{seconds:.3f} s a photograph on {facts['device']}")
        print(", ".join(told))
        if len(drawn) < len(done):
            print(f"{len(done) - len(drawn)} of them left as they were")
        if replaced := sum(entry["map"] in earlier for entry in drawn):
            print(f"{replaced} of them replaced a map of before")
        plain = {options.out / below.with_name(f"{below.stem}.png") for below in found.photos.values()}
        if set(targets.values()) - plain:
            print("names repeat: some maps have the suffix or the folder of their photograph in the name")
            without = plain - set(targets.values())
            if left := sorted(str(file) for file in without if read_origin(file) is not None):
                print(f"left from before, when the name was of one photograph: {', '.join(left)}")
    if found.passed_over:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in sorted(found.passed_over.items()))
        print(f"passed over: {kinds}", file=sys.stderr)
    report(failed, len(done))


def refuse_to_overwrite(targets: dict[Path, Path]) -> None:
    """Raise a MaganError if a map or an overlay would replace one of the photographs."""
    from magan_core.map_files import overlay_of

    photos = {(stat.st_dev, stat.st_ino): photo for photo in targets if (stat := status(photo))}
    for target in targets.values():
        for file in (target, overlay_of(target)):
            stat = status(file)
            photo = stat and photos.get((stat.st_dev, stat.st_ino))
            if photo:
                raise MaganError(f"a map would overwrite {photo}. Choose another folder for --out.")


def status(path: Path) -> os.stat_result | None:
    """`path.stat()`, or None where there is no such file."""
    try:
        return path.stat()
    except OSError:
        return None


def predict_all(targets: dict[Path, Path], options: argparse.Namespace) -> tuple[list, dict, dict]:
    """Map every photograph. Returns the entries of those that are done, the reasons of those that failed, and
    the facts that all share."""
    from tqdm import tqdm

    files = options.model or [paths.RELEASED]
    if not options.model and not paths.RELEASED.exists():
        raise MaganError(
            f"this copy of magan-core comes without its released model ({paths.RELEASED}). Install it "
            "again, or name another with --model, for example results/demo/runs/manet-dut/model.safetensors."
        )

    from magan_core import map_files, prediction
    from magan_core.device import choose_device
    from magan_core.files import code, fingerprint, sha256
    from magan_core.models.folding import fold_batch_norm
    from magan_core.models.together import load_together
    from magan_core.models.weights import read_header

    device = choose_device(options.device)
    model, size = load_together(files, device)
    fold_batch_norm(model)
    how = {"scales": [1.0], "flip": False} if options.fast else prediction.passes(read_header(files[0]))
    how |= {"bits": options.bits}
    recipe = how | {
        "size": size,
        "models": [sha256(file) for file in files],
        "code": fingerprint([], code(*CODE)),
    }
    done, failed = [], {}

    def map_of(pixels):
        return prediction.predict(model, pixels, size, device, **how)

    def one(photo: Path, target: Path) -> None:
        start = time.perf_counter()
        map_files.check_replaceable(photo, target, options.overlay)
        origin = map_files.origin_of(photo, recipe)
        values = map_files.kept(target, origin, options.overlay) if options.resume else None
        if fresh := values is None:
            values = map_files.draw(photo, target, origin, options.overlay, map_of)
        entry = map_files.describe(photo, target, values, origin) | {"kept": not fresh}
        done.append(entry | {"seconds": round(time.perf_counter() - start, 3)})

    shown = tqdm(targets.items(), disable=None, unit="image", desc="predict", leave=False)
    try:
        with sigterm_as_ctrl_c():
            for photo, target in shown:
                try:
                    one(photo, target)
                except MaganError as error:
                    failed[str(photo)] = told_of(photo, error)
                    if getattr(error.__cause__, "errno", None) in FULL:
                        break
                except OSError as error:
                    failed[str(photo)] = f"{photo}: {error}"
                except (MemoryError, RuntimeError) as error:
                    # Torch's want of memory on a CPU has no type of its own.
                    if isinstance(error, RuntimeError) and "memory" not in str(error):
                        raise
                    failed[str(photo)] = f"{photo}: does not fit into memory on {device}; make it smaller"
    except KeyboardInterrupt as stop:
        told = f"stopped; {counted(len(done), 'map')} of {len(targets)} in {options.out}"
        raise Interrupted(told, getattr(stop, "signal", signal.SIGINT)) from stop
    begun = {entry["file"] for entry in done} | failed.keys()
    failed |= {str(photo): f"{photo}: not begun" for photo in targets if str(photo) not in begun}
    names = [str(file) for file in files]
    facts = {"model": names if len(names) > 1 else names[0], "device": str(device), "size": size}
    return done, failed, facts | how


def told_of(photo: Path, error: MaganError) -> str:
    """The reason, with the photograph's name, which an error of its map or overlay does not have."""
    return str(error) if str(photo) in str(error) else f"{photo}: {error}"


def show_json(facts: dict, done: list[dict], failed: dict[str, str], passed_over: dict[str, int]) -> None:
    """Print one JSON object, ASCII only, so that every terminal and every file name will do."""
    listed = [{"file": file, "reason": reason} for file, reason in failed.items()]
    print(json.dumps(facts | {"photographs": done, "failed": listed, "passed_over": passed_over}, indent=2))


def report(failed: dict[str, str], done: int) -> None:
    """Print the reasons and leave with the exit status that goes with them."""
    if not failed:
        return
    if len(failed) + done > 1:
        print(f"magan: {len(failed)} of {len(failed) + done} failed:", file=sys.stderr)
    for reason in list(failed.values())[:SHOWN]:
        print(f"magan: {reason}", file=sys.stderr)
    if len(failed) > SHOWN:
        print(f"magan: and {len(failed) - SHOWN} more", file=sys.stderr)
    sys.exit(SOME_FAILED if done else 1)
