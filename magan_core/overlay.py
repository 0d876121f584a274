"""A photograph that shows its own focus: what is blurred turns grey and dark, a line runs around the rest."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter

from magan_core.data.images import CUT, MAKER
from magan_core.errors import MaganError

LUMA = np.float32([0.299, 0.587, 0.114])  # Rec. 601
DIM = np.float32(0.5)  # brightness of what is blurred
LINE = np.uint8([255, 190, 0])  # amber: few photographs have it, and it stands out from grey
LINES_ACROSS = 240  # the short side is this many lines wide
ROWS = 256  # at a time: the memory for 50 megapixels stays near that of the photograph


def overlay(photo: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Blend of the photograph (map 255) with its dim grey version (map 0), and a line where the map passes
    128.

    photo: uint8 (H, W, 3). values: its map, uint8 (H, W). Returns uint8 (H, W, 3). The line, with a dark
    edge, lies outside of what is in focus: there every pixel of a map of 255 is the photograph's.
    """
    inside = values >= CUT
    width = max(1, round(min(values.shape) / LINES_ACROSS))
    line = maximum_filter(inside, 2 * width + 1)
    edge = maximum_filter(inside, 2 * (width + (width + 1) // 2) + 1)
    result = np.empty_like(photo)
    for top in range(0, len(photo), ROWS):
        rows = slice(top, top + ROWS)
        colours = photo[rows].astype(np.float32)
        grey = (colours @ LUMA * DIM)[..., None]
        share = values[rows, :, None] / np.float32(255)
        colours = np.rint(grey + (colours - grey) * share).astype(np.uint8)
        colours[edge[rows] & ~inside[rows]] = 0
        colours[line[rows] & ~inside[rows]] = LINE
        result[rows] = colours
    return result


def encode_overlay(picture: np.ndarray, profile: bytes | None = None, origin: str = "") -> bytes:
    """Encode uint8 (H, W, 3) as JPEG that says who made it and what of.

    profile: the photograph's ICC profile, so that the colours look as in the photograph. origin: as in
    `images.write_map`. Errors: MaganError for a picture larger than a JPEG can be.
    """
    if max(picture.shape) > 65500:
        raise MaganError(
            f"an overlay is a JPEG, which holds 65500 px a side, found {picture.shape[:2]}. Leave out "
            "--overlay."
        )
    content = io.BytesIO()
    Image.fromarray(picture).save(
        content,
        format="JPEG",
        quality=92,
        subsampling=0,
        icc_profile=profile,
        comment=f"{MAKER}\n{origin}" if origin else MAKER,
    )
    return content.getvalue()
