"""Whether a data set is here and holds the files that its manifest describes."""

from dataclasses import dataclass, field
from pathlib import Path

from magan_core import paths
from magan_core.data.manifest import read_manifest
from magan_core.data.sets import stem_key, visible
from magan_core.files import sha256
from magan_core.wording import counted

# In the folder of a set that `magan data add` wrote: what its files are, and the class white in its masks.
OWN_MANIFEST = "manifest.csv"
OWN_WHITE = "white.txt"


@dataclass
class State:
    """Files of a set as paths relative to its folder: as described, missing, other than described, not
    described. `intact` is None where no manifest says what the files should be. Of the photographs in the
    manifest there are fewer than the set has (`of`; 0: not known) where a part of it was added."""

    here: bool
    whole: int = 0
    photographs: int = 0
    of: int = 0
    missing: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    described: bool = True

    @property
    def intact(self) -> bool | None:
        if not self.described:
            return None
        return not (self.wanting or self.extra)

    @property
    def wanting(self) -> bool:
        """Whether files of the set are to be fetched."""
        return not self.here or bool(self.missing or self.changed)

    def __str__(self) -> str:
        if not self.here:
            return "not here"
        if not self.described:
            return "here; no manifest says what its files should be"
        if self.intact:
            part = f": {self.photographs} of {counted(self.of, 'photograph')}"
            return f"here and intact, {counted(self.whole, 'file')}{part * (self.photographs < self.of)}"
        faults = ((self.missing, "missing"), (self.changed, "changed"), (self.extra, "not of the set"))
        return "here, but " + ", ".join(
            f"{len(files)} {what} (first: {files[0]})" for files, what in faults if files
        )


def manifest_path(name: str, folder: Path, manifests: Path = paths.MANIFESTS) -> Path:
    """The manifest in Git, or else the one that `magan data add` wrote into the set's folder."""
    committed = Path(manifests) / f"{name}.csv"
    return committed if committed.exists() else Path(folder) / OWN_MANIFEST


def inspect(name: str, folder: str | Path, manifests: Path = paths.MANIFESTS, of: int = 0) -> State:
    """Hash every file of FOLDER/images and FOLDER/masks and hold it against the manifest of the set. of: how
    many photographs the set has, where only part of them may have been added.

    Returns State. Raises MaganError for a manifest that is none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        return State(here=False)
    path = manifest_path(name, folder, manifests)
    if not path.exists():  # without images/ it is a download that has been put where sets lie
        return State(here=(folder / "images").is_dir(), described=False)
    rows = read_manifest(path)
    state = State(here=True, photographs=len(rows), of=of if path.name == OWN_MANIFEST else 0)
    for part, column in (("images", "image_sha256"), ("masks", "mask_sha256")):
        expected = {stem_key(stem): row[column] for stem, row in rows.items() if row[column]}
        for file in visible(folder / part) if (folder / part).is_dir() else []:
            name_in_set, wanted = f"{part}/{file.name}", expected.pop(stem_key(file.stem), None)
            if wanted is None or not file.is_file():
                state.extra.append(name_in_set)
            elif sha256(file) == wanted:
                state.whole += 1
            else:
                state.changed.append(name_in_set)
        state.missing += [f"{part}/{stem}" for stem in expected]
    return state
