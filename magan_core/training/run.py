"""One training run from prepared arrays to a saved model."""

import time
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from magan_core.data.augment import Sampler
from magan_core.data.prepare import load_train
from magan_core.errors import MaganError
from magan_core.files import atomic, read_json, sha256, write_json
from magan_core.models import build_discriminator, build_generator
from magan_core.models.weights import load_pretrained, save_discriminator, save_model
from magan_core.provenance import provenance
from magan_core.training.log import COLUMNS
from magan_core.training.state import Resume, key
from magan_core.training.trainer import Recipe, Weights, train


def sampler(folder: Path, profile: dict, seed: int, device: torch.device) -> Sampler:
    """Sampler over a prepared set, whole on the device as bytes."""
    arrays = load_train(folder)
    images, masks, sizes = (
        None if array is None else torch.from_numpy(np.array(array))
        for array in (arrays.images, arrays.masks, arrays.sizes)
    )
    training = profile["training"]
    if images.shape[1] < training["crop"]:
        raise MaganError(
            f"crop {training['crop']} is larger than the prepared {images.shape[1]} px. Lower `crop`."
        )
    return Sampler(
        images.to(device),
        None if masks is None else masks.to(device),
        sizes,
        batch=training["batch"],
        crop=training["crop"],
        rotation=training["rotation"],
        jitter=training["jitter"],
        seed=seed,
    )


def train_run(
    run: dict,
    profile: dict,
    *,
    labelled: Path,
    unlabelled: Path | None,
    weights_folder: Path,
    out: Path,
    device: torch.device,
    resume_folder: Path | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train one run of params.yaml and write OUT/model.safetensors, history.csv and provenance.json, and
    discriminator.safetensors where it has one.

    labelled, unlabelled: folders of prepared sets. resume_folder: where the state of an unfinished run lies,
    and is looked for under the hash of settings, data and code. Returns the history. The same settings on the
    same machine with the same number of threads give the same model and history, byte for byte, on a CPU;
    interrupted and resumed or not. The last state stays until `state.forget`, so that a kill while the model
    is put to use costs no training.
    """
    start = time.perf_counter()
    torch.set_num_threads(profile["threads"])
    seed = run.get("seed", profile["seed"])
    torch.manual_seed(seed)
    model = profile["model"] | run.get("model", {})
    generator = build_generator(model, run["parts"])
    source = "from scratch"
    if profile["weights"]["pretrained"]:
        file = profile["weights"]["file"]
        source = load_pretrained(generator, model["backbone"], weights_folder / file if file else None)
    weights = Weights(**run["loss"])
    discriminator = None
    if weights.adv > 0:
        judge = (run["receptive_field"], profile["discriminator"]["channels"])
        discriminator = build_discriminator(*judge).to(device)
    generator.to(device, memory_format=torch.channels_last)
    recipe = Recipe(**{field.name: profile["training"][field.name] for field in fields(Recipe)})
    batches = sampler(labelled, profile, seed, device)
    pool = sampler(unlabelled, profile, seed + 1, device) if unlabelled else None
    data = {
        folder.name: read_json(folder.parent / "sets.json")[folder.name]["sha256"]
        for folder in (labelled, unlabelled)
        if folder
    }
    resume = None
    if resume_folder is not None:
        settings = [profile[part] for part in ("threads", "weights", "discriminator", "training")]
        file = profile["weights"]["file"] if profile["weights"]["pretrained"] else None
        begun_with = [version("timm"), sha256(weights_folder / file) if file else None]
        identity = key(run, model, settings, seed, data, str(device), begun_with)
        resume = Resume(resume_folder, state_name(profile, run), identity, recipe.save_seconds)
    history = train(
        generator,
        discriminator,
        batches,
        pool,
        weights,
        recipe,
        device=device,
        resume=resume,
        progress=progress,
    )
    seconds = time.perf_counter() - start + (resume.seconds if resume else 0.0)
    frame = pd.DataFrame(history, columns=list(COLUMNS))
    save_model(
        generator,
        model,
        run["parts"],
        profile["test_size"],
        out / "model.safetensors",
        test_flip=profile["test_flip"],
    )
    if discriminator is not None:
        save_discriminator(discriminator, *judge, out / "discriminator.safetensors")
    with atomic(out / "history.csv") as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g", lineterminator="\n")
    write_json(
        out / "provenance.json",
        provenance(device)
        | {
            "run": run,
            "profile": {key: profile[key] for key in ("name", "training", "test_size", "test_flip")},
            "seed": seed,
            "model": model,
            "backbone_weights": source,
            "data_sha256": data,
            "starts": resume.starts if resume else 1,
            "parameters": sum(parameter.numel() for parameter in generator.parameters()),
            "gmacs": multiply_adds(generator, profile["test_size"], device) / 1e9,
            "seconds": {"train": round(seconds, 1), "predict_per_image": {}},
        },
    )
    return frame


def state_name(profile: dict, run: dict) -> str:
    """Name of a run's resume state."""
    return "-".join([profile["name"], run["variant"], run["set"], str(run.get("seed", profile["seed"]))])


def add_timing(out: Path, name: str, seconds: float) -> None:
    """Note the measured seconds a photograph of a set in OUT/provenance.json."""
    record = read_json(out / "provenance.json")
    record["seconds"]["predict_per_image"][name] = round(seconds, 4)
    write_json(out / "provenance.json", record)


@torch.inference_mode()
def multiply_adds(generator: torch.nn.Module, size: int, device: torch.device | str = "cpu") -> int:
    """Multiply-adds of the convolutions and matrix products for one size x size photograph.

    Counted on shapes alone: nothing is computed.
    """
    generator.eval()
    with FakeTensorMode(allow_non_fake_inputs=True), FlopCounterMode(display=False) as counter:
        generator(torch.zeros(1, 3, size, size, device=device))
    return counter.get_total_flops() // 2
