"""SS, spectrum residual refined by similar neighbouring regions: a reconstruction.

Tang, Wu, Hou, Wang & Li, "A Spectral and Spatial Approach of Coarse-to-Fine Blurred Image Region Detection",
IEEE SPL 2016. Known to us: a blur metric from the residual of the logarithm of the averaged spectrum gives a
coarse map, which is refined again and again by the relation between similar neighbouring regions. No formula
and no parameter was to be had; every one below is ours, and no map of the authors was there to compare with.
"""

import numpy as np
from scipy import fft, sparse
from scipy.ndimage import gaussian_filter, sobel
from skimage.color import rgb2lab
from skimage.segmentation import slic

from magan_core.classical import planes

WINDOW = 16  # side of a window of the coarse map, pixels; even
STEP = 4  # distance of the windows, pixels
REBLUR = 1.5  # sigma of the second blur, pixels
OFFSET = 0.5  # added to an amplitude before its logarithm; grey in 0..255
EDGES = (1, 2, 4, 8, 16, 32, 64)  # of the histogram of gradient magnitudes
REGIONS = 300  # that SLIC is asked for
COMPACTNESS = 20.0  # of SLIC, in Lab
ITERATIONS = 5  # of SLIC
COLOUR = 12.0  # distance in Lab at which the tie between two regions weakens
TEXTURE = 0.15  # chi-squared of their gradient histograms at which it does
ROUNDS = 20  # of the refinement
ROWS = 16  # rows of windows whose spectra are taken together, as many as the cache holds


def ss(photo: np.ndarray) -> np.ndarray:
    """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

    The coarse map, refined over the regions of SLIC in Lab, stretched.
    Errors: MaganError for another array or a side below 16 pixels.
    """
    planes.check(photo, WINDOW)
    grey = planes.grey(photo).astype(np.float32)
    sharp = coarse(grey)
    lab = rgb2lab(photo)
    span = np.ptp(lab) or 1.0  # slic stretches its input to 0..1
    labels = slic(lab, REGIONS, COMPACTNESS / span, ITERATIONS, convert2lab=False, start_label=0)
    return planes.as_map(planes.stretch(refine(sharp, lab, grey, labels, COLOUR, TEXTURE, ROUNDS)[labels]))


def coarse(grey: np.ndarray) -> np.ndarray:
    """Return the mean residual of the log spectrum, float32 (H, W), of grey 0..255: high = in focus.

    The residual is what a second blur takes from the logarithm of a window's amplitude spectrum,
    averaged over orientation: the less of it, the more blurred the window was before.
    """
    again = gaussian_filter(grey, REBLUR, mode="reflect")
    residual = (log_spectra(grey, WINDOW, STEP) - log_spectra(again, WINDOW, STEP)).mean(axis=0)
    return planes.interpolate(residual, STEP, grey.shape)


def log_spectra(grey: np.ndarray, window: int, step: int) -> np.ndarray:
    """Return log(A(k) + 0.5), k = 1..window / 2, around every `step`-th pixel: (window / 2, h, w).

    A(k) is the mean amplitude over round(|frequency|) = k of a window without its mean, times a Hann window;
    the border is reflected. A pixel lies right and below of the centre of an even window.
    """
    half = window // 2
    padded = np.pad(grey, half, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (window, window))
    windows = windows[: grey.shape[0] : step, : grey.shape[1] : step]
    hann = np.hanning(window + 1)[:-1].astype(np.float32)
    frequency = np.hypot(fft.fftfreq(window, 1 / window)[:, None], fft.rfftfreq(window, 1 / window))
    ring = np.floor(frequency + 0.5).astype(int).ravel()
    twice = np.ones((window, half + 1), np.float32)  # the half that rfft2 leaves out mirrors the other one
    twice[:, 1:half] = 2
    shares = np.stack([(ring == k) * twice.ravel() for k in range(1, half + 1)], axis=1)
    shares = (shares / shares.sum(axis=0)).astype(np.float32)
    result = np.empty((half, *windows.shape[:2]), np.float32)
    for start in range(0, len(windows), ROWS):
        block = windows[start : start + ROWS]
        block = (block - block.mean(axis=(2, 3), keepdims=True)) * np.outer(hann, hann)
        amplitude = np.abs(fft.rfft2(block)).reshape(*block.shape[:2], -1)
        result[:, start : start + ROWS] = np.log(amplitude @ shares + OFFSET).transpose(2, 0, 1)
    return result


def refine(
    sharp: np.ndarray,
    lab: np.ndarray,
    grey: np.ndarray,
    labels: np.ndarray,
    colour: float,
    texture: float,
    rounds: int,
) -> np.ndarray:
    """Return one sharpness a region, float64 (n,), drawn towards that of similar regions nearby.

    sharp, grey: float (H, W); lab: float (H, W, 3); labels: int (H, W), 0..n-1. Regions are tied where they
    touch or have a neighbour in common, by exp(-|colours|^2 / (2 colour^2)) exp(-chi2 / texture); in each of
    the rounds a region takes the mean of its own first value and of its neighbours', weighed by their ties.
    """
    count = labels.max() + 1
    sizes = np.bincount(labels.ravel(), minlength=count).astype(np.float64)

    def means(values: np.ndarray) -> np.ndarray:
        return np.bincount(labels.ravel(), values.ravel(), count) / sizes

    first = means(sharp)
    colours = np.stack([means(lab[..., channel]) for channel in range(3)], axis=1)
    steepness = np.hypot(sobel(grey, 0), sobel(grey, 1)) / 8
    bins = labels * (len(EDGES) + 1) + np.digitize(steepness, EDGES)
    histograms = np.bincount(bins.ravel(), minlength=count * (len(EDGES) + 1)).reshape(count, -1)
    histograms = histograms / sizes[:, None]
    one, other = _neighbours(labels, count)
    distance = ((colours[one] - colours[other]) ** 2).sum(axis=1)
    total = histograms[one] + histograms[other]
    chi2 = 0.5 * ((histograms[one] - histograms[other]) ** 2 / np.where(total > 0, total, 1)).sum(axis=1)
    ties = np.exp(-distance / (2 * colour**2) - chi2 / texture)
    ties = sparse.csr_array((ties, (one, other)), (count, count))
    weight = 1 + ties.sum(axis=1)
    values = first
    for _ in range(rounds):
        values = (first + ties @ values) / weight
    return values


def _neighbours(labels: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ordered pairs of different regions that touch or have a neighbour in common."""
    pairs = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    one, other = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    touch = sparse.csr_array((np.ones(len(one), bool), (one, other)), (count, count))
    touch = (touch + touch.T).astype(np.int64)
    near = (touch + touch @ touch).tocoo()
    apart = near.row != near.col
    return near.row[apart], near.col[apart]
