"""Which class the masks of a data set store as white, measured: what is in focus has the finer detail.

Of CUHK and SZU-BD, whose white is blurred, it has the coarser detail (mean absolute Laplacian) in 2 of 100
photographs.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from magan_core import cores
from magan_core.data.images import other_class
from magan_core.data.record import Record
from magan_core.data.sets import load
from magan_core.errors import MaganError

SAMPLE = 100  # photographs looked at, at least
FEWEST = 4  # photographs by which a set is judged


def contradicted(records: Sequence[Record]) -> tuple[int, int] | None:
    """Return in how many photographs the masks look as if white meant the other class than the records say,
    and how many were looked at, if that is more than three of four; else None. Errors as in `sets.load`."""
    signs = _signs(records)
    against = signs.count(-1 if records[0]["white"] == "focus" else 1)
    return (against, len(signs)) if against > 0.75 * len(signs) else None


def check_polarity(records: Sequence[Record], claim: str, remedy: str) -> None:
    """Raise a MaganError for FEWEST records and more that are `contradicted`; claim and remedy, for its
    message: who says what white is, and how to say the other."""
    if len(records) >= FEWEST and (found := contradicted(records)):
        raise MaganError(
            f"{claim}, but in {found[0]} of {found[1]} photographs it looks as if it were "
            f"{other_class(records[0]['white'])}: look at some. If it is, {remedy}"
        )


def _signs(records: Sequence[Record]) -> list[int]:
    with cores.pool() as pool:
        return list(pool.map(_sharper, records[:: max(1, len(records) // SAMPLE)]))


def _sharper(record: Record) -> int:
    """1 if the class stored as white has the larger mean absolute Laplacian, -1 if the other has, or 0."""
    photo, mask = load(record)
    detail = np.abs(ndimage.laplace(photo.mean(axis=2, dtype=np.float32)))
    focus = mask == 255
    sign = int(np.sign(detail[focus].mean() - detail[~focus].mean()))
    return sign if record["white"] == "focus" else -sign
