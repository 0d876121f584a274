"""Which set of a profile fills a role: a data set of the paper, tested or learnt from."""

from collections.abc import Mapping
from typing import Any

from magan_core.errors import nearest

Sets = Mapping[str, Mapping[str, Any]]
PAPER_NAMES = {"shi": "Shi's", "zhao": "Shi's (Zhao's split)", "dut": "DUT", "ctcug": "CTCUG", "frd": "FRD"}


def filled_by(sets: Sets, role: str) -> str:
    """The set that fills a role: itself, or the one that its `same_as` names. sets: of params.yaml."""
    return sets.get(role, {}).get("same_as", role)


def judging(sets: Sets, runs: Mapping[str, Mapping[str, Any]]) -> str:
    """The role that methods are shown on where one must do: DUT's if a run learns from what fills it, as in
    the paper's figures, or else that of the first run; without runs DUT's, or else the first set. runs: of
    params.yaml, each with its `set`."""
    trained = [run["set"] for run in runs.values()] or [role for role in PAPER_NAMES if role in sets]
    filled = {filled_by(sets, role) for role in trained}
    return "dut" if not trained or filled_by(sets, "dut") in filled else trained[0]


def source_set(profile: Mapping[str, Any], role: str) -> str:
    """The set that fills a role, which the profile (of `params.load`) must have; else MaganError."""
    name = nearest(role, profile["sets"], f"set of profile {profile['name']}")
    return filled_by(profile["sets"], name)


def test_sets(profile: Mapping[str, Any], run: Mapping[str, Any]) -> list[str]:
    """Sets that a run is tested on: its own, and CTCUG for the runs of DUT, as in the paper."""
    own = source_set(profile, run["set"])
    transfers = {"dut", "ctcug"} <= set(profile["sets"]) and own == source_set(profile, "dut")
    return list(dict.fromkeys([own, source_set(profile, "ctcug")])) if transfers else [own]


def judging_set(profile: Mapping[str, Any]) -> str:
    """The set that methods are shown on where one must do: that which fills the role of `judging`."""
    return source_set(profile, judging(profile["sets"], profile["runs"]))
