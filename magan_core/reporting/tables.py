"""Tables I to VI: each number of the paper beside the one measured here, with a verdict.

`compare` brings the two together in long form, `wide` lays them out as a table, `write_tables` writes
everything. A method that was not run has an empty own cell. Equal inputs give equal bytes: nothing but scores
and provenance goes in.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from magan_core import limits
from magan_core.classical import METHODS
from magan_core.errors import MaganError, nearest
from magan_core.files import write_table, write_text
from magan_core.metrics import SCORES, difference_over_seeds, get_protocol, paired_difference, summary
from magan_core.reporting import claims, typeset
from magan_core.reporting.sources import OURS, PAPER_NAMES, SAME, Results

ROLES = {name: role for role, name in PAPER_NAMES.items()}
COMPARISON = (
    "table", "dataset", "method", "metric", "claimed", "own", "low", "high", "seeds", "deviation", "images",
    "difference", "verdict", "data",
)  # fmt: skip
DIFFERENCES = ("dataset", "data", "without", "with", "metric", "difference", "low", "high", "p", "seeds")

SIMPLE = {"Constant map": "constant", "Laplacian threshold": "laplacian"}  # not in the paper
RAW = "MANet, attention as printed (not divided by N)"
PUBLISHED = ", published maps"
CE_ROW, CE_ONLY = "CE 1.0, IoU 0, cGAN 0", "MANet, CE only (Table V)"
CLASSICAL = {name: name for name in METHODS}
VARIANTS = {  # row of the paper -> variant in params.yaml, baseline or classical detector
    "I": SIMPLE | CLASSICAL | OURS,
    "II": CLASSICAL | {"MA-GANet": "magan"},
    "III": SIMPLE | OURS,
    "IV": {
        "Baseline": "baseline",
        "HL+LL": "hl-ll",
        "HL+LL+HCA": "hl-ll-hca",
        "HL+LL+HCA+SA": "hl-ll-hca-sa",
        "HL+LL+HCA+LCA": "hl-ll-hca-lca",
        "HL+LL+SA": "hl-ll-sa",
        "MANet": "manet",
        CE_ONLY: "manet-ce",
        RAW: "manet-raw",
        "MANet+adv (MA-GANet)": "magan",
        "MA-GANet+SSL (MA-GANet-s)": "magan-s",
    },
    "V": {
        CE_ROW: "manet-ce",
        "CE 1.0, IoU 1.0, cGAN 0": "manet",
        "CE 1.0, IoU 1.0, cGAN 0.001": "magan",
        "CE 1.0, IoU 1.0, cGAN 0.01": "magan-adv1e-2",
        "CE 1.0, IoU 1.0, cGAN 0.1": "magan-adv1e-1",
        "CE 1.0, IoU 0, cGAN 0.001": "magan-noiou",
        "CE 1.0, IoU 5.0, cGAN 0.001": "magan-iou5",
    },
    "VI": {"1×1": "magan-rf1", "16×16": "magan-rf16", "70×70": "magan", "256×256": "magan-rf256"},
}


PAIRS = (  # (other, what the paper says is better; of `manet-raw`, which is its own form, we say so)
    ("baseline", "hl-ll"),
    ("hl-ll", "hl-ll-hca"),
    ("hl-ll", "hl-ll-sa"),
    ("hl-ll-hca", "hl-ll-hca-lca"),
    ("hl-ll-hca", "hl-ll-hca-sa"),
    ("hl-ll-hca-sa", "manet"),
    # By these section IV-E argues its spatial and its channel attention.
    ("hl-ll-hca-lca", "manet"),
    ("hl-ll-sa", "manet"),
    ("hl-ll", "manet"),  # all attention
    ("baseline", "manet"),
    ("manet-raw", "manet"),
    ("manet-ce", "manet"),
    ("manet-ce", "magan-noiou"),
    ("manet-ce", "magan"),  # both losses: perhaps the paper's step from MANet (docs/paper-notes.md)
    ("manet", "magan"),
    ("magan", "magan-s"),
    ("magan-noiou", "magan"),
    ("magan-iou5", "magan"),
    ("magan-adv1e-2", "magan"),
    ("magan-adv1e-1", "magan"),
    ("magan-rf1", "magan"),
    ("magan-rf16", "magan"),
    ("magan-rf256", "magan"),
)


def compare(number: str, results: Results, tolerance: Mapping[str, float | None]) -> pd.DataFrame:
    """One table in long form: the columns of COMPARISON, then printed, device, hardware ("" but in II).

    claimed, own and difference (own - claimed) are float64, NaN for an empty cell; low and high the 95 %
    interval over images. With several seeds own is their mean, deviation their standard deviation, and there
    is no interval. data says what the own number stands on. verdict, where the paper has a number of this
    table: "reproduced" (|difference| within the tolerance of the metric), "better" or "not reproduced"
    (beyond it, to the better or the worse end), "not judged" (other data, another network, a reconstruction
    or other hardware stood in: no statement about the paper), "not run".
    MaganError for a listed run whose scores are missing.
    """
    rows = []
    variants = VARIANTS[number] | _beside(number, results)
    printed = {*claims.load(number)["method"], CE_ONLY}
    for claim in _claims(number, results).to_dict("records"):
        own = _own(results, variants.get(claim["method"]), claim)
        if np.isnan(own["own"]) and claim["method"] not in printed:
            continue
        row = {key: claim[key] for key in ("table", "dataset", "method", "metric", "printed", "device")}
        row |= {"claimed": claim["value"], "difference": own["own"] - claim["value"]} | own
        rows.append(row | {"verdict": _verdict(row, tolerance)})
    return pd.DataFrame(rows)[[*COMPARISON, "printed", "device", "hardware"]]


def wide(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and method: dataset, data, method, and for each metric METRIC_claimed, METRIC_own
    and METRIC_verdict, for scores METRIC_low, METRIC_high, METRIC_seeds and METRIC_deviation too.

    Table II also has device (the paper's) and hardware (of the own seconds).
    """
    rows = []
    for (dataset, method), part in comparison.groupby(["dataset", "method"], sort=False):
        row = {"dataset": dataset, "data": part["data"].iloc[0], "method": method}
        timed = "seconds" in set(part["metric"])
        if timed:
            row |= {"device": part["device"].iloc[0], "hardware": part["hardware"].iloc[0]}
        for cell in part.to_dict("records"):
            kept = ("claimed", "own", "verdict")
            kept += () if timed else ("low", "high", "seeds", "deviation")
            row |= {f"{cell['metric']}_{name}": cell[name] for name in kept}
        rows.append(row)
    return pd.DataFrame(rows)


def write_tables(
    numbers: Sequence[str], results: Results, tolerance: Mapping[str, float | None], out: Path
) -> dict[str, pd.DataFrame]:
    """Write OUT/table_N.csv, .md and .tex for each number.

    tolerance: largest difference that counts as reproduced, by metric; None judges nothing.
    Returns the tables of `wide` by number. CSV cells have six significant digits, Markdown and LaTeX
    three decimals (the paper's own digits where the paper is quoted). MaganError for an unknown table,
    missing scores, or scores of a run that is not listed; nothing is written then.
    """
    results.check()
    _check_shown(results)
    compared = {
        number: compare(nearest(number, limits.TABLES, "table"), results, tolerance) for number in numbers
    }
    tables = {number: wide(comparison) for number, comparison in compared.items()}
    out = Path(out)
    for number, comparison in compared.items():
        write_table(out / f"table_{number}.csv", tables[number])
        write_text(out / f"table_{number}.md", typeset.markdown(number, comparison))
        write_text(out / f"table_{number}.tex", typeset.latex(number, comparison))
    return tables


def write_claims(results: Results, tolerance: Mapping[str, float | None], path: Path) -> pd.DataFrame:
    """Write every number of Tables I to VI, claimed and own, in long form as one CSV; returns it."""
    results.check()
    everything = pd.concat(
        [compare(number, results, tolerance) for number in limits.TABLES], ignore_index=True
    )
    everything = everything[list(COMPARISON)]
    write_table(path, everything)
    return everything


def write_differences(results: Results, path: Path) -> pd.DataFrame:
    """Write PAIRS of methods, and rows of one's own with what they are held against, on the same test
    photographs as one CSV; returns it.

    Columns: dataset, data, without, with, metric, difference (with - without), low, high, p, seeds. One row a
    pair that the profile has, a role and a score. Two methods with several seeds in common are compared over
    these (metrics.difference_over_seeds); others over images (metrics.paired_difference, seeds is 1), in the
    one seed that both have, else the first of each. p is not corrected for the number of comparisons.
    """
    rows = []
    own = [(row["against"], row["variant"]) for row in results.rows if "against" in row]
    for role, (first, second) in product(PAPER_NAMES, dict.fromkeys((*PAIRS, *own))):
        pairs = results.same_seed(first, second, role) if results.tests(role) else []
        if not pairs or results.sets[results.filled_by(role)]["test"] < 2:
            continue
        paper = get_protocol("paper")
        if len(pairs) == 1:
            found = paired_difference(*results.statistics_pair(*pairs[0], role), paper, **results.bootstrap)
        else:
            scores = [[summary(one, paper) for one in results.statistics_pair(*pair, role)] for pair in pairs]
            found = {
                metric: difference_over_seeds([after[metric] - before[metric] for before, after in scores])
                for metric in SCORES
            }
        start = {
            "dataset": PAPER_NAMES[role],
            "data": results.stands_on(role, pairs[0][1]),
            "without": first,
            "with": second,
        }
        rows += [
            start | {"metric": metric} | vars(found[metric]) | {"seeds": len(pairs)} for metric in SCORES
        ]
    frame = pd.DataFrame(rows, columns=list(DIFFERENCES))
    write_table(path, frame)
    return frame


def _own(results: Results, variant: str | None, claim: Mapping[str, Any]) -> dict[str, Any]:
    """The measured side of one cell."""
    role, metric, method = ROLES[claim["dataset"]], claim["metric"], claim["method"]
    own: dict[str, Any] = dict.fromkeys(("own", "low", "high", "deviation"), np.nan)
    own |= {"seeds": 0, "images": 0, "data": "", "hardware": "", "as_published": True}
    for name, entry in results.published.items():
        if (method == entry["method"] + PUBLISHED or variant == name) and results.score(
            name, role, "summary.json"
        ).exists():
            scored = results.summary(name, role)
            return own | _score(scored, metric) | {"data": f"published maps, {scored['images']} images"}
    if variant is None or variant in results.published or not results.tests(role):
        return own
    runs = [variant] if variant in results.others else results.seeds(variant, role)
    if not runs:
        return own
    if metric == "seconds":
        value, hardware = results.seconds(runs[0], role)
        return own | {"own": value, "hardware": hardware, "data": f"{results.filling(role)}, other hardware"}
    summaries = [results.summary(run, role) for run in runs]
    values = [scored[metric] for scored in summaries]
    data = results.stands_on(role, runs[0])
    own |= _score(summaries[0], metric) | {"data": data, "seeds": len(runs)}
    own["as_published"] = results.as_published(runs[0])
    if len(runs) > 1:
        own |= {"own": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}
        own |= {"low": np.nan, "high": np.nan}
    return own


def _score(scored: Mapping[str, Any], metric: str) -> dict[str, Any]:
    low, high = (scored["intervals"] or {}).get(metric, (np.nan, np.nan))  # a single image has none
    return {"own": scored[metric], "low": low, "high": high, "images": scored["images"]}


def _verdict(row: Mapping[str, Any], tolerance: Mapping[str, float | None]) -> str:
    if np.isnan(row["claimed"]) or (row["table"], row["method"]) == ("IV", CE_ONLY):  # the latter is V's
        return ""
    if np.isnan(row["own"]):
        return "not run"
    allowed = tolerance[row["metric"]]
    if row["data"] != SAME or not row["as_published"] or allowed is None:
        return "not judged"
    if abs(row["difference"]) <= allowed + 1e-9:
        return "reproduced"
    best = typeset.METRICS[row["metric"]][2]
    return "better" if best(row["own"], row["claimed"]) == row["own"] else "not reproduced"


def _check_shown(results: Results) -> None:
    """MaganError for a listed run, or published maps, that no table shows, or not that which `rows` names."""
    shown = {
        variant for number in VARIANTS for variant in (VARIANTS[number] | _beside(number, results)).values()
    }
    for name, run in results.listed.items():
        nearest(run["variant"], sorted(shown), f"variant of run {name} in the tables (`rows` of params.yaml)")
    for row in results.rows:
        if entry := results.published.get(row["variant"]):
            sets = {results.filled_by(ROLES[name]) for name in claims.load(row["table"])["dataset"]}
            if results.filled_by(entry["set"]) not in sets:
                raise MaganError(
                    f"`rows`: Table {row['table']} has no numbers on '{entry['set']}', the set of "
                    f"'{row['variant']}'; take another table"
                )
    tables = [claims.load(number) for number in ("I", "III")]
    known = sorted({method for table in tables for method in table["method"]})
    for name, entry in results.published.items():
        if name in shown:
            continue
        nearest(entry["method"], known, f"method of published maps {name}")
        if not any(_row(table, entry).any() for table in tables):
            raise MaganError(
                f"published maps {name}: no table has a row of {entry['method']} on '{entry['set']}'. Take "
                "another `set`, or remove the entry."
            )


def _beside(number: str, results: Results) -> dict[str, str]:
    """The rows of params.yaml that a table shows beside the paper's: label -> variant or published maps."""
    rows = {row["row"]: row["variant"] for row in results.rows if row["table"] == number}
    for label in rows:
        if label in VARIANTS[number] or label in set(claims.load(number)["method"]):
            raise MaganError(f"`rows`: Table {number} has a row '{label}' already; give yours another label")
    return rows


def _row(table: pd.DataFrame, entry: Mapping[str, str]) -> pd.Series:
    """Where a table of the paper has the method and data set of published maps."""
    return table["method"].eq(entry["method"]) & table["dataset"].eq(PAPER_NAMES[entry["set"]])


def _claims(number: str, results: Results) -> pd.DataFrame:
    """The paper's table, and rows set beside it: baselines and published maps (I, III), classical detectors
    that the paper does not have (I), two more forms of MANet (IV), and `rows` of params.yaml."""
    claimed = claims.load(number)
    if number in ("I", "III"):
        datasets = claimed["dataset"].unique()
        own = [name for name in results.others if name in METHODS and name not in set(claimed["method"])]
        beside = [*SIMPLE, *(own if number == "I" else [])]
        extra = pd.DataFrame(product([number], datasets, beside, SCORES), columns=list(claims.COLUMNS[:4]))
        both = pd.concat([extra.assign(value=np.nan, printed=""), claimed])
        order = list(datasets)
        claimed = both.sort_values("dataset", key=lambda names: names.map(order.index), kind="stable")
        for entry in results.published.values():
            same = _row(claimed, entry)
            if not same.any():
                continue
            rows = claimed[same].assign(method=entry["method"] + PUBLISHED, value=np.nan, printed="")
            after = same.to_numpy().nonzero()[0].max() + 1
            claimed = pd.concat([claimed[:after], rows, claimed[after:]])
    if number == "IV":
        fifth = claims.load("V")
        fifth = fifth[fifth["method"] == CE_ROW].assign(table=number, method=CE_ONLY)
        raw = fifth.assign(method=RAW, value=np.nan, printed="")
        after = claimed["method"].eq("MANet").to_numpy().nonzero()[0].max() + 1
        claimed = pd.concat([claimed[:after], fifth, raw, claimed[after:]])
    if beside := list(_beside(number, results)):
        datasets, metrics = list(claimed["dataset"].unique()), claimed["metric"].unique()
        extra = pd.DataFrame(product([number], datasets, beside, metrics), columns=list(claims.COLUMNS[:4]))
        both = pd.concat([claimed, extra.assign(value=np.nan, printed="", device="")])
        claimed = both.sort_values("dataset", key=lambda names: names.map(datasets.index), kind="stable")
        claimed = claimed.fillna({"device": ""})
    return claimed if "device" in claimed else claimed.assign(device="")
