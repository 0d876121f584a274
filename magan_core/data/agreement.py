"""How far two groups of annotators agree, on the photographs that their data sets share."""

from collections.abc import Sequence

import numpy as np

from magan_core.data.images import resize_mask
from magan_core.data.leaks import Alike, thumbnails
from magan_core.data.sets import load
from magan_core.metrics import histograms


def masks_as_maps(pairs: Sequence[Alike]) -> np.ndarray:
    """The masks of b, brought to the size of those of a and mirrored where the photograph is, counted as maps
    against the masks of a: int64 (N, 2, 256), of which `metrics.summary` makes scores.

    pairs: of `leaks.between`, of records with masks. Raises MaganError for files that `sets.load` refuses.
    """
    return np.stack([_counted(pair) for pair in pairs])


def _counted(pair: Alike) -> np.ndarray:
    (_, truth), (_, other) = load(pair.a), load(pair.b)
    one, two = thumbnails([pair.a, pair.b])
    if np.vdot(one, two) < np.vdot(one, two[:, ::-1]):
        other = np.ascontiguousarray(other[:, ::-1])
    return histograms(resize_mask(other, *truth.shape), truth)
