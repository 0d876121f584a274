"""Which calls of a step are recorded and replayed, with stand-ins for the GPU's streams and graphs."""

from contextlib import nullcontext
from types import SimpleNamespace

import torch

from magan_core.training.replay import EAGER, Replay


def test_a_step_is_recorded_anew_for_other_shapes(monkeypatch):
    calls = []

    def stream(device):
        return SimpleNamespace(device=device, wait_stream=lambda other: None)

    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
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
