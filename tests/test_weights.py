"""Saved models and pretrained backbones."""

import json
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from tiny import MODEL, decided

from magan_core import params, paths
from magan_core.errors import MaganError
from magan_core.models import PARTS, build_discriminator, build_generator, weights
from magan_core.models.discriminator import DEPTHS
from magan_core.models.weights import (
    load_discriminator,
    load_mean,
    load_model,
    load_pretrained,
    read_header,
    save_discriminator,
    save_model,
)

ROOT = Path(__file__).parent.parent


def saved(path, seed=0, parts=PARTS, test_size=64):
    torch.manual_seed(seed)
    generator = build_generator(MODEL, parts)
    generator(torch.rand(2, 3, 32, 32))  # moves the statistics of the batch norms
    save_model(generator, MODEL, parts, test_size, path)
    return generator.eval()


@pytest.mark.parametrize("parts", [("HL",), PARTS], ids="+".join)
def test_round_trip(tmp_path, parts):
    generator = saved(tmp_path / "model.safetensors", parts=parts).to(memory_format=torch.channels_last)
    loaded, size = load_model(tmp_path / "model.safetensors")
    images = torch.rand(1, 3, 40, 33)
    with torch.no_grad():
        assert torch.equal(loaded(images), generator(images))
    assert size == 64
    assert not loaded.training
    assert loaded.state_dict().keys() == generator.state_dict().keys()


def test_equal_models_give_equal_bytes_whatever_the_memory_format(tmp_path):
    one = saved(tmp_path / "one.safetensors")
    saved(tmp_path / "two.safetensors")
    save_model(one.to(memory_format=torch.channels_last), MODEL, PARTS, 64, tmp_path / "three.safetensors")
    saved(tmp_path / "four.safetensors", seed=1)
    one, two, three, four = (
        (tmp_path / f"{n}.safetensors").read_bytes() for n in ("one", "two", "three", "four")
    )
    assert one == two == three != four
    (tmp_path / "plain").touch()
    assert (tmp_path / "one.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("converted", [False, True], ids=["by save_model", "before"])
def test_half_precision_weights_are_loaded_as_float(tmp_path, converted):
    generator = saved(tmp_path / "model.safetensors")
    images = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        wanted = generator(images).sigmoid()
    path = tmp_path / "half.safetensors"
    if converted:
        save_model(generator.half(), MODEL, PARTS, 64, path)
    else:
        save_model(generator, MODEL, PARTS, 64, path, half=True)
        assert all(value.dtype != torch.float16 for value in generator.state_dict().values())
    stored = load_file(path)
    assert {value.dtype for value in stored.values()} == {torch.float16, torch.int64}
    model, _ = load_model(path)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32, torch.int64}
    with torch.no_grad():
        assert (model(images).sigmoid() - wanted).abs().max() < 0.01
    assert path.stat().st_size < 0.7 * (tmp_path / "model.safetensors").stat().st_size


@pytest.mark.parametrize(("value", "half"), [(7e4, True), (float("nan"), False), (float("inf"), False)])
def test_weights_that_cannot_be_stored(tmp_path, value, half):
    generator = build_generator(MODEL)
    generator.head[2].bias.data.fill_(value)
    with pytest.raises(MaganError, match=r"tensor head\.2\.bias holds NaN or infinite"):
        save_model(generator, MODEL, PARTS, 64, tmp_path / "model.safetensors", half=half)
    assert not list(tmp_path.iterdir())


def test_weights_that_are_not_finite_are_not_loaded(tmp_path):
    saved(tmp_path / "model.safetensors")
    rewritten(tmp_path / "model.safetensors", lambda tensors, _: tensors["head.2.bias"].fill_(torch.nan))
    with pytest.raises(MaganError, match=r"model\.safetensors: tensor head\.2\.bias holds NaN"):
        load_model(tmp_path / "model.safetensors")


def test_a_model_says_how_it_is_tested(tmp_path):
    path = tmp_path / "model.safetensors"
    generator = saved(path)
    plain = {
        "settings": MODEL,
        "parts": list(PARTS),
        "test_size": 64,
        "test_scales": [1.0],
        "test_flip": False,
    }
    assert read_header(path) == plain
    save_model(generator, MODEL, PARTS, 64, path, test_scales=(0.5, 2), test_flip=True)
    assert read_header(path) == plain | {"test_scales": [0.5, 2], "test_flip": True}
    rewritten(path, lambda _, metadata: metadata.update(magan=json.dumps(old_header())))
    assert read_header(path) == plain


def old_header():
    """As files had it before there were `test_scales` and `test_flip`."""
    return {"settings": MODEL, "parts": list(PARTS), "test_size": 64}


@pytest.mark.parametrize(
    "values",
    [
        {"test_size": "64"},
        {"test_size": 0},
        {"test_flip": "no"},
        *({"test_scales": scales} for scales in (1.0, [], ["1"], [0.001], [1.0, -1.0], [1e400])),
    ],
    ids=str,
)
def test_a_header_that_makes_no_sense(tmp_path, values):
    path = tmp_path / "model.safetensors"
    saved(path)
    rewritten(path, header(**values))
    for function in (read_header, load_model):
        with pytest.raises(MaganError, match=f"does not fit.*{next(iter(values))}"):
            function(path)


def test_a_header_with_a_number_beyond_floats(tmp_path):
    saved(tmp_path / "model.safetensors")
    rewritten(tmp_path / "model.safetensors", header(test_size=10**400))
    with pytest.raises(MaganError, match="does not fit"):
        read_header(tmp_path / "model.safetensors")


def test_a_backbone_without_pretrained_weights_needs_no_network(monkeypatch):
    asked = []

    def connect(*arguments):
        asked.append(arguments)
        raise OSError("offline")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    build_generator(MODEL | {"backbone": "tf_efficientnet_lite0"})
    assert not asked


def rewritten(path, change):
    """The file with its metadata or tensors changed."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata or None)


def header(**values):
    def change(tensors, metadata):
        metadata["magan"] = json.dumps(json.loads(metadata["magan"]) | values)

    return change


DAMAGES = {
    "wrong shape": lambda t, m: t.update({"head.2.weight": torch.zeros(1, 9, 1, 1)}),
    "missing tensor": lambda t, m: t.pop("head.2.weight"),
    "further tensor": lambda t, m: t.update({"more": torch.zeros(1)}),
    "settings of another version": header(settings=MODEL | {"new": 1}),
    "settings of another kind": header(settings=MODEL | {"backbone": 5}),
    "settings without end": header(settings=MODEL | {"width": float("inf")}),
    "settings too deep": lambda t, m: m.update({"magan": "[" * 10**5}),
    "parts of another version": header(parts=["HL", "XX"]),
    "no settings": lambda t, m: m.update({"magan": "{}"}),
    "broken settings": lambda t, m: m.update({"magan": "{"}),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_model_that_does_not_fit(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    saved(path)
    rewritten(path, DAMAGES[damage])
    with pytest.raises(MaganError, match=r"does not fit the network|unknown part") as caught:
        load_model(path)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_models(tmp_path):
    path = tmp_path / "model.safetensors"
    saved(path)
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    (tmp_path / "empty.safetensors").write_bytes(b"")
    torch.save({"a": torch.zeros(1)}, tmp_path / "pickle.safetensors")
    for name in ("cut", "empty", "pickle"):
        with pytest.raises(MaganError, match=rf"{name}\.safetensors is not a readable safetensors file"):
            load_model(tmp_path / f"{name}.safetensors")
    with pytest.raises(MaganError, match=r"there is no file .*missing\.safetensors"):
        load_model(tmp_path / "missing.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(MaganError, match="not a model of this project"):
        load_model(tmp_path / "other.safetensors")


# ---- discriminators ----


def judge(path, field=16, seed=0):
    torch.manual_seed(seed)
    discriminator = build_discriminator(field, 4)
    with torch.no_grad():
        discriminator(torch.rand(1, 3, 96, 96), torch.rand(1, 1, 96, 96))  # moves the power iteration
    save_discriminator(discriminator, field, 4, path)
    return discriminator.eval()


@pytest.mark.parametrize("field", DEPTHS)
def test_round_trip_of_a_discriminator(tmp_path, field):
    discriminator = judge(tmp_path / "d.safetensors", field)
    loaded = load_discriminator(tmp_path / "d.safetensors")
    images, maps = torch.rand(1, 3, 96, 100), torch.rand(1, 1, 96, 100)
    with torch.no_grad():
        assert torch.equal(loaded(images, maps), discriminator(images, maps))
    assert not loaded.training
    ours, theirs = loaded.state_dict(), discriminator.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)  # the power iteration too


def test_equal_discriminators_give_equal_bytes(tmp_path):
    for name, seed in (("one", 0), ("two", 0), ("three", 1)):
        judge(tmp_path / name, seed=seed)
    one, two, three = ((tmp_path / name).read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def other_header(tensors, metadata):
    metadata["magan-discriminator"] = json.dumps({"receptive_field": 16, "channels": 8})


@pytest.mark.parametrize(
    "change",
    [
        other_header,
        lambda t, m: m.update({"magan-discriminator": "{}"}),
        lambda t, m: m.update({"magan-discriminator": "{"}),
        lambda t, m: t.pop("layers.0.bias"),
        lambda t, m: t.pop("layers.0.parametrizations.weight.0._u"),
    ],
    ids=["other channels", "no settings", "broken settings", "missing tensor", "missing spectral norm"],
)
def test_a_discriminator_that_does_not_fit(tmp_path, change):
    judge(tmp_path / "d.safetensors")
    rewritten(tmp_path / "d.safetensors", change)
    with pytest.raises(MaganError, match="does not fit the network that it describes") as caught:
        load_discriminator(tmp_path / "d.safetensors")
    assert "\n" not in str(caught.value)


def test_models_and_discriminators_are_told_apart(tmp_path):
    saved(tmp_path / "model.safetensors")
    judge(tmp_path / "d.safetensors")
    with pytest.raises(MaganError, match="holds no discriminator"):
        load_discriminator(tmp_path / "model.safetensors")
    with pytest.raises(MaganError, match="not a model of this project"):
        load_model(tmp_path / "d.safetensors")
    with pytest.raises(MaganError, match=r"there is no file .*none\.safetensors"):
        load_discriminator(tmp_path / "none.safetensors")


# ---- pretrained backbones ----

RESNET = MODEL | {"backbone": "resnet18"}
VGG = MODEL | {"backbone": "vgg16"}


def random_state(backbone, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        key: torch.rand(value.shape, generator=generator) if value.is_floating_point() else value
        for key, value in backbone.state_dict().items()
    }


@pytest.fixture(scope="module")
def vgg():
    return build_generator(VGG)


@pytest.mark.parametrize("separator", [".", "_"], ids=["torchvision", "timm"])
def test_vgg_files_of_both_spellings(tmp_path, vgg, separator):
    """13 convolutions at torchvision's positions; half precision becomes float; the classifier is left
    out."""
    positions = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    wanted = random_state(vgg.backbone.features, seed=ord(separator))
    assert wanted.keys() == {f"features_{n}.{kind}" for n in positions for kind in ("weight", "bias")}
    state = {key.replace("features_", f"features{separator}"): t.half() for key, t in wanted.items()}
    save_file(state | {"classifier.0.bias": torch.zeros(2)}, tmp_path / "vgg.safetensors")
    assert load_pretrained(vgg, VGG, tmp_path / "vgg.safetensors") == "vgg.safetensors"
    for key, tensor in vgg.backbone.features.state_dict().items():
        assert torch.equal(tensor, wanted[key].half().float())


def test_a_batch_norm_backbone_gets_its_statistics_too(tmp_path):
    generator = build_generator(RESNET)
    wanted = random_state(generator.backbone.features)
    save_file({k: v for k, v in wanted.items() if "num_batches" not in k}, tmp_path / "r.safetensors")
    heads = generator.high_head[0].weight.clone()
    load_pretrained(generator, RESNET, tmp_path / "r.safetensors")
    found = generator.backbone.features.state_dict()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())
    assert torch.equal(generator.high_head[0].weight, heads)


def test_files_that_do_not_fit_a_backbone(tmp_path):
    generator = build_generator(RESNET)
    state = random_state(generator.backbone.features)
    before = {key: value.clone() for key, value in generator.backbone.features.state_dict().items()}
    save_file(
        {key: value for key, value in state.items() if key != "conv1.weight"}, tmp_path / "less.safetensors"
    )
    save_file(state | {"conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "other.safetensors").read_bytes()[:-7])
    messages = {
        "less": r"1 tensors missing, 0 of another shape \(first: conv1\.weight\)",
        "other": "0 tensors missing, 1 of another shape",
        "cut": "is not a readable safetensors file",
        "missing": r"are missing\. scripts/imagenet_weights\.py makes those .* MAGAN_WEIGHTS is for",
    }
    for name, message in messages.items():
        with pytest.raises(MaganError, match=message):
            load_pretrained(generator, RESNET, tmp_path / f"{name}.safetensors")
    found = generator.backbone.features.state_dict()
    assert all(torch.equal(found[key], value) for key, value in before.items())


def test_timms_own_weights_and_being_offline(monkeypatch):
    generator = build_generator(RESNET)
    hub = timm.create_model("resnet18", features_only=True, out_indices=(0, 1, 2, 3, 4))
    real = timm.create_model

    def online(name, pretrained=False, **options):
        return hub if pretrained else real(name, **options)

    monkeypatch.setattr(timm, "create_model", online)
    assert load_pretrained(generator, RESNET, None) == "timm resnet18"
    assert torch.equal(generator.backbone.features.conv1.weight, hub.conv1.weight)

    def offline(*args, **options):
        raise ConnectionError("no route")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(MaganError, match=r"not be downloaded \(ConnectionError: no route\).*`weights\.file`"):
        load_pretrained(generator, RESNET, None)


def test_the_slim_network_has_no_pretrained_weights():
    with pytest.raises(MaganError, match="set `pretrained: false`"):
        load_pretrained(build_generator(MODEL), MODEL, None)


def test_going_on_from_a_model_of_this_project(tmp_path):
    trained = decided(seed=4)
    save_model(trained, MODEL, PARTS, 32, tmp_path / "model.safetensors")
    generator = build_generator(MODEL)
    told = load_pretrained(generator, MODEL | {"dropout": 0.5}, tmp_path / "model.safetensors")
    assert re.fullmatch(r"the model model\.safetensors of sha256 [0-9a-f]{12}", told)
    wanted = trained.state_dict()
    assert all(torch.equal(value, wanted[key]) for key, value in generator.state_dict().items())


def test_going_on_from_a_model_that_is_older_than_a_setting(tmp_path, monkeypatch):
    """As docs/extending.md says of an attention of one's own."""
    save_model(decided(), MODEL, PARTS, 32, tmp_path / "model.safetensors")
    monkeypatch.setattr(weights, "WITHOUT_TENSORS", (*weights.WITHOUT_TENSORS, "heads"))
    monkeypatch.setattr(weights, "DEFAULTS", weights.DEFAULTS | {"heads": 1})
    load_pretrained(build_generator(MODEL), MODEL | {"heads": 1}, tmp_path / "model.safetensors")
    with pytest.raises(MaganError, match="heads 1, not 2"):
        load_pretrained(build_generator(MODEL), MODEL | {"heads": 2}, tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    "other",
    [{"head_channels": 16}, {"head_norm": False}, {"energy": "raw"}, {"axis": "printed"}, {"dilation": 1},
     {"pooling": False}],
    ids=str,
)  # fmt: skip
def test_going_on_from_another_network(tmp_path, other):
    trained = decided()
    save_model(trained, MODEL, PARTS, 32, tmp_path / "model.safetensors")
    with pytest.raises(MaganError, match=r"another network than the one to train.*Give `model`"):
        load_pretrained(build_generator(MODEL | other), MODEL | other, tmp_path / "model.safetensors")


def test_going_on_from_a_model_that_says_nothing_of_poolings(tmp_path):
    """Older than that setting: it has them."""
    older = {name: value for name, value in MODEL.items() if name != "pooling"}
    save_model(decided(), older, PARTS, 32, tmp_path / "model.safetensors")
    load_pretrained(build_generator(MODEL), MODEL, tmp_path / "model.safetensors")
    without = MODEL | {"pooling": False}
    with pytest.raises(MaganError, match="pooling True, not False"):
        load_pretrained(build_generator(without), without, tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["mean", "std"])
def test_going_on_from_a_model_whose_input_was_normalised_otherwise(tmp_path, name):
    """As tags of one timm backbone may have it."""
    save_model(decided(), MODEL, PARTS, 32, tmp_path / "model.safetensors")
    generator = build_generator(MODEL)
    getattr(generator, name).mul_(2)
    with pytest.raises(MaganError, match=f"another network .*input normalised by another {name}"):
        load_pretrained(generator, MODEL, tmp_path / "model.safetensors")


def test_the_mean_of_models(tmp_path):
    names = [tmp_path / f"{index}.safetensors" for index in range(3)]
    states = [saved(name, seed=index).state_dict() for index, name in enumerate(names)]
    network, size = load_mean(names)
    assert (size, network.training) == (64, False)
    for key, value in network.state_dict().items():
        slow = np.mean([state[key].double().numpy() for state in states], axis=0)
        assert value.dtype == states[0][key].dtype
        np.testing.assert_allclose(value.double().numpy(), slow, rtol=1e-5, atol=1e-7)
    for key, value in load_mean(names[:1])[0].state_dict().items():
        assert torch.equal(value, states[0][key])


@pytest.mark.parametrize("other", [{"parts": ("HL", "LL")}, {"test_size": 32}], ids=str)
def test_models_that_have_no_mean(tmp_path, other):
    saved(tmp_path / "one.safetensors")
    saved(tmp_path / "two.safetensors", **other)
    with pytest.raises(MaganError, match=r"two\.safetensors holds .* of one network, tested alike"):
        load_mean([tmp_path / "one.safetensors", tmp_path / "two.safetensors"])


@pytest.mark.parametrize(
    ("name", "fits"),
    [("tf_mobilenetv3_small_075.in1k", True), ("mobilenetv3_small_075", False)],
)
def test_going_on_with_a_backbone_whose_weights_have_the_same_shapes(tmp_path, name, fits):
    """A tag says with which weights a backbone began; without tf_ it pads otherwise."""
    trained = MODEL | {"backbone": "tf_mobilenetv3_small_075"}
    save_model(build_generator(trained), trained, PARTS, 32, tmp_path / "model.safetensors")
    settings = MODEL | {"backbone": name}
    generator = build_generator(settings)
    if fits:
        load_pretrained(generator, settings, tmp_path / "model.safetensors")
    else:
        with pytest.raises(MaganError, match=r"\(backbone 'tf_mobilenetv3_small_075', not 'mobilenetv3"):
            load_pretrained(generator, settings, tmp_path / "model.safetensors")


@pytest.mark.skipif("MAGAN_WEIGHTS" not in os.environ, reason="MAGAN_WEIGHTS names no folder of weights")
@pytest.mark.parametrize("profile", ["cuhk", "cuhk-cpu"])
def test_the_files_that_params_yaml_names(profile):
    settings = params.load(ROOT / "params.yaml")["profiles"][profile]
    file = paths.weights() / settings["weights"]["file"]
    if not file.exists():
        pytest.skip(f"{file.name} is not in the folder that MAGAN_WEIGHTS names")
    generator = build_generator(settings["model"]).eval()
    load_pretrained(generator, settings["model"], file)
    with torch.no_grad():
        levels = generator.backbone(torch.randn(1, 3, 64, 64))
    assert all(torch.isfinite(level).all() for level in levels)
    assert all(0.05 < level.std() < 50 for level in levels)


def test_a_backbone_of_ones_own_gets_weights_by_the_names_of_its_state(tmp_path):
    wanted = random_state(build_generator(MODEL).backbone)
    save_file(wanted, tmp_path / "own.safetensors")
    generator = build_generator(MODEL)
    assert load_pretrained(generator, MODEL, tmp_path / "own.safetensors") == "own.safetensors"
    found = generator.backbone.state_dict()
    assert all(torch.equal(found[key], value) for key, value in wanted.items())


def test_a_discriminator_that_is_not_finite(tmp_path):
    judge = build_discriminator(16, 4)
    next(iter(judge.parameters())).data.fill_(float("nan"))
    weights.save_discriminator(judge, 16, 4, tmp_path / "discriminator.safetensors")
    with pytest.raises(MaganError, match="NaN or infinite"):
        weights.load_discriminator(tmp_path / "discriminator.safetensors")
