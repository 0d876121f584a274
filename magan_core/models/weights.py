"""Weights as safetensors: pretrained backbones and our own models. Nothing here can run code."""

import json
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from magan_core.errors import MaganError
from magan_core.files import atomic
from magan_core.models.backbone import SLIM
from magan_core.models.discriminator import PatchGAN, build_discriminator
from magan_core.models.generator import MANet, build_generator

DISCRIMINATOR = "magan-discriminator"  # key of its header in the metadata


def load_pretrained(generator: MANet, name: str, file: str | Path | None) -> str:
    """Give a timm backbone its ImageNet weights, from `file` if named, otherwise from timm's hub.

    Returns where the weights came from. Files may name VGG's layers `features.N.` (torchvision) or
    `features_N.` (timm). Errors: MaganError when neither the file nor the hub can be had, or the file does
    not fit.
    """
    if name == SLIM:
        raise MaganError(f"backbone '{SLIM}' has no ImageNet weights; set `pretrained: false` for it.")
    backbone = generator.backbone.features
    if file is None:
        try:
            source = timm.create_model(name, pretrained=True, features_only=True, out_indices=(0, 1, 2, 3, 4))
        except Exception as error:  # the hub client raises many kinds
            raise MaganError(
                f"ImageNet weights for '{name}' could not be downloaded ({type(error).__name__}). Go "
                "online, or name a safetensors file in params.yaml (`weights.file`), or use a profile that "
                "trains from scratch."
            ) from error
        backbone.load_state_dict(source.state_dict())
        return f"timm {name}"
    file = Path(file)
    if not file.is_file():
        raise MaganError(
            f"pretrained weights {file} are missing. Put the file there, set MAGAN_WEIGHTS to its folder, "
            "set `file: null` to download timm's, or use a profile that trains from scratch."
        )
    state = {key.replace("features.", "features_"): tensor.float() for key, tensor in read(file).items()}
    wanted = backbone.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    misshapen = [key for key in wanted if key in state and state[key].shape != wanted[key].shape]
    if missing or misshapen:
        raise MaganError(
            f"{file} does not fit backbone '{name}': {len(missing)} tensors missing, {len(misshapen)} of "
            f"another shape (first: {(missing + misshapen)[0]}). Name the weights of '{name}'."
        )
    backbone.load_state_dict(state, strict=False)
    return file.name


def read(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; a broken one is a MaganError."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise MaganError(
            f"{file} is not a readable safetensors file ({error}). Make or fetch it again."
        ) from error


def save_model(generator: MANet, settings: dict, parts: list[str], test_size: int, path: Path) -> None:
    """Write weights and the settings that rebuild the network as safetensors (same model, same bytes)."""
    header = {"settings": settings, "parts": list(parts), "test_size": test_size}
    tensors = {key: value.detach().cpu().contiguous() for key, value in generator.state_dict().items()}
    _write(tensors, "magan", header, path)


def load_model(path: str | Path, device: torch.device | str = "cpu") -> tuple[nn.Module, int]:
    """Rebuild a network saved by `save_model`, in evaluation mode. Returns (network, test size in pixels).

    Errors: MaganError when the file is missing, broken, of something else, or does not fit the network.
    """
    path = Path(path)
    tensors = {
        key: value.float() if value.is_floating_point() else value for key, value in read(path).items()
    }
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if "magan" not in metadata:
        raise MaganError(
            f"{path} holds weights but not a model of this project. Name a model.safetensors of a run."
        )
    try:
        header = json.loads(metadata["magan"])
        generator = build_generator(header["settings"], header["parts"])
        generator.load_state_dict(tensors)
        test_size = header["test_size"]
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise MaganError(
            f"{path} does not fit the network that it describes ({' '.join(str(error).split())[:200]}). "
            "Train it again with this version of magan-core."
        ) from error
    return generator.to(device).eval(), test_size


def save_discriminator(discriminator: PatchGAN, receptive_field: int, channels: int, path: Path) -> None:
    """Write a discriminator, the state of its spectral norm included, and what rebuilds it as safetensors
    (same discriminator, same bytes)."""
    header = {"receptive_field": receptive_field, "channels": channels}
    tensors = {key: value.detach().cpu().contiguous() for key, value in discriminator.state_dict().items()}
    _write(tensors, DISCRIMINATOR, header, path)


def load_discriminator(path: str | Path, device: torch.device | str = "cpu") -> PatchGAN:
    """Rebuild a discriminator saved by `save_discriminator`, in evaluation mode.

    Errors: MaganError when the file is missing, broken, of something else, or does not fit.
    """
    path = Path(path)
    tensors = read(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    if DISCRIMINATOR not in metadata:
        raise MaganError(
            f"{path} holds no discriminator of this project. Name a discriminator.safetensors of a run."
        )
    try:
        header = json.loads(metadata[DISCRIMINATOR])
        discriminator = build_discriminator(header["receptive_field"], header["channels"])
        discriminator.load_state_dict(tensors)
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        raise MaganError(
            f"{path} does not fit the discriminator that it describes "
            f"({' '.join(str(error).split())[:200]}). Train the run again with this version of magan-core."
        ) from error
    return discriminator.to(device).eval()


def _write(tensors: dict[str, torch.Tensor], name: str, header: dict, path: Path) -> None:
    with atomic(path) as temporary:
        try:
            save_file(tensors, temporary, metadata={name: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:
            raise OSError(str(error)) from error  # so that `atomic` reports a full disk as it does everywhere
