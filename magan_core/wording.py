"""Counts and lists as text."""

from collections.abc import Sequence


def counted(count: int, noun: str) -> str:
    """'1 map', '3 maps', '0 maps', '1,000 maps': a count with a noun that takes an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(words: Sequence[str]) -> str:
    """'a', 'a and b', 'a, b and c'."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
