"""ASVB, analysing spatially-varying blur: a reconstruction.

Chakrabarti, Zickler & Freeman, "Analyzing Spatially-varying Blur", CVPR 2010. Known to us: a local cue, the
likelihood that a neighbourhood was blurred by a candidate kernel; the paper then picks one motion kernel for
the whole image and cuts out the region that it affects, which is left out here, as is its model of colours.
The model of the cue is the paper's as we remember it; its equations were derived again, its numbers are ours,
and no map of the authors was there to compare with.

Model: the gradients of a sharp image are white, Gaussian, of an unknown local variance s. Blurred by kernel
k, they answer to a windowed Fourier filter f with a complex Gaussian number of variance s S + Z, where
S = sum |k * f|^2, and Z = sigma^2 sum |[1 -1] * f|^2 comes from noise. The answers to several f are
independent, and each kernel is given the s that suits it best.
"""

import numpy as np

from magan_core.classical import planes

BOXES = (3, 5, 7, 9, 11, 15, 19)  # lengths of the kernels, pixels
WINDOW = 21  # length of the filters, pixels; odd
NOISE = 1.0  # sigma, grey levels
STEP = 2  # distance of the pixels that are looked at
WEAKEST = 1e-8  # variance of the gradients
ROUNDS = 8  # of the fixed point for s
CHUNK = 4096  # pixels that are fitted together, as many as the cache holds


def asvb(photo: np.ndarray) -> np.ndarray:
    """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

    The paper's cue for motion: how much more likely the best box makes a pixel's row or column than no blur
    does, stretched.
    Errors: MaganError for another array.
    """
    planes.check(photo)
    gains = motion(planes.grey(photo), WINDOW, STEP)
    return planes.as_map(planes.stretch(-planes.interpolate(gains, STEP, photo.shape[:2])))


def motion(grey: np.ndarray, window: int, step: int) -> np.ndarray:
    """Return the gain in log-likelihood from no blur to the best box, along rows or columns, the larger.

    grey: uint8 (H, W) -> float32 (h, w), at every `step`-th pixel. window: length of the filters, odd.
    """
    filters, signal, error = _filters(window)
    gains = []
    for energy in _energies(grey, filters, step):
        fits = log_likelihoods(energy, signal, error)
        gains.append(fits[1:].max(axis=0) - fits[0])
    return np.maximum(*gains)


def log_likelihoods(energy: np.ndarray, signal: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Return max over s of -sum_i [log(s S_i + Z_i) + |y_i|^2 / (s S_i + Z_i)], float32 (K, h, w).

    energy: |y_i|^2, float32 (n, h, w). signal: S, (K, n). error: Z, (n,). The maximum is approached by the
    fixed point s = sum w_i (|y_i|^2 - Z_i) / S_i / sum w_i, w_i = (S_i / (s S_i + Z_i))^2.
    """
    flat = energy.reshape(len(energy), -1).astype(np.float32)
    result = np.empty((len(signal), flat.shape[1]), np.float32)
    ones = np.ones(len(flat), np.float32)
    for start in range(0, flat.shape[1], CHUNK):
        part = flat[:, start : start + CHUNK]
        for kernel, own in enumerate(signal):
            ratio = (error / own).astype(np.float32)[:, None]
            scaled = part / own.astype(np.float32)[:, None]
            s = scaled.mean(axis=0)
            for _ in range(ROUNDS):
                weight = s + ratio
                weight *= weight
                np.reciprocal(weight, out=weight)
                below = ones @ weight
                weight *= scaled - ratio
                s = np.maximum(ones @ weight / below, WEAKEST)
            variance = s + ratio  # divided by S, as `scaled` is
            fit = ones @ (np.log(variance) + scaled / variance)
            result[kernel, start : start + CHUNK] = -fit - np.log(own).sum()
    return result.reshape(len(signal), *energy.shape[1:])


def _filters(window: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the filters, complex (n, window), S of no blur and of every box, (K, n), and Z, (n,)."""
    place = np.arange(window) - window // 2
    hann = 0.5 + 0.5 * np.cos(2 * np.pi * place / (window + 1))
    frequencies = np.arange(1, window // 2 + 1) / window
    filters = hann * np.exp(-2j * np.pi * frequencies[:, None] * place)

    def energies(kernel: np.ndarray) -> np.ndarray:
        return np.array([(np.abs(np.convolve(kernel, one)) ** 2).sum() for one in filters])

    signal = np.stack([energies(np.full(length, 1 / length)) for length in (1, *BOXES)])
    return filters, signal, NOISE**2 * energies(np.array([1.0, -1.0]))


def _energies(grey: np.ndarray, filters: np.ndarray, step: int) -> list[np.ndarray]:
    """Return |y|^2 along rows and along columns, each float32 (n, h, w), at every `step`-th pixel."""
    grey = grey.astype(np.float32)
    half = filters.shape[1] // 2
    basis = np.concatenate([filters.real, filters.imag])[:, ::-1].T.astype(np.float32)
    found = []
    for transposed in (False, True):
        lines = (grey.T if transposed else grey)[::step]
        gradient = np.diff(np.pad(lines, ((0, 0), (half, half + 1)), mode="edge"), axis=1)
        windows = np.lib.stride_tricks.sliding_window_view(gradient, filters.shape[1], axis=1)[:, ::step]
        answers = windows @ basis
        energy = answers[..., : len(filters)] ** 2 + answers[..., len(filters) :] ** 2
        found.append(energy.transpose(2, 1, 0) if transposed else energy.transpose(2, 0, 1))
    return found
