"""What is known of a photograph of a data set."""

from pathlib import Path
from typing import TypedDict


class Record(TypedDict):
    """One photograph; `white` is the class stored as white in its mask ("focus" or "blur")."""

    stem: str
    image: Path
    mask: Path | None
    white: str
