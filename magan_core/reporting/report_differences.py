"""What each choice adds, for the report: a line a pair of methods, beside the paper's own step."""

from collections.abc import Mapping
from itertools import permutations
from pathlib import Path
from typing import Any

from magan_core.files import require
from magan_core.reporting import claims
from magan_core.reporting.sources import Results, read_rows
from magan_core.reporting.style import look
from magan_core.reporting.tables import DIFFERENCES, ROLES, VARIANTS
from magan_core.wording import signed

COMPARED = ("mae", "f_beta", "auf_beta")  # of the differences


def differences(file: Path, sources: Results) -> list[dict[str, Any]]:
    """The rows of differences.csv, `file`: groups by data set of one line a pair of methods, a cell a metric
    of COMPARED. MaganError for a file that is damaged or lacks one of these metrics."""
    rows, steps = read_rows(file, empty=True, columns=DIFFERENCES), _claimed_steps()
    own = {row["variant"]: row["row"] for row in sources.rows}
    groups: dict[tuple[str, str], dict[tuple[str, str], dict[str, dict[str, str]]]] = {}
    for row in rows:
        pairs = groups.setdefault((row["dataset"], row["data"]), {})
        pairs.setdefault((row["with"], row["without"]), {})[row["metric"]] = _difference(row, steps)
    shown: list[dict[str, Any]] = []
    first: dict[tuple[Any, ...], dict[str, Any]] = {}  # group of a set and its pairs, with all its lines
    for (dataset, data), pairs in groups.items():
        for (after, before), cells in pairs.items():
            require(cells, COMPARED, f"{file}: '{after}' against '{before}'")
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
            both = zip(twin["all"], lines, strict=True)
            elsewhere = [one for one, other in both if _claims_any(other) and not _claims_any(one)]
            twin["lines"] = [line for line in twin["lines"] if line not in elsewhere]
            lines = [line for line in lines if _claims_any(line)]
            name += f": as of {twin['name']}" * (not lines)
        shown.append({"name": name, "lines": lines, "all": lines})
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
                step = signed(f"{after[1] - before[1]:+z.3f}")
                found[dataset, after[0], before[0], metric] = step
    return found


def _difference(row: Mapping[str, str], steps: Mapping[tuple[str, str, str, str], str]) -> dict[str, Any]:
    claimed = steps.get((row["dataset"], row["with"], row["without"], row["metric"]), "")
    if not row["difference"]:
        return {"difference": "–", "spread": "", "one_sided": False, "claimed": claimed}
    difference, low, high, p = (float(row[key]) for key in ("difference", "low", "high", "p"))
    spread = signed(f"{low:+z.4f} to {high:+z.4f}, p {p:.2g}")
    seeds = f", {row['seeds']} seeds" if row["seeds"] != "1" else ""
    return {
        "difference": signed(f"{difference:+z.4f}"),
        "spread": spread + seeds,
        "one_sided": low > 0 or high < 0,
        "claimed": claimed,
    }
