"""From a choice of run, photograph, pixel and channel to the pictures of what goes on inside the network.

The notebook's widgets and its headless run both ask here, so that the same choice gives the same files.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from magan_core import paths
from magan_core.data.images import read_mask, read_photo
from magan_core.data.prepared import load_test
from magan_core.data.record import Record
from magan_core.errors import MaganError, nearest
from magan_core.inside import Inside, look_inside
from magan_core.models.weights import load_discriminator, load_model
from magan_core.reporting import attention, style
from magan_core.reporting.patches import patch_scores
from magan_core.reporting.sources import read_columns
from magan_core.reporting.style import Drawing
from magan_core.roles import filled_by
from magan_core.training.columns import ALPHAS

PICTURES = {
    "spatial": "Spatial attention",
    "matrices": "Channel attention",
    "entropy": "Entropy",
    "channel": "One channel",
    "pixel": "One pixel",
    "alphas": "Alpha in training",
    "patches": "Discriminator",
}
ATTENTION = {"HCA", "LCA", "SA"}


class Choice(NamedTuple):
    """What to look at.

    run: of the profile. image: number of the test photograph of the run's set, from 0. features: `high` or
    `low`. channel: from 0; -1: the one that the attention changes most. x, y: the pixel, as shares of width
    and height from the upper left corner, 0 to 1.
    """

    run: str
    image: int = 0
    features: str = "high"
    channel: int = -1
    x: float = 0.5
    y: float = 0.5


class Explorer:
    """The runs of a profile that have attention, opened one after another.

    profile: its name; params: its entry in params.yaml, as `params.get_profile` gives it.
    """

    def __init__(self, profile: str, params: Mapping[str, Any]) -> None:
        self.profile = profile
        self.sets = params["sets"]
        self.listed = {name: run for name, run in params["runs"].items() if ATTENTION & {*run["parts"]}}
        self._inside = lru_cache(maxsize=4)(self._look)

    def runs(self) -> list[str]:
        """The runs with attention that are trained."""
        return [name for name in self.listed if (self._folder(name) / "model.safetensors").exists()]

    def images(self, run: str) -> list[Record]:
        """The test photographs of a run's own set."""
        nearest(run, self.listed, f"run with attention in profile {self.profile}")
        name = filled_by(self.sets, self.listed[run]["set"])
        return load_test(paths.prepared(self.profile) / name)

    def inside(self, choice: Choice) -> Inside:
        """The network at work on the chosen photograph. MaganError for a run or a photograph that is not
        there."""
        entries = self.images(choice.run)
        if not 0 <= choice.image < len(entries):
            raise MaganError(
                f"image {choice.image} is not there: {choice.run} has {len(entries)} test photographs. "
                f"Choose 0 to {len(entries) - 1}."
            )
        return self._inside(choice.run, choice.image)

    def features(self, choice: Choice) -> list[str]:
        """The groups of features with channel attention: of high and low."""
        return [name for name, group in self.inside(choice).groups.items() if group.weights is not None]

    def pictures(self, choice: Choice) -> list[str]:
        """Names of the pictures that the chosen run has, of PICTURES: without spatial attention, channel
        attention or discriminator, theirs are not there."""
        found = self.inside(choice)
        missing = set() if self.features(choice) else {"matrices", "entropy", "channel", "pixel", "alphas"}
        missing |= set() if found.z is not None else {"spatial"}
        missing |= set() if found.patches else {"patches"}
        return [name for name in PICTURES if name not in missing]

    def channel(self, choice: Choice) -> int:
        """The chosen channel; MaganError for one that the group does not have."""
        group = self._group(choice)
        if choice.channel == -1:
            return attention.strongest_change(group)
        if not 0 <= choice.channel < len(group.levels):
            raise MaganError(
                f"channel {choice.channel} is not there: the {choice.features} features of {choice.run} have "
                f"{len(group.levels)}. Choose 0 to {len(group.levels) - 1}, or -1 for the one that the "
                "attention changes most."
            )
        return choice.channel

    def draw(self, picture: str, choice: Choice) -> Drawing:
        """One picture of PICTURES; MaganError for one that the chosen run does not have."""
        nearest(picture, self.pictures(choice), f"picture of {choice.run}")
        found = self.inside(choice)
        attending = {name: found.groups[name] for name in self.features(choice)}
        pixel = self._pixel(choice)
        if picture == "spatial":
            low = found.groups["low"].after
            return attention.spatial(found.photo, found.mask, found.focus_map, found.z, low, pixel)
        if picture == "matrices":
            return attention.matrices(attending)
        if picture == "entropy":
            return attention.entropy(attending)
        if picture == "alphas":
            return attention.alphas({run: self._history(run) for run in self.runs()}, choice.run)
        if picture == "patches":
            return patch_scores(found.photo, found.mask, found.focus_map, found.patches, pixel)
        group = self._group(choice)
        if picture == "pixel":
            return attention.pixel_view(choice.features, group, found.photo, found.mask, pixel)
        return attention.channel(choice.features, group, self.channel(choice), len(found.photo), pixel)

    def save(self, choice: Choice) -> list[Path]:
        """Write every picture of a choice as PNG and PDF, with its words as JSON, to
        results/PROFILE/attention/RUN/STEM. Those of one channel or pixel bear it in their name, so that
        another choice does not overwrite them. Returns the paths."""
        stem = self.images(choice.run)[choice.image]["stem"]
        folder = paths.attention(self.profile) / choice.run / stem
        drawings = {self._file(name, choice): self.draw(name, choice) for name in self.pictures(choice)}
        return [path for name, drawing in drawings.items() for path in style.save(drawing, folder, name)]

    def _file(self, picture: str, choice: Choice) -> str:
        if picture in ("matrices", "entropy", "alphas"):
            return picture
        column, row = self._pixel(choice)
        at = f"x{column}-y{row}"
        if picture == "channel":
            return f"channel-{choice.features}-{self.channel(choice)}-{at}"
        return f"pixel-{choice.features}-{at}" if picture == "pixel" else f"{picture}-{at}"

    def _pixel(self, choice: Choice) -> tuple[int, int]:
        for name, share in (("x", choice.x), ("y", choice.y)):
            if not 0 <= share <= 1:
                raise MaganError(f"{name} is {share}; it must be a share of the picture, from 0 to 1.")
        side = len(self.inside(choice).photo)
        return min(int(choice.x * side), side - 1), min(int(choice.y * side), side - 1)

    def _group(self, choice: Choice):
        nearest(choice.features, self.features(choice), f"group of features with attention in {choice.run}")
        return self.inside(choice).groups[choice.features]

    def _folder(self, run: str) -> Path:
        return paths.runs(self.profile) / run

    def _history(self, run: str) -> dict:
        names = ("step", *ALPHAS)
        return dict(zip(names, read_columns(self._folder(run) / "history.csv", *names), strict=True))

    def _look(self, run: str, image: int) -> Inside:
        folder = self._folder(run)
        generator, size = load_model(folder / "model.safetensors")
        judged = "receptive_field" in self.listed[run]
        discriminator = load_discriminator(folder / "discriminator.safetensors") if judged else None
        entry = self.images(run)[image]
        mask = read_mask(entry["mask"], entry["white"])
        return look_inside(generator, discriminator, read_photo(entry["image"]), mask, size)
