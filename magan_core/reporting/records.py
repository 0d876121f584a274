"""What the report tells of data and trainings, as three small files beside the tables: what Git keeps of a
profile is enough to build it."""

from pathlib import Path
from typing import Any

import pandas as pd

from magan_core.classical import METHODS
from magan_core.files import read_json, write_json, write_table
from magan_core.reporting.sources import Results


def write_records(results: Results, out: Path) -> dict[str, dict[str, Any]]:
    """Write OUT/sets.json, what the sets hold, and OUT/provenance.json, that of every run and of every
    detector without a network; returns the latter."""
    names = (*results.listed, *(name for name in results.others if name in METHODS))
    records = {name: read_json(results.runs / name / "provenance.json") for name in names}
    write_json(out / "sets.json", results.sets)
    write_json(out / "provenance.json", records)
    return records


def write_histories(results: Results, path: Path) -> None:
    """Write the training histories of all runs as one CSV, with the run's name in front of each row."""
    histories = {run: pd.read_csv(results.runs / run / "history.csv") for run in results.listed}
    joined = (
        pd.concat(histories, names=["run"]).reset_index(level="run")
        if histories
        else pd.DataFrame([], [], ["run"])
    )
    write_table(path, joined)
