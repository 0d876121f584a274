"""The pipeline's own check that training has learnt something."""

from magan_core.errors import MaganError

Summaries = dict[str, dict[str, dict]]


def beats_baselines(summaries: Summaries, check: dict) -> list[str]:
    """Every run must beat each baseline's mean absolute error by `mae_margin` on each of its test sets.

    summaries: {run or baseline: {set: {"mae": ...}}}. check: {"baselines": [...], "mae_margin": float or
    None}; None checks nothing (the smoke profile learns next to nothing). Returns one line a comparison,
    prints nothing.
    Errors: MaganError that lists all runs that do not.
    """
    margin = check["mae_margin"]
    if margin is None:
        return ["not checked: this profile is too short to learn"]
    lines, failures = [], []
    for run, entries in summaries.items():
        if run in check["baselines"]:
            continue
        for name, summary in entries.items():
            for baseline in check["baselines"]:
                bar = summaries[baseline][name]["mae"] - margin
                line = f"{run} on {name}: MAE {summary['mae']:.3f}, {baseline} {bar + margin:.3f}"
                (lines if summary["mae"] < bar else failures).append(line)
    if failures:
        raise MaganError(
            f"{len(failures)} of {len(lines) + len(failures)} comparisons miss the margin of {margin} in "
            "MAE: "
            + "; ".join(failures)
            + ". Train longer, or look at the maps before you lower `check.mae_margin`."
        )
    return lines
