"""Which calls of a step are recorded and replayed, with stand-ins for the GPU's streams and graphs."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import PROFILE, RUN, TRAINING, prepared, train_tiny

from magan_core.training import trainer
from magan_core.training.replay import EAGER, Replay


@pytest.fixture(autouse=True)
def streams(monkeypatch):
    def stream(device):
        return SimpleNamespace(device=device, wait_stream=lambda other: None)

    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())


def test_a_step_is_recorded_anew_for_other_shapes(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, stream: nullcontext())
    monkeypatch.setattr(
        torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: calls.append("replay"))
    )

    def step(images, masks):
        calls.append("step")
        return images.sum()

    replay = Replay(step, [], torch.device("cuda"))
    full, half = torch.ones(4, 3, 2, 2), torch.ones(2, 1, 2, 2)
    for _ in range(EAGER + 2):
        replay(full, full[:, :1])
    assert calls == ["step"] * EAGER + ["step", "replay", "replay"]  # the fourth is recorded, then replayed
    replay(full * 5, full[:, :1])
    assert torch.equal(replay.images, full * 5)
    calls.clear()
    for _ in range(EAGER + 1):
        replay(full, half)
    assert calls == ["step"] * EAGER + ["step", "replay"]


class Again(Replay):
    """Replays by doing the step again with what lies in the recorded tensors."""

    recorded = 0

    def _record(self, images, masks):
        Again.recorded += 1
        self.images, self.masks, self.losses = images.clone(), masks.clone(), torch.empty(6)

        def replay():
            self.losses.copy_(self.step(self.images, self.masks))

        self.graph = SimpleNamespace(replay=replay)


def lent(optimisers, device):
    """As `recordable`, but for `capturable`, which a processor does not have."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=device)


def test_training_replays_its_steps(tmp_path, monkeypatch):
    """As on a GPU, in the semi-supervised part too: the same losses and weights as step by step."""
    data = prepared(tmp_path / "data")
    profile = PROFILE | {"training": TRAINING | {"steps": 14, "supervised_share": 0.5, "average": 0.9}}
    found = {}
    for name in ("step by step", "replayed"):
        with monkeypatch.context() as patched:
            if name == "replayed":
                patched.setattr(trainer, "alone_on_gpu", lambda device, team: True)
                patched.setattr(trainer, "Replay", Again)
                patched.setattr(trainer, "recordable", lent)
            history = train_tiny(data, tmp_path / name, RUN, profile)
        found[name] = history, load_file(tmp_path / name / "model.safetensors")
    assert Again.recorded == 2, "once for each half of the training"
    (one, weights), (other, again) = found.values()
    np.testing.assert_allclose(one, other, rtol=2e-4, atol=1e-5)
    for key, tensor in weights.items():
        torch.testing.assert_close(again[key], tensor, rtol=1e-3, atol=1e-4)
