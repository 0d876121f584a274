"""What the paper's Tables I to VI claim, transcribed once in data/paper_tables."""

import pandas as pd

from magan_core import limits, paths
from magan_core.errors import MaganError, nearest

COLUMNS = ("table", "dataset", "method", "metric", "value")


def load(number: str) -> pd.DataFrame:
    """A table of the paper in long form, one row a number, in the paper's order of data sets and methods.

    Columns: table, dataset ("Shi's", "Shi's (Zhao's split)", "DUT", "CTCUG"), method, metric (f_beta, mae,
    iou, auc, auf_beta; seconds in Table II), value (float64, NaN where the paper has a dash), printed (the
    digits as printed, "" for a dash). Table II also has device, "CPU" or "GPU". MaganError for an unknown
    number or a missing file.
    """
    nearest(number, limits.TABLES, "table")
    path = paths.PAPER_TABLES / f"table_{number}.csv"
    try:
        claimed = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError) as error:
        raise MaganError(
            f"cannot read {path}: {error}. It is part of the repository: check it out again."
        ) from error
    claimed = claimed.rename(columns={"value": "printed"})
    claimed.insert(4, "value", pd.to_numeric(claimed["printed"]))
    return claimed
