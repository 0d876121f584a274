"""Which set of a profile fills a role: a data set of the paper, tested or learnt from."""

from collections.abc import Mapping
from typing import Any

Sets = Mapping[str, Mapping[str, Any]]
PAPER_NAMES = {"shi": "Shi's", "zhao": "Shi's (Zhao's split)", "dut": "DUT", "ctcug": "CTCUG", "frd": "FRD"}


def filled_by(sets: Sets, role: str) -> str:
    """The set that fills a role: itself, or the one that its `same_as` names. sets: of params.yaml."""
    return sets.get(role, {}).get("same_as", role)


def judging(sets: Sets, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The role that methods are shown on where one must do: DUT's if a run learns from what fills it, as in
    the paper's figures, or else that of the first run. runs: of params.yaml, each with its `set`."""
    trained = [run["set"] for run in runs.values()]
    filled = {filled_by(sets, role) for role in trained}
    return "dut" if not trained or filled_by(sets, "dut") in filled else trained[0]
