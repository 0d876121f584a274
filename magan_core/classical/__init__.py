"""The detectors without a network of Tables I and II, all called the same way: `METHODS["LBP"](photo)`.

A method of one's own is one file with a function `photo -> map`, and one line in `METHODS`. Nothing is
imported before it is called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from magan_core.errors import MaganError, nearest
from magan_core.registry import find

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Method:
    """A detector. name: as in the paper; where: "module:function"; about: what it is, in one line; exact:
    whether its scores are those of what its authors published, so that tables hold them against the paper's.
    """

    name: str
    where: str
    about: str
    exact: bool = False

    def __call__(self, photo: "np.ndarray") -> "np.ndarray":
        """Return the map of a photograph: uint8 (H, W, 3) RGB -> uint8 (H, W), 255 = in focus.

        MaganError if there is no such function, if it cannot take the photograph, or if it returns another
        array. One thread; photographs in parallel are for processes.
        """
        function = self.function
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):  # many small products: a second thread costs more than it gains
            found = function(photo)
        kind, shape = getattr(found, "dtype", type(found).__name__), getattr(found, "shape", "")
        if kind != "uint8" or shape != photo.shape[:2]:
            raise MaganError(
                f"method '{self.name}' returned {kind} {shape}; expected uint8 {photo.shape[:2]}, 255 = in "
                f"focus: mend {self.where}"
            )
        return found

    @property
    def function(self) -> Callable[..., "np.ndarray"]:
        """The function itself, imported now."""
        return find(self.where, f"method '{self.name}'")


METHODS = {
    method.name: method
    for method in (
        Method("ASVB", "magan_core.classical.asvb:asvb", "reconstruction: no text of it was at hand"),
        Method(
            "DBDF", "magan_core.classical.dbdf:dbdf", "re-trained port: what it had learnt was not released"
        ),
        Method("SS", "magan_core.classical.ss:ss", "reconstruction: only the abstract was at hand"),
        Method("LBP", "magan_core.classical.lbp:lbp", "exact port of the authors' program", exact=True),
        Method("HiFST", "magan_core.classical.hifst:hifst", "exact port of the authors' program", exact=True),
    )
}


def get_method(name: str) -> Method:
    """The method of this name; MaganError with the nearest valid name if there is none."""
    nearest(name, METHODS, "method")
    return METHODS[name]
