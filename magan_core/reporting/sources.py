"""Where tables, figures and notebooks find a profile's numbers and pictures, and what to call the data.

A *role* is a data set of the paper (`shi`, `zhao`, `dut`, `ctcug`, `frd`); a *set* is what a profile prepared
for it. Mostly they have the same name; `same_as` in params.yaml lets one set fill another role too. A run
that the profile lists must have its files; a run that it does not list is simply not there.
"""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from magan_core import paths, roles
from magan_core.classical import METHODS
from magan_core.data.images import read_map, read_mask, read_photo
from magan_core.errors import MaganError, nearest
from magan_core.files import read_json
from magan_core.metrics import SCORES
from magan_core.roles import PAPER_NAMES
from magan_core.score_files import read_pair, read_statistics

REAL = {  # entries of the paper's own data under `sets`, but for which class their masks have in white
    "shi": {"source": "cuhk", "train_split": "first604_train.txt", "test_split": "last100_test.txt"},
    "zhao": {"source": "cuhk", "train_split": "zhao_train.txt", "test_split": "zhao_test.txt"},
    "dut": {"source": "dut", "train_split": "train.txt", "test_split": "test.txt"},
    "ctcug": {"source": "ctcug", "use": "test"},
    "frd": {"source": "frd", "use": "unlabelled"},
}
DIVIDES = {"train_split", "test_split", "unlabelled_split", "train_share", "share"}
NOT_OF = {"test": ("train_split",), "train": ("test_split",), "": ()}  # what a part is not decided by
OURS = {"MANet": "manet", "MA-GANet": "magan", "MA-GANet-s": "magan-s"}  # label -> variant
TRAINED_ON = {"ctcug": "dut"}  # a test-only role is scored with the models of this one (paper, IV-A)
SAME = "same data"
PAPER_BACKBONE = "vgg16"


@dataclass(frozen=True)
class Results:
    """The files and runs of one profile.

    listed: the runs of the profile, name -> {variant, set, ...}. roles: its `sets`, role -> {source, ...} or
    {same_as}. others: folders of maps that are not runs: baselines and classical detectors. published: maps
    that the authors of other methods published, name -> {method, set, ...}. backbone: of the runs whose
    `model` names no other. rows: of the tables beside the paper's, {table, row, variant},
    perhaps with the variant that it is held `against`. bootstrap: resamples and seed of intervals over images
    and of permutation tests.
    """

    prepared: Path
    runs: Path
    maps: Path
    scores: Path
    listed: Mapping[str, Mapping[str, Any]]
    roles: Mapping[str, Mapping[str, Any]]
    others: tuple[str, ...]
    published: Mapping[str, Mapping[str, Any]]
    backbone: str = PAPER_BACKBONE
    rows: tuple[Mapping[str, str], ...] = ()
    bootstrap: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, profile: str, params: Mapping[str, Any]) -> "Results":
        """The results of `profile`, whose entry of params.load is `params` (keys used: runs, sets, check,
        classical, published, model, rows, bootstrap)."""
        where = (paths.prepared(profile), paths.runs(profile), paths.maps(profile), paths.scores(profile))
        others = (*params["check"]["baselines"], *params["classical"])
        backbone = params["model"]["backbone"]
        return cls(
            *where,
            params["runs"],
            params["sets"],
            others,
            params["published"],
            backbone,
            tuple(params.get("rows", ())),
            params["bootstrap"],
        )

    def filled_by(self, role: str) -> str:
        """The set that fills a role; MaganError for a role that the paper does not have."""
        nearest(role, PAPER_NAMES, "data set")
        return roles.filled_by(self.roles, role)

    def has(self, role: str) -> bool:
        """Whether this profile has data for the role."""
        return self.filled_by(role) in self.roles

    def tests(self, role: str) -> bool:
        """Whether this profile has photographs with masks to test the role on."""
        return self.has(role) and bool(self.sets[self.filled_by(role)].get("test"))

    @property
    def judging(self) -> str:
        """The role that methods are shown on where one must do."""
        return roles.judging(self.roles, self.listed)

    def seeds(self, variant: str, role: str) -> list[str]:
        """The runs of `variant` trained for `role`, one a seed; the profile's own seed comes first.

        Where one set fills two roles and runs for both are listed, those that bear the set's name serve both.
        """
        trained = self.filled_by(TRAINED_ON.get(role, role))
        found: dict[str, list[str]] = {}
        for name, run in self.listed.items():
            if run["variant"] == variant and self.filled_by(run["set"]) == trained:
                found.setdefault(run["set"], []).append(name)
        names = found.get(trained) or next(iter(found.values()), [])
        return sorted(names, key=lambda name: self.listed[name].get("seed", -1))

    def run(self, variant: str, role: str) -> str | None:
        """The first of `seeds`, or None if the profile lists none."""
        return next(iter(self.seeds(variant, role)), None)

    def same_seed(self, first: str, second: str, role: str) -> list[tuple[str, str]]:
        """The runs of two variants for a role that share a seed; where none does, the first of each."""
        before, after = (self.seeds(variant, role) for variant in (first, second))
        seeds = {self.listed[name].get("seed"): name for name in after}
        shared = [(name, seeds.get(self.listed[name].get("seed"))) for name in before]
        return [pair for pair in shared if pair[1]] or list(zip(before[:1], after[:1], strict=False))

    def methods(self, role: str) -> dict[str, str]:
        """The baselines, the classical detectors, and those of the paper's three networks that are trained
        for a role: name or variant -> folder of maps."""
        trained = {variant: run for variant in OURS.values() if (run := self.run(variant, role))}
        return dict(zip(self.others, self.others, strict=True)) | trained

    @cached_property
    def sets(self) -> dict[str, dict]:
        """The sets of this profile, as preparation described them."""
        return read_json(self.prepared / "sets.json")

    def is_real(self, role: str, part: str = "") -> bool:
        """Whether a role is filled by the paper's own data set, divided as there. part: test, train or ""
        for both."""
        return self.filled_by(role) == role and not self._unlike(role, part)

    def _unlike(self, role: str, part: str = "") -> list[str]:
        """What the entry of a set says, or leaves out, otherwise than the paper's data."""
        entry = {key: value for key, value in self.roles[role].items() if (key, value) != ("share", 1)}
        if not entry.keys() & DIVIDES:  # neither lists nor shares: the whole folder, and no draw
            entry = {"use": "test"} | {key: value for key, value in entry.items() if key != "seed"}
        if any(key.endswith("_split") for key in entry):
            entry.pop("seed", None)
        kept = {*REAL[role], *entry} - {"white", "pseudo", *NOT_OF[part]}
        unlike = [key for key in sorted(kept) if entry.get(key) != REAL[role].get(key)]
        told = [f"{key} {entry[key]}" for key in unlike if key in entry]
        return told or [f"no {key}" for key in unlike]

    def source(self, role: str) -> str:
        """What fills a role: synthetic scenes by their character, or a folder of raw data, and whose data
        they are, or how they are divided where they are the paper's."""
        filled = self.filled_by(role)
        entry = self.roles[filled]
        source = entry["source"]
        if source == "synthetic":
            source = f"synthetic scenes ‘{entry['character']}’"
        if filled != role:
            return f"{source}, {PAPER_NAMES[filled]}"
        return ", ".join([source, *(self._unlike(role) if source == REAL[role]["source"] else [])])

    def part(self, role: str) -> str:
        """`source`, and of a folder that several roles are filled from the list of photographs that this one
        has."""
        entry = self.roles[self.filled_by(role)]
        split = entry.get("test_split") or entry.get("unlabelled_split")
        sharing = [other for other in self.roles.values() if other.get("source") == entry["source"]]
        told = split and len(sharing) > 1 and self.source(role) == entry["source"]
        return f"{self.source(role)}, {split}" if told else self.source(role)

    def data_name(self, role: str, part: str = "test") -> str:
        """The paper's name of a role, and in brackets what stood in for that part of it, if it did."""
        name = PAPER_NAMES[role]
        return name if self.is_real(role, part) else f"{name} [stand-in: {self.source(role)}]"

    def filling(self, role: str, part: str = "") -> str:
        """The data of (a part of) a role: SAME as the paper's, else `source`, or "nothing"."""
        return "nothing" if not self.has(role) else SAME if self.is_real(role, part) else self.source(role)

    def stands_on(self, role: str, method: str) -> str:
        """What the numbers of a run, or other method, on a role stand on: SAME, or all that stood in for what
        the paper had: test, training and unlabelled data, and, on its test data, the network; "" without a
        set."""
        if not self.has(role):
            return ""
        tested = self.filling(role, "test")
        if method in self.others:
            return tested
        parts, run = [tested], self.listed[method]
        if (learnt := self.filling(TRAINED_ON.get(role, role), "train")) not in (tested, SAME):
            parts.append(f"trained on {learnt}")
        if pseudo := self.roles.get(self.filled_by(run["set"]), {}).get("pseudo"):
            parts.append(f"also trained on {pseudo['source']}, labelled by a network")
        if (extra := self.filling(run["unlabelled"]) if "unlabelled" in run else SAME) != SAME:
            parts.append(f"unlabelled {extra}")
        if (backbone := self.backbone_of(method)) != PAPER_BACKBONE and tested == SAME:
            parts.append(f"network {backbone}")
        return ", ".join(parts)

    def backbone_of(self, run: str) -> str:
        """The backbone of a run, without the tag of its weights."""
        return self.listed[run].get("model", {}).get("backbone", self.backbone).partition(".")[0]

    def as_published(self, method: str) -> bool:
        """Whether a run or other method is what its authors published, not a reconstruction of it."""
        return method not in METHODS or METHODS[method].exact

    def summary(self, method: str, role: str) -> dict[str, Any]:
        """The score summary of a run or other method, read once; MaganError if absent, incomplete or of
        another protocol."""
        path = self.score(method, role, "summary.json")
        if path not in self._summaries:
            self._summaries[path] = self._read_summary(path, method)
        return self._summaries[path]

    @cached_property
    def _summaries(self) -> dict[Path, dict[str, Any]]:
        return {}

    def _read_summary(self, path: Path, method: str) -> dict[str, Any]:
        if not path.exists():
            raise MaganError(
                f"{path} is missing though the profile lists '{method}'; `make repro` scores it, or "
                "take it off the list"
            )
        found = read_json(path)
        if missing := [name for name in ("protocol", "intervals", *SCORES) if name not in found]:
            raise MaganError(f"{path} has no '{missing[0]}'; `make repro` evaluates '{method}' again")
        if found["protocol"] != "paper":
            raise MaganError(
                f"{path} is of protocol '{found['protocol']}'; the tables compare with protocol 'paper' only"
            )
        return found

    def statistics(self, method: str, role: str) -> np.ndarray:
        """The statistics that the scores of a run or other method were computed from, int64 (n, 2, 256)."""
        return read_statistics(self.score(method, role, "statistics.npy"))

    def statistics_pair(self, first: str, second: str, role: str) -> tuple[np.ndarray, np.ndarray]:
        """The statistics of two methods on the same images and masks, in one order; MaganError if they are
        not."""
        return read_pair(*(self.scores / method / self.filled_by(role) for method in (first, second)))

    def seconds(self, run: str, role: str) -> tuple[float, str]:
        """Seconds a photograph of a role that a run took, and on which hardware."""
        path, tested = self.runs / run / "provenance.json", self.filled_by(role)
        record = read_json(path)
        try:
            return float(record["seconds"]["predict_per_image"][tested]), record["hardware"]
        except KeyError as error:
            raise MaganError(
                f"{path} has no {error} among the timings; `make repro` trains and maps run '{run}' again"
            ) from error

    def check(self) -> None:
        """MaganError for a listed run without scores, and for scores of a run that is not listed."""
        for name, run in self.listed.items():
            if self.filled_by(run["set"]) not in self.roles:
                raise MaganError(
                    f"run '{name}' needs the set '{run['set']}', which the profile lacks; add it under sets"
                )
            if name in self.seeds(run["variant"], run["set"]):
                self.summary(name, run["set"])
        allowed = {*self.listed, *self.others, *self.published}
        for folder in sorted(self.scores.iterdir()) if self.scores.is_dir() else []:
            if folder.is_dir() and not folder.name.startswith(".") and folder.name not in allowed:
                raise MaganError(
                    f"{folder} holds scores of a run that the profile does not list; remove or list it"
                )

    def test_images(self, role: str) -> list[dict[str, str]]:
        """One entry a test image: stem, image and mask (paths below the prepared data), white."""
        return read_rows(self.prepared / self.filled_by(role) / "test.csv")

    def photo(self, entry: Mapping[str, str]) -> np.ndarray:
        """The photograph of a test image, uint8 (H, W, 3)."""
        return read_photo(self.prepared / entry["image"])

    def mask(self, entry: Mapping[str, str]) -> np.ndarray:
        """The ground truth of a test image, uint8 (H, W), 255 = in focus."""
        return read_mask(self.prepared / entry["mask"], entry["white"])

    def map(self, method: str, role: str, stem: str) -> np.ndarray:
        """The map of a run or other method, uint8 (H, W), 255 = in focus."""
        return read_map(self.maps / method / self.filled_by(role) / f"{stem}.png")

    def score(self, method: str, role: str, file: str) -> Path:
        """A score file of a run or other method: summary.json, curves.csv, per_image.csv, histogram.csv or
        statistics.npy."""
        return self.scores / method / self.filled_by(role) / file


def read_rows(path: Path, empty: bool = False, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file as text.

    Raises MaganError, naming it, when it is absent or unreadable, lacks its first line, one of `columns` or
    a field, or has no rows, unless it may be `empty`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header, rows = reader.fieldnames, list(reader)
    except (OSError, ValueError, csv.Error) as error:
        raise MaganError(f"cannot read {path}: {error}. `make repro` writes it again.") from error
    if header is None:
        raise MaganError(
            f"{path} has no rows, not even that of the columns' names. `make repro` writes it again."
        )
    if missing := [name for name in columns if name not in header]:
        raise MaganError(
            f"{path} has no '{missing[0]}': damaged, or of another version. `make repro` writes it again."
        )
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise MaganError(
                f"{path}, row {number}: {'more' if None in row else 'fewer'} fields than the {len(header)} "
                "columns; expected one for each: damaged. `make repro` writes it again."
            )
    if not rows and not empty:
        raise MaganError(f"{path} has no rows; expected at least one. `make repro` writes it again.")
    return rows


def read_columns(path: Path, *names: str) -> list[np.ndarray]:
    """Columns of a CSV file as float64, an empty cell as NaN.

    Raises MaganError, naming the file, for a missing column or a cell that is not a number.
    """
    rows = read_rows(path)
    for name in names:
        if name not in rows[0]:
            raise MaganError(
                f"{path} has no column '{name}'; it has {', '.join(rows[0])}. `make repro` writes it again."
            )
    try:
        return [np.array([float(row[name] or "nan") for row in rows]) for name in names]
    except (TypeError, ValueError) as error:
        raise MaganError(
            f"{path}: a cell is not a number ({error}). `make repro` writes it again."
        ) from error
