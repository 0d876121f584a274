"""Functions and classes named as text, "module:name", so that a list of them imports nothing."""

from importlib import import_module
from typing import Any

from magan_core.errors import MaganError


def find(where: str, what: str) -> Any:
    """What "module:name" names, imported now. what: for the message, such as "loss 'edge'".

    Raises MaganError when there is no such module or name, or when its module cannot be imported.
    """
    module, _, name = where.partition(":")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise MaganError(
            f"{what} is to be {where}: {error}; expected module:name: write it, mend the line that names it, "
            "or install what its module imports"
        ) from error
