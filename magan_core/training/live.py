"""What a run shows while it trains: losses, learning rate, and maps of a few training photographs.

The files lie outside the outputs that DVC tracks, which are written when a run is done; `dvc plots` reads
them at any time (see `plots` in dvc.yaml). Nothing here touches what the next step depends on.
"""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import nn

from magan_core.data.images import resize
from magan_core.data.prepared import Training
from magan_core.errors import MaganError
from magan_core.files import write_bytes, write_table, write_text
from magan_core.limits import check

TABLES = {"losses": ("ce", "iou", "total"), "adversarial": ("adv", "d_real", "d_fake"), "lr": ("lr",)}
SAMPLES = 4
TILE = 160  # largest side in pixels of a picture in a sample


class Live:
    """FOLDER/{losses, adversarial, lr}/RUN.csv and FOLDER/maps/RUN/STEP.png of one run.

    identity: of settings, data and code; what another one left is removed. every: steps between two samples,
    0 for none. arrays: the labelled set, whose first photographs are shown, cut to their middle of
    crop x crop. MaganError for a negative `every`.
    """

    def __init__(
        self, folder: Path, run: str, identity: str, every: int, arrays: Training, crop: int
    ) -> None:
        check({"maps_every": every})
        self.folder, self.run, self.identity, self.every = Path(folder), run, identity, every
        start = (arrays.images.shape[1] - crop) // 2
        middle = slice(start, start + crop)
        self.images = np.array(arrays.images[:SAMPLES, middle, middle])
        self.masks = np.array(arrays.masks[:SAMPLES, middle, middle])

    @property
    def maps(self) -> Path:
        """Folder of the samples."""
        return self.folder / "maps" / self.run

    def begin(self, step: int) -> None:
        """Make the folders. What lies there stays where the run goes on, and goes where it begins anew.

        MaganError where they cannot be written.
        """
        try:
            self._begin(step)
        except OSError as error:
            raise MaganError(
                f"cannot show the run in {self.folder}: {error.strerror}. Let that be a folder that may be "
                "written, or remove what is there instead."
            ) from error

    def _begin(self, step: int) -> None:
        owner = self.maps / ".identity"
        same = owner.exists() and owner.read_text(encoding="utf-8") == self.identity
        if not step or not same:
            shutil.rmtree(self.maps, ignore_errors=True)
            for name in TABLES:
                (self.folder / name / f"{self.run}.csv").unlink(missing_ok=True)
        for name in TABLES:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        write_text(owner, self.identity)

    def write(self, rows: list[dict[str, float]]) -> None:
        """Write all rows so far (see log.Log), a table for each kind of number that the run has."""
        frame = pd.DataFrame(rows)
        for name, columns in TABLES.items():
            if set(columns) <= set(frame):
                write_table(self.folder / name / f"{self.run}.csv", frame[["step", *columns]])

    def sample(self, step: int, generator: nn.Module, device: torch.device) -> None:
        """After every so many steps, write photographs, maps and masks as three columns of one picture."""
        if not self.every or step % self.every:
            return
        images = torch.from_numpy(self.images).to(device).permute(0, 3, 1, 2).float().div_(255)
        training = generator.training
        generator.eval()
        with torch.no_grad():
            maps = generator(images).sigmoid().mul(255).round().byte()[:, 0].cpu().numpy()
        generator.train(training)
        side = min(TILE, maps.shape[1])
        rows = [
            np.hstack([resize(_colour(picture), side, side) for picture in row])
            for row in zip(self.images, maps, self.masks, strict=True)
        ]
        content = io.BytesIO()
        Image.fromarray(np.vstack(rows)).save(content, format="PNG")
        write_bytes(self.maps / f"{step:06d}.png", content.getbuffer())


def _colour(picture: np.ndarray) -> np.ndarray:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
