"""Tables I to VI: each number of the paper beside the one measured here.

`compare` brings the two together in long form, `wide` lays them out as a table, `write_tables` writes
everything. A method that was not run has an empty own cell. Equal inputs give equal bytes: nothing but scores
and provenance goes in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from magan_core.errors import MaganError, nearest
from magan_core.files import read_json, write_text
from magan_core.metrics import SCORES
from magan_core.reporting import claims, typeset
from magan_core.reporting.sources import BASELINES, PAPER_NAMES, REAL, TRAINED_ON

SAME = "same data"
ROLES = {name: role for role, name in PAPER_NAMES.items()}
COMPARISON = ("table", "dataset", "method", "metric", "claimed", "own", "difference", "data")

OURS = {"MANet": "manet", "MA-GANet": "magan", "MA-GANet-s": "magan-s"}
SIMPLE = {"Constant map": "constant", "Laplacian threshold": "laplacian"}  # not in the paper
CE_ROW, CE_ONLY = "CE 1.0, IoU 0, cGAN 0", "MANet, CE only (Table V)"
VARIANTS = {  # row of the paper -> variant in params.yaml
    "I": SIMPLE | OURS,
    "II": {"MA-GANet": "magan"},
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
        "MANet+adv (MA-GANet)": "magan",
        "MA-GANet+SSL (MA-GANet-s)": "magan-s",
    },
    "V": {
        CE_ROW: "manet-ce",
        "CE 1.0, IoU 1.0, cGAN 0": "manet",
        "CE 1.0, IoU 1.0, cGAN 0.001": "magan",
        "CE 1.0, IoU 1.0, cGAN 0.01": "magan-adv0.01",
        "CE 1.0, IoU 1.0, cGAN 0.1": "magan-adv0.1",
        "CE 1.0, IoU 0, cGAN 0.001": "magan-noiou",
        "CE 1.0, IoU 5.0, cGAN 0.001": "magan-iou5",
    },
    "VI": {"1×1": "magan-rf1", "16×16": "magan-rf16", "70×70": "magan", "256×256": "magan-rf256"},
}


@dataclass(frozen=True)
class Own:
    """The measured side: what a profile trained and scored, and on which data.

    runs: `runs` of params.yaml ({name: {variant, set, ...}}). listed: the runs of the profile. sets: `sets`
    of the profile (by role: {source, character, ...} or {same_as}). scores, runs_dir: folders of score and
    run files.
    """

    runs: Mapping[str, Mapping[str, Any]]
    listed: Sequence[str]
    sets: Mapping[str, Mapping[str, Any]]
    scores: Path
    runs_dir: Path

    def filled(self, role: str) -> str | None:
        """The set that fills a role, None if the profile has none."""
        return self.sets[role].get("same_as", role) if role in self.sets else None

    def run(self, variant: str, role: str) -> str | None:
        """The listed run of `variant` trained for `role`, or the baseline of that name; None without one.

        Where one set fills two roles and both runs are listed, the run that bears the set's name serves both.
        """
        if variant in BASELINES:
            return variant
        trained = self.filled(TRAINED_ON.get(role, role))
        names = [name for name in self.listed if self.runs[name]["variant"] == variant]
        names = [
            name for name in names if trained is not None and self.filled(self.runs[name]["set"]) == trained
        ]
        return min(names, key=lambda name: self.runs[name]["set"] != trained, default=None)

    def scored(self, variant: str, role: str) -> dict[str, Any]:
        """The summary of a variant on the test images of a role; {} if the profile has no such run or set."""
        run, tested = self.run(variant, role), self.filled(role)
        if run is None or tested is None:
            return {}
        path = self.scores / run / tested / "summary.json"
        if variant in BASELINES and not path.exists():
            return {}
        return _summary(path, run)

    def timed(self, variant: str, role: str) -> tuple[float, str]:
        """Seconds a photograph of a role, and the hardware; (NaN, "") without such a run or set."""
        run, tested = self.run(variant, role), self.filled(role)
        if run is None or tested is None:
            return np.nan, ""
        path = self.runs_dir / run / "provenance.json"
        record = read_json(path)
        try:
            return float(record["seconds"]["predict_per_image"][tested]), record["hardware"]
        except KeyError as error:
            raise MaganError(
                f"{path} has no {error} among the timings; train and map run '{run}' again"
            ) from error

    def data(self, role: str) -> str:
        """What own numbers of a role stand on: "same data", or the stand-in's name; "" without a set."""
        if role not in self.sets:
            return ""
        tested, trained = self._source(role), self._source(TRAINED_ON.get(role, role))
        return tested if trained in (tested, SAME) else f"{tested}, trained on {trained}"

    def _source(self, role: str) -> str:
        filled = self.filled(role)
        if filled is None:
            return "nothing"
        entry = self.sets[filled]
        if entry["source"] == "synthetic":
            return f"synthetic: {entry['character']}"
        if entry["source"] == REAL[role] and filled == role:
            return SAME
        return entry["source"]

    def check(self) -> None:
        """MaganError for a listed run without scores, and for scores of a run that is not listed."""
        for name in self.listed:
            nearest(name, self.runs, "run")
        for name in self.listed:
            role = self.runs[name]["set"]
            filled, variant = self.filled(role), self.runs[name]["variant"]
            if filled is None:
                raise MaganError(
                    f"run '{name}' needs the set '{role}', which the profile lacks; add it under sets"
                )
            if self.run(variant, role) == name:
                _summary(self.scores / name / filled / "summary.json", name)
        allowed = {*self.listed, *BASELINES}
        folders = sorted(self.scores.iterdir()) if self.scores.is_dir() else []
        for folder in folders:
            if folder.is_dir() and not folder.name.startswith(".") and folder.name not in allowed:
                raise MaganError(
                    f"{folder} holds scores of a run that the profile does not list; remove or list it"
                )


def compare(number: str, own: Own) -> pd.DataFrame:
    """One table in long form: the columns of COMPARISON, then printed, device, hardware ("" but in II).

    claimed, own and difference (own - claimed) are float64, NaN for an empty cell; data says what the own
    number stands on, "" without one. MaganError for a listed run whose scores are missing.
    """
    rows = []
    for claim in _claims(number).to_dict("records"):
        role, variant = ROLES[claim["dataset"]], VARIANTS[number].get(claim["method"])
        value, hardware = np.nan, ""
        if variant is not None and claim["metric"] == "seconds":
            value, hardware = own.timed(variant, role)
        elif variant is not None:
            value = own.scored(variant, role).get(claim["metric"], np.nan)
        if claim["method"] in SIMPLE and np.isnan(value):
            continue
        row = {key: claim[key] for key in ("table", "dataset", "method", "metric", "printed", "device")}
        row |= {
            "claimed": claim["value"],
            "own": value,
            "difference": value - claim["value"],
            "hardware": hardware,
        }
        rows.append(row | {"data": "" if np.isnan(value) else own.data(role)})
    return pd.DataFrame(rows)[[*COMPARISON, "printed", "device", "hardware"]]


def wide(comparison: pd.DataFrame) -> pd.DataFrame:
    """One row a data set and method: dataset, data, method, and METRIC_claimed, METRIC_own for each metric.

    Table II also has device (the paper's) and hardware (of the own seconds).
    """
    rows = []
    for (dataset, method), part in comparison.groupby(["dataset", "method"], sort=False):
        row = {"dataset": dataset, "data": max(part["data"]), "method": method}
        if "seconds" in set(part["metric"]):
            row |= {"device": part["device"].iloc[0], "hardware": part["hardware"].iloc[0]}
        for cell in part.itertuples():
            row |= {f"{cell.metric}_claimed": cell.claimed, f"{cell.metric}_own": cell.own}
        rows.append(row)
    return pd.DataFrame(rows)


def write_tables(
    numbers: Sequence[str],
    *,
    runs: Mapping[str, Mapping[str, Any]],
    listed: Sequence[str],
    sets: Mapping[str, Mapping[str, Any]],
    scores: Path,
    runs_dir: Path,
    out: Path,
) -> dict[str, pd.DataFrame]:
    """Write OUT/table_N.csv, .md and .tex for each number.

    runs, listed, sets, scores, runs_dir: see `Own`. Returns the tables of `wide` by number. CSV cells have
    six significant digits, Markdown and LaTeX three decimals (the paper's own digits where the paper is
    quoted). MaganError for an unknown table, missing scores, or scores of a run that is not listed; nothing
    is written then.
    """
    own = Own(runs, listed, sets, Path(scores), Path(runs_dir))
    own.check()
    compared = {number: compare(nearest(number, claims.NUMBERS, "table"), own) for number in numbers}
    tables = {number: wide(comparison) for number, comparison in compared.items()}
    out = Path(out)
    for number, comparison in compared.items():
        _write_csv(out / f"table_{number}.csv", tables[number])
        write_text(out / f"table_{number}.md", typeset.markdown(number, comparison))
        write_text(out / f"table_{number}.tex", typeset.latex(number, comparison))
    return tables


def write_claims(own: Own, path: Path) -> pd.DataFrame:
    """Write every number of Tables I to VI, claimed and own, in long form as one CSV; returns it."""
    own.check()
    everything = pd.concat([compare(number, own) for number in claims.NUMBERS])[list(COMPARISON)]
    _write_csv(path, everything)
    return everything


def _claims(number: str) -> pd.DataFrame:
    """The paper's table, and rows set beside it: baselines (I, III), the CE-only MANet (IV)."""
    claimed = claims.load(number)
    if number in ("I", "III"):
        datasets = claimed["dataset"].unique()
        extra = pd.DataFrame(product([number], datasets, SIMPLE, SCORES), columns=list(claims.COLUMNS[:4]))
        both = pd.concat([extra.assign(value=np.nan, printed=""), claimed])
        order = list(datasets)
        claimed = both.sort_values("dataset", key=lambda names: names.map(order.index), kind="stable")
    if number == "IV":
        fifth = claims.load("V")
        fifth = fifth[fifth["method"] == CE_ROW].assign(table=number, method=CE_ONLY)
        after = claimed["method"].eq("MANet").to_numpy().nonzero()[0].max() + 1
        claimed = pd.concat([claimed[:after], fifth, claimed[after:]])
    return claimed if "device" in claimed else claimed.assign(device="")


def _summary(path: Path, run: str) -> dict[str, Any]:
    """A score summary; MaganError if it is absent, incomplete or of another protocol."""
    if not path.exists():
        raise MaganError(
            f"{path} is missing though the profile lists run '{run}'; evaluate it, or take it off the list"
        )
    summary = read_json(path)
    if missing := [name for name in ("protocol", *SCORES) if name not in summary]:
        raise MaganError(f"{path} has no '{missing[0]}'; evaluate run '{run}' again")
    if summary["protocol"] != "paper":
        raise MaganError(
            f"{path} is of protocol '{summary['protocol']}'; the tables compare with protocol 'paper' only"
        )
    return summary


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))
