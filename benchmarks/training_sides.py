"""The two training loops that training.py compares, each in a process of its own, which training.py starts.

Arguments: `ours` or `plain`, and what to train as JSON. For every number on standard input the side trains so
many steps and prints a line of JSON: seconds by the clock and of the processor, loss, memory.
"""

import json
import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path

import machine
import numpy as np
import torch
from PIL import Image
from plain_attention import attend_plainly
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torch.utils.flop_counter import FlopCounterMode
from torchvision.transforms import InterpolationMode, RandomCrop
from torchvision.transforms import functional as TF

from magan_core.data.prepared import load_train
from magan_core.models import build_discriminator, build_generator
from magan_core.models.weights import load_pretrained
from magan_core.training.distributed import Team
from magan_core.training.run import sampler
from magan_core.training.trainer import Recipe, Weights, train

Steps = Callable[[int], float]


def networks(profile: dict, run: dict) -> tuple[torch.nn.Module, torch.nn.Module | None]:
    torch.manual_seed(0)
    model = profile["model"] | run.get("model", {})
    generator = build_generator(model, run["parts"])
    if file := profile.get("begin with"):
        load_pretrained(generator, model, file)
    adversarial = run["loss"]["adv"] > 0
    channels = profile["discriminator"]["channels"]
    return generator, build_discriminator(run["receptive_field"], channels) if adversarial else None


def ours(data: Path, profile: dict, run: dict, device: torch.device) -> Steps:
    generator, discriminator = networks(profile, run)
    generator.to(device, memory_format=torch.channels_last)
    if discriminator is not None:
        discriminator.to(device, memory_format=torch.channels_last)
    training = profile["training"]
    batches = sampler(load_train(data), training, 0, device, Team())
    recipe = Recipe(**{field.name: training[field.name] for field in fields(Recipe)})
    weights = Weights.of(run["loss"])

    def steps(count: int) -> float:
        part = replace(recipe, steps=count, warmup_steps=0, schedule="constant")
        rows = train(
            generator, discriminator, batches, None, weights, part, device=device, progress=False
        )  # fmt: skip
        return rows[-1]["total"]

    return steps


class Photographs(Dataset):
    """Files, decoded and augmented one by one."""

    def __init__(self, data: Path, training: dict) -> None:
        self.images = sorted((data / "images").iterdir())
        self.masks = sorted((data / "masks").iterdir())
        self.crop, self.degrees = training["crop"], training["rotation"] * 180

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image, mask = (
            Image.open(self.images[index]).convert("RGB"),
            Image.open(self.masks[index]).convert("L"),
        )
        if random.random() < 0.5:
            image, mask = TF.hflip(image), TF.hflip(mask)
        angle = random.uniform(-self.degrees, self.degrees)
        image = TF.rotate(image, angle, InterpolationMode.BILINEAR)
        mask = TF.rotate(mask, angle)
        place = RandomCrop.get_params(image, (self.crop, self.crop))
        return TF.to_tensor(TF.crop(image, *place)), (TF.to_tensor(TF.crop(mask, *place)) >= 0.5).float()


def plain(data: Path, profile: dict, run: dict, device: torch.device) -> Steps:
    """Algorithm 1 and Eq. 1 and 2 as one writes them down first: float32, torch's default layout, a call a
    term, every loss read at every step."""
    generator, discriminator = networks(profile, run)
    attend_plainly(generator)
    generator.to(device).train()
    training, weights = profile["training"], run["loss"]
    options = {"betas": training["betas"], "weight_decay": training["weight_decay"]}
    g_adam = torch.optim.Adam(generator.parameters(), lr=training["lr"], **options)
    if discriminator is not None:
        discriminator.to(device).train()
        d_adam = torch.optim.Adam(discriminator.parameters(), lr=training["discriminator_lr"], **options)
    photographs = Photographs(data, training)
    forever = RandomSampler(photographs, num_samples=sys.maxsize)  # so that workers read ahead over its end
    batches = DataLoader(photographs, training["batch"], sampler=forever, num_workers=profile["workers"])

    def judged(images: torch.Tensor, maps: torch.Tensor, real: bool) -> torch.Tensor:
        logits = discriminator(images, maps)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    endless = iter(batches)

    def steps(count: int) -> float:
        losses = {}
        for images, masks in islice(endless, count):
            images, masks = images.to(device), masks.to(device)
            logits = generator(images)
            maps = torch.sigmoid(logits)
            if discriminator is not None:
                discriminator.requires_grad_(True)
                d_real = judged(images, masks, True)
                d_fake = judged(images, maps.detach(), False)
                d_adam.zero_grad()
                (d_real + d_fake).backward()
                d_adam.step()
                discriminator.requires_grad_(False)
                losses |= {"d_real": d_real.item(), "d_fake": d_fake.item()}
            ce = F.binary_cross_entropy_with_logits(logits, masks)
            intersection = (maps * masks).sum((1, 2, 3))
            union = (maps + masks - maps * masks).sum((1, 2, 3))
            iou = (1 - intersection / union).mean()
            total = weights["ce"] * ce + weights["iou"] * iou
            if discriminator is not None:
                adv = judged(images, maps, True)
                total = total + weights["adv"] * adv
                losses["adv"] = adv.item()
            g_adam.zero_grad()
            total.backward()
            g_adam.step()
            losses |= {"ce": ce.item(), "iou": iou.item(), "total": total.item()}
        return losses["total"]

    return steps


def measured(steps: Steps, count: int, device: torch.device) -> dict:
    clock, processor = time.perf_counter(), time.process_time()
    loss = steps(count)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = {"clock": time.perf_counter() - clock, "processor": time.process_time() - processor}
    if not math.isfinite(loss):
        raise SystemExit(f"the loss is {loss} after {count} steps: nothing to time")
    memory = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else machine.peak_memory()
    return {"seconds": seconds, "loss": loss, "memory": memory and round(memory)}


def product(a: torch.Size, b: torch.Size, *_: object, **__: object) -> int:
    """Operations of a batched product; torch's own count fails where `out_dtype` is given."""
    return 2 * a[0] * a[1] * a[2] * b[2]


def operations(steps: Steps) -> int:
    """Multiply-adds of one step's convolutions and matrix products, forwards and backwards."""
    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.bmm: product}) as counter:
        steps(1)
    return counter.get_total_flops() // 2


def ceiling() -> float:
    """Multiply-adds a second of a large bfloat16 matrix product on the GPU: the best of ten."""
    a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
    best = math.inf
    for _ in range(12):
        torch.cuda.synchronize()
        start = time.perf_counter()
        a @ a
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return len(a) ** 3 / best


def main() -> None:
    side, task = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(task["profile"]["threads"])
    torch.set_flush_denormal(side == "ours")  # as train_run has it; torch by itself does not
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    device, profile = torch.device(task["device"]), task["profile"]
    eager = profile | {"training": profile["training"] | {"compile": False}}

    def steps_of(profile: dict) -> Steps:
        return {"ours": ours, "plain": plain}[side](Path(task["data"]), profile, task["run"], device)

    first = {"operations": operations(steps_of(eager))}  # compiled code cannot be counted
    steps = steps_of(profile)
    if device.type == "cuda":
        first["ceiling"] = ceiling()
        torch.cuda.reset_peak_memory_stats()
    print(json.dumps(first), flush=True)
    for line in sys.stdin:
        print(json.dumps(measured(steps, int(line), device)), flush=True)


if __name__ == "__main__":
    main()
