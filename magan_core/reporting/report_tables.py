"""The tables of the report: what claims.csv says, a cell a number, with the best of each column marked."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from magan_core.classical import METHODS
from magan_core.errors import MaganError
from magan_core.reporting import claims, typeset
from magan_core.reporting.sources import OURS, Results
from magan_core.reporting.tables import PUBLISHED, ROLES, VARIANTS
from magan_core.wording import counted, signed

Rows = list[dict[str, str]]
BARE = (
    "Not trained with this profile",
    "Detectors that this profile does not list",
    "No program and no maps of these here; an entry under published of params.yaml scores maps of them",
)
ELSEWHERE = (
    "Published maps are scored on the photographs that they were published for, which need not be those of "
    "the other rows: the maps of DBDF and LBP are of CUHK's first 104, which Shi's split trains on."
)


def table(
    number: str, claim: str, numbers: Rows, sources: Results, machines: Mapping[str, str]
) -> dict[str, Any]:
    """One table of the paper, from the rows of claims.csv: groups by data set, a cell a metric. claim: what
    the paper says of it. machines: on which each run or other method was timed. MaganError for a table
    without rows, and a cell that is no number."""
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
        "metrics": [typeset.headed(metric) for metric in metrics],
        "groups": groups,
        "bare": _bare(number, rows),
        "notes": [
            *_notes(rows),
            *([ELSEWHERE] if any(_published(row) for row in rows) else []),
            *(note.replace("`", "'") for note in typeset.NOTES[number] if note != typeset.SCORED),
        ],
    }


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
    return signed(f"{number:{sign}z,.{digits}f}")


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
    filled = {row["method"] for row in rows if row["own"]}
    mapped = {method.removesuffix(PUBLISHED) for method in filled}
    found: dict[str, list[str]] = {why: [] for why in BARE}
    for method in dict.fromkeys(row["method"] for row in rows if row["method"] not in filled):
        variant = VARIANTS[number].get(method)
        if variant is None and method in mapped:
            continue
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
