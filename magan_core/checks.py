"""The pipeline's own check that training has learnt something."""

from magan_core.errors import MaganError

Summaries = dict[str, dict[str, dict]]


class Missed(MaganError):
    """A run does not beat the baselines."""


def beats_baselines(summaries: Summaries, own: dict[str, str], check: dict) -> list[str]:
    """Every run must beat each baseline's mean absolute error by at least `mae_margin` on its own test set.

    summaries: {run or baseline: {set: {"mae": ...}}}. own: {run: its test set}. check: {"baselines": [...],
    "mae_margin": float or None}; None checks nothing (the smoke profile learns next to nothing). Returns one
    line a comparison, prints nothing.
    Errors: Missed, which lists all runs that do not; MaganError for one without a score.
    """
    margin = check["mae_margin"]
    if margin is None:
        return ["not checked: this profile is too short to learn"]
    lines, failures = [], []
    for run, name in own.items():
        for baseline in check["baselines"]:
            mae, bar = (_mae(summaries, one, name) for one in (run, baseline))
            line = f"{run} on {name}: MAE {mae:.4f}, {baseline} {bar:.4f}"
            beaten = mae < bar and round(bar - mae, 6) >= margin  # 0.064 - 0.059 is not quite 0.005
            (lines if beaten else failures).append(line)
    if failures:
        raise Missed(
            f"{len(failures)} of {len(lines) + len(failures)} comparisons miss the margin of {margin} in "
            "MAE: "
            + "; ".join(failures)
            + ". Tables, figures and report.html are there all the same; look at the maps of these runs. "
            "Train them longer, or with another `seed`, before you lower `check.mae_margin`."
        )
    return lines


def _mae(summaries: Summaries, name: str, on: str) -> float:
    try:
        return float(summaries[name][on]["mae"])
    except (KeyError, TypeError, ValueError):
        raise MaganError(f"{name} has no score on {on}; `make repro` trains and scores what is new") from None
