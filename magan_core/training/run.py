"""One training run from prepared arrays to a saved model."""

import time
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from magan_core import paths
from magan_core.data.augment import Sampler
from magan_core.data.prepared import Training, load_train, training_hash
from magan_core.device import choose_precision, flushed
from magan_core.files import read_json, sha256, write_json, write_table
from magan_core.models import build_discriminator, build_generator
from magan_core.models.cost import multiply_adds
from magan_core.models.weights import load_pretrained, save_discriminator, save_model
from magan_core.provenance import provenance
from magan_core.training.columns import COLUMNS
from magan_core.training.determinism import deterministic
from magan_core.training.distributed import Team, alone
from magan_core.training.live import Live
from magan_core.training.log import at_chance
from magan_core.training.shared import share
from magan_core.training.state import Resume, key
from magan_core.training.stream import Streamed, place
from magan_core.training.trainer import Recipe, Weights, train

DRAWN = ("batch", "crop", "rotation", "window", "jitter", "cutmix", "defocus", "noise")  # of a sampler
BYSTANDERS = ("save_seconds", "maps_every", "memory_share")  # settings that training does not depend on


def sampler(arrays: Training, training: dict, seed: int, device: torch.device, team: Team) -> Sampler:
    """Sampler over a prepared set, as bytes on the device where there is room, else streamed."""
    images, masks = place([arrays.images, arrays.masks], device, training["memory_share"], team.neighbours)
    return Sampler(
        images,
        masks,
        torch.from_numpy(np.array(arrays.sizes)),
        **{setting: training[setting] for setting in DRAWN},
        seed=seed,
        part=team.part,
    )


@flushed()  # from the beginning, so that torch's threads start with it
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
    live_folder: Path | None = None,
    team: Team | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Train one run of params.yaml and write OUT/model.safetensors, history.csv and provenance.json, and
    discriminator.safetensors where it has one.

    labelled, unlabelled: folders of prepared sets. weights_folder: where `weights.file` lies, unless it
    names a folder itself: then it is relative to the working directory. resume_folder: where the state of
    an unfinished run lies, and is looked for under the hash of settings, data and code. live_folder: where
    the run shows itself while it trains, under the name of OUT. team: of a process that torchrun started
    (distributed.joined); its first process writes. Returns the history. The same settings on the same
    machine with the same number of threads give the same model and history, byte for byte, on a CPU;
    interrupted and resumed or not. (Numbers below float32's normal ones count as 0, but not in threads
    that torch has started before.) The last state stays until `state.forget`, so that a kill while the
    model is put to use costs no training.
    """
    team = team or alone()
    start = time.perf_counter()
    torch.set_num_threads(profile["threads"])
    seed = run.get("seed", profile["seed"])
    torch.manual_seed(seed)
    model = profile["model"] | run.get("model", {})
    generator = build_generator(model, run["parts"])
    sides = [round(profile["test_size"] * scale) for scale in profile["test_scales"]]
    operations = {side: multiply_adds(generator, side) for side in {*sides, profile["training"]["crop"]}}
    source = "from scratch"
    file = profile["weights"]["file"] if profile["weights"]["pretrained"] else None
    if file:
        file = paths.weights_file(file, weights_folder)
    if profile["weights"]["pretrained"]:
        source = load_pretrained(generator, model, file)
    weights = Weights.of(run["loss"])
    discriminator = None
    if weights.adv > 0:
        judge = (run["receptive_field"], profile["discriminator"]["channels"])
        discriminator = build_discriminator(*judge).to(device, memory_format=torch.channels_last)
    generator = share(generator, team, device)
    generator.to(device, memory_format=torch.channels_last)
    recipe = Recipe(**{field.name: profile["training"][field.name] for field in fields(Recipe)})
    training = profile["training"]
    precision = choose_precision(recipe.precision, device)
    arrays = load_train(labelled)
    batches = sampler(arrays, training, seed, device, team)
    pool = sampler(load_train(unlabelled), training, seed + 1, device, team) if unlabelled else None
    data = {folder.name: training_hash(folder) for folder in (labelled, unlabelled) if folder}
    settings = [profile[part] for part in ("threads", "weights", "discriminator")]
    kept = {name: value for name, value in training.items() if name not in BYSTANDERS}
    settings.append(kept | {"precision": precision})
    begun_with = [version("timm"), sha256(file) if file else None]
    identity = key(run, model, settings, seed, data, device.type, team.size, begun_with)
    team.agree(int(identity[:15], 16), "settings, data and code")
    name = state_name(profile, run)
    resume = live = None
    if resume_folder is not None:
        resume = Resume(resume_folder, name, identity, recipe.save_seconds)
    if live_folder is not None and team.writes and arrays.masks is not None:  # else see `train`
        live = Live(live_folder, out.name, identity, training["maps_every"], arrays, training["crop"])
    with deterministic(training["deterministic"]):
        history = train(
            generator,
            discriminator,
            batches,
            pool,
            weights,
            recipe,
            device=device,
            resume=resume,
            live=live,
            team=team,
            progress=progress and team.writes,
        )
    seconds = time.perf_counter() - start + (resume.seconds if resume else 0.0)
    frame = pd.DataFrame(history, columns=[*COLUMNS, *weights.further])
    if not team.writes:
        return frame
    save_model(
        generator,
        model,
        run["parts"],
        profile["test_size"],
        out / "model.safetensors",
        test_scales=profile["test_scales"],
        test_flip=profile["test_flip"],
    )
    notes = []
    if discriminator is not None:
        save_discriminator(discriminator, *judge, out / "discriminator.safetensors")
        if at_chance(history):
            notes.append("the discriminator's loss stayed within 3 % of that of chance, or above")
            print(f"note: {notes[0]}")
    else:  # of an earlier training with other losses
        (out / "discriminator.safetensors").unlink(missing_ok=True)
    write_table(out / "history.csv", frame)
    write_json(
        out / "provenance.json",
        provenance(device)
        | {
            "run": run,
            "profile": {
                key: profile[key] for key in ("name", "training", "test_size", "test_scales", "test_flip")
            },
            "seed": seed,
            "model": model,
            "backbone_weights": source,
            "data_sha256": data,
            "starts": resume.starts if resume else 1,
            "processes": team.size,
            "precision": precision,
            "streamed": any(isinstance(part.images, Streamed) for part in (batches, pool) if part),
            "notes": notes,
            "parameters": sum(parameter.numel() for parameter in generator.parameters()),
            "gmacs": sum(operations[side] for side in sides) * (1 + profile["test_flip"]) / 1e9,
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
