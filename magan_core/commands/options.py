"""Options that several commands take, and kinds of values."""

import argparse
import os
from pathlib import Path


def named_path(text: str) -> Path:
    """A path; not every shell expands the ~ of --out=~/maps."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; is a variable not set?")
    return Path(os.path.expanduser(text) if text == "~" or text.startswith("~/") else text)


def add_device(command: argparse.ArgumentParser) -> None:
    """Add `--device`, for device.choose_device."""
    command.add_argument(
        "--device", default="auto", choices=["auto", "cpu", "cuda"], help="default: a GPU if there is one"
    )
