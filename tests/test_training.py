"""Algorithm 1 step by step, and a whole run twice."""

import copy
import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from tiny import MODEL, NO_GPU, PROFILE, RUN, TRAINING, prepared, scenes

from magan_core import losses
from magan_core.data.augment import Sampler
from magan_core.device import choose_device, choose_precision
from magan_core.errors import MaganError
from magan_core.files import read_json, sha256, write_json
from magan_core.models import build_discriminator, build_generator
from magan_core.models.cost import multiply_adds
from magan_core.models.weights import load_discriminator, load_model, read_header
from magan_core.prediction import predict
from magan_core.training import trainer
from magan_core.training.columns import ALPHAS, COLUMNS, TERMS
from magan_core.training.run import add_timing, train_run
from magan_core.training.schedule import SCHEDULES, factor
from magan_core.training.stream import place
from magan_core.training.trainer import Recipe, Weights, adam, step_once, train

CPU = torch.device("cpu")
WEIGHTS = Weights(ce=1.0, iou=2.0, adv=0.3)
RECIPE = Recipe(**{field.name: TRAINING[field.name] for field in fields(Recipe)})
PLAIN = MODEL | {"dropout": 0.0, "head_norm": False}  # no randomness, no statistics of the batch


def changed(**values):
    return Recipe(**(vars(RECIPE) | values))


class Sgd(torch.optim.SGD):
    """Plain gradient descent, so that the change of a parameter is its gradient."""


def parts(batch=4, seed=0, norm=False):
    """Generator, with batch norm at work or without, discriminator, images and masks."""
    torch.manual_seed(seed)
    generator = build_generator(PLAIN | {"head_norm": norm}).train()
    if not norm:
        stop_norms(generator)
    images, masks = scenes(batch, 32, seed)
    images = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    masks = torch.from_numpy(masks)[:, None] / 255
    return generator, build_discriminator(16, 4), images, masks


def stop_norms(network):
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.eval()


def gradients(module):
    return [parameter.grad.clone() for parameter in module.parameters()]


@pytest.mark.parametrize("adversarial", losses.ADVERSARIAL)
@pytest.mark.parametrize("labelled", [4, 2], ids=["supervised", "semi-supervised"])
@pytest.mark.parametrize("norm", [False, True], ids=["plain", "batch norm"])
def test_a_step_is_algorithm_1(labelled, adversarial, norm):
    """First D on labelled pairs, then G with the new D frozen: half the gradient of each kind of
    photograph. Batch norm takes statistics of labelled photographs; for unlabelled ones it uses the running
    ones."""
    generator, discriminator, images, masks = parts(norm=norm)
    masks, again = masks[:labelled], copy.deepcopy(generator)
    optimisers = [Sgd(generator.parameters(), lr=0.0), Sgd(discriminator.parameters(), lr=0.1)]
    by_hand = copy.deepcopy(discriminator)
    recipe = changed(adversarial=adversarial)
    record = step_once(generator, discriminator, optimisers, images, masks, WEIGHTS, recipe)
    norms = [module for module in generator.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {module.training for module in norms} == {norm}, "left as it was found"
    found = gradients(generator)

    maps = again(images[:labelled]).sigmoid()
    stop_norms(again)
    maps = torch.cat([maps, again(images[labelled:]).sigmoid()]) if labelled < 4 else maps
    for one, other in zip(generator.buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(one, other)
    by_hand.train()
    pairs = by_hand(
        torch.cat([images[:labelled]] * 2), torch.cat([masks, maps[:labelled].detach()])
    )  # labelled only
    real, fake = pairs[:labelled].sigmoid(), pairs[labelled:].sigmoid()
    (-real.log().mean() - (1 - fake).log().mean()).backward()
    with torch.no_grad():
        for parameter in by_hand.parameters():
            parameter -= 0.1 * parameter.grad
    for new, expected in zip(discriminator.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(new, expected)

    by_hand.eval()

    def adversarial_loss(rows):
        judged = by_hand(images[rows], maps[rows]).sigmoid()
        return (1 - judged).log().mean() if adversarial == "minimax" else -judged.log().mean()

    known = slice(0, labelled)
    ce = losses.cross_entropy(torch.logit(maps[known].double()), masks.double()).float()
    iou = losses.iou_loss(maps[known], masks)
    loss = WEIGHTS.ce * ce + WEIGHTS.iou * iou + WEIGHTS.adv * adversarial_loss(known)
    expected = torch.autograd.grad(loss, list(again.parameters()), retain_graph=True)
    if labelled < 4:
        unlabelled_loss = WEIGHTS.adv * adversarial_loss(slice(labelled, 4))
        more = torch.autograd.grad(unlabelled_loss, list(again.parameters()))
        assert any(m.abs().max() > 1e-6 for m in more)
        expected = [0.5 * one + 0.5 * other for one, other in zip(expected, more, strict=True)]
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)
    assert record.tolist() == pytest.approx(
        [
            ce.item(),
            iou.item(),
            adversarial_loss(known).item(),
            loss.item(),
            -real.log().mean().item(),
            -(1 - fake).log().mean().item(),
        ],
        rel=1e-4,
    )


def test_bfloat16_is_that_of_the_products_alone():
    """Losses and gradients near those of float32, and float32 themselves: bfloat16 has 8 bits of mantissa."""
    found = []
    for precision in ("float32", "bfloat16"):
        generator, discriminator, images, masks = parts()
        optimisers = [Sgd(generator.parameters(), lr=0.0), Sgd(discriminator.parameters(), lr=0.0)]
        recipe = changed(precision=precision)
        record = step_once(generator, discriminator, optimisers, images, masks, WEIGHTS, recipe)
        assert record.dtype == torch.float32
        assert {parameter.dtype for parameter in generator.parameters()} == {torch.float32}
        found.append((record, torch.cat([gradient.flatten() for gradient in gradients(generator)])))
    (full, slope), (reduced, reduced_slope) = found
    assert reduced.tolist() == pytest.approx(full.tolist(), rel=0.02)
    assert not torch.equal(full, reduced)
    assert (reduced_slope - slope).norm() < 0.05 * slope.norm()


def test_the_generators_step_leaves_the_discriminator_alone():
    """No gradient, no change, no power iteration: with a learning rate of 0 only D's own forward moves u and
    v."""
    generator, discriminator, images, masks = parts()
    optimisers = [Sgd(generator.parameters(), lr=0.1), Sgd(discriminator.parameters(), lr=0.0)]
    once = copy.deepcopy(discriminator).train()
    with torch.no_grad():
        once(torch.cat([images] * 2), torch.cat([masks, generator(images).sigmoid()]))
    step_once(generator, discriminator, optimisers, images, masks, WEIGHTS, RECIPE)
    state = discriminator.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in once.state_dict().items())


@pytest.mark.gpu
@NO_GPU
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype:UserWarning")
@pytest.mark.parametrize("share", [0.5, 0.0], ids=["in memory", "streamed"])
def test_the_host_does_not_wait_for_the_gpu_within_a_step(share):
    cuda = torch.device("cuda")
    images, masks = place(list(scenes(6)), cuda, share)
    sizes = torch.full((6, 2), 40)
    changes = {"rotation": 0.15, "window": 1.2, "jitter": 0.2, "cutmix": 0.5, "defocus": 0.5, "noise": 0.1}
    sampler = Sampler(images, masks, sizes, batch=4, crop=32, **changes, seed=0)
    networks = [build_generator(MODEL).train().to(cuda), build_discriminator(16, 4).to(cuda)]
    recipe = changed(precision="bfloat16")
    optimisers = [adam([{"params": list(one.parameters()), "lr": 1e-3}], recipe) for one in networks]
    for step in range(3):
        torch.cuda.set_sync_debug_mode("error" if step else "default")  # the first one sets kernels up
        try:
            images, masks = sampler.next()
            step_once(*networks, optimisers, images, masks, WEIGHTS, recipe)
            step_once(*networks, optimisers, images, masks[:2], WEIGHTS, recipe)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def test_neither_the_discriminator_nor_batch_norm_ever_sees_unlabelled_photographs():
    results = []
    for seed in (1, 2):
        generator, discriminator, images, masks = parts(norm=True)
        images[2:] = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(seed))
        optimisers = [Sgd(generator.parameters(), lr=0.1), Sgd(discriminator.parameters(), lr=0.1)]
        step_once(generator, discriminator, optimisers, images, masks[:2], WEIGHTS, RECIPE)
        results.append((discriminator.state_dict(), generator.state_dict()))
    (d_one, g_one), (d_two, g_two) = results
    assert all(torch.equal(d_one[key], d_two[key]) for key in d_one)
    statistics = [key for key in g_one if "running_" in key]
    assert statistics
    assert all(torch.equal(g_one[key], g_two[key]) for key in statistics)
    assert not all(torch.equal(g_one[key], g_two[key]) for key in g_one)


def test_without_a_discriminator_it_is_eq_6():
    generator, _, images, masks = parts()
    optimisers = [Sgd(generator.parameters(), lr=0.0)]
    record = step_once(generator, None, optimisers, images, masks, Weights(1.0, 2.0, 0.0), RECIPE)
    ce, iou, adv, total, d_real, d_fake = record.tolist()
    assert total == pytest.approx(ce + 2 * iou)
    assert adv == d_real == d_fake == 0


def test_adam_is_as_printed():
    """Section IV-C: momentum 0.9, weight decay 5e-4 added to the gradient (not AdamW)."""
    parameter = torch.nn.Parameter(torch.tensor([2.0]))
    optimiser = adam([{"params": [parameter], "lr": 0.1}], RECIPE)
    assert type(optimiser) is torch.optim.Adam
    assert optimiser.defaults["betas"] == (0.9, 0.999)
    for _ in range(2):
        parameter.grad = torch.tensor([0.0])
        optimiser.step()
    moment = square = 0.0
    value = 2.0
    for t in (1, 2):
        gradient = 5e-4 * value
        moment, square = 0.9 * moment + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        value -= 0.1 * (moment / (1 - 0.9**t)) / ((square / (1 - 0.999**t)) ** 0.5 + 1e-8)
    assert parameter.item() == pytest.approx(value, rel=1e-5)


# ---- schedule ----


def test_schedule_values():
    assert [factor("constant", step, 10, 3) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]
    assert factor("polynomial", 0, 10, 0) == 1
    assert factor("polynomial", 5, 10, 0) == pytest.approx(0.5**0.9)
    assert factor("cosine", 6, 10, 2) == pytest.approx(0.5)
    assert factor("cosine", 9, 10, 0) == pytest.approx(0.5 * (1 + np.cos(0.9 * np.pi)))


@pytest.mark.parametrize("kind", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 3, 20])
def test_schedule_stays_above_0_and_never_rises_after_the_warm_up(kind, warmup):
    values = [factor(kind, step, 20, warmup) for step in range(20)]
    assert min(values) > 0
    assert max(values) <= 1
    assert values[:warmup] == sorted(values[:warmup])
    assert values[warmup:] == sorted(values[warmup:], reverse=True)


def test_unknown_schedule():
    with pytest.raises(MaganError, match="did you mean 'polynomial'"):
        factor("poly", 0, 1, 0)


# ---- training ----


def samplers(count=6, batch=4, crop=32, rotation=0.15):
    images, masks = scenes(count, 40)
    sizes = torch.tensor([[40, 60]] * count)
    common = {"sizes": sizes, "batch": batch, "crop": crop, "rotation": rotation, "seed": 3}
    images, masks = torch.from_numpy(images), torch.from_numpy(masks)
    return Sampler(images, masks, **common), Sampler(images.flip(1), None, **common)


def fit(recipe=RECIPE, weights=None, unlabelled=True, **sampling):
    torch.manual_seed(0)
    labelled, pool = samplers(**sampling)
    return train(
        build_generator(MODEL),
        build_discriminator(16, 4) if (weights or WEIGHTS).adv else None,
        labelled,
        pool if unlabelled else None,
        weights or WEIGHTS,
        recipe,
        device=CPU,
        progress=False,
    )


def test_history_has_a_row_every_log_every_steps_and_a_last_one():
    history = fit()
    assert [tuple(row) for row in history] == [COLUMNS] * 3
    assert [row["step"] for row in history] == [2, 4, 5]
    assert [row["epoch"] for row in history] == pytest.approx(
        [8 / 6, 12 / 6, 14 / 6]
    )  # 4, 4, then 2 labelled
    assert [row["lr"] for row in history] == pytest.approx(
        [3e-3 * factor("cosine", step, 5, 1) for step in (1, 3, 4)]
    )


def test_without_a_discriminator_its_losses_are_no_numbers(tmp_path):
    """Not zeros: a loss of 0 would be a statement."""
    history = fit(weights=Weights(1, 1, 0), unlabelled=False)
    terms = ["adv", "d_real", "d_fake"]
    assert [tuple(row) for row in history] == [tuple(name for name in COLUMNS if name not in terms)] * 3
    plain = {key: value for key, value in RUN.items() if key not in ("receptive_field", "unlabelled")}
    frame = go(
        prepared(tmp_path / "data"),
        tmp_path / "run",
        plain | {"loss": {"ce": 1.0, "iou": 1.0, "adv": 0.0}},
        unlabelled=None,
    )
    for found in (frame, pd.read_csv(tmp_path / "run/history.csv")):
        assert list(found) == list(COLUMNS)
        assert found[terms].isna().all(axis=None)
        assert found[list(ALPHAS)].notna().all(axis=None)
        assert found[["ce", "iou", "total"]].notna().all(axis=None)
    assert not (tmp_path / "run/discriminator.safetensors").exists()


@pytest.mark.parametrize("parts", [("HL", "LL", "HCA"), ("HL", "LL", "SA")], ids="+".join)
def test_history_tells_the_alphas_of_the_attention_that_is_there(parts):
    torch.manual_seed(0)
    generator = build_generator(MODEL, parts)
    plain = Weights(ce=1.0, iou=1.0, adv=0.0)
    history = train(generator, None, samplers()[0], None, plain, RECIPE, device=CPU, progress=False)
    own = generator.alphas()
    assert set(own) == {name for name in ALPHAS if name.removeprefix("alpha_").upper() in parts}
    for row in history:
        assert set(row) & set(ALPHAS) == set(own)
    for name, value in own.items():
        told = [row[name] for row in history]
        assert told[-1] == value != 0
        assert len(set(told)) == len(told)  # it moves


def test_the_average_is_that_of_the_weights_after_every_step():
    """Against runs that end after 1, 2, ... steps, averaged by the formula."""

    def weights(steps, average):
        torch.manual_seed(0)
        generator = build_generator(MODEL)
        recipe = changed(steps=steps, average=average, schedule="constant", warmup_steps=0)
        plain = Weights(ce=1.0, iou=1.0, adv=0.0)
        train(generator, None, samplers()[0], None, plain, recipe, device=CPU, progress=False)
        return {name: tensor.double() for name, tensor in generator.state_dict().items()}

    torch.manual_seed(0)
    expected = {name: tensor.double() for name, tensor in build_generator(MODEL).state_dict().items()}
    for step in range(5):
        kept = min(0.2, (1 + step) / (10 + step))
        for name, tensor in weights(step + 1, 0.0).items():
            counter = name.endswith("num_batches_tracked")
            expected[name] = tensor if counter else kept * expected[name] + (1 - kept) * tensor
    for name, tensor in weights(5, 0.2).items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-7, msg=name)


def test_rows_are_means_of_the_steps_since_the_last_row():
    one, two = (fit(changed(log_every=every, steps=4)) for every in (1, 4))
    for key in TERMS:
        assert np.mean([row[key] for row in one]) == pytest.approx(two[0][key], rel=1e-5)


@pytest.mark.parametrize(("share", "supervised"), [(0.0, 0), (0.4, 2), (0.55, 3), (0.8, 4)])
def test_warm_up_is_labelled_only_then_batches_are_half_and_half(share, supervised, monkeypatch):
    seen = []

    def spy(generator, discriminator, optimisers, images, masks, weights, recipe):
        seen.append((len(images), len(masks)))
        return torch.zeros(6)

    monkeypatch.setattr("magan_core.training.trainer.step_once", spy)
    fit(changed(supervised_share=share))
    assert seen == [(4, 4)] * supervised + [(4, 2)] * (5 - supervised)


TOO_SMALL = """
import sys
import torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny import PROFILE, RUN, prepared, train_tiny
from magan_core import losses
numbers = torch.full((1 << 20,), 1e-39)  # enough for torch to share them out among its threads
found, before = [], losses.iou_loss
def left():
    return int((numbers * 1 > 0).sum())
def looks(maps, masks):
    found.append(left())
    maps.register_hook(lambda gradient: found.append(left()))
    return before(maps, masks)
losses.iou_loss = looks
data = prepared(Path(sys.argv[2]) / "data")
train_tiny(data, Path(sys.argv[2]) / "out", RUN, PROFILE | {"threads": int(sys.argv[3])})
torch.set_num_threads(1)
print(sum(found), len(found), left() == len(numbers))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_numbers_too_small_to_be_normal_are_zero_in_every_thread_of_a_training(tmp_path, threads):
    """Forwards and backwards, and afterwards as whoever called it has it."""
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor cannot")
    command = [sys.executable, "-c", TOO_SMALL, str(Path(__file__).parent), str(tmp_path), threads]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-3:] == ["0", "10", "True"]


def test_divergence_stops_with_a_clear_error(monkeypatch):
    real = losses.cross_entropy
    calls = []

    def breaks(logits, masks):
        calls.append(1)
        return real(logits, masks) * (float("nan") if len(calls) == 2 else 1)

    monkeypatch.setattr(losses, "cross_entropy", breaks)
    with pytest.raises(MaganError, match=r"diverged before step 2.*ce nan.*Lower `lr`"):
        fit()


def test_settings_that_do_not_go_together():
    with pytest.raises(MaganError, match="unlabelled photographs teach through"):
        fit(weights=Weights(1, 1, 0))
    with pytest.raises(MaganError, match="set `batch` to 2"):
        fit(changed(batch=1))
    with pytest.raises(MaganError, match=r"supervised_share 1\.0 of 5 steps leaves none"):
        fit(changed(supervised_share=1.0))
    with pytest.raises(MaganError, match=r"average is 1\.0; it must be 0"):
        fit(changed(average=1.0))
    labelled, pool = samplers()
    for discriminator, weights in ((None, WEIGHTS), (build_discriminator(16, 4), Weights(1, 1, 0))):
        with pytest.raises(MaganError, match="a discriminator goes with"):
            train(build_generator(MODEL), discriminator, labelled, None, weights, RECIPE, device=CPU)
    with pytest.raises(MaganError, match="has no masks"):
        train(build_generator(MODEL), None, pool, None, Weights(1, 1, 0), RECIPE, device=CPU)


def test_it_learns_two_photographs_by_heart():
    recipe = changed(steps=100, log_every=1, batch=2, schedule="constant")
    history = fit(recipe, Weights(1, 1, 0), unlabelled=False, count=2, batch=2, crop=40, rotation=0.0)
    assert history[-1]["ce"] < 0.4 * history[0]["ce"]
    assert history[-1]["iou"] < 0.5 * history[0]["iou"]


def test_the_backbone_has_its_own_rate():
    torch.manual_seed(0)
    generator = build_generator(MODEL)
    before = {name: value.clone() for name, value in generator.named_parameters()}
    still = changed(backbone_lr=0.0, steps=2)
    train(generator, None, samplers()[0], None, Weights(1.0, 1.0, 0.0), still, device=CPU, progress=False)
    for name, value in generator.named_parameters():
        assert torch.equal(value, before[name]) == name.startswith("backbone."), name


@pytest.mark.parametrize("still", [True, False])
def test_the_discriminator_has_its_own_rate(still):
    torch.manual_seed(0)
    generator, discriminator = build_generator(MODEL), build_discriminator(16, 4)
    networks = {"g": generator, "d": discriminator}
    before = {name: [value.clone() for value in one.parameters()] for name, one in networks.items()}
    rates = {"lr": 3e-3, "backbone_lr": 3e-3, "discriminator_lr": 0.0}
    rates = rates if still else {name: 3e-3 - value for name, value in rates.items()}
    recipe = changed(**rates, steps=2)
    train(generator, discriminator, samplers()[0], None, WEIGHTS, recipe, device=CPU, progress=False)
    same = {name: all(map(torch.equal, before[name], one.parameters())) for name, one in networks.items()}
    assert same == {"g": not still, "d": still}


def test_an_odd_batch_keeps_its_size_with_unlabelled_photographs(monkeypatch):
    seen = []

    def spy(generator, discriminator, optimisers, images, masks, weights, recipe):
        seen.append((len(images), len(masks)))
        return torch.zeros(6)

    monkeypatch.setattr(trainer, "step_once", spy)
    fit(changed(batch=5, supervised_share=0.2), batch=5)
    assert seen == [(5, 5)] + [(5, 2)] * 4


# ---- whole runs ----


def go(data, out, run=RUN, profile=PROFILE, unlabelled="frd"):
    return train_run(
        run,
        profile,
        labelled=data / "shi",
        unlabelled=data / unlabelled if unlabelled else None,
        weights_folder=data,
        out=out,
        device=CPU,
        progress=False,
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_bytes_twice(tmp_path, precision):
    data = prepared(tmp_path / "data")
    reduced = PROFILE | {"training": TRAINING | {"precision": precision}}
    frame = go(data, tmp_path / "one", profile=reduced)
    torch.rand(5)  # whatever went on in between
    go(data, tmp_path / "two", profile=reduced)
    for name in ("model.safetensors", "discriminator.safetensors", "history.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    go(data, tmp_path / "three", profile=PROFILE | {"seed": 8})
    assert (tmp_path / "one/history.csv").read_bytes() != (tmp_path / "three/history.csv").read_bytes()
    written = pd.read_csv(tmp_path / "one/history.csv")
    assert list(written.columns) == list(COLUMNS) == list(frame.columns)
    (tmp_path / "plain").touch()
    assert (tmp_path / "one/model.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode
    network = build_generator(MODEL)
    cost = multiply_adds(network, 24) + multiply_adds(network, 40)  # at test_scales of test_size
    told = json.loads((tmp_path / "one/provenance.json").read_text(encoding="utf-8"))
    assert told["gmacs"] == pytest.approx(cost / 1e9)


@pytest.mark.parametrize(
    "changed",
    [{"rotation": 0.0}, {"window": 1.2}, {"jitter": 0.3}, {"cutmix": 0.5}, {"defocus": 0.5}, {"noise": 0.1}],
    ids=str,
)
def test_what_photographs_go_through_is_of_the_profile(tmp_path, changed):
    data = prepared(tmp_path / "data")
    histories = [
        go(data, tmp_path / f"{len(own)}", profile=PROFILE | {"training": TRAINING | own})
        for own in ({}, changed)
    ]
    assert not histories[0].equals(histories[1])


def test_provenance_says_what_was_done(tmp_path):
    data = prepared(tmp_path / "data")
    hashes = {"shi": "a" * 64, "frd": "b" * 64}
    write_json(data / "sets.json", {name: {"sha256": hashes[name]} for name in hashes})
    go(data, tmp_path / "run")
    add_timing(tmp_path / "run", "shi", 0.12345)
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert record["run"] == RUN
    assert record["profile"]["training"] == TRAINING
    assert record["profile"]["test_scales"] == PROFILE["test_scales"]
    assert read_header(tmp_path / "run/model.safetensors")["test_scales"] == PROFILE["test_scales"]
    assert record["backbone_weights"] == "from scratch"
    assert record["data_sha256"] == hashes
    assert (record["seed"], record["model"]) == (7, MODEL)
    assert record["threads"] == 1
    assert record["seconds"]["train"] > 0
    assert record["seconds"]["predict_per_image"] == {"shi": 0.1235}
    assert record["parameters"] == sum(p.numel() for p in build_generator(MODEL).parameters())
    assert {"torch", "timm", "numpy", "python"} <= record["versions"].keys()
    assert str(tmp_path) not in json.dumps(record)  # no folder of this machine


def test_a_run_may_have_its_own_seed(tmp_path):
    data = prepared(tmp_path / "data")
    go(data, tmp_path / "own", run=RUN | {"seed": 8})
    go(data, tmp_path / "profiles", profile=PROFILE | {"seed": 8})
    go(data, tmp_path / "other")
    histories = {
        name: (tmp_path / name / "history.csv").read_bytes() for name in ("own", "profiles", "other")
    }
    assert histories["own"] == histories["profiles"] != histories["other"]
    records = {name: json.loads((tmp_path / name / "provenance.json").read_text()) for name in histories}
    assert {name: record["seed"] for name, record in records.items()} == {"own": 8, "profiles": 8, "other": 7}


def test_a_run_may_have_a_model_of_its_own(tmp_path):
    data = prepared(tmp_path / "data")
    go(data, tmp_path / "run", run=RUN | {"model": {"energy": "raw", "head_channels": 4}})
    record = json.loads((tmp_path / "run/provenance.json").read_text())
    assert record["model"] == MODEL | {"energy": "raw", "head_channels": 4}
    network, _ = load_model(tmp_path / "run/model.safetensors")
    expected = build_generator(record["model"]).state_dict()
    assert {name: one.shape for name, one in network.state_dict().items()} == {
        name: one.shape for name, one in expected.items()
    }
    go(data, tmp_path / "mean", run=RUN | {"model": {"head_channels": 4}})
    histories = [(tmp_path / name / "history.csv").read_bytes() for name in ("run", "mean")]
    assert histories[0] != histories[1]  # the energy makes a difference of its own
    assert MODEL["energy"] == "mean"  # of the profile, untouched


def test_the_saved_model_is_the_trained_one(tmp_path):
    data = prepared(tmp_path / "data")
    go(data, tmp_path / "run")
    model, size = load_model(tmp_path / "run/model.safetensors")
    fresh, _ = parts()[:2]
    assert size == 32
    photo = scenes(1)[0][0]
    values = predict(model, photo, size)
    assert values.shape == photo.shape[:2]
    assert not np.array_equal(values, predict(fresh.eval(), photo, size))


def test_the_saved_discriminator_is_the_trained_one(tmp_path, monkeypatch):
    kept = []

    def spy(generator, discriminator, *args, **options):
        history = train(generator, discriminator, *args, **options)
        kept.append(discriminator)
        return history

    monkeypatch.setattr("magan_core.training.run.train", spy)
    go(prepared(tmp_path / "data"), tmp_path / "run")
    loaded = load_discriminator(tmp_path / "run/discriminator.safetensors")
    images, maps = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    assert torch.equal(loaded(images, maps), kept[0].eval()(images, maps))
    torch.manual_seed(0)
    assert not torch.equal(loaded(images, maps), build_discriminator(16, 4).eval()(images, maps))


@pytest.mark.parametrize("folder", [True, False], ids=["of the repository", "of the weights"])
def test_a_run_goes_on_from_another_runs_model(tmp_path, monkeypatch, folder):
    data = prepared(tmp_path / "data")
    go(data, tmp_path / "first")
    monkeypatch.chdir(tmp_path)
    shutil.copy(tmp_path / "first/model.safetensors", data / "copied.safetensors")
    file = "first/model.safetensors" if folder else "copied.safetensors"
    still = TRAINING | {"steps": 1, "lr": 0.0, "backbone_lr": 0.0}
    further = PROFILE | {"weights": {"pretrained": True, "file": file}, "training": still}
    go(data, tmp_path / "second", profile=further)
    first, second = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    for key, value in first.items():
        assert torch.equal(value, second[key]) or key.endswith(statistics)
    told = read_json(tmp_path / "second/provenance.json")["backbone_weights"]
    assert told.endswith(sha256(tmp_path / "first/model.safetensors")[:12])


def test_wrong_data_for_a_run(tmp_path):
    data = prepared(tmp_path / "data")
    crop = PROFILE | {"training": TRAINING | {"crop": 48}}
    with pytest.raises(MaganError, match="crop 48 is larger than the prepared 40 px"):
        go(data, tmp_path / "run", profile=crop)
    with pytest.raises(MaganError, match="prepare the data again"):
        go(data, tmp_path / "run", unlabelled="nothing")
    with pytest.raises(MaganError, match="too small for this discriminator"):
        go(data, tmp_path / "run", run=RUN | {"receptive_field": 256})
    pretrained = PROFILE | {"weights": {"pretrained": True, "file": None}}
    with pytest.raises(MaganError, match=r"'slim_vgg' is not timm's, .* Name a file"):
        go(data, tmp_path / "run", profile=pretrained)
    assert not (tmp_path / "run").exists()


def test_devices(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("cpu") == CPU
    with pytest.raises(MaganError, match="sees no GPU"):
        choose_device("cuda")
    with pytest.raises(MaganError, match="auto, cpu, cuda"):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device().type == "cuda"
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": False, "avx512_f": True}, "float32"),
        ({"architecture": "arm64"}, "float32"),
    ],
    ids=["AVX512-BF16", "AMX", "AVX-512", "ARM"],
)
def test_precision_by_what_the_processor_multiplies(tmp_path, monkeypatch, found, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert choose_precision("auto", CPU) == expected
    assert choose_precision("float32", CPU) == "float32"
    assert choose_precision("bfloat16", CPU) == "bfloat16"
    data = prepared(tmp_path / "data")
    automatic, named = (
        go(data, tmp_path / name, profile=PROFILE | {"training": TRAINING | {"precision": name}})
        for name in ("auto", expected)
    )
    assert automatic.equals(named)
    assert read_json(tmp_path / "auto/provenance.json")["precision"] == expected


def test_precision_of_a_torch_that_does_not_tell(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_precision("auto", CPU) == "float32"


@pytest.mark.parametrize("supported", [True, False])
def test_precision_on_a_gpu(monkeypatch, supported):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or supported)
    assert choose_precision("auto", torch.device("cuda")) == ("bfloat16" if supported else "float32")
    assert asked == [{"including_emulation": False}]


def test_unknown_precision():
    with pytest.raises(MaganError, match="unknown precision 'half'"):
        choose_precision("half", CPU)


def test_multiply_adds_against_counting_by_hand():
    """Convolutions: outputs x inputs x kernel a pixel. Channel attention: two products of C x C x N."""
    generator = build_generator(MODEL).eval()
    total = 0

    def count(module, args, out):
        nonlocal total
        total += out[0].numel() * module.in_channels * module.kernel_size[0] * module.kernel_size[1]

    for module in generator.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    with torch.no_grad():
        generator(torch.zeros(1, 3, 32, 32))
    low, high = sum(generator.backbone.channels[:2]), sum(generator.backbone.channels[2:])
    by_hand = total + 2 * low * low * 32 * 32 + 2 * high * high * 8 * 8
    assert multiply_adds(build_generator(MODEL), 32) == by_hand


def test_a_size_that_is_too_small_is_an_error_before_training(capfd):
    with pytest.raises(MaganError, match="8 x 8 px are too few for this network"):
        multiply_adds(build_generator(MODEL), 8)
    assert capfd.readouterr().err == ""
