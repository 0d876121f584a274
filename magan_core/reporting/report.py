"""One self-contained page with every table and figure beside what the paper claims.

The page needs no other file and no network: styles and pictures are inside it, and there are no scripts.
"""

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from magan_core.errors import MaganError
from magan_core.files import read_json, require, write_text
from magan_core.reporting import paper, typeset
from magan_core.reporting.report_differences import COMPARED, differences
from magan_core.reporting.report_provenance import cost, machine, provenance, read_records, run_line
from magan_core.reporting.report_tables import Rows, table
from magan_core.reporting.sources import PAPER_BACKBONE, PAPER_NAMES, Results, read_rows
from magan_core.reporting.tables import COMPARISON
from magan_core.reporting.templates import fill
from magan_core.wording import counted, listed

VERDICTS = ("reproduced", "better", "not reproduced", "not judged", "not run")


def build_report(profile: str, params: Mapping[str, Any], results: str | Path, out: str | Path) -> None:
    """Write the report of `profile` to `out` as one HTML file, whole or not at all.

    params: the profile's entry in params.yaml. results: the folder with tables/ (claims.csv, differences.csv,
    sets.json, provenance.json), figures/ and photographs/, for figures that show some. Where there is no
    photographs/, as in a clone of what may be handed on, the page says so.

    Raises MaganError, naming the file, when a table or a figure is missing or broken.
    """
    results = Path(results)
    tables = results / "tables"
    sources = replace(Results.of(profile, params), prepared=tables)
    numbers = read_rows(tables / "claims.csv", columns=COMPARISON)
    filled = {sources.filled_by(role) for role in PAPER_NAMES if sources.has(role)}
    require(sources.sets, filled, tables / "sets.json")
    runs, detectors = read_records(tables / "provenance.json", params["classical"])
    took = cost(sources, runs, detectors)
    machines = {name: machine(record) for each in (runs, detectors) for name, record in each.items()}
    page = fill(
        "report.html.j2",
        profile=profile,
        about=params["about"],
        banner=[*_banner(sources, trained=len(runs)), _schedule(sources, params["training"])],
        data=_data(sources),
        tables=[table(number, claim, numbers, sources, machines) for number, claim in paper.TABLES.items()],
        verdicts=_verdicts(numbers),
        compared=[typeset.headed(metric) for metric in COMPARED],
        differences=differences(tables / "differences.csv", sources),
        printed_energy=any(
            one["variant"] == "manet-raw" for run, one in sources.listed.items() if run in runs
        ),
        figures=[_figure(name, said, results) for name, said in paper.FIGURES.items()],
        cost=took[-1][1],
        executed=(results / "notebooks").exists(),
        provenance=[*provenance(runs, detectors), *took],
        runs=[run_line(name, record) for name, record in runs.items()],
    )
    write_text(out, page)


def _banner(sources: Results, trained: int) -> list[str]:
    """What the numbers of this page are, and are not. trained: how many of the profile's runs were."""
    real = [role for role in PAPER_NAMES if sources.has(role) and sources.is_real(role)]
    absent = [role for role in PAPER_NAMES if not sources.has(role)]
    stand_ins: dict[str, list[str]] = {}
    for role, name in PAPER_NAMES.items():
        if role not in real and role not in absent:
            stand_ins.setdefault(sources.source(role), []).append(name)
    lines = []
    if stand_ins:
        kinds = "; ".join(f"{source} for {listed(names)}" for source, names in stand_ins.items())
        lines.append(
            f"Other data stand in for the paper's here: {kinds}. With these, a difference from the paper's "
            "number is also a difference of data and says nothing by itself about the paper's claim."
        )
    if real:
        lines.append(f"The paper's own data: {listed([PAPER_NAMES[role] for role in real])}.")
    if absent:
        lines.append(
            f"Not in this profile: {listed([PAPER_NAMES[role] for role in absent])}; cells that need "
            f"{'it' if len(absent) == 1 else 'them'} are empty."
        )
    runs_of: dict[str, list[str]] = {}
    for run in sources.listed:
        runs_of.setdefault(sources.backbone_of(run), []).append(run)
    for backbone, runs in runs_of.items():
        if backbone != PAPER_BACKBONE:
            where = "every network of this profile" if len(runs_of) == 1 else listed(runs)
            lines.append(f"The backbone is {backbone}, not the paper's VGG-16, in {where}.")
    if trained < len(sources.listed):
        lines.append(f"{trained} of the profile's {counted(len(sources.listed), 'run')} were trained.")
    return lines


def _schedule(sources: Results, training: Mapping[str, Any]) -> str:
    """How long the runs were trained beside the paper's, and where other departures are told."""
    sets = {sources.filled_by(run["set"]) for run in sources.listed.values()}
    entries = [sources.sets[name] for name in sets if sources.sets.get(name, {}).get("train")]
    seen = training["steps"] * training["batch"]
    epochs = sorted({round(seen / (entry["train"] + entry.get("pseudo", 0))) for entry in entries})
    told = ""
    if epochs:
        ends = dict.fromkeys((epochs[0], epochs[-1]))
        told = f", {' to '.join(map(str, ends))} epochs of the supervised runs"
    return (
        f"Training is {training['steps']:,} steps of {counted(training['batch'], 'photograph')}{told}; the "
        f"paper's {paper.EPOCHS:,} epochs. What the paper leaves open or contradicts, and how it is read "
        "here, is in docs/paper-notes.md, all settings are in params.yaml."
    )


def _data(sources: Results) -> list[dict[str, Any]]:
    entries = []
    for role, name in PAPER_NAMES.items():
        counts = dict.fromkeys(("train", "test", "unlabelled"), "–")
        here = "not in this profile"
        if sources.has(role):
            entry = sources.sets[sources.filled_by(role)]
            counts |= {kind: entry.get(kind) or "–" for kind in counts}
            if "pseudo" in entry:
                counts["train"] = f"{entry['train']}, and {entry['pseudo']} labelled by a network"
            here = "the same" if sources.is_real(role) else sources.part(role)
        claimed = {f"paper_{kind}": paper.COUNTS[role].get(kind, "–") for kind in counts}
        entries.append({"paper": name, "here": here} | counts | claimed)
    return entries


def _verdicts(numbers: Rows) -> list[list[str]]:
    """Table, data set, and how many of the paper's numbers have each of the VERDICTS; last of all."""
    counts: dict[tuple[str, str], Counter] = {}
    for row in numbers:
        if verdict := row["verdict"]:
            counts.setdefault((row["table"], row["dataset"]), Counter())[verdict] += 1
    shown = [*counts.items(), (("all", ""), sum(counts.values(), Counter()))]
    return [[*key, *(str(count[verdict] or "–") for verdict in VERDICTS)] for key, count in shown]


def _figure(name: str, said: paper.Said, results: Path) -> dict[str, Any]:
    folder = next(
        (results / kind for kind in ("figures", "photographs") if (results / kind / f"{name}.png").is_file()),
        None,
    )
    short = name.replace("_", " ").capitalize()
    numbered = name.startswith("figure")
    said_of = {
        "name": name.replace("_", "-"),
        "short": short,
        "numbered": numbered,
        "title": f"{short}. {said.title}" if numbered else said.title,
        "claim": said.claim,
        "absent": "",
    }
    words = results / "figures" / f"{name}.json"
    if folder is None and words.is_file() and "absent" in (found := read_json(words)):
        return said_of | {"png": None, "absent": found["absent"]}
    if folder is None and name in paper.PHOTOGRAPHS and not (results / "photographs").exists():
        return said_of | {"png": None}
    if folder is None:
        raise MaganError(
            f"{results / 'figures' / name}.png: no such file. `make repro` draws the figures of this profile."
        )
    words = read_json(folder / f"{name}.json")
    require(words, ("alt", "caption"), folder / f"{name}.json")
    png = (folder / f"{name}.png").read_bytes()
    try:
        with Image.open(folder / f"{name}.png") as picture:
            width, height = picture.size
    except OSError as error:
        raise MaganError(
            f"{folder / name}.png is not a readable PNG ({error}). `make repro` draws it again."
        ) from error
    return said_of | {
        "png": base64.b64encode(png).decode("ascii"),
        "width": width,
        "height": height,
        "alt": words["alt"],
        "caption": words["caption"],
    }
