"""torch.compile of the training step, with the compiler's front end alone, which needs no GPU."""

import pytest
import torch
from tiny import COMPILES, MODEL, PROFILE, RUN, TRAINING, prepared, train_tiny

from magan_core.training import trainer


@COMPILES
@pytest.mark.slow
def test_compiled_networks_train_as_they_do_one_operation_after_the_other(tmp_path, monkeypatch):
    """Supervised and semi-supervised steps, each network as one graph."""
    compiled, compiler = [], torch.compile

    def compile_whole(module, dynamic, options):
        compiled.append(module)
        return compiler(module, backend="aot_eager", fullgraph=True, dynamic=dynamic)

    monkeypatch.setattr(torch, "compile", compile_whole)
    monkeypatch.setattr(trainer, "alone_on_gpu", lambda device, team: True)
    prepared(tmp_path / "data")
    one, other = (
        train_tiny(
            tmp_path / "data",
            tmp_path / str(wanted),
            RUN,
            PROFILE
            | {"model": MODEL | {"dropout": 0.0}}
            | {"training": TRAINING | {"steps": 8, "graph": False, "compile": wanted}},
        )
        for wanted in (False, True)
    )
    assert [type(module).__name__ for module in compiled] == ["MANet", "PatchGAN"]
    for name in ("ce", "iou", "adv", "total", "d_real", "d_fake"):
        assert other[name].tolist() == pytest.approx(one[name].tolist(), rel=1e-4), name
