"""DBDF, discriminative blur detection features: a re-trained port.

Shi, Xu & Jia, "Discriminative Blur Detection Features", CVPR 2014. Features, classifier and inference follow
the authors' released program; what it had learnt (filters, and the densities of the features) was not to be
had, so `dbdf_fit` learns it again from photographs of a training split and `dbdf.safetensors` keeps it.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from magan_core.classical import planes
from magan_core.classical.belief import merge
from magan_core.classical.dbdf_features import features

PATCHES = (21, 15, 11)  # sides of the patches, pixels; odd
SMALLEST = 28
TOLERANCE = 5e-3  # of the inference
LEARNT = Path(__file__).with_name("dbdf.safetensors")


@dataclass(frozen=True)
class Learnt:
    """What was learnt for one patch size. Classes in the order in focus, blurred.

    filters: float32 (2, p, p). means, deviations: float32 (2, 5), of q1 to q5 in each class.
    """

    filters: np.ndarray
    means: np.ndarray
    deviations: np.ndarray

    def posterior(self, values: np.ndarray) -> np.ndarray:
        """Gaussian naive Bayes, equal priors: features (5, h, w) -> probability of blur (h, w), 0..1."""
        means, deviations = (
            part[..., None, None].astype(np.float64) for part in (self.means, self.deviations)
        )
        fits = (-0.5 * ((values - means) / deviations) ** 2 - np.log(deviations)).sum(axis=1)
        return 1 / (1 + np.exp((fits[0] - fits[1]).clip(-500, 500)))


def dbdf(photo: np.ndarray) -> np.ndarray:
    """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

    A photograph of one grey level is out of focus.
    Source: the program that the authors released, from its features to its multi-scale inference.
    Errors: MaganError for another array or a side below 28 pixels.
    """
    planes.check(photo, SMALLEST)
    return focus_map(planes.grey(photo), load())


def focus_map(grey: np.ndarray, learnt: dict[int, Learnt]) -> np.ndarray:
    """Return the map of a grey photograph: uint8 (H, W) -> uint8 (H, W), 255 = in focus.

    learnt: filters and densities by side of the patch, as `dbdf_fit.fit` returns them; the result is the
    layer of the largest patch.
    """
    if grey.min() == grey.max():
        return np.zeros_like(grey)
    patches = sorted(learnt, reverse=True)
    blurred = np.zeros((len(patches), *grey.shape))
    present = np.zeros(blurred.shape, bool)
    for layer, patch in enumerate(patches):
        edge = patch // 2
        inner = (layer, slice(edge, -edge), slice(edge, -edge))
        values = features(grey, patch, learnt[patch].filters)
        blurred[inner] = planes.stretch(learnt[patch].posterior(values))
        present[inner] = True
    edge = patches[0] // 2
    result = merge(blurred, TOLERANCE, present)[edge:-edge, edge:-edge]
    return planes.as_map(planes.stretch(-np.pad(result, edge, mode="edge")))


@lru_cache(maxsize=1)
def load(path: Path = LEARNT) -> dict[int, Learnt]:
    """Read what was learnt, by side of the patch."""
    stored = load_file(path)
    sides = sorted({int(name.split(".")[0]) for name in stored})
    return {side: Learnt(*(stored[f"{side}.{part}"] for part in Learnt.__annotations__)) for side in sides}
