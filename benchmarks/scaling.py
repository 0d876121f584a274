"""Seconds of a training step of MA-GANet in as many processes as torchrun starts; see README.md."""

import argparse
import json
import os
import tempfile
import time
from dataclasses import fields
from pathlib import Path

import machine
import numpy as np
import torch
from torch import nn

from magan_core import params
from magan_core.data.augment import Sampler
from magan_core.device import choose_device, choose_precision, flushed
from magan_core.files import write_json
from magan_core.models import build_discriminator, build_generator
from magan_core.provenance import provenance
from magan_core.training.determinism import deterministic
from magan_core.training.distributed import Team, joined
from magan_core.training.shared import share
from magan_core.training.stream import place
from magan_core.training.trainer import Recipe, Weights, alone_on_gpu, train

PHOTOGRAPHS = 64


def noise(folder: Path, side: int) -> list[np.ndarray]:
    """Memory-mapped images and masks of a prepared set, at random."""
    random = np.random.default_rng(0)
    np.save(folder / "images.npy", random.integers(0, 256, (PHOTOGRAPHS, side, side, 3), np.uint8))
    np.save(folder / "masks.npy", random.integers(0, 2, (PHOTOGRAPHS, side, side), np.uint8) * 255)
    return [np.load(folder / name, mmap_mode="r") for name in ("images.npy", "masks.npy")]


def seconds_a_step(
    profile: dict,
    arrays: list[np.ndarray],
    team: Team,
    device: torch.device,
    steps: int,
    memory: float,
) -> float:
    """After as many steps to warm up. What was compiled before is forgotten first: torch compiles a function
    eight times at most."""
    training = profile["training"]
    if training["compile"]:
        torch.compiler.reset()
    torch.manual_seed(0)
    generator = share(build_generator(profile["model"]), team, device)
    generator.to(device, memory_format=torch.channels_last)
    discriminator = build_discriminator(70, profile["discriminator"]["channels"])
    discriminator.to(device, memory_format=torch.channels_last)
    images, masks = place(arrays, device, memory, team.neighbours)
    sizes = torch.full((PHOTOGRAPHS, 2), images.shape[1])
    options = {name: training[name] for name in ("batch", "crop", "rotation")}
    recipe = Recipe(
        **{field.name: training[field.name] for field in fields(Recipe)}
        | {"steps": steps, "log_every": steps}
    )
    for _ in range(2):
        sampler = Sampler(images, masks, sizes, **options, seed=0, part=team.part)
        start = time.perf_counter()
        train(
            generator, discriminator, sampler, None, Weights(1.0, 1.0, 0.001), recipe,
            device=device, team=team, progress=False,
        )  # fmt: skip
    return (time.perf_counter() - start) / steps


def seconds_of_gradients(networks: list[nn.Module], team: Team, device: torch.device, times: int) -> float:
    """To average as many bytes as the networks' gradients have, once."""
    values = torch.zeros(
        sum(one.numel() for network in networks for one in network.parameters()), device=device
    )
    for _ in range(2):
        start = time.perf_counter()
        for _ in range(times):
            team.mean(values)
        values.sum().item()  # waits for the GPU
    return (time.perf_counter() - start) / times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="demo")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of each process (default: the profile's)")
    parser.add_argument(
        "--no-compile", action="store_true", help="even where the profile asks for torch.compile"
    )
    parser.add_argument(
        "--no-graph", action="store_true", help="even where the profile asks for a recorded step"
    )
    parser.add_argument("--deterministic", action="store_true", help="with deterministic kernels, on a GPU")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    profile = params.get_profile(params.load(), options.profile)
    for name in ("compile", "graph"):
        if getattr(options, f"no_{name}"):
            profile["training"] = profile["training"] | {name: False}
    load = round(os.getloadavg()[0], 1)
    torch.set_num_threads(options.threads or profile["threads"])
    ways = {"in memory": 0.5, "streamed": 0.0}
    with (
        joined(choose_device(options.device)) as (team, device),
        tempfile.TemporaryDirectory() as folder,
        deterministic(options.deterministic),  # all of the process: cuBLAS reads its setting once
        flushed(),  # as train_run has it
    ):
        arrays = noise(Path(folder), profile["training_size"])
        networks = [
            build_generator(profile["model"]),
            build_discriminator(70, profile["discriminator"]["channels"]),
        ]
        trials: dict[str, list[float]] = {name: [] for name in (*ways, "gradients")}
        for _ in range(options.trials):  # in turn, so that a busy neighbour harms all alike
            for name, memory in ways.items():
                trials[name].append(seconds_a_step(profile, arrays, team, device, options.steps, memory))
            if team.size > 1:
                trials["gradients"].append(seconds_of_gradients(networks, team, device, options.steps))
        if not team.writes:
            return
        bytes_of = [4 * sum(one.numel() for one in network.parameters()) for network in networks]
        record = provenance(device) | {
            "commit": machine.commit(),
            "profile": options.profile,
            "precision": choose_precision(profile["training"]["precision"], device),
            "compile": profile["training"]["compile"] and alone_on_gpu(device, team),
            "graph": profile["training"]["graph"] and alone_on_gpu(device, team),
            "deterministic": options.deterministic,
            "load": load,
            "processes": team.size,
            "trials": options.trials,
            "batch": profile["training"]["batch"],
            "steps": options.steps,
            "gradient_bytes": {"generator": bytes_of[0], "discriminator": bytes_of[1]},
            "milliseconds": {
                name: {"median": 1e3 * float(np.median(found)), "least": 1e3 * min(found)}
                for name, found in trials.items()
                if found
            },
        }
        print(json.dumps(record["milliseconds"], indent=1))
        if options.out:
            write_json(options.out, record)


if __name__ == "__main__":
    main()
