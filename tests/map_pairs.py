"""Pairs of a map and its mask: noisy ones, the edge cases, and what hypothesis draws."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from magan_core import metrics

Pair = tuple[np.ndarray, np.ndarray]


def noisy(seed: int, shape: tuple[int, int] = (17, 23), levels: int = 256) -> Pair:
    """A noisy map and a mask that holds both classes."""
    random = np.random.default_rng(seed)
    mask = np.where(random.random(shape) < 0.3, 255, 0).astype(np.uint8)
    mask[0, :2] = 0, 255
    values = np.clip(random.normal(90, 60, shape) + mask * 0.3, 0, 255)
    return (values // (256 // levels) * (256 // levels)).astype(np.uint8), mask


def statistics(*pairs: Pair) -> np.ndarray:
    return np.stack([metrics.histograms(*pair) for pair in pairs])


def _edges() -> dict[str, Pair]:
    focus_map, mask = noisy(0, (3, 4))
    one_focus, one_blurred = np.zeros_like(mask), np.full_like(mask, 255)
    one_focus[1, 1], one_blurred[1, 1] = 255, 0
    return {
        "nothing in focus": (np.zeros_like(mask), mask),
        "everything in focus": (np.full_like(mask, 255), mask),
        "constant, dark": (np.full_like(mask, 100), mask),
        "constant, bright": (np.full_like(mask, 200), mask),
        "perfect": (mask.copy(), mask),
        "inverted": (255 - mask, mask),
        "one pixel in focus": (focus_map, one_focus),
        "one pixel blurred": (focus_map, one_blurred),
        "two levels": ((focus_map > 90).astype(np.uint8) * 37 + 60, mask),
        "narrow range": (focus_map // 4 + 70, mask),
        "fifths": (focus_map // 51 * 51, mask),  # 51 k / 255 = k / 5: scores that meet thresholds
        "two pixels": (np.array([[3, 200]], np.uint8), np.array([[0, 255]], np.uint8)),
    }


EDGES = _edges()


@st.composite
def pairs(draw) -> Pair:
    """A small map, rich in the values where thresholds lie, and a mask of both classes."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(2, 6)))
    values = st.one_of(st.sampled_from([0, 1, 51, 127, 128, 254, 255]), st.integers(0, 255))
    focus_map = draw(hnp.arrays(np.uint8, shape, elements=values))
    mask = draw(hnp.arrays(np.uint8, shape, elements=st.sampled_from([0, 255])))
    mask[0, :2] = 0, 255
    return focus_map, mask


sets = st.lists(pairs(), min_size=1, max_size=4)
