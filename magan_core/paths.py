"""Every folder of the project, in one place.

All but the released model are relative to the current working directory, which is to be the repository's root
(the notebooks go there). The environment variables MAGAN_DATA, MAGAN_WEIGHTS and MAGAN_PUBLISHED, and after
them `folders` in params.yaml, say where raw data sets, pretrained weights and published maps lie.
"""

import os
from pathlib import Path

PARAMS = Path("params.yaml")
PAPER_TABLES = Path("data/paper_tables")
MANIFESTS = Path("data/manifests")
SOURCES = Path("data/sources")
SPLITS = Path("data/splits")
RELEASED = Path(__file__).parent / "released" / "model.safetensors"  # the model that comes with the package


def raw(folder: str | None = None) -> Path:
    """Folder of the raw data sets, one folder each: images/, masks/, splits/."""
    return _folder("MAGAN_DATA", folder, "data/raw")


def published(folder: str | None = None) -> Path:
    """Folder of maps that the authors of other methods published."""
    return _folder("MAGAN_PUBLISHED", folder, "data/published_maps")


def weights(folder: str | None = None) -> Path:
    """Folder of pretrained weight files."""
    return _folder("MAGAN_WEIGHTS", folder, "data/weights")


def weights_file(name: str, folder: Path) -> Path:
    """What `weights.file` names: a path with a folder is one of the repository, else it lies in `folder`."""
    file = Path(name).expanduser()
    return file if file.parent.name else Path(folder) / name


def _folder(variable: str, setting: str | None, default: str) -> Path:
    return Path(os.environ.get(variable) or setting or default).expanduser()


def inputs(profile: str) -> Path:
    """Lists of the files that a profile reads from elsewhere: photographs, weights, published."""
    return Path("build/inputs") / profile


def prepared(profile: str) -> Path:
    """Training arrays, synthetic photographs and lists of test images."""
    return Path("data/prepared") / profile


def results(profile: str) -> Path:
    """All results of a profile."""
    return Path("results") / profile


def runs(profile: str) -> Path:
    """One folder a run: model.safetensors, discriminator.safetensors (where it has one), history.csv,
    provenance.json."""
    return results(profile) / "runs"


def maps(profile: str) -> Path:
    """Prediction maps: maps/RUN/SET/STEM.png."""
    return results(profile) / "maps"


def scores(profile: str) -> Path:
    """Evaluation: scores/RUN/SET/{summary.json, curves.csv, per_image.csv, histogram.csv, statistics.npy}."""
    return results(profile) / "scores"


def live(profile: str) -> Path:
    """What runs show while they train: {losses, adversarial, lr}/RUN.csv, maps/RUN/STEP.png."""
    return results(profile) / "live"


def resume() -> Path:
    """States of unfinished training runs; no stage sees them."""
    return Path(".resume")


def tables(profile: str) -> Path:
    """Tables I to VI as CSV, Markdown and LaTeX."""
    return results(profile) / "tables"


def figures(profile: str) -> Path:
    """Figures as PNG and PDF."""
    return results(profile) / "figures"


def photographs(profile: str) -> Path:
    """Figures that show photographs, which some data sets do not allow to hand on."""
    return results(profile) / "photographs"


def attention(profile: str) -> Path:
    """Pictures that the attention explorer saves: RUN/STEM/PICTURE.png and .pdf."""
    return results(profile) / "attention"


def notebooks(profile: str) -> Path:
    """Executed copies of the notebooks: a log that nothing depends on."""
    return results(profile) / "notebooks"


def pages(profile: str) -> Path:
    """The executed notebooks as web pages."""
    return results(profile) / "pages"


def report(profile: str) -> Path:
    """The one page that shows everything."""
    return results(profile) / "report.html"
