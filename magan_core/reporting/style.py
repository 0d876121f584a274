"""One look for every figure: widths, fonts, one colour a method, and files whose bytes depend on nothing but
their content.

The figures of the paper are made with `matplotlib.figure.Figure`, never pyplot: no window, no global state,
nothing to close.
The colours are those of Okabe and Ito for our own methods and the two baselines, which stay apart for every
common form of colour blindness; other methods take muted colours. Dash patterns tell apart in grey what its
colour does not: MA-GANet alone is drawn through, so that dashes on top of it stay visible.
"""

import io
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from magan_core.errors import MaganError
from magan_core.files import write_bytes, write_json

COLUMN = 3.5  # inches: one column of the paper
PAGE = 7.16  # inches: both columns
DPI = 160

RC = {
    "figure.dpi": DPI,
    "savefig.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "mathtext.fontset": "dejavusans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.3,
    "pdf.fonttype": 42,
}
UNDATED = {"png": {"Software": None}, "pdf": {"CreationDate": None}}  # metadata that differ from day to day
styled = mpl.rc_context(RC)  # a decorator for functions that draw


class Look(NamedTuple):
    """How one method is shown: the name in legends and column titles, colour, and matplotlib line style."""

    label: str
    color: str
    line: str | tuple = "-"


DASHED, DOTTED, DASHDOT = (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2))
SHORT, LONG, FINE, SPARSE = (0, (2.6, 0.9)), (0, (9, 2)), (0, (1.2, 0.7)), (0, (1, 2.6))
DASHDOTDOT = (0, (5, 1.2, 1, 1.2, 1, 1.2))
LOOKS = {
    "constant": Look("Constant map", "#666666", DOTTED),
    "laplacian": Look("Laplacian threshold", "#E69F00", DASHED),
    "baseline": Look("Baseline (HL)", "#56B4E9"),
    "hl-ll": Look("HL+LL", "#8c8c3c"),
    "hl-ll-hca": Look("HL+LL+HCA", "#117733"),
    "hl-ll-hca-sa": Look("HL+LL+HCA+SA", "#AA4499"),
    "hl-ll-hca-lca": Look("HL+LL+HCA+LCA", "#D55E00"),
    "hl-ll-sa": Look("HL+LL+SA", "#882255"),
    "manet": Look("MANet", "#CC79A7", SHORT),
    "magan": Look("MA-GANet", "#0072B2"),
    "magan-s": Look("MA-GANet-s", "#009E73", FINE),
    "ASVB": Look("ASVB", "#949494", SPARSE),
    "DBDF": Look("DBDF", "#6CA6CD", LONG),
    "SS": Look("SS", "#999933", DASHDOTDOT),
    "LBP": Look("LBP", "#661100", DASHED),
    "HiFST": Look("HiFST", "#332288", DASHDOT),
}
STRANGERS = [  # looks that no name has
    (color, dashes)
    for dashes in (DOTTED, DASHED, DASHDOT)
    for color in ("#88CCEE", "#999933", "#661100", "#332288", "#AA4499", "#117733", "#882255")
    if (color, dashes) not in {known[1:] for known in LOOKS.values()}
]

FOCUS_COLOR, BLUR_COLOR = "#0072B2", "#E69F00"
INK, SOFT = "#222222", "#666666"


def look(method: str) -> Look:
    """The look of a method or variant, the same in every figure; an unknown name gets one that follows from
    it.
    """
    if method in LOOKS:
        return LOOKS[method]
    return Look(method, *STRANGERS[crc32(method.encode()) % len(STRANGERS)])


class Drawing(NamedTuple):
    """A figure with its words. caption: what is shown and what was left out; alt: a description for those who
    cannot see it.
    """

    figure: Figure
    caption: str
    alt: str


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, `width` x `height` inches, on the Agg canvas."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def encoded(drawing: Drawing, kind: str) -> bytes:
    """The figure as a file's bytes, the same for equal drawings; kind: png or pdf."""
    buffer = io.BytesIO()
    with mpl.rc_context(RC):
        drawing.figure.savefig(buffer, format=kind, metadata=UNDATED[kind])
    return buffer.getvalue()


def save(drawing: Drawing, out_dir: str | Path, name: str) -> list[Path]:
    """Write NAME.png, NAME.pdf and NAME.json (caption and alt text) to `out_dir`, each whole or not at all.

    Equal drawings give equal bytes: no date and no program version goes into the PNG, no date into the PDF.
    Returns the three paths. Raises MaganError when the folder cannot be written or the name has a path in it.
    """
    if not name or Path(name).name != name:
        raise MaganError(
            f"figure name is {name!r}; expected a plain file name without a folder, such as figure_7"
        )
    out_dir = Path(out_dir)
    paths = [out_dir / f"{name}.{kind}" for kind in UNDATED]
    for path, kind in zip(paths, UNDATED, strict=True):
        write_bytes(path, encoded(drawing, kind))
    words = out_dir / f"{name}.json"
    write_json(words, {"caption": drawing.caption, "alt": drawing.alt})
    return [*paths, words]


def leave_out(out_dir: str | Path, name: str, why: str) -> None:
    """Write NAME.json to `out_dir` with why there is no figure, and remove an earlier one there."""
    for kind in UNDATED:
        (Path(out_dir) / f"{name}.{kind}").unlink(missing_ok=True)
    write_json(Path(out_dir) / f"{name}.json", {"absent": why})


def bare(axes: Axes) -> None:
    """Strip ticks, grid and spines from axes that show a picture."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
