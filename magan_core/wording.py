"""Counts, lists, sizes and signs as text."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def counted(count: int, noun: str) -> str:
    """'1 map', '3 maps', '0 maps', '1,000 maps': a count with a noun that takes an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def more(names: Sequence[object]) -> str:
    """' (and 2 more)' of three, to stand behind the first; nothing of one."""
    return f" (and {len(names) - 1} more)" if len(names) > 1 else ""


def size_of(picture: "np.ndarray") -> str:
    """'640 x 480', width first, of an array (H, W, ...)."""
    return f"{picture.shape[1]} x {picture.shape[0]}"


def signed(text: str) -> str:
    """Text of formatted numbers, with minus signs instead of hyphens."""
    return text.replace("-", "−")
