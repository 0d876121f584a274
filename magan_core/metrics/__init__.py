"""Every number of the paper's tables from two histograms an image, under a stated protocol.

`histograms` counts the pixels of a map and its mask once; everything else is arithmetic on *statistics*,
int64 (n, 2, 256), or (n, 2, 65536) of 16-bit maps. `protocols` names the conventions, `scores` applies one,
`uncertainty` says how sure a score is.
"""

from magan_core.metrics.histograms import BLURRED, FOCUS, histograms, value_histogram
from magan_core.metrics.protocols import PROTOCOLS, Protocol, get_protocol
from magan_core.metrics.scores import SCORES, curves, per_image, summary
from magan_core.metrics.uncertainty import (
    Difference,
    difference_over_seeds,
    intervals,
    paired_difference,
    paired_mean,
)

__all__ = [
    "BLURRED",
    "FOCUS",
    "PROTOCOLS",
    "SCORES",
    "Difference",
    "Protocol",
    "curves",
    "difference_over_seeds",
    "get_protocol",
    "histograms",
    "intervals",
    "paired_difference",
    "paired_mean",
    "per_image",
    "summary",
    "value_histogram",
]
