"""A network, a profile and prepared data small enough to train in a second."""

from pathlib import Path

import numpy as np
import pytest
import torch

from magan_core.files import write_json
from magan_core.models.generator import MANet, build_generator
from magan_core.training.run import train_run

NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")

# A test that compiles: torch warns of itself when its compiler is imported, at an autograd.Function, and at a
# map that the discriminator is given with its gradient.
COMPILES = pytest.mark.filterwarnings(
    "ignore:.torch.jit.script_method.:DeprecationWarning",
    "ignore:.*should not be instantiated:DeprecationWarning",
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning",
)

MODEL = {
    "backbone": "slim_vgg",
    "width": 0.0625,
    "pooling": True,
    "head_channels": 8,
    "head_norm": True,
    "dilation": 2,
    "dropout": 0.1,
    "energy": "mean",
    "axis": "sources",
}
TRAINING = {
    "steps": 5,
    "warmup_steps": 1,
    "batch": 4,
    "crop": 32,
    "rotation": 0.15,
    "window": 1.0,
    "jitter": 0.0,
    "cutmix": 0.0,
    "defocus": 0.0,
    "noise": 0.0,
    "lr": 3e-3,
    "backbone_lr": 3e-3,
    "discriminator_lr": 4e-4,
    "schedule": "cosine",
    "betas": [0.9, 0.999],
    "weight_decay": 5e-4,
    "adversarial": "non_saturating",
    "supervised_share": 0.4,
    "log_every": 2,
    "precision": "float32",
    "graph": True,
    "compile": False,
    "average": 0.0,
    "save_seconds": 60.0,
    "maps_every": 0,
    "memory_share": 0.5,
    "deterministic": False,
}
PROFILE = {
    "name": "tiny",
    "seed": 7,
    "threads": 1,
    "model": MODEL,
    "weights": {"pretrained": False, "file": None},
    "discriminator": {"channels": 4},
    "training": TRAINING,
    "test_size": 32,
    "test_scales": [0.75, 1.25],
    "test_flip": False,
}
RUN = {
    "set": "shi",
    "variant": "magan-s",
    "parts": ["HL", "LL", "HCA", "SA", "LCA"],
    "loss": {"ce": 1.0, "iou": 1.0, "adv": 0.001},
    "receptive_field": 16,
    "unlabelled": "frd",
}


def decided(seed: int = 0) -> MANet:
    """An untrained generator in evaluation mode whose maps are not nearly flat, as they would be."""
    torch.manual_seed(seed)
    generator = build_generator(MODEL).eval()
    with torch.no_grad():
        generator.head[2].weight.mul_(200)
    return generator


def scenes(count: int, side: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise where in focus (a square), flat grey elsewhere: uint8 (N, S, S, 3) and 0/255 masks (N, S, S)."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, side, side), np.uint8)
    for mask in masks:
        top, left = rng.integers(0, side // 2, 2)
        mask[top : top + side // 2, left : left + side // 2] = 255
    noise = rng.integers(0, 256, (count, side, side, 3))
    return np.where(masks[..., None] > 0, noise, 128).astype(np.uint8), masks


def prepared(root: Path, names: tuple[str, ...] = ("shi", "frd"), count: int = 6) -> Path:
    """A folder of prepared sets; `frd` has no masks."""
    for index, name in enumerate(names):
        images, masks = scenes(count, seed=index)
        folder = root / name
        folder.mkdir(parents=True)
        np.save(folder / "train_images.npy", images)
        np.save(folder / "train_sizes.npy", np.tile(np.int32([40, 60]), (count, 1)))
        if name != "frd":
            np.save(folder / "train_masks.npy", masks)
    write_json(root / "sets.json", {name: {"sha256": "0" * 64} for name in names})
    return root


def train_tiny(
    data: Path, out: Path, run: dict, profile: dict, device: str = "cpu", resume: Path | None = None
):
    """History of a semi-supervised run on the sets of `prepared`. Before one that compiles, torch forgets
    what it has compiled, for it compiles a function eight times at most."""
    if profile["training"]["compile"]:
        torch.compiler.reset()
    return train_run(
        run,
        profile,
        labelled=data / "shi",
        unlabelled=data / "frd",
        weights_folder=data,
        out=out,
        device=torch.device(device),
        resume_folder=resume,
        progress=False,
    )
