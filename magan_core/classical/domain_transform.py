"""The recursive edge-aware filter of Gastal & Oliveira, "Domain Transform", ACM TOG 2011, section 6."""

import numpy as np

ROUNDS = 3  # each along the rows, then along the columns


def recursive_filter(values: np.ndarray, guide: np.ndarray, spatial: float, tonal: float) -> np.ndarray:
    """Return `values` smoothed, but not across edges of `guide`: all float64 (H, W), `guide` in 0..1.

    spatial: standard deviation in pixels where the guide is flat; tonal: in units of the guide.
    """
    across, down = (1 + spatial / tonal * np.abs(np.diff(guide, axis=axis)) for axis in (1, 0))
    across = np.ascontiguousarray(across.T)
    for number in range(1, ROUNDS + 1):
        sigma = spatial * np.sqrt(3) * 2.0 ** (ROUNDS - number) / np.sqrt(4.0**ROUNDS - 1)
        feedback = np.exp(-np.sqrt(2) / sigma)
        values = _forth_and_back(values.T, feedback**across)
        values = _forth_and_back(values.T, feedback**down)
    return values


def _forth_and_back(values: np.ndarray, feedback: np.ndarray) -> np.ndarray:
    """Filter along the first axis; feedback[k] ties the rows k and k + 1."""
    values = np.array(values, np.float64, order="C")
    for k in range(1, len(values)):
        values[k] += feedback[k - 1] * (values[k - 1] - values[k])
    for k in range(len(values) - 2, -1, -1):
        values[k] += feedback[k] * (values[k + 1] - values[k])
    return values
