"""The one exception that users see, and the answer to a mistyped name."""

from collections.abc import Iterable
from difflib import get_close_matches

SHOWN = 30  # names that a message lists at most: timm alone has more than a thousand


class Interrupted(KeyboardInterrupt):
    """SIGINT or SIGTERM, the number `signal`, has stopped long work; the text says what was saved."""

    def __init__(self, text: str, signal: int) -> None:
        super().__init__(text)
        self.signal = signal


class MaganError(Exception):
    """Says what was found, what was expected and what to do about it."""


def nearest(name: object, allowed: Iterable[str], what: str) -> str:
    """Return `name` if it is allowed; otherwise raise a MaganError that suggests the nearest valid name."""
    allowed = list(allowed)
    if name in allowed:
        return str(name)
    close = get_close_matches(str(name), allowed, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else "."
    more = f", ... ({len(allowed)} in all)" if len(allowed) > SHOWN else ""
    raise MaganError(f"unknown {what} '{name}'{hint} Allowed: {', '.join(allowed[:SHOWN]) or '(none)'}{more}")
