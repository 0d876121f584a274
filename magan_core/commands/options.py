"""Kinds of values that several commands take."""

import argparse
import os
from pathlib import Path


def named_path(text: str) -> Path:
    """A path; not every shell expands the ~ of --out=~/maps."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; is a variable not set?")
    return Path(os.path.expanduser(text) if text == "~" or text.startswith("~/") else text)
