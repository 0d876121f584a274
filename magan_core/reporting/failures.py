"""Where a map is wrong, in kinds that suggest a cause.

Every pixel belongs to one kind, by where it lies and by whether the photograph shows detail there, so that
the errors of the kinds add up to the mean absolute error of the map. A kind is a measured fact; the cause
that it suggests is a suspicion.
"""

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from magan_core.data.images import CUT
from magan_core.errors import MaganError
from magan_core.reporting import style
from magan_core.reporting.behaviour import edge_distance
from magan_core.reporting.sources import Results

KINDS = {
    "edge": "edge drawn badly",
    "homogeneous": "homogeneous area in focus",
    "clutter": "clutter out of focus",
    "missed": "detail in focus missed",
    "invented": "focus seen in a smooth blur",
}
EDGE_SHARE = 1 / 32  # of the shorter side: how far from an edge of the mask an error counts as the edge's
FOCUS_INK, BLUR_INK = (255 * np.array(to_rgb(color)) for color in (style.FOCUS_COLOR, style.BLUR_COLOR))


def kinds_of(mask: np.ndarray, detail: np.ndarray, reach: float) -> np.ndarray:
    """The kind of error that each pixel can have, as its place in KINDS, int (H, W).

    edge: at most `reach` pixels from the other class of the mask. Beyond that, in focus: homogeneous without
    detail, missed with it; out of focus: clutter with detail, invented without. mask: uint8 (H, W), 0 or 255.
    detail: bool (H, W), whether the photograph shows fine detail.
    """
    names = list(KINDS)
    kinds = np.where(
        mask >= CUT,
        np.where(detail, names.index("missed"), names.index("homogeneous")),
        np.where(detail, names.index("clutter"), names.index("invented")),
    )
    return np.where(np.abs(edge_distance(mask)) <= reach, names.index("edge"), kinds)


def error_by_kind(focus_map: np.ndarray, mask: np.ndarray, kinds: np.ndarray) -> dict[str, float]:
    """The mean absolute error of a map, 0..1, divided among KINDS: the parts add up to it.

    focus_map, mask: uint8 (H, W). kinds: as `kinds_of` returns them. MaganError for other sizes than the
    mask's.
    """
    if focus_map.shape != mask.shape:
        raise MaganError(f"the map is {focus_map.shape} and its mask {mask.shape}; they must agree")
    error = np.abs(focus_map.astype(float) - mask) / 255
    parts = np.bincount(kinds.ravel(), error.ravel(), len(KINDS)) / mask.size
    return dict(zip(KINDS, parts.tolist(), strict=True))


def all_wrong(maps: list[np.ndarray], mask: np.ndarray) -> float:
    """Share of the pixels that every one of the maps, cut at one half, puts in the wrong class.

    Where methods of different kinds agree against the mask, the mask itself is a suspect. MaganError without
    a map.
    """
    if not maps:
        raise MaganError("no map to compare; expected at least one")
    return float(np.all([(one >= CUT) != (mask >= CUT) for one in maps], axis=0).mean())


def error_picture(focus_map: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The errors of a map in colour, uint8 (H, W, 3): white where it is right, blue where it misses focus,
    orange where it claims too much."""
    error = (focus_map.astype(float) - mask)[..., None] / 255
    ink = np.where(error < 0, FOCUS_INK, BLUR_INK)
    return np.round(255 + np.abs(error) * (ink - 255)).astype(np.uint8)


def failures(results: Results, methods: dict[str, str], role: str) -> pd.DataFrame:
    """How far and how every method fails on every test image of a role, one row each, worst first.

    methods: name to show -> run or other method. Where the map of the Laplacian threshold is one half or
    more, the photograph counts as showing detail. Columns: method, image, mae, one for each of KINDS (they
    add up to mae), all_wrong (of these methods; maps of one shade tell nothing, and are asked only where
    there are no others), cause: the kind of the largest part, in words. MaganError where the profile has no
    Laplacian baseline.
    """
    if "laplacian" not in results.others:
        raise MaganError(
            "the profile has no baseline 'laplacian', which tells where photographs show detail; add it to "
            "check.baselines in params.yaml"
        )
    rows = []
    for entry in results.test_images(role):
        stem, mask = entry["stem"], results.mask(entry)
        detail = results.map("laplacian", role, stem) >= CUT
        kinds = kinds_of(mask, detail, EDGE_SHARE * min(mask.shape))
        maps = {name: results.map(method, role, stem) for name, method in methods.items()}
        telling = [one for one in maps.values() if one.min() < one.max()]
        doubt = all_wrong(telling or list(maps.values()), mask)
        for name, focus_map in maps.items():
            parts = error_by_kind(focus_map, mask, kinds)
            cause = KINDS[max(parts, key=parts.get)]
            row = {"method": name, "image": stem, "mae": sum(parts.values())} | parts
            rows.append(row | {"all_wrong": doubt, "cause": cause})
    return pd.DataFrame(rows).sort_values("mae", ascending=False, ignore_index=True, kind="stable")
