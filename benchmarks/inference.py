"""Photographs mapped a second, as it was and as it is, in turn; see docs/performance.md.

Before: torch's default layout, and channel attention as the equations are printed. Now: as `magan predict`
has a network, channels_last and batch norm folded. What is timed is the network on float32 squares in memory;
reading and resizing are left out.
"""

import os

os.environ["GOMP_SPINCOUNT"] = "0"  # read when torch is imported

import argparse
import sys
import time
from pathlib import Path

import machine
import table
import torch
from plain_attention import attend_plainly
from torch import nn

from magan_core import params
from magan_core.files import write_json
from magan_core.models import build_generator
from magan_core.models.folding import fold_batch_norm

BATCHES = (1, 8)
MODELS = {"demo": 128, "cuhk-cpu": 320}  # profile: side in pixels


def network(model: dict, plain: bool) -> nn.Module:
    """In evaluation mode, with random weights."""
    torch.manual_seed(0)
    generator = build_generator(model).eval()
    if plain:
        attend_plainly(generator)
    else:
        fold_batch_norm(generator.to(memory_format=torch.channels_last))
    for module in (generator.high_attention, generator.low_attention):
        nn.init.constant_(module.alpha, 0.5)
    return generator


@torch.inference_mode()
def measure(model: dict, size: int, batch: int, trials: int, images: int, device: torch.device) -> dict:
    """Images a second of each way, of trials with so many images, after one batch to warm up."""
    ways = {"before": network(model, plain=True).to(device), "now": network(model, plain=False).to(device)}
    squares = torch.rand(batch, 3, size, size, device=device)
    maps = {name: generator(squares).sigmoid() for name, generator in ways.items()}
    near = 1e-3 if device.type == "cpu" else 5e-3  # a GPU's convolutions round to 11 bits (tf32)
    torch.testing.assert_close(maps["now"], maps["before"], rtol=0, atol=near)
    seconds = {name: [] for name in ways}
    times = max(1, images // batch)
    for _ in range(trials):
        for name, generator in ways.items():
            start = time.perf_counter()
            for _ in range(times):
                found = generator(squares)
            found.sum().item()  # waits for a GPU
            seconds[name].append((time.perf_counter() - start) / (times * batch))
    return {
        "batch": batch,
        "size": size,
        "images a second": {
            name: machine.spread([1 / one for one in found], 2) for name, found in seconds.items()
        },
        "gain": machine.ratio(seconds["before"], seconds["now"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--images", type=int, default=16, help="of a trial")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # as `magan predict` has it; noise brings more of them than photographs
    hardware = machine.hardware(options.device)
    settings, rows = params.load(), []
    for profile, size in MODELS.items():
        model = params.get_profile(settings, profile)["model"]
        for batch in BATCHES:
            row = measure(model, size, batch, options.trials, options.images, torch.device(options.device))
            rows.append({"profile": profile, "backbone": model["backbone"]} | row)
            print(f"{profile}, batch {batch}: {row['images a second']['now']}", file=sys.stderr)
    result = {
        "models": rows,
        "trials": options.trials,
        "images of a trial": options.images,
        "threads": options.threads,
        "hardware": hardware,
        "versions": machine.versions("torch", "timm"),
    }
    write_json(options.out or machine.RESULTS / f"inference_{options.device}.json", result)
    print(table.inference([result]))


if __name__ == "__main__":
    main()
