"""Counts in words."""


def counted(count: int, noun: str) -> str:
    """'1 map', '3 maps', '0 maps', '1,000 maps': a count with a noun that takes an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
