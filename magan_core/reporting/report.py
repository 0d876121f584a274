"""One self-contained page with every table and figure beside what the paper claims.

The page needs no other file and no network: styles and pictures are inside it, and there are no scripts.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from magan_core.classical import METHODS
from magan_core.errors import MaganError
from magan_core.files import read_json, write_text
from magan_core.reporting import claims, paper, typeset
from magan_core.reporting.sources import OURS, PAPER_BACKBONE, PAPER_NAMES, Results, read_rows
from magan_core.reporting.style import look
from magan_core.reporting.tables import COMPARISON, DIFFERENCES, PUBLISHED, ROLES, VARIANTS
from magan_core.reporting.templates import fill
from magan_core.wording import counted, listed

Rows = list[dict[str, str]]
VERDICTS = ("reproduced", "better", "not reproduced", "not judged", "not run")
COMPARED = ("mae", "f_beta", "auf_beta")  # of the differences
BARE = (
    "Not trained with this profile",
    "Detectors that this profile does not list",
    "No program and no maps of these here; an entry under published of params.yaml scores maps of them",
)
ELSEWHERE = (
    "Published maps are scored on the photographs that they were published for, which need not be those of "
    "the other rows: the maps of DBDF and LBP are of CUHK's first 104, which Shi's split trains on."
)


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
    _require(sources.sets, filled, tables / "sets.json")
    differences = tables / "differences.csv"
    records, detectors = _records(tables / "provenance.json", params["classical"])
    cost = _cost(sources, records, detectors)
    machines = {name: _machine(record) for each in (records, detectors) for name, record in each.items()}
    page = fill(
        "report.html.j2",
        profile=profile,
        about=params["about"],
        banner=[*_banner(sources, trained=len(records)), _schedule(sources, params["training"])],
        data=_data(sources),
        tables=[_table(number, claim, numbers, sources, machines) for number, claim in paper.TABLES.items()],
        verdicts=_verdicts(numbers),
        compared=[_headed(metric) for metric in COMPARED],
        differences=_differences(differences, sources),
        figures=[_figure(name, said, results) for name, said in paper.FIGURES.items()],
        cost=cost[-1][1],
        executed=(results / "notebooks").exists(),
        provenance=[*_provenance(records, detectors), *cost],
        runs=[_run(name, record) for name, record in records.items()],
    )
    write_text(out, page)


def _require(found: Any, keys: Iterable[str], where: object) -> None:
    """MaganError unless what a file says is of names and values, these among them."""
    if not isinstance(found, Mapping):
        raise MaganError(f"{where} is no names with values. `make repro` writes it again.")
    if missing := [key for key in keys if key not in found]:
        raise MaganError(
            f"{where} has no '{missing[0]}': damaged, or of another version. `make repro` writes it again."
        )


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


def _differences(file: Path, sources: Results) -> list[dict[str, Any]]:
    """Groups by data set of one line a pair of methods, a cell a metric of COMPARED."""
    rows, steps = read_rows(file, empty=True, columns=DIFFERENCES), _claimed_steps()
    own = {row["variant"]: row["row"] for row in sources.rows}
    groups: dict[tuple[str, str], dict[tuple[str, str], dict[str, dict[str, str]]]] = {}
    for row in rows:
        pairs = groups.setdefault((row["dataset"], row["data"]), {})
        pairs.setdefault((row["with"], row["without"]), {})[row["metric"]] = _difference(row, steps)
    shown: list[dict[str, Any]] = []
    first: dict[tuple[Any, ...], dict[str, Any]] = {}  # group of a set and its pairs
    for (dataset, data), pairs in groups.items():
        for (after, before), cells in pairs.items():
            _require(cells, COMPARED, f"{file}: '{after}' against '{before}'")
        lines = [
            {
                "with": _named(after, own),
                "without": _named(before, own),
                "cells": [cells[metric] for metric in COMPARED],
            }
            for (after, before), cells in pairs.items()
        ]
        name, key = f"{dataset} (here: {data})", (sources.filled_by(ROLES[dataset]), *pairs)
        twin = first.get(key)
        if twin:  # one set fills two roles: a pair stands where the paper has its difference, or else once
            both = list(zip(twin["lines"], lines, strict=True))
            twin["lines"] = [one for one, other in both if _claims_any(one) or not _claims_any(other)]
            lines = [line for line in lines if _claims_any(line)]
            name += f": as of {twin['name']}" * (not lines)
        shown.append({"name": name, "lines": lines})
        first.setdefault(key, shown[-1])
    return shown


def _claims_any(line: Mapping[str, Any]) -> bool:
    return any(cell["claimed"] for cell in line["cells"])


def _named(variant: str, own: Mapping[str, str]) -> str:
    """A variant as the figures, a row of one's own or the first table with a row of it calls it."""
    shown = look(variant).label
    shown = own.get(variant, variant) if shown == variant else shown
    if shown != variant:
        return shown
    for number, rows in VARIANTS.items():
        for row, name in rows.items():
            if name == variant:
                return f"receptive field {row}" if number == "VI" else row
    return shown


def _claimed_steps() -> dict[tuple[str, str, str, str], str]:
    """The paper's own differences, as text, by data set, variant, the one it is held against, and metric."""
    found = {}
    for number in ("III", "I", "IV", "VI", "V"):  # a later one counts: V says of each row which losses it has
        table = claims.load(number)
        table["variant"] = table["method"].map(VARIANTS[number])
        table = table.dropna(subset=["variant", "value"])
        for (dataset, metric), part in table.groupby(["dataset", "metric"]):
            for after, before in permutations(zip(part["variant"], part["value"], strict=True), 2):
                step = f"{after[1] - before[1]:+z.3f}".replace("-", "−")
                found[dataset, after[0], before[0], metric] = step
    return found


def _difference(row: Mapping[str, str], steps: Mapping[tuple[str, str, str, str], str]) -> dict[str, Any]:
    claimed = steps.get((row["dataset"], row["with"], row["without"], row["metric"]), "")
    if not row["difference"]:
        return {"difference": "–", "spread": "", "one_sided": False, "claimed": claimed}
    difference, low, high, p = (float(row[key]) for key in ("difference", "low", "high", "p"))
    spread = f"{low:+z.4f} to {high:+z.4f}, p {p:.2g}".replace("-", "−")
    seeds = f", {row['seeds']} seeds" if row["seeds"] != "1" else ""
    return {
        "difference": f"{difference:+z.4f}".replace("-", "−"),
        "spread": spread + seeds,
        "one_sided": low > 0 or high < 0,
        "claimed": claimed,
    }


def _table(
    number: str, claim: str, numbers: Rows, sources: Results, machines: Mapping[str, str]
) -> dict[str, Any]:
    """One table: groups of rows by data set, a cell a metric. machines: on which each run or other method was
    timed."""
    rows = [row for row in numbers if row["table"] == number]
    if not rows:
        raise MaganError(
            f"claims.csv has no row of Table {number}; expected I to VI. `make repro` builds "
            "the tables again."
        )
    metrics = [metric for metric in typeset.METRICS if any(row["metric"] == metric for row in rows)]
    try:
        columns = _columns(rows)
        cells = {(row["dataset"], row["method"], row["metric"]): _cell(row, columns) for row in rows}
    except ValueError as error:
        raise MaganError(
            f"claims.csv: a cell is not a number ({error}). `make repro` builds the tables again."
        ) from error
    printed = claims.load(number) if number == "II" else None
    groups = []
    for dataset in dict.fromkeys(row["dataset"] for row in rows):
        mine = [row for row in rows if row["dataset"] == dataset]
        stood = typeset.stood((row["method"], row["data"]) for row in mine)
        lines = [
            {
                "method": method,
                "cells": [cells.get((dataset, method, metric), {}) for metric in metrics],
                "under": _published_images(method, mine)
                if printed is None
                else _timed(method, mine, printed, sources, machines),
            }
            for method in dict.fromkeys(row["method"] for row in mine)
        ]
        groups.append({"name": f"{dataset} (here: {stood or 'no numbers'})", "lines": lines})
    return {
        "number": number,
        "title": typeset.TITLES[number],
        "claim": claim,
        "metrics": [_headed(metric) for metric in metrics],
        "groups": groups,
        "bare": _bare(number, rows),
        "notes": [
            *_notes(rows),
            *([ELSEWHERE] if any(_published(row) for row in rows) else []),
            *(note.replace("`", "'") for note in typeset.NOTES[number] if note != typeset.SCORED),
        ],
    }


def _headed(metric: str) -> str:
    """The name of a metric with an arrow to its better end."""
    name, _, best = typeset.METRICS[metric]
    return f"{name} {'↑' if best is max else '↓'}"


def _columns(rows: Rows) -> dict[tuple[str, str, str], list[float]]:
    """The numbers of each column of scores, by data set, metric and kind (claimed or own)."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for row in rows:
        for kind in ("claimed", "own"):
            if row[kind] and row["metric"] != "seconds" and not _published(row):
                found.setdefault((row["dataset"], row["metric"], kind), []).append(float(row[kind]))
    return found


def _cell(row: Mapping[str, str], columns: Mapping[tuple[str, str, str], list[float]]) -> dict[str, Any]:
    """The numbers of a cell as text, "" for none, and their rank in their columns, 0 for none."""

    def rank(kind: str) -> int:
        column = columns.get((row["dataset"], row["metric"], kind))
        if not row[kind] or column is None or _published(row):
            return 0
        return typeset.rank(float(row[kind]), column, row["metric"])

    timed = row["metric"] == "seconds"
    cell = {
        "claimed": _number(row["claimed"], row["metric"], "{:.6g}"),
        "own": _number(row["own"], row["metric"]),
        "difference": "" if timed else _number(row["difference"], row["metric"], sign="+"),
        "claimed_rank": rank("claimed"),
        "own_rank": rank("own"),
    }
    if timed and row["own"] and row["claimed"]:
        cell["difference"] = _ratio(float(row["own"]) / float(row["claimed"]))
    numbers = {key: float(row[key] or "nan") for key in ("low", "high", "deviation")}
    return cell | {
        "spread": typeset.spread(numbers | {"seeds": int(row["seeds"])}),
        "verdict": row["verdict"],
    }


def _ratio(value: float) -> str:
    """0.004 -> 1/250, 1.25 -> ×1.2, 12.5 -> ×12; "" for 0."""
    if value < 0.5:
        return f"1/{1 / value:,.0f}" if value else ""
    return f"×{value:.2g}" if value < 10 else f"×{value:,.0f}"


def _number(text: str, metric: str, seconds: str | None = None, sign: str = "") -> str:
    """A score with three decimals; seconds in the given format, else with three digits or more."""
    if not text:
        return ""
    number, digits = float(text), 3
    if metric == "seconds" and seconds:
        return seconds.format(number)
    if metric == "seconds" and abs(number) >= 1:
        digits = max(0, 2 - int(math.log10(abs(number))))
    return f"{number:{sign}z,.{digits}f}".replace("-", "−")


def _published(row: Mapping[str, str], method: str | None = None) -> bool:
    """Whether the own number of a row (of a method) is of maps that its authors published."""
    return typeset.published(row["data"]) and method in (None, row["method"])


def _published_images(method: str, rows: Rows) -> str:
    """Small print below a method's name: how many published maps its numbers are of."""
    return next((f"{row['images']} images" for row in rows if _published(row, method)), "")


def _timed(
    method: str, rows: Rows, printed: pd.DataFrame, sources: Results, machines: Mapping[str, str]
) -> str:
    """What the seconds of a method were measured on. rows: of one data set. printed: the paper's Table II."""
    dataset = rows[0]["dataset"]
    devices = printed.loc[printed["dataset"].eq(dataset) & printed["method"].eq(method), "device"]
    told = [f"paper: {device}" for device in devices]
    if any(row["own"] for row in rows if row["method"] == method):
        variant = VARIANTS["II"].get(method, "")
        run = variant if variant in sources.others else sources.run(variant, ROLES[dataset])
        told.append(f"own: {machines.get(run, 'not known')}")
    return ", ".join(told)


def _bare(number: str, rows: Rows) -> list[tuple[str, list[str]]]:
    """Why methods are without any own number, and which."""
    filled = {row["method"].removesuffix(PUBLISHED) for row in rows if row["own"]}
    found: dict[str, list[str]] = {why: [] for why in BARE}
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] not in filled):
        variant = VARIANTS[number].get(method)
        kind = 2 if variant is None else 1 if variant in METHODS else 0
        found[BARE[kind]].append(method)
    return [(why, methods) for why, methods in found.items() if methods]


def _notes(rows: Rows) -> list[str]:
    """Whether our numbers come in the paper's order."""
    both = [row for row in rows if row["own"] and row["verdict"]]
    same, ours = [], []
    for one, two in combinations(both, 2):
        if (one["dataset"], one["metric"]) != (two["dataset"], two["metric"]):
            continue
        if one["claimed"] != two["claimed"]:
            claimed = float(one["claimed"]) - float(two["claimed"])
            same.append(claimed * (float(one["own"]) - float(two["own"])) > 0)
            ours += same[-1:] if {one["method"], two["method"]} <= OURS.keys() else []
    if not same:
        return []
    note = (
        f"Order: of {counted(len(same), 'pair')} of methods whose numbers differ in the paper, each score "
        f"and data set for itself, {sum(same)} {'comes' if sum(same) == 1 else 'come'} out in the same order "
        "here; by chance it would be about half."
    )
    if 0 < len(ours) < len(same):
        note += f" Among the paper's own three networks it is {sum(ours)} of {len(ours)}."
    return [note]


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
    _require(words, ("alt", "caption"), folder / f"{name}.json")
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


def _records(file: Path, detectors: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Provenance of the runs, and of the detectors without a network, by name."""
    found = read_json(file)
    _require(found, (), file)
    for name, record in found.items():
        run, where = name not in detectors, f"{file}: '{name}'"
        _require(record, ("seconds", "parameters", "gmacs") if run else ("seconds",), where)
        _require(record["seconds"], ("predict_per_image", "train") if run else ("predict_per_image",), where)
    return (
        {name: record for name, record in found.items() if name not in detectors},
        {name: record for name, record in found.items() if name in detectors},
    )


def _provenance(
    records: Mapping[str, Mapping[str, Any]], detectors: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """Name and value of what all runs share, every value that occurs once, and of the detectors without a
    network where theirs differ."""
    if not records:
        return [("Runs", "none in this profile")]
    shown = []
    for title, said in (
        ("Commit", lambda each: _distinct(record.get("commit") for record in each)),
        ("Hardware", lambda each: _distinct(map(_machine, each))),
        ("Versions", _versions),
    ):
        runs, others = (said(each.values()) for each in (records, detectors))
        shown.append((title, runs))
        if others not in ("", runs):
            shown.append((f"{title}, other detectors", others))
    weights = _distinct(record.get("backbone_weights") for record in records.values())
    return [*shown, ("Backbone weights", weights)]


def _distinct(values: Iterable[object]) -> str:
    return "; ".join(sorted(set(map(_plain, values))))


def _versions(records: Iterable[Mapping[str, Any]]) -> str:
    """Of every package the versions that the records name, once each."""
    records = list(records)
    found: dict[str, dict[str, None]] = {}
    for record in records:
        for name, version in (record.get("versions") or {}).items():
            found.setdefault(name, {})[_plain(version)] = None
    told = ", ".join(f"{name} {' or '.join(sorted(found[name]))}" for name in sorted(found))
    return told or ("not known" if records else "")


def _machine(record: Mapping[str, Any]) -> str:
    """Hardware and threads; the name of a CPU has its threads already, that of a GPU has not."""
    name, threads = _plain(record.get("hardware")), record.get("threads")
    return name if "thread" in name or not threads else f"{name}, {counted(threads, 'thread')}"


def _cost(
    sources: Results, records: Mapping[str, Mapping[str, Any]], detectors: Mapping[str, Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """What the runs took: training, mapping the test photographs, and last the total, as names and values."""
    timed = [*records.values(), *detectors.values()]
    names = {name for record in timed for name in record["seconds"]["predict_per_image"]}
    _require(sources.sets, names, sources.prepared / "sets.json")

    def mapping(each: Mapping[str, Mapping[str, Any]]) -> float:
        return sum(
            seconds * sources.sets[name]["test"]
            for record in each.values()
            for name, seconds in record["seconds"]["predict_per_image"].items()
        )

    training = sum(record["seconds"]["train"] for record in records.values())
    networks, others = mapping(records), mapping(detectors)
    total = training + networks + others
    minutes = f" ({counted(round(total / 60), 'minute')})" if total >= 60 else ""
    machines = {_machine(record) for each in (records, detectors) for record in each.values()}
    beside = f"other detectors {others:,.0f} s" if detectors else ""
    return [
        ("Training, all runs", f"{training:,.0f} s"),
        ("Maps of the test photographs", ", ".join(filter(None, [f"networks {networks:,.0f} s", beside]))),
        (
            "Total cost",
            f"{total:,.0f} s{minutes}{', on different hardware' if len(machines) > 1 else ''}: "
            f"{counted(len(records), 'training')} {training:,.0f} s, maps of networks {networks:,.0f} s"
            f"{beside and f', of {beside}'}; not preparation, scoring and drawing, and one by one what ran "
            "side by side",
        ),
    ]


def _run(name: str, record: Mapping[str, Any]) -> dict[str, str]:
    seconds = record["seconds"]
    per_image = [f"{role} {value:.3f}" for role, value in sorted(seconds["predict_per_image"].items())]
    return {
        "name": name,
        "parameters": f"{record['parameters']:,}",
        "gmacs": f"{record['gmacs']:.2f}",
        "train": f"{seconds['train']:,.1f}",
        "predict": ", ".join(per_image) or "–",
    }


def _plain(value: object) -> str:
    """A value of a provenance file as text."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(own)}" for key, own in value.items())
    return "not known" if value is None else str(value)
