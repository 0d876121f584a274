"""Weights as safetensors: pretrained backbones and our own models. Nothing here can run code."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import nn

from magan_core.errors import MaganError
from magan_core.files import sha256, write_bytes
from magan_core.limits import check_scales
from magan_core.models.backbone import OWN
from magan_core.models.discriminator import PatchGAN, build_discriminator
from magan_core.models.generator import MANet, build_generator

DISCRIMINATOR = "magan-discriminator"  # key of its header in the metadata
# Settings that change a network, and perhaps no weight: efficientnet_lite0 pads otherwise than
# tf_efficientnet_lite0, and normalises its input otherwise.
WITHOUT_TENSORS = ("backbone", "pooling", "dilation", "energy", "axis")
DEFAULTS = {"pooling": True}  # of those that files may lack which are older than the setting


def load_pretrained(generator: MANet, settings: dict, file: str | Path | None) -> str:
    """Give a backbone its pretrained weights, from `file` if named, otherwise one of timm's from its hub; or
    give the whole generator the weights of a model of this project, if `file` is one, to train it further.

    settings: those that the generator was built from. Returns where the weights came from. Files may name
    VGG's layers `features.N.` (torchvision) or `features_N.` (timm); those of a backbone of one's own have
    the names of its state_dict. Errors: MaganError when neither the file nor the hub can be had, or the file
    does not fit.
    """
    name = settings["backbone"]
    backbone = generator.backbone if name in OWN else generator.backbone.features
    if file is None:
        if name in OWN:
            raise MaganError(
                f"backbone '{name}' is not timm's, which has no weights for it. Name a file of them, or set "
                "`pretrained: false`."
            )
        try:
            import timm  # here: it takes longer to import than a photograph to map

            source = timm.create_model(name, pretrained=True, features_only=True, out_indices=(0, 1, 2, 3, 4))
        except Exception as error:  # the hub client raises many kinds
            raise MaganError(
                f"ImageNet weights for '{name}' could not be downloaded ({type(error).__name__}: "
                f"{str(error).strip().partition(chr(10))[0]}). Go online, or name a safetensors file in "
                "params.yaml (`weights.file`), or another backbone, or use a profile that trains from "
                "scratch."
            ) from error
        backbone.load_state_dict(source.state_dict())
        return f"timm {name}"
    file = Path(file)
    if not file.is_file():
        raise MaganError(
            f"pretrained weights {file} are missing. scripts/imagenet_weights.py makes those of ImageNet, "
            "`make released-model` those in build; MAGAN_WEIGHTS is for another folder; `file: null` fetches "
            "timm's. Or use a profile that trains from scratch."
        )
    if "magan" in read_metadata(file):
        return _go_on_from(generator, settings, file)
    state = {key: tensor.float() for key, tensor in read(file).items()}
    if name not in OWN:
        state = {key.replace("features.", "features_"): tensor for key, tensor in state.items()}
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


def _go_on_from(generator: MANet, settings: dict, file: Path) -> str:
    header, trained = read_header(file), load_model(file)[0]
    theirs, ours = (
        DEFAULTS | values | {"backbone": values["backbone"].partition(".")[0]}  # without its tag
        for values in (header["settings"], settings)
    )
    differences = [
        f"{name} {theirs[name]!r}, not {ours[name]!r}"
        for name in WITHOUT_TENSORS
        if theirs[name] != ours[name]
    ]
    differences += [
        f"its input normalised by another {name}"
        for name in ("mean", "std")
        if not torch.equal(getattr(trained, name), getattr(generator, name))
    ]
    if not differences:
        try:
            generator.load_state_dict(trained.state_dict())
        except RuntimeError as error:
            differences = [str(error).splitlines()[1].strip()[:120]]
    if differences:
        raise MaganError(
            f"{file} holds {header['settings']} with parts {header['parts']}, another network than the one "
            f"to train ({'; '.join(differences)}). Give `model` and `parts` the same values, or name another "
            "file."
        )
    return f"the model {file.name} of sha256 {sha256(file)[:12]}"


def read(file: Path) -> dict[str, torch.Tensor]:
    """All tensors of a safetensors file; a broken one is a MaganError."""
    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise unreadable(file, error) from error


def save_model(
    generator: MANet,
    settings: dict,
    parts: list[str],
    test_size: int,
    path: Path,
    *,
    test_scales: Sequence[float] = (1.0,),
    test_flip: bool = False,
    half: bool = False,
) -> None:
    """Write weights and the settings that rebuild the network as safetensors (same model, same bytes).

    test_size, test_scales, test_flip: how it maps photographs unless told otherwise (see prediction.predict).
    half: store 16-bit floats, half the size; `load_model` gives float32 again, rounded to 11 bits.
    Errors: MaganError when a weight is not finite, or too large for 16 bits, or the file cannot be written.
    """
    header = {
        "settings": settings,
        "parts": list(parts),
        "test_size": test_size,
        "test_scales": list(test_scales),
        "test_flip": test_flip,
    }
    tensors = {key: value.detach().cpu().contiguous() for key, value in generator.state_dict().items()}
    if half:
        tensors = {
            key: value.half() if value.is_floating_point() else value for key, value in tensors.items()
        }
    finite(tensors, path, "Keep it with 32 bits." if half else "Train it again, at a lower rate.")
    _write(tensors, "magan", header, path)


def read_header(path: str | Path) -> dict:
    """What a model of ours says of itself: settings, parts, test_size (pixels), test_scales, test_flip ([1.0]
    and False in files from before these were there).

    Errors: MaganError when the file is missing, broken, of something else, or says something impossible.
    """
    metadata = read_metadata(path)
    if "magan" not in metadata:
        raise MaganError(
            f"{path} holds weights but not a model of this project. Name a model.safetensors of a run."
        )
    try:
        header = {"test_scales": [1.0], "test_flip": False} | json.loads(metadata["magan"])
        size, scales, flip = (header[f"test_{name}"] for name in ("size", "scales", "flip"))
        check_scales(size, scales)
        if type(flip) is not bool:
            raise ValueError(f"test_flip {flip!r}")
    except (KeyError, MaganError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise misfit(path, error) from error
    return header


def load_model(path: str | Path, device: torch.device | str = "cpu") -> tuple[nn.Module, int]:
    """Rebuild a network saved by `save_model`, in evaluation mode, float32 and channels_last, the faster
    layout (docs/performance.md). Returns (network, test size in pixels); for the rest see `read_header`.

    Errors: MaganError when the file is missing, broken, of something else, or does not fit the network.
    """
    path = Path(path)
    tensors = {
        key: value.float() if value.is_floating_point() else value for key, value in read(path).items()
    }
    header = read_header(path)
    finite(tensors, path, "Train or fetch it again.")
    try:
        generator = build_generator(header["settings"], header["parts"])
        generator.load_state_dict(tensors)
    except (
        AttributeError,
        KeyError,
        MaganError,
        OverflowError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise misfit(path, error) from error
    return generator.to(device, memory_format=torch.channels_last).eval(), header["test_size"]


def load_mean(paths: Sequence[str | Path]) -> tuple[nn.Module, int]:
    """As `load_model`, with the mean of the weights of several models (Wortsman et al., 2022). It is a good
    network only if all were trained on from the same weights.

    Errors: those of `load_model`, and MaganError when the models are not of one network and tested alike.
    """
    header = read_header(paths[0])
    for path in paths[1:]:
        if (other := read_header(path)) != header:
            raise MaganError(
                f"{path} holds {other}, but {paths[0]} {header}; a mean needs models of one network, tested "
                "alike"
            )
    network, size = load_model(paths[0])
    states = [network.state_dict(), *(load_model(path)[0].state_dict() for path in paths[1:])]
    network.load_state_dict({key: sum(state[key] for state in states) / len(paths) for key in states[0]})
    return network, size


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
    tensors, metadata = read(path), read_metadata(path)
    if DISCRIMINATOR not in metadata:
        raise MaganError(
            f"{path} holds no discriminator of this project. Name a discriminator.safetensors of a run."
        )
    finite(tensors, path, "Train the run again.")
    try:
        header = json.loads(metadata[DISCRIMINATOR])
        discriminator = build_discriminator(header["receptive_field"], header["channels"])
        discriminator.load_state_dict(tensors)
    except (KeyError, MaganError, RuntimeError, TypeError, ValueError) as error:
        raise misfit(path, error) from error
    return discriminator.to(device).eval()


def finite(tensors: dict[str, torch.Tensor], path: Path, remedy: str) -> None:
    """Raise a MaganError that names the first tensor with NaN or an infinite value."""
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MaganError(f"{path}: tensor {key} holds NaN or infinite values as {value.dtype}. {remedy}")


def unreadable(path: Path, error: Exception) -> MaganError:
    """The error for a file that is not there, or that safetensors cannot read."""
    if not path.exists():
        return MaganError(
            f"there is no file {path}. Check the name; those of runs are "
            "results/PROFILE/runs/RUN/model.safetensors."
        )
    if path.is_dir():
        return MaganError(f"{path} is a folder. Name the file in it, model.safetensors of a run.")
    return MaganError(f"{path} is not a readable safetensors file ({error}). Make or fetch it again.")


def misfit(path: str | Path, error: Exception) -> MaganError:
    """The error for weights and settings that do not make a network, in one line."""
    return MaganError(
        f"{path} does not fit the network that it describes ({' '.join(str(error).split())[:200]}). "
        "Train it again with this version of magan-core."
    )


def read_metadata(path: str | Path) -> dict[str, str]:
    """What a safetensors file says of itself; a broken one is a MaganError."""
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise unreadable(Path(path), error) from error


def _write(tensors: dict[str, torch.Tensor], name: str, header: dict, path: Path) -> None:
    write_bytes(path, save(tensors, metadata={name: json.dumps(header, sort_keys=True)}))
