"""`magan data`: what there is, getting it, checking it, and photographs that sets share."""

import argparse
import shutil
from pathlib import Path

from magan_core import paths
from magan_core.commands.options import named_path
from magan_core.commands.stopping import sigterm_as_ctrl_c
from magan_core.errors import MaganError
from magan_core.wording import counted


def add_parser(commands) -> None:
    """Add `data`, with sub-commands of its own, to the sub-commands."""
    data = commands.add_parser("data", help="real data sets: list, fetch, add, verify, leaks")
    commands = data.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser(
        "list",
        help="what each set is, where it is from, and whether it is here",
        description="For each real data set: what it is, its licence, where it is from, how to get it, and "
        "whether it is here.",
    )
    command.set_defaults(function=show)

    command = commands.add_parser(
        "fetch",
        help="fetch a set from the public repository that holds it",
        description="Fetch a set, file by file, from the public Git repository that holds it; every file is "
        "checked. Stopped, the same command goes on.",
    )
    command.add_argument("names", nargs="+", metavar="NAME", help="cuhk, szu-bd")
    command.add_argument("--url", help="another Git repository with the same files: a mirror, or a folder")
    command.set_defaults(function=fetch)

    command = commands.add_parser(
        "add",
        help="take in a set that you have downloaded",
        description="Take in a set that you have downloaded: find its folders, read and count every pair, "
        "measure which class is white in the masks, and write a manifest.",
    )
    command.add_argument("name", metavar="NAME", help="see `magan data list`")
    command.add_argument(
        "download", type=named_path, metavar="FOLDER", help="where the download was unpacked"
    )
    command.add_argument("--white", choices=["focus", "blur"], help="the class stored as white in its masks")
    command.add_argument(
        "--partial", action="store_true", help="accept another number of photographs than expected"
    )
    command.set_defaults(function=add)

    command = commands.add_parser(
        "verify",
        help="hold every file against the manifest of its set",
        description="Hold every file of the sets that are here against their manifests, and say what is "
        "missing or changed.",
    )
    command.add_argument("names", nargs="*", metavar="NAME", help="default: all sets that are here")
    command.set_defaults(function=verify)

    command = commands.add_parser(
        "leaks",
        help="photographs that two sets, or the splits of one, share",
        description="List the photographs that two sets, or the splits of one, have in common, found by what "
        "they show; with --masks also how far their annotators agree on them.",
    )
    command.add_argument("a", metavar="A", help="a set's name, or a folder with images/")
    command.add_argument("b", metavar="B", nargs="?", help="another; without it, A is held against itself")
    command.add_argument("--limit", type=float, help="correlation of thumbnails (default 0.95)")
    command.add_argument(
        "--write",
        type=named_path,
        metavar="FILE",
        help="write the names of those of B, for `exclude` of a set",
    )
    command.add_argument(
        "--masks",
        action="store_true",
        help="also say in how many pixels the masks of each pair differ and, of two pairs and more, which "
        "scores those of B have as maps of A (protocol paper); for sets of `magan data list`",
    )
    command.set_defaults(function=leaks)


def _folder(name: str) -> Path:
    from magan_core import params

    return paths.raw(params.load()["folders"]["data"]) / name


def show(options: argparse.Namespace) -> None:
    """`magan data list`."""
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.fetch import unfinished

    raw = _folder("")
    for name, data_set in CATALOGUE.items():
        masks = f"with masks (white = {WHITE[_white(name)]})" if data_set.white else "without masks"
        folders = [
            " or ".join(names) for part in data_set.parts for names in (part.images, part.masks) if names
        ]
        state, begun = _state(name, raw), unfinished(raw / name)
        get = f"magan data fetch {name}"
        if not data_set.repository:
            rest = f"remove {raw / name}, " if state.here else ""  # `add` takes a set as a whole
            get = f"download it, {rest}then magan data add {name} FOLDER; expects in it {', '.join(folders)}"
        print(
            f"{name}: {data_set.title}\n"
            f"    {data_set.count} photographs {masks}; size {data_set.size}\n"
            f"    licence: {data_set.licence}\n"
            f"    from {data_set.origin}\n"
            + f"    to get it: {get}\n" * state.wanting
            + f"    {raw / name}: {state}"
            + f"; what a fetch that was stopped has got is in {begun}, and the next goes on there"
            * (begun.exists() and not state.here)
        )

    for name in _own_sets(raw):
        print(f"{name}: a set of your own\n    {raw / name}: {_state(name, raw)}")


def _white(name: str) -> str:
    """The class that is white in the masks of a set of the catalogue, as it is here or else given out."""
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.state import OWN_WHITE

    own = _folder(name) / OWN_WHITE
    return own.read_text(encoding="utf-8").strip() if own.exists() else CATALOGUE[name].white


def _state(name: str, raw: Path):
    """How the set is here, against its manifest and the number of photographs in the catalogue."""
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.state import inspect

    return inspect(name, raw / name, of=CATALOGUE[name].count if name in CATALOGUE else 0)


def _own_sets(folder: Path) -> list[str]:
    """The sets in the data folder that the catalogue does not know."""
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.sets import visible

    found = visible(folder) if folder.is_dir() else []
    return [path.name for path in found if path.name not in CATALOGUE and (path / "images").is_dir()]


WHITE = {"focus": "in focus", "blur": "blurred"}


def fetch(options: argparse.Namespace) -> None:
    """`magan data fetch`."""
    from magan_core.data.catalogue import data_set
    from magan_core.data.fetch import fetch as fetch_files
    from magan_core.data.fetch import wanted

    for name in options.names:
        found = data_set(name)
        if not found.repository:
            raise MaganError(
                f"{name} is in no public repository. Get it from {found.origin}; then `magan data add {name} "
                "FOLDER`"
            )
    for name in options.names:
        folder = _folder(name)  # the first to say that the current folder is not the project's
        files = wanted(name)
        with sigterm_as_ctrl_c():
            count = fetch_files(files, folder, options.url or data_set(name).repository)
        print(f"{name}: {count} of {counted(len(files), 'file')} fetched; all are in {folder}")


def add(options: argparse.Namespace) -> None:
    """`magan data add`."""
    from magan_core.data.add import add_known, add_parts
    from magan_core.data.catalogue import data_set
    from magan_core.data.fetch import unfinished, wanted

    found, folder = data_set(options.name), _folder(options.name)
    if options.white and not found.white:
        raise MaganError(f"{options.name} has no masks; leave --white out")
    if found.repository and (options.white or options.partial):
        raise MaganError(f"the manifest says what {options.name} is; leave --white and --partial out")
    if found.repository:
        with sigterm_as_ctrl_c():
            count = add_known(wanted(options.name), options.download, folder)
        shutil.rmtree(unfinished(folder), ignore_errors=True)
        print(f"{counted(count, 'file')} in {folder}")
        return
    with sigterm_as_ctrl_c():
        counts = add_parts(found, options.download, folder, options.white, options.partial)
    parts = [counted(count, f"{part} photograph") for part, count in counts.items()]
    print(f"{', '.join(parts)} in {folder}")


def verify(options: argparse.Namespace) -> None:
    """`magan data verify`."""
    from magan_core.data.catalogue import CATALOGUE, data_set

    raw = _folder("")
    if not raw.is_dir():
        raise MaganError(f"{raw} does not exist; see `magan data list` for how to get a data set")
    own = _own_sets(raw)
    for name in options.names:
        if name not in own:
            data_set(name)
    names = options.names or [*(name for name in CATALOGUE if (raw / name).is_dir()), *own]
    states = {name: _state(name, raw) for name in names}
    if not options.names:
        states = {name: state for name, state in states.items() if name in CATALOGUE or state.described}
    if not states:
        raise MaganError(f"no data set with a manifest is in {raw}; see `magan data list` for how to get one")
    for name, state in states.items():
        print(f"{name}: {state}")
    undescribed = [name for name, state in states.items() if state.here and not state.described]
    wanting = [name for name, state in states.items() if state.wanting]
    faults = {
        "`magan data list` says how to get them": [name for name in wanting if name in CATALOGUE],
        f"put back what is missing or changed, or write the manifest anew ({_writing('DIR')})": [
            name for name in wanting if name not in CATALOGUE
        ],
        "remove what is not of the set": [name for name, state in states.items() if state.extra],
    }
    told = [f"{', '.join(names)}: {remedy}" for remedy, names in faults.items() if names]
    if undescribed:
        where = raw / undescribed[0]
        told.append(
            f"{', '.join(undescribed)}: no manifest says what the files should be; if they are right as they "
            f"are, {_writing(where)} writes one"
        )
    if told:
        raise MaganError(f"not verified: {'; '.join(told)}")


def _writing(folder: str | Path) -> str:
    return f"`python -m magan_core.data.manifest {folder} {folder}/manifest.csv`"


def leaks(options: argparse.Namespace) -> None:
    """`magan data leaks`."""
    from magan_core.data.agreement import masks_as_maps
    from magan_core.data.leaks import LIMIT, between, within
    from magan_core.files import write_text
    from magan_core.metrics import PROTOCOLS, SCORES, intervals, summary

    paper = PROTOCOLS["paper"]
    limit = LIMIT if options.limit is None else options.limit
    if not 0 <= limit < 1:
        raise MaganError(f"--limit is {limit}; expected a correlation, at least 0 and below 1")
    if options.write and not options.b:
        raise MaganError("--write lists the photographs of B that are also in A; name B")
    if options.masks and not options.b:
        raise MaganError("--masks holds the masks of two sets against each other; name B")
    options.a, options.b = (name and str(Path(name)) for name in (options.a, options.b))  # cuhk/ is cuhk
    of = _pairs if options.masks else _photographs
    a = of(options.a)
    pairs = between(a, of(options.b), limit) if options.b else within(a, limit)
    counts = masks_as_maps(pairs) if options.masks and pairs else []
    if pairs:
        print(f"alike  in {options.a} (splits)  in {options.b or options.a} (splits)")
    for index, pair in enumerate(pairs):
        differ = ""
        if options.masks:
            differ = f"  masks differ in {100 * summary(counts[[index]], paper)['mae']:.2f} %"
        print(
            f"{pair.correlation:.3f}  {_where(pair.a['stem'], options.a)}  "
            f"{_where(pair.b['stem'], options.b or options.a)}{differ}"
        )
    where = f"{options.a} and {options.b}" if options.b else options.a
    looks = "looks" if len(pairs) == 1 else "look"
    found = counted(len(pairs), "pair")
    print(f"{found} of photographs in {where} {looks} the same (thumbnails correlate above {limit})")
    if len(counts) > 1:
        scores, ends = summary(counts, paper), intervals(counts, paper)
        print(f"masks of {options.b} as maps of {options.a}, with 95 % intervals over the photographs:")
        for name in SCORES:
            print(f"{name:9}{scores[name]:.4f}  ({ends[name][0]:.4f} to {ends[name][1]:.4f})")
    if options.write and not pairs:
        stale = "; the one that is there is of an earlier call, remove it" if options.write.exists() else ""
        print(f"{options.write} is not written: nothing needs to be left out{stale}")
    elif options.write:
        lines = sorted({pair.b["stem"]: pair.a["stem"] for pair in reversed(pairs)}.items())
        write_text(options.write, "".join(f"{b} {a}\n" for b, a in lines))


def _photographs(name: str) -> list:
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.sets import photographs

    plain = Path(name).parts == (name,) and name != ".."
    known = plain and (name in CATALOGUE or _folder(name).is_dir())
    return photographs(_folder(name) if known else Path(name))


def _pairs(name: str) -> list:
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.sets import pairs

    if name not in CATALOGUE or not CATALOGUE[name].white:
        raise MaganError(f"--masks needs sets whose masks `magan data list` knows; {name} is none of them")
    return pairs(_folder(name), _white(name))


def _where(stem: str, name: str) -> str:
    """A photograph with the splits of its set that name it."""
    from magan_core.data.catalogue import CATALOGUE
    from magan_core.data.sets import read_names

    folders = (paths.SPLITS / name, _folder(name) / "splits") if name in CATALOGUE else ()
    known = [path for folder in folders for path in sorted(folder.glob("*.txt"))]
    splits = [path.name for path in known if stem in read_names(path)]
    return f"{stem} ({', '.join(splits)})" if splits else stem
