"""Training on a GPU by replaying a recorded step."""

import pytest
import torch
from tiny import MODEL, PROFILE, RUN, TRAINING, prepared

from magan_core.errors import MaganError
from magan_core.files import read_json
from magan_core.models.weights import read_header
from magan_core.training import further
from magan_core.training.replay import Replay
from magan_core.training.run import train_run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


def go(root, name, run=RUN, **training):
    """History of a semi-supervised run of 20 steps on the GPU; its batches change at the eighth."""
    settings = TRAINING | {"steps": 20, "log_every": 4, "deterministic": True} | training
    history = train_run(
        run,
        PROFILE | {"training": settings, "model": MODEL | {"dropout": 0.0}},
        labelled=root / "data/shi",
        unlabelled=root / "data/frd",
        weights_folder=root,
        out=root / name,
        device=torch.device("cuda"),
        progress=False,
    )
    assert read_json(root / name / "provenance.json")["profile"]["training"] == settings
    assert read_header(root / name / "model.safetensors")
    return history


def test_it_follows_the_steps_one_by_one(tmp_path):
    prepared(tmp_path / "data")
    one, other = (go(tmp_path, str(graph), graph=graph) for graph in (True, False))
    assert one["step"].tolist() == other["step"].tolist()
    for name in ("lr", "ce", "iou", "adv", "d_real", "d_fake", "alpha_hca"):
        assert one[name].tolist() == pytest.approx(other[name].tolist(), rel=2e-3, abs=1e-5), name


def test_dropout_draws_anew_at_every_replay():
    torch.manual_seed(0)
    dropout = torch.nn.Dropout2d(0.5).to("cuda").train()
    replay = Replay(lambda images, masks: dropout(images).sum(dim=(2, 3)), [])
    images = torch.ones(4, 64, 8, 8, device="cuda")
    found = [replay(images, images).tolist() for _ in range(8)]
    assert replay.graph is not None
    assert len({str(one) for one in found}) == 8


def test_a_loss_that_reads_a_number_is_refused_and_goes_without(tmp_path, monkeypatch):
    def reading(maps, masks):
        return maps.mean() * (maps.mean().item() > 0)

    monkeypatch.setitem(further.FURTHER, "reading", "test_replay:reading")
    monkeypatch.setattr(further, "find", lambda *_: reading)
    prepared(tmp_path / "data")
    run = RUN | {"loss": RUN["loss"] | {"reading": 0.1}}
    with pytest.raises(MaganError, match="graph: false"):
        go(tmp_path, "refused", run)
    assert len(go(tmp_path, "without", run, graph=False)) == 5
