"""Photographs that two data sets, or two parts of one, have in common, found by what they show.

Two photographs count as the same one when their thumbnails, 32 x 32 in grey, correlate above LIMIT, as they
are or mirrored. A thumbnail forgets size, compression, brightness and contrast; crops are not found. Between
CUHK and SZU-BD, 15 pairs lie above 0.986 and no other above 0.94.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from magan_core import cores
from magan_core.data.images import read_thumbnail
from magan_core.data.record import Record

LIMIT = 0.95
SIDE = 32


class Alike(NamedTuple):
    """Two photographs and the correlation of their thumbnails."""

    a: Record
    b: Record
    correlation: float


def thumbnails(records: Sequence[Record]) -> np.ndarray:
    """Return the thumbnails as float32 (N, 32, 32), each of mean 0 and norm 1; one without any contrast is 0.

    Raises MaganError for a photograph that cannot be read.
    """
    with cores.pool() as pool:
        found = list(pool.map(lambda record: read_thumbnail(record["image"], SIDE), records))
    small = np.array(found, np.float32)
    small = small.reshape(len(records), SIDE, SIDE)
    small -= small.mean(axis=(1, 2), keepdims=True)
    norm = np.linalg.norm(small, axis=(1, 2), keepdims=True)
    return np.divide(small, norm, out=np.zeros_like(small), where=norm > 1e-3)


def correlations(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return float32 (len(a), len(b)) in -1..1: the larger of the correlations as they are and mirrored."""
    pixels = ((1, 2), (1, 2))
    return np.maximum(np.tensordot(a, b, pixels), np.tensordot(a[:, :, ::-1], b, pixels))


def between(a: Sequence[Record], b: Sequence[Record], limit: float = LIMIT) -> list[Alike]:
    """Return the pairs of one photograph of each that correlate above `limit`, most alike first."""
    return _above(a, b, correlations(thumbnails(a), thumbnails(b)), limit)


def within(records: Sequence[Record], limit: float = LIMIT) -> list[Alike]:
    """Return the pairs of different photographs of one set that correlate above `limit`, 0 or more, most
    alike first."""
    small = thumbnails(records)
    return _above(records, records, np.triu(correlations(small, small), 1), limit)


def _above(a: Sequence[Record], b: Sequence[Record], found: np.ndarray, limit: float) -> list[Alike]:
    pairs = [Alike(a[i], b[j], float(found[i, j])) for i, j in np.argwhere(found > limit).tolist()]
    return sorted(pairs, key=lambda pair: (-pair.correlation, pair.a["stem"], pair.b["stem"]))
