"""Algorithm 1: alternate steps of discriminator and generator; semi-supervised training (section III-C)."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn
from tqdm import tqdm

from magan_core import losses
from magan_core.data.augment import Sampler
from magan_core.device import choose_precision
from magan_core.errors import Interrupted, MaganError
from magan_core.limits import check, check_share
from magan_core.models.generator import MANet
from magan_core.training.average import Average
from magan_core.training.distributed import Team, bare
from magan_core.training.further import further
from magan_core.training.live import Live
from magan_core.training.log import Log
from magan_core.training.replay import Replay, recordable
from magan_core.training.schedule import factor
from magan_core.training.state import Parts, Resume, stoppable

# By itself the compiler gives channels_last up, in all of a network, if one of its convolutions has at least
# twice as many inputs as outputs.
COMPILED = {"force_layout_optimization": True}


@dataclass(frozen=True)
class Weights:
    """Weights of the losses in Eq. 6 and 9, and of further ones by name (see training/further.py)."""

    ce: float
    iou: float
    adv: float
    further: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, loss: Mapping[str, float]) -> "Weights":
        """From `loss` of a run in params.yaml."""
        paper = ("ce", "iou", "adv")
        own = {name: weight for name, weight in loss.items() if name not in paper}
        return cls(*(loss[name] for name in paper), own)


@dataclass(frozen=True)
class Recipe:
    """How to train: `training` of params.yaml. Rates are per step of Adam, `log_every` is in steps.

    precision: float32, or bfloat16 for the networks' products (autocast; losses and weights stay float32), or
    auto: see device.choose_precision.
    graph, compile: on a GPU, and in one process, record the step once and replay it (replay.Replay), and
    torch.compile the networks, which takes half a minute at the start, and as long again or longer where
    unlabelled photographs come in, each half for itself. It is for one training a process: torch compiles the
    same code eight times at most, and runs it as it is from then on. average: decay of the moving average of
    the generator's weights that the run ends with; 0: the last weights. save_seconds: how often the resume
    state is saved.
    """

    steps: int
    warmup_steps: int
    batch: int
    lr: float
    backbone_lr: float
    discriminator_lr: float
    schedule: str
    betas: tuple[float, float]
    weight_decay: float
    adversarial: str
    supervised_share: float
    log_every: int
    precision: str
    graph: bool
    compile: bool
    average: float
    save_seconds: float


def adam(groups: list[dict], recipe: Recipe) -> torch.optim.Adam:
    """Adam with the L2 weight decay of section IV-C; one kernel for all parameters."""
    return torch.optim.Adam(groups, betas=tuple(recipe.betas), weight_decay=recipe.weight_decay, fused=True)


def train(
    generator: MANet,
    discriminator: nn.Module | None,
    labelled: Sampler,
    unlabelled: Sampler | None,
    weights: Weights,
    recipe: Recipe,
    *,
    device: torch.device,
    resume: Resume | None = None,
    live: Live | None = None,
    team: Team | None = None,
    progress: bool = True,
) -> list[dict]:
    """Train in place; returns the history, one row every `log_every` steps (means over those steps).

    A row has the keys of columns.COLUMNS, without adv, d_real and d_fake where there is no discriminator, and
    without the alphas of channel attention that the generator does not have; the alphas are those of the
    weights in training, also where the run ends with an average. Each further loss has a key of its own.

    discriminator: needed where weights.adv > 0. unlabelled: when given, the first `supervised_share` of the
    steps are the warm-up with labelled data only, then half of each batch is labelled and half unlabelled.
    resume: where the state is saved every `save_seconds` and at the end; from a state that lies there the run
    goes on, and on the CPU the outcome is, byte for byte, that of an uninterrupted run. live: where the run
    shows itself. team: the processes that train together, each with its part of the samplers' batches; one of
    them writes.
    Errors: MaganError at the first row whose losses are not all finite, for a discriminator that has won for
    good (the last good state stays), and for settings that do not go together. Interrupted after SIGINT or
    SIGTERM, when the step is done and the state saved, which takes one step more.
    """
    team = team or Team()
    _check(discriminator, labelled, unlabelled, weights, recipe)
    _check_parts(unlabelled, recipe, team)
    recipe = replace(recipe, precision=choose_precision(recipe.precision, device))
    optimisers = _optimisers(generator, discriminator, recipe)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    log = Log(discriminator is not None, len(labelled.images), device, tuple(weights.further))
    average = Average(generator, recipe.average) if recipe.average else None
    parts = Parts(
        {"generator": generator}
        | ({"discriminator": discriminator} if discriminator else {})
        | ({"average": average.module} if average else {}),
        dict(zip(("g_optimiser", "d_optimiser"), optimisers, strict=False)),
        {"labelled": labelled} | ({"unlabelled": unlabelled} if unlabelled else {}),
    )
    start = 0
    if resume is not None and (found := resume.load()) is not None:
        tensors, told = found
        parts.restore(tensors, device)
        log.restore(told["log"], tensors["sums"])
        start = told["step"]
    team.agree(start, "step to go on from")
    if live is not None:
        live.begin(start)
        live.write(log.rows)

    def state(step: int) -> tuple[dict[str, Tensor], dict]:
        told = {"step": step, "of": recipe.steps, "log": log.state()}
        return parts.tensors(device) | {"sums": log.sums.cpu().clone()}, told

    generator.train()
    alone = alone_on_gpu(device, team)
    compiled = partial(torch.compile, dynamic=False, options=COMPILED)
    prepared = compiled if recipe.compile and alone else team.wrap
    forward = prepared(generator)
    judge = prepared(discriminator.requires_grad_(True)) if discriminator else None

    def iterate(images: Tensor, masks: Tensor) -> Tensor:
        return step_once(forward, judge, optimisers, images, masks, weights, recipe)

    if recipe.graph and alone:
        recordable(optimisers, device)
        iterate = Replay(iterate, optimisers, device)
    full, half = recipe.batch, recipe.batch // 2
    supervised_steps = recipe.steps if unlabelled is None else round(recipe.steps * recipe.supervised_share)
    bar = tqdm(
        total=recipe.steps, initial=start, disable=not progress, mininterval=5, unit="step", desc="train"
    )
    begun = time.perf_counter()
    pending = None  # a state is written when the losses of the next step show that its weights are good
    asked = 0  # the signal that came in the step before: one step more, so that its state can be written
    with bar, stoppable() as stop:
        for step in range(start, recipe.steps):
            if resume is not None and team.writes and (asked or resume.due) and not log.trouble():
                pending = state(step)
            scale = factor(recipe.schedule, step, recipe.steps, recipe.warmup_steps)
            for optimiser, initial in zip(optimisers, rates, strict=True):
                for group, rate in zip(optimiser.param_groups, initial, strict=True):
                    _set_rate(group, rate * scale)
            semi = step >= supervised_steps
            labelled.batch = half if semi else full
            images, masks = labelled.next()
            images, masks = images.to(device), masks.to(device)
            if semi:
                unlabelled.batch = full - half
                images = torch.cat([images, unlabelled.next()[0].to(device)])  # labelled first
            losses = iterate(images, masks)
            log.add(team.mean(losses), labelled.batch)
            if average is not None:
                average.update(generator, step)
            bar.update()
            trouble = log.trouble() if asked or pending is not None else ""
            if pending is not None and not trouble:
                resume.save(*pending)
            pending = None
            if (step + 1) % recipe.log_every == 0 or step + 1 == recipe.steps:
                row = log.row(step + 1, recipe.lr * scale, generator.alphas())
                speed = full * (step + 1 - start) / max(time.perf_counter() - begun, 1e-9)
                bar.set_postfix_str(f"{row} {speed:.1f} img/s", refresh=False)
                if live is not None:
                    live.write(log.rows)
            if live is not None:
                live.sample(step + 1, generator, device)
            done = step + 1 == recipe.steps
            if done and not all(map(_finite, parts.modules.values())):
                raise MaganError("training diverged in its last step: weights are infinite. Lower `lr`.")
            if done and resume is not None and team.writes:
                resume.save(*state(step + 1))
            signal = team.highest(stop.signal or 0)
            if signal and (asked or done or resume is None):
                reached = step if asked and not done else step + 1
                raise _interrupted(signal, f"{reached} of {recipe.steps}", resume, "" if done else trouble)
            asked = signal
    if average is not None:
        generator.load_state_dict(average.module.state_dict())
    return log.rows


def step_once(
    generator: MANet,
    discriminator: nn.Module | None,
    optimisers: list[torch.optim.Adam],
    images: Tensor,
    masks: Tensor,
    weights: Weights,
    recipe: Recipe,
) -> Tensor:
    """One iteration of Algorithm 1; returns (ce, iou, adv, total, d_real, d_fake, further losses) as float
    (6 + F,).

    images: (B, 3, H, W); masks: (L, 1, H, W) of the first L <= B images; the other B - L are unlabelled and
    make the step semi-supervised (section III-C): gradients of both parts count one half. They go through the
    generator one after the other; see `unobserved` for batch norm. total is the loss of the labelled part.
    """
    count = len(masks)
    reduced = torch.autocast(images.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16")
    with reduced:
        logits = generator(images[:count])
    if count < len(images):
        with reduced, unobserved(generator):
            logits = torch.cat([logits, generator(images[count:])])
    logits = logits.float()
    maps = logits.sigmoid()
    d_real = d_fake = adv = logits.new_zeros(())
    unlabelled_loss = logits.new_zeros(())

    if discriminator is not None:
        discriminator.train().requires_grad_(True)
        with reduced:
            pairs = discriminator(
                torch.cat([images[:count], images[:count]]), torch.cat([masks, maps[:count].detach()])
            )
        pairs = pairs.float()
        d_real, d_fake = losses.discriminator_loss(pairs[:count], pairs[count:])
        optimisers[1].zero_grad(set_to_none=True)
        (d_real + d_fake).backward()
        optimisers[1].step()

        discriminator.eval().requires_grad_(False)
        with reduced:
            patches = bare(discriminator)(images, maps)  # has no gradients to average
        patches = patches.float()
        adv = losses.generator_adversarial_loss(patches[:count], recipe.adversarial)
        if count < len(images):
            unlabelled_loss = weights.adv * losses.generator_adversarial_loss(
                patches[count:], recipe.adversarial
            )

    ce = losses.cross_entropy(logits[:count], masks)
    iou = losses.iou_loss(maps[:count], masks)
    total = weights.ce * ce + weights.iou * iou + weights.adv * adv
    more = {"logits": logits[:count], "images": images[:count]}
    own = {name: further(name)(maps[:count], masks, **more) for name in weights.further}
    for name, value in own.items():
        total = total + weights.further[name] * value
    objective = 0.5 * total + 0.5 * unlabelled_loss if count < len(images) else total
    optimisers[0].zero_grad(set_to_none=True)
    objective.backward()
    optimisers[0].step()
    return torch.stack([ce, iou, adv, total, d_real, d_fake, *own.values()]).detach()


@contextmanager
def unobserved(network: nn.Module) -> Iterator[None]:
    """Batch norm as in a test: by its running statistics, to which what goes through meanwhile adds nothing.

    So the running statistics are of labelled photographs alone, and unlabelled ones are normalised as in a
    test. The paper leaves it open; what was tried is in docs/experiments.md, 45.
    """
    norms = [
        module
        for module in network.modules()
        if module.training and getattr(module, "running_var", None) is not None
    ]
    for norm in norms:
        norm.training = False
    try:
        yield
    finally:
        for norm in norms:
            norm.training = True


def alone_on_gpu(device: torch.device, team: Team) -> bool:
    """Whether steps may be compiled and replayed: on a GPU that one process trains on."""
    return device.type == "cuda" and team.size == 1


def _interrupted(signal: int, reached: str, resume: Resume | None, trouble: str) -> Interrupted:
    """What a run says that a signal has stopped; trouble: why its state was not saved."""
    onward = ""
    if resume is not None:
        onward = (
            "; the same command goes on from there"
            if not trouble
            else f"; {trouble}, so that this was not saved"
            + "; the last good state stays" * resume.path.exists()
        )
    return Interrupted(f"stopped by signal {signal} after step {reached}{onward}", signal)


def _finite(network: nn.Module) -> bool:
    return all(weight.isfinite().all() for weight in network.parameters())


def _check(
    discriminator: nn.Module | None,
    labelled: Sampler,
    unlabelled: Sampler | None,
    weights: Weights,
    recipe: Recipe,
) -> None:
    """MaganError for settings that do not go together."""
    check(asdict(recipe))
    if (weights.adv > 0) != (discriminator is not None):
        raise MaganError("a discriminator goes with an adversarial weight above 0, and only with it.")
    if unlabelled is not None and discriminator is None:
        raise MaganError(
            "unlabelled photographs teach through the discriminator: set the adversarial weight above 0."
        )
    if labelled.masks is None:
        raise MaganError("the labelled set has no masks: name one with training masks as `set` of the run.")
    if unlabelled is not None and recipe.batch < 2:
        raise MaganError(
            f"batch {recipe.batch} cannot be half labelled and half unlabelled: set `batch` to 2 or more."
        )
    if unlabelled is not None:
        check_share(recipe.supervised_share, recipe.steps)


def _check_parts(unlabelled: Sampler | None, recipe: Recipe, team: Team) -> None:
    """MaganError for a batch, or the labelled or unlabelled part of one, that a team cannot divide."""
    team.divide(recipe.batch, "a batch")
    if unlabelled is not None:
        for part in (recipe.batch // 2, recipe.batch - recipe.batch // 2):
            team.divide(part, "the half of a batch,")


def _optimisers(generator: MANet, discriminator: nn.Module | None, recipe: Recipe) -> list[torch.optim.Adam]:
    """One for the generator, whose pretrained backbone has its own rate, and one for the discriminator."""
    backbone = list(generator.backbone.parameters())
    known = {id(parameter) for parameter in backbone}
    heads = [parameter for parameter in generator.parameters() if id(parameter) not in known]
    groups = [{"params": backbone, "lr": recipe.backbone_lr}, {"params": heads, "lr": recipe.lr}]
    found = [adam(groups, recipe)]
    if discriminator is not None:
        judge = list(discriminator.parameters())
        found.append(adam([{"params": judge, "lr": recipe.discriminator_lr}], recipe))
    return found


def _set_rate(group: dict, rate: float) -> None:
    """Of a group of an optimiser; see replay.recordable."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate
