"""Partly defocused scenes with exact masks, made from a seed: the data sets of the profiles without download.

A scene is a stack of layers, a background and shapes before it, each with a texture and a depth. One run of
neighbouring layers lies in the focal plane (circle of confusion of at most half a pixel, which leaves a pixel
as it is); every other layer is blurred by a disk of at least `MIN_BLUR` pixels that grows with its distance
from that plane. Between the two nothing exists, so the mask is exact: a pixel is in focus where layers of the
focal plane give at least half of its light.

Textures cover the whole canvas, also behind nearer layers and beyond the picture, and colour times alpha is
blurred together with alpha: neither a dark outline nor a bright one marks the edge of a layer in focus.
"""

import io
import math
import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image
from scipy import fft, ndimage

from magan_core.errors import nearest

MIN_BLUR = 2.5  # pixels; radius of the smallest disk that counts as out of focus
SHARE = (0.10, 0.80)  # allowed part of a scene that is in focus


@dataclass(frozen=True)
class Character:
    """What the scenes of one kind have in common; a pair is a range."""

    layers: tuple[int, int]  # shapes before the background
    focused: tuple[int, int]  # neighbouring layers in the focal plane
    reach: tuple[float, float]  # radius of a shape, in sides of the picture
    blur: tuple[float, float]  # radius in pixels of the disk next to the focal plane and farthest from it
    contrast: tuple[float, float]  # of a texture, in sRGB units of 0..1
    spread: float  # how far the colours of the layers lie apart
    flat: (
        float  # probability that a shape has no texture; a background without one would have no focus to see
    )
    alike: float  # probability that a layer repeats the background's texture
    softness: tuple[float, float]  # sigma in pixels of the lens, everywhere alike
    noise: tuple[float, float]  # standard deviation at middle grey, linear light of 0..1
    shapes: tuple[str, ...]  # a name may stand more than once, to come up more often
    textures: tuple[str, ...]


SOLID = ("ellipse", "polygon", "blob")
TEXTURED = ("noise", "stripes", "checks", "dots")
CHARACTERS = {
    "objects": Character(
        layers=(1, 2), focused=(1, 1), reach=(0.26, 0.44), blur=(4.0, 8.0), contrast=(0.4, 0.9), spread=0.2,
        flat=0.1, alike=0.0, softness=(0.0, 0.3), noise=(0.005, 0.05),
        shapes=SOLID, textures=TEXTURED,
    ),
    "clutter": Character(
        layers=(2, 3), focused=(1, 2), reach=(0.22, 0.45), blur=(4.0, 8.0), contrast=(0.4, 0.9),
        spread=0.16, flat=0.1, alike=0.1, softness=(0.0, 0.3), noise=(0.005, 0.06),
        shapes=(*SOLID, *SOLID, *SOLID, "strokes"), textures=TEXTURED,
    ),
    "hard": Character(
        layers=(2, 3), focused=(1, 2), reach=(0.22, 0.42), blur=(3.0, 6.0), contrast=(0.3, 0.8),
        spread=0.13, flat=0.1, alike=0.5, softness=(0.0, 0.3), noise=(0.005, 0.06),
        shapes=(*SOLID, *SOLID, "strokes"), textures=TEXTURED,
    ),
}  # fmt: skip
MIXTURES = {"pool": ("objects", "clutter")}


def scene(seed: int, index: int, character: str, size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """Return scene `index` of `character`: photo and mask.

    The photo is uint8 (size, size, 3) RGB; the mask is uint8 (size, size), 255 where in focus (10 to 80 % of
    it), else 0. The same (seed, index, character, size) gives the same scene.
    Raises MaganError for an unknown character (`objects`, `clutter`, `hard`, `pool`).
    """
    jpeg, mask = scene_file(seed, index, character, size)
    with Image.open(io.BytesIO(jpeg)) as picture:
        return np.array(picture), mask


def scene_file(seed: int, index: int, character: str, size: int = 128) -> tuple[bytes, np.ndarray]:
    """Return the same as `scene`, the photo still as the bytes of its JPEG file (quality 75 to 95)."""
    nearest(character, [*CHARACTERS, *MIXTURES], "character of scenes")
    rng = np.random.default_rng([seed, zlib.crc32(character.encode()), index])
    if character in MIXTURES:
        character = str(rng.choice(MIXTURES[character]))
    while True:
        light, mask = _stack(rng, CHARACTERS[character], size)
        if SHARE[0] <= mask.mean() <= SHARE[1]:
            break
    light = _expose(rng, light, CHARACTERS[character])
    buffer = io.BytesIO()
    quality = int(rng.integers(75, 96))
    Image.fromarray(np.uint8(np.round(255 * _to_srgb(light)))).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue(), np.where(mask, np.uint8(255), np.uint8(0))


def _stack(rng: np.random.Generator, character: Character, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Composite layers back to front; return linear light (size, size, 3) and the mask, bool (size, size)."""
    pad = int(np.ceil(character.blur[1])) + 1
    side = fft.next_fast_len(size + 2 * pad, real=True)
    inner = slice(pad, pad + size)
    radii = _radii(rng, character)
    base = rng.uniform(0.25, 0.7) + rng.normal(0, 0.06, 3) + [0.02, 0, -0.02]
    backdrop = _pick_texture(rng, character, flat=0)
    light = np.zeros((size, size, 3), np.float32)
    focus = np.zeros((size, size), np.float32)
    for depth, radius in enumerate(radii):
        alpha = np.ones((side, side), np.float32) if depth == 0 else _shape(rng, character, side, size, pad)
        alike = depth == 0 or rng.random() < character.alike
        kind, scale = backdrop if alike else _pick_texture(rng, character, character.flat)
        texture, shade = TEXTURES[kind](rng, side, scale), _noise(rng, side, 4.0, 0, 0.03)
        dark, step, tint = _colours(rng, character, base)
        # The colour is dark + step * texture + tint * shade, so three planes say all of it.
        planes = _disk_blur(np.stack([alpha, alpha * texture, alpha * shade]), radius)[:, inner, inner]
        cover = planes[0, ..., None]
        colour = cover * dark + planes[1, ..., None] * step + planes[2, ..., None] * tint
        light = colour + (1 - cover) * light
        focus = planes[0] * (radius == 0) + (1 - planes[0]) * focus
    return light, focus >= 0.5


def _radii(rng: np.random.Generator, character: Character) -> list[float]:
    """Return the radius of the disk of every layer, farthest first; 0 in the focal plane."""
    count = 1 + int(rng.integers(character.layers[0], character.layers[1], endpoint=True))
    width = min(int(rng.integers(*character.focused, endpoint=True)), count - 1)
    start = int(rng.integers(0, count - width, endpoint=True))
    away = np.maximum(start - np.arange(count), np.arange(count) - start - width + 1).clip(0)
    near, far = character.blur
    strongest = rng.uniform(near, far)
    radii = near + (strongest - near) * (away / away.max()) ** rng.uniform(0.3, 1.0)
    return [float(r) if a else 0.0 for r, a in zip(radii, away, strict=True)]


def _colours(rng: np.random.Generator, character: Character, base: np.ndarray) -> list[np.ndarray]:
    """Return the linear light of a texture's dark end, and the steps to its bright end and of its shading."""
    middle = base + character.spread * (rng.normal(0, 1) + rng.normal(0, 0.4, 3))
    swing = rng.uniform(*character.contrast) * (1 + rng.normal(0, 0.25, 3)) / 2
    middle = middle.clip(0.08, 0.92)
    dark, bright = _to_linear((middle - swing).clip(0.01, 1)), _to_linear((middle + swing).clip(0.01, 1))
    return [dark.astype(np.float32), (bright - dark).astype(np.float32), (0.3 * dark).astype(np.float32)]


def _expose(rng: np.random.Generator, light: np.ndarray, character: Character) -> np.ndarray:
    """Add what the lens and the sensor add, the same everywhere: softness, shot and read noise."""
    sigma = rng.uniform(*character.softness)
    light = ndimage.gaussian_filter(light, (sigma, sigma, 0), mode="nearest")
    deviation = rng.uniform(*character.noise) * np.sqrt(
        0.1 + 4.5 * light.clip(0, 1)
    )  # one at middle grey, 0.2
    return light + deviation * rng.standard_normal(light.shape, np.float32)


# ---- shapes: signed distance in pixels, negative inside


def _shape(rng: np.random.Generator, character: Character, side: int, size: int, pad: int) -> np.ndarray:
    """Return the coverage of one random shape, float32 (side, side), its edge one pixel wide."""
    y, x = np.mgrid[-pad : side - pad, -pad : side - pad].astype(np.float32)
    centre = (rng.uniform(0.15, 0.85, 2) * size).tolist()
    low, high = character.reach
    reach = low * (high / low) ** rng.random() * size
    turn = rng.uniform(0, np.pi)
    y, x = y - centre[0], x - centre[1]
    along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    distance = SHAPES[str(rng.choice(character.shapes))](rng, across, along, reach)
    return (0.5 - distance).clip(0, 1).astype(np.float32)


def _ellipse(rng, y, x, reach):
    a, b = reach, reach * rng.uniform(0.45, 1.0)
    level = np.hypot(x / a, y / b)
    return (level - 1) * level / np.maximum(np.hypot(x / a**2, y / b**2), 1e-6)


def _polygon(rng, y, x, reach):
    corners = int(rng.integers(3, 8))
    angles = 2 * np.pi * (np.arange(corners) + rng.uniform(-0.25, 0.25, corners)) / corners
    return np.max(
        [x * math.cos(a) + y * math.sin(a) - reach * rng.uniform(0.55, 0.95) for a in angles.tolist()], axis=0
    )


def _blob(rng, y, x, reach):
    radius, angle = np.hypot(y, x), np.arctan2(y, x)
    waves = sum(rng.normal(0, 0.3 / k) * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 7))
    return (radius - reach * (1 + waves.clip(-0.6, 0.6))) * 0.9


def _strokes(rng, y, x, reach):
    """Twigs, grass, wires: a few straight strokes, 2 to 7 pixels wide."""
    distances = []
    for _ in range(int(rng.integers(2, 6))):
        turn, shift, length = (
            rng.normal(0, 0.5),
            (rng.uniform(-1, 1, 2) * reach).tolist(),
            reach * rng.uniform(1, 2.5),
        )
        along = (x - shift[0]) * math.cos(turn) + (y - shift[1]) * math.sin(turn)
        across = (y - shift[1]) * math.cos(turn) - (x - shift[0]) * math.sin(turn)
        distances.append(np.hypot(np.maximum(np.abs(along) - length, 0), across) - rng.uniform(1.0, 3.5))
    return np.min(distances, axis=0)


SHAPES = {"ellipse": _ellipse, "polygon": _polygon, "blob": _blob, "strokes": _strokes}


# ---- textures: float32 (side, side) of about 0..1; `scale` is the size in pixels of their detail


def _pick_texture(rng: np.random.Generator, character: Character, flat: float) -> tuple[str, float]:
    kind = "flat" if rng.random() < flat else str(rng.choice(character.textures))
    return kind, float(3.0 * 6.0 ** rng.random())


def _flat(rng, side, scale):
    return np.full((side, side), 0.5, np.float32)


def _grain(rng, side, scale):
    """Noise of a random spectrum up to the finest detail: sand, bark, lichen."""
    return _noise(rng, side, rng.uniform(0.0, 2.0), 0.1 / scale, 0.5)


def _stripes(rng, side, scale):
    return _edged(_wave(rng, side, scale, rng.uniform(0, np.pi)), rng.uniform(0.1, 0.5))


def _checks(rng, side, scale):
    turn = rng.uniform(0, np.pi)
    waves = _wave(rng, side, scale, turn) * _wave(rng, side, scale, turn + np.pi / 2)
    return _edged(waves, rng.uniform(0.1, 0.4))


def _dots(rng, side, scale):
    """Round dots of different brightness, as of leaves and lights."""
    points = (rng.random((side, side)) < 0.35 / scale**2) * rng.uniform(0.3, 1.0, (side, side))
    disks = ndimage.maximum_filter(points.astype(np.float32), footprint=_disk(scale / 2) > 0.05 / scale**2)
    return ndimage.uniform_filter(disks, 2)


TEXTURES = {"flat": _flat, "noise": _grain, "stripes": _stripes, "checks": _checks, "dots": _dots}


def _noise(rng: np.random.Generator, side: int, slope: float, low: float, high: float) -> np.ndarray:
    """Return noise with power ~ frequency^-slope between two frequencies (cycles a pixel), in 0..1."""
    f = _frequencies(side)
    band = np.where((f >= low) & (f <= max(high, low + 2 / side)), f ** (-slope / 2), 0)
    parts = rng.standard_normal((2, *f.shape), np.float32)
    field = fft.irfft2((parts[0] + 1j * parts[1]) * band.astype(np.float32), (side, side))
    return (0.5 + field / (5 * field.std())).clip(0, 1)


def _wave(rng, side, scale, turn):
    y, x = np.mgrid[:side, :side].astype(np.float32)
    along = x * math.cos(turn) + y * math.sin(turn)
    bend = 0.15 * side * _noise(rng, side, 3.0, 0, 0.02) * rng.random()
    return np.sin(np.pi * (along + bend) / scale + rng.uniform(0, 6.3))


def _edged(wave, hardness):
    return 0.5 + 0.5 * (wave / hardness).clip(-1, 1)


# ---- optics


def _disk_blur(planes: np.ndarray, radius: float) -> np.ndarray:
    """Convolve float32 (n, side, side) planes with the disk of `radius` pixels, around the edges."""
    if radius == 0:
        return planes
    side = planes.shape[-1]
    return fft.irfft2(fft.rfft2(planes) * _transfer(round(radius, 2), side), (side, side))


@lru_cache(maxsize=64)
def _transfer(radius: float, side: int) -> np.ndarray:
    kernel = _disk(radius)
    canvas = np.zeros((side, side), np.float32)
    canvas[: len(kernel), : len(kernel)] = kernel
    return fft.rfft2(np.roll(canvas, (-(len(kernel) // 2),) * 2, (0, 1)))


def _disk(radius: float, steps: int = 15) -> np.ndarray:
    """Return a disk of sub-pixel radius as a kernel: each pixel weighs what the disk covers of it."""
    half = int(np.ceil(radius - 0.5)) if radius > 0.5 else 0
    width = 2 * half + 1
    line = (np.arange(width * steps) + 0.5) / steps - width / 2
    inside = line[:, None] ** 2 + line[None, :] ** 2 <= radius**2 + 1e-9
    cover = inside.reshape(width, steps, width, steps).mean((1, 3))
    return (cover / cover.sum()).astype(np.float32)


@lru_cache(maxsize=8)
def _frequencies(side: int) -> np.ndarray:
    """Return the frequencies of an rfft2, cycles a pixel; infinity for the mean, which no band has."""
    f = np.hypot(fft.fftfreq(side)[:, None], fft.rfftfreq(side)[None, :])
    f[0, 0] = np.inf
    return f


def _to_linear(srgb: np.ndarray) -> np.ndarray:
    """Return the linear light of sRGB values, both 0..1 (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _to_srgb(light: np.ndarray) -> np.ndarray:
    """Return the sRGB values of linear light, both 0..1; light outside of that is clipped."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
