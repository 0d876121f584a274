"""What `magan predict` leaves of one photograph: its map and, where it is wanted, an overlay beside it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from magan_core.data.images import (
    CUT,
    OVERLAY,
    colour_profile,
    of_eight_bits,
    read_map,
    read_origin,
    read_photo,
    write_map,
)
from magan_core.errors import MaganError
from magan_core.files import atomic, fingerprint


def overlay_of(target: Path) -> Path:
    """Beside the map; maps end in .png, so that the two never meet."""
    return target.with_suffix(OVERLAY)


def check_replaceable(photo: Path, target: Path, with_overlay: bool) -> None:
    """MaganError if the map or the overlay would replace a file that magan did not write."""
    for file in (target, overlay_of(target))[: 1 + with_overlay]:
        if os.path.exists(file) and read_origin(file) is None:
            raise MaganError(
                f"{photo}: {file} is there already, and this version of magan did not write it. Move it, or "
                "choose another folder for --out."
            )


def origin_of(photo: Path, recipe: dict[str, Any]) -> str:
    """What a map says of its photograph and of how it was drawn; "" for a pipe, which can be read but once.
    MaganError, before the whole file is read, for one that is no picture."""
    if os.path.exists(photo) and not os.path.isfile(photo):
        return ""
    colour_profile(photo)
    try:
        return fingerprint(recipe, [photo])
    except OSError as error:
        raise MaganError(
            f"{photo}: cannot be read ({error.strerror}); try again, or copy the file"
        ) from error


def kept(target: Path, origin: str, with_overlay: bool) -> np.ndarray | None:
    """The values of the map at `target`, uint8 (H, W), rounded from 16 bits, if it is of this origin, and
    so is its overlay where one is wanted; else None. Where none is wanted, one of another origin goes."""
    beside = read_origin(overlay_of(target)) == origin
    if not origin or read_origin(target) != origin or (with_overlay and not beside):
        return None
    try:
        values = read_map(target)
        if with_overlay:
            read_photo(overlay_of(target))
    except MaganError:  # damaged since
        return None
    if not beside:
        _remove_own(overlay_of(target))
    return values


def draw(
    photo: Path, target: Path, origin: str, with_overlay: bool, map_of: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Write the map that `map_of` makes of the photograph, and the overlay or, where it is not wanted, remove
    that of another map. Where the overlay cannot be made or written, what was there before stays as it was.
    Returns the map's values, uint8 (H, W), rounded from 16 bits."""
    pixels = read_photo(photo)
    drawn = map_of(pixels)
    values = of_eight_bits(drawn)
    if with_overlay:
        from magan_core.overlay import encode_overlay, overlay  # scipy, which maps alone do not need

        profile = colour_profile(photo) if os.path.isfile(photo) else None
        content = encode_overlay(overlay(pixels, values), profile, origin)
        with atomic(overlay_of(target)) as temporary:  # neither without the other
            temporary.write_bytes(content)
            write_map(target, drawn, origin)
    else:
        write_map(target, drawn, origin)
        _remove_own(overlay_of(target))
    return values


def describe(photo: Path, target: Path, values: np.ndarray, origin: str) -> dict[str, Any]:
    """file, map, overlay if there is one, width, height, and in_focus, the share of values from CUT on."""
    entry = {"file": str(photo), "map": str(target)}
    if read_origin(overlay_of(target)) == origin:
        entry["overlay"] = str(overlay_of(target))
    height, width = values.shape
    in_focus = round(float((values >= CUT).mean()), 4)
    return entry | {"width": width, "height": height, "in_focus": in_focus}


def _remove_own(file: Path) -> None:
    if read_origin(file) is not None:
        try:
            file.unlink()
        except OSError as error:
            raise MaganError(f"cannot remove {file}: {error.strerror}") from error
