"""Where the figures of a profile find their numbers and pictures, and what to call the data.

A *role* is a data set of the paper (`shi`, `zhao`, `dut`, `ctcug`, `frd`); a *set* is what a profile prepared
for it. Mostly they have the same name; `same_as` in params.yaml lets one set fill another role too. A run
that the profile lists must have its files; a run that it does not list is simply not there.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from magan_core import paths
from magan_core.data.images import read_map, read_mask, read_photo
from magan_core.errors import MaganError, nearest
from magan_core.files import read_json

PAPER_NAMES = {"shi": "Shi's", "zhao": "Shi's (Zhao's split)", "dut": "DUT", "ctcug": "CTCUG", "frd": "FRD"}
REAL = {"shi": "cuhk", "zhao": "cuhk", "dut": "dut", "ctcug": "ctcug", "frd": "frd"}  # raw folders of these
TRAINED_ON = {"ctcug": "dut"}  # a test-only role is scored with the models of this one (paper, IV-A)
BASELINES = ("constant", "laplacian")


@dataclass(frozen=True)
class Results:
    """The files and runs of one profile.

    names: the runs that the profile lists, as VARIANT-SET. same_as: role -> set that fills it.
    others: folders of maps that are not runs: the baselines that every run is held against.
    """

    prepared: Path
    runs: Path
    maps: Path
    scores: Path
    names: tuple[str, ...]
    same_as: Mapping[str, str]
    others: tuple[str, ...]

    @classmethod
    def of(cls, profile: str, params: Mapping[str, Any]) -> "Results":
        """The results of `profile`, whose entry in params.yaml is `params` (keys used: runs, sets, check)."""
        same_as = {role: entry["same_as"] for role, entry in params["sets"].items() if "same_as" in entry}
        where = (paths.prepared(profile), paths.runs(profile), paths.maps(profile), paths.scores(profile))
        return cls(*where, tuple(params["runs"]), same_as, tuple(params["check"]["baselines"]))

    def filled_by(self, role: str) -> str:
        """The set that fills a role; MaganError for a role that the paper does not have."""
        nearest(role, PAPER_NAMES, "data set")
        return self.same_as.get(role, role)

    def has(self, role: str) -> bool:
        """Whether this profile has data for the role."""
        return self.filled_by(role) in self.sets()

    def run(self, variant: str, role: str) -> str | None:
        """The run of `variant` trained for `role`, or None if the profile does not list one.

        Where one set fills two roles and both runs are listed, the run that bears the set's name serves both.
        """
        trained = self.filled_by(TRAINED_ON.get(role, role))
        roles = [trained, *(other for other in PAPER_NAMES if self.filled_by(other) == trained)]
        return next((f"{variant}-{role}" for role in roles if f"{variant}-{role}" in self.names), None)

    def sets(self) -> dict[str, dict]:
        """The sets of this profile, as preparation described them."""
        return read_json(self.prepared / "sets.json")

    def is_real(self, role: str) -> bool:
        """Whether a role is filled by the paper's own data set."""
        return self.filled_by(role) == role and self.sets()[role]["source"] == REAL[role]

    def source(self, role: str) -> str:
        """What fills a role: `synthetic` or a folder of raw data, and the role that it was prepared for."""
        filled = self.filled_by(role)
        source = self.sets()[filled]["source"]
        return source if filled == role else f"{source}, {PAPER_NAMES[filled]}"

    def data_name(self, role: str) -> str:
        """The paper's name of a role, and in brackets what stood in for it, if anything did."""
        name = PAPER_NAMES[role]
        return name if self.is_real(role) else f"{name} [stand-in: {self.source(role)}]"

    def test_images(self, role: str) -> list[dict[str, str]]:
        """One entry a test image: stem, image, mask, white."""
        return read_rows(self.prepared / self.filled_by(role) / "test.csv")

    def photo(self, entry: Mapping[str, str]) -> np.ndarray:
        """The photograph of a test image, uint8 (H, W, 3)."""
        return read_photo(entry["image"])

    def mask(self, entry: Mapping[str, str]) -> np.ndarray:
        """The ground truth of a test image, uint8 (H, W), 255 = in focus."""
        return read_mask(entry["mask"], entry["white"])

    def map(self, method: str, role: str, stem: str) -> np.ndarray:
        """The map of a run or other method, uint8 (H, W), 255 = in focus."""
        return read_map(self.maps / method / self.filled_by(role) / f"{stem}.png")

    def score(self, method: str, role: str, file: str) -> Path:
        """A score file of a run or other method: summary.json, curves.csv, per_image.csv or histogram.csv."""
        return self.scores / method / self.filled_by(role) / file


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as text. Raises MaganError, naming it, when it is absent, unreadable or has no
    rows.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise MaganError(f"cannot read {path}: {error}. Run the stage that writes it again.") from error
    if not rows:
        raise MaganError(f"{path} has no rows; expected at least one. Run the stage that writes it again.")
    return rows


def read_columns(path: Path, *names: str) -> list[np.ndarray]:
    """Columns of a CSV file as float64, an empty cell as NaN.

    Raises MaganError, naming the file, for a missing column or a cell that is not a number.
    """
    rows = read_rows(path)
    for name in names:
        if name not in rows[0]:
            raise MaganError(
                f"{path} has no column '{name}'; it has {', '.join(rows[0])}. Run the stage that writes it "
                "again."
            )
    try:
        return [np.array([float(row[name] or "nan") for row in rows]) for name in names]
    except (TypeError, ValueError) as error:
        raise MaganError(
            f"{path}: a cell is not a number ({error}). Run the stage that writes it again."
        ) from error
